"""The nodes of ONNX that are about shapes: what computes them, and what arranges numbers by them."""

from __future__ import annotations

import itertools

import numpy as np

from ..errors import ShapeError, WeightsError
from ..tape import Variable
from ..tensors import taped as F
from ..tensors.tensor import Tensor
from .onnx_ops import integers, is_number, plain, reads, require_size, tensor

# -- shapes, and arithmetic with them


@reads("Shape")
def _shape(node, x):
    return np.array(plain(x).shape, np.int64)[node.get("start", 0) : node.get("end", None)]


@reads("Constant")
def _constant(node):
    for name, kind in (
        ("value_int", np.int64),
        ("value_ints", np.int64),
        ("value_float", np.float32),
        ("value_floats", np.float32),
    ):
        if name in node.options:
            return np.array(node.options[name], kind)
    return node.options["value"]


@reads("ConstantOfShape")
def _constant_of_shape(node, shape):
    size = integers(shape)
    require_size(node, size)
    return np.full(size, node.get("value", np.zeros(1, np.float32)).reshape(-1)[0])


@reads("Cast", "CastLike")
def _cast(node, x, like=None):
    from .onnx_export import package

    dtype = (
        plain(like).dtype if like is not None else np.dtype(package().helper.tensor_dtype_to_np_dtype(node.get("to")))
    )
    if dtype.name.startswith(("float8", "float4")):
        raise WeightsError(f"{node.name}: numbers of the kind {dtype.name} are not known here")
    if isinstance(x, Variable) and dtype.kind == "f":
        return x.to(dtype)
    array = plain(x).astype(dtype)
    return Tensor.of(array) if dtype.kind == "f" and array.ndim else array


@reads("Gather")
def _gather(node, x, indices):
    axis, indices = node.get("axis", 0), plain(indices)
    if not is_number(x):
        return np.take(plain(x), indices, axis=axis)
    place = (slice(None),) * (axis % len(x.shape))
    chosen = int(indices) if indices.ndim == 0 else indices
    return F.index(tensor(x), index=(*place, chosen))


@reads("Range")
def _range(node, start, limit, delta):
    start, limit, delta = (plain(v).reshape(()) for v in (start, limit, delta))
    require_size(node, [max(0.0, np.ceil((limit.item() - start.item()) / delta.item()))])
    return np.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


@reads("ScatterND")
def _scatter_nd(node, x, indices, updates):
    """y = x, with updates[i] in the place of y[indices[i]]; an index names a place, or all behind first axes."""
    indices, old = plain(indices).astype(np.int64), plain(x)
    depth = indices.shape[-1] if indices.ndim else 0
    first, rest = old.shape[:depth], old.shape[depth:]
    if not 0 < depth <= old.ndim or plain(updates).shape != (*indices.shape[:-1], *rest):
        raise ShapeError(
            f"{node.name}: updates {plain(updates).shape} at places {indices.shape} of an array {old.shape} do not fit"
        )
    rows = indices.reshape(-1, depth)
    if ((rows < -np.array(first)) | (rows >= np.array(first))).any():
        raise ShapeError(f"{node.name}: a place outside of {old.shape}")
    kind = node.get("reduction", "none")
    if kind not in ("none", "add"):
        raise WeightsError(f"{node.name}: reduction {kind!r} is not known here; known: none, add")
    place = np.ravel_multi_index(tuple((rows % np.array(first)).T), first)
    if not (is_number(x) or is_number(updates)):
        y = old.reshape(-1, *rest).copy()
        (np.add.at if kind == "add" else np.ndarray.__setitem__)(y, place, plain(updates).reshape(-1, *rest))
        return y.reshape(old.shape)
    x, count = tensor(x), int(np.prod(rest, dtype=np.int64))
    source = F.reshape(tensor(updates, x), shape=(-1, count))
    scatter = F.scatter_add if kind == "add" else F.scatter
    y = scatter(F.reshape(x, shape=(-1, count)), source, index=np.repeat(place[:, None], count, axis=1), axis=0)
    return F.reshape(y, shape=tuple(old.shape))


# -- arranging


@reads("Reshape")
def _reshape(node, x, shape=None):
    wanted = node.get("shape") if shape is None else integers(shape)
    old = plain(x).shape
    wanted = [old[i] if n == 0 and not node.get("allowzero") else n for i, n in enumerate(wanted)]
    return F.reshape(x, shape=tuple(wanted)) if isinstance(x, Variable) else plain(x).reshape(wanted)


@reads("Flatten")
def _flatten(node, x):
    axis = node.get("axis", 1)
    rows = int(np.prod(x.shape[:axis], dtype=np.int64))
    return F.reshape(x, shape=(rows, -1))


def _axes(node, axes):
    return node.get("axes") if axes is None else integers(axes)


@reads("Squeeze")
def _squeeze(node, x, axes=None):
    axes, shape = _axes(node, axes), plain(x).shape
    drop = {a % len(shape) for a in axes} if axes else {i for i, n in enumerate(shape) if n == 1}
    return _reshaped(x, tuple(n for i, n in enumerate(shape) if i not in drop))


@reads("Unsqueeze")
def _unsqueeze(node, x, axes=None):
    axes, shape = _axes(node, axes), list(plain(x).shape)
    rank = len(shape) + len(axes)
    for axis in sorted(a % rank for a in axes):
        shape.insert(axis, 1)
    return _reshaped(x, tuple(shape))


def _reshaped(x, shape):
    return F.reshape(x, shape=shape) if isinstance(x, Variable) else plain(x).reshape(shape)


@reads("Transpose")
def _transpose(node, x):
    order = node.get("perm") or list(range(len(plain(x).shape)))[::-1]
    return F.transpose(x, axes=tuple(order)) if isinstance(x, Variable) else plain(x).transpose(order)


@reads("Concat")
def _concat(node, first, *others):
    arrays = [first, *others]
    require_size(node, [sum(plain(a).size for a in arrays)])
    if not any(isinstance(a, Variable) for a in arrays):
        return np.concatenate([np.atleast_1d(plain(a)) for a in arrays], axis=node.get("axis"))
    return F.concatenate(*map(tensor, arrays), axis=node.get("axis"))


@reads("Slice")
def _slice(node, x, starts=None, ends=None, axes=None, steps=None):
    starts, ends = (_axes_of(node, v, name) for v, name in ((starts, "starts"), (ends, "ends")))
    rank = len(plain(x).shape)
    axes = _axes_of(node, axes, "axes") or list(range(len(starts)))
    steps = [1] * len(starts) if steps is None else integers(steps)
    index = [slice(None)] * rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 0 and end < -plain(x).shape[axis]:
            end = None  # before the first: a slice says so by saying nothing
        index[axis] = slice(start, end, step)
    return F.index(x, index=tuple(index)) if isinstance(x, Variable) else plain(x)[tuple(index)]


def _axes_of(node, given, name):
    return node.get(name) if given is None else integers(given)


@reads("Split")
def _split(node, x, sizes=None):
    axis = node.get("axis", 0)
    n = plain(x).shape[axis]
    sizes = node.get("split") if sizes is None else integers(sizes)
    if not sizes:
        count = node.get("num_outputs") or len(node.outputs)
        each = -(-n // count)
        sizes = [min(each, n - i * each) for i in range(count)]
    if sum(sizes) != n or min(sizes) < 0:
        raise ShapeError(f"{node.name}: parts of {sizes} do not make up an axis of {n}")
    starts = np.cumsum([0, *sizes])
    place = (slice(None),) * (axis % len(plain(x).shape))
    take = (lambda i: F.index(x, index=i)) if isinstance(x, Variable) else (lambda i: plain(x)[i])
    return tuple(take((*place, slice(int(a), int(b)))) for a, b in itertools.pairwise(starts))


@reads("Pad")
def _pad(node, x, pads=None, value=None, axes=None):
    pads = node.get("pads") if pads is None else integers(pads)
    value = node.get("value", 0.0) if value is None or not plain(value).size else plain(value).reshape(()).item()
    rank = len(plain(x).shape)
    axes = [a % rank for a in integers(axes)] if axes is not None else list(range(rank))
    before, after = dict(zip(axes, pads, strict=False)), dict(zip(axes, pads[len(axes) :], strict=False))
    padding = [n for axis in reversed(range(rank)) for n in (before.get(axis, 0), after.get(axis, 0))]
    require_size(node, [n + before.get(a, 0) + after.get(a, 0) for a, n in enumerate(x.shape)])
    if not is_number(x):
        return _padded(plain(x), [(before.get(a, 0), after.get(a, 0)) for a in range(rank)], node, value)
    while len(padding) > 2 and padding[-2:] == [0, 0]:
        padding = padding[:-2]
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}[
        node.get("mode", "constant")
    ]
    return F.pad(x, padding=tuple(padding), mode=mode, value=value)


def _padded(x, pads, node, value):
    """Whole numbers, and what is no number, padded; what is below 0 is cut away first."""
    kept = tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(x.shape, pads, strict=True))
    mode, more = node.get("mode", "constant"), [(max(b, 0), max(a, 0)) for b, a in pads]
    return np.pad(x[kept], more, mode, **({"constant_values": value} if mode == "constant" else {}))


@reads("Expand", "Tile")
def _expand(node, x, sizes):
    wanted = integers(sizes)
    if node.kind == "Tile":
        require_size(node, [n * max(1, k) for n, k in zip(plain(x).shape, wanted, strict=True)])
        return F.repeat(x, repeats=tuple(wanted)) if isinstance(x, Variable) else np.tile(plain(x), wanted)
    require_size(node, wanted)
    shape = np.broadcast_shapes(plain(x).shape, tuple(wanted))
    if not isinstance(x, Variable):
        return np.broadcast_to(plain(x), shape)
    return F.add(x, Tensor.of(np.zeros(shape, x.array.dtype)))


@reads("DepthToSpace")
def _depth_to_space(node, x):
    N, C, H, W = x.shape
    b = node.get("blocksize")
    if node.get("mode", "DCR") == "DCR":
        y = F.transpose(F.reshape(x, shape=(N, b, b, C // b**2, H, W)), axes=(0, 3, 4, 1, 5, 2))
    else:
        y = F.transpose(F.reshape(x, shape=(N, C // b**2, b, b, H, W)), axes=(0, 1, 4, 2, 5, 3))
    return F.reshape(y, shape=(N, C // b**2, H * b, W * b))
