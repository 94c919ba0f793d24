"""The nodes of TensorFlow Lite that are about shapes and places, in the file's order of axes, as `tflite_ops` says."""

from __future__ import annotations

import itertools

import numpy as np

from ..errors import ShapeError, WeightsError
from ..tape import Variable
from ..tensors import taped as F
from .keras_layers import axis_here, from_keras_order, to_keras
from .onnx_ops import integers, plain, tensor
from .tflite_ops import after, reads, require_size, takes_part


def _taken(x, index):
    """x[index] in the file's order."""
    return from_keras_order(F.index(to_keras(x), index=index)) if isinstance(x, Variable) else plain(x)[index]


def _shaped(x, shape):
    if not isinstance(x, Variable):
        return plain(x).reshape(shape)
    return from_keras_order(F.reshape(to_keras(x), shape=tuple(shape)))


def _shape_of(x):
    return tuple(to_keras(x).shape) if isinstance(x, Variable) else plain(x).shape


def _axis(node, x, axis):
    rank = len(x.shape)
    if not -rank <= axis < rank:
        raise WeightsError(f"{node.name}: there is no axis {axis} among {rank}")
    return axis % rank


@reads("SHAPE")
def _shape(node, x):
    return np.array(_shape_of(x), np.int64)


@reads("RESHAPE")
def _reshape(node, x, shape=None):
    wanted = integers(node.get("NewShapeAsNumpy", [])) if shape is None else integers(shape)
    before = node.options["shapes"][0]
    if before and wanted and before[0] == wanted[0] and isinstance(x, Variable):
        wanted[0] = x.shape[0]  # the batch
    return _shaped(x, wanted)


@reads("SQUEEZE")
def _squeeze(node, x):
    shape, before = _shape_of(x), node.options["shapes"][0]
    axes = [_axis(node, x, a) for a in integers(node.get("SqueezeDimsAsNumpy", []))]
    axes = axes or [i for i, n in enumerate(before) if n == 1]
    if any(a >= len(shape) or shape[a] != 1 for a in axes):
        raise ShapeError(f"{node.name}: the axes {axes} of {shape} go away, so they must have one place")
    return _shaped(x, [n for i, n in enumerate(shape) if i not in axes])


@reads("EXPAND_DIMS")
def _expand_dims(node, x, axis):
    shape, (axis,) = list(_shape_of(x)), integers(axis)
    shape.insert(axis % (len(shape) + 1), 1)
    return _shaped(x, shape)


@reads("TRANSPOSE")
def _transpose(node, x, order):
    order = tuple(integers(order))
    if not isinstance(x, Variable):
        return plain(x).transpose(order)
    return from_keras_order(F.transpose(to_keras(x), axes=order))


@reads("CONCATENATION")
def _concatenation(node, first, *others):
    arrays = [first, *others]
    axis = _axis(node, first, node.get("Axis", 0))
    if not any(map(takes_part, arrays)):
        return np.concatenate([plain(a) for a in arrays], axis=axis)
    arrays = [tensor(a) for a in arrays]
    return after(node, F.concatenate(*arrays, axis=axis_here(axis, len(arrays[0].shape))))


@reads("PACK")
def _pack(node, first, *others):
    arrays = [first, *others]
    axis = node.get("Axis", 0) % (len(first.shape) + 1)
    if not any(map(takes_part, arrays)):
        return np.stack([plain(a) for a in arrays], axis=axis)
    rows = []
    for a in map(to_keras, map(tensor, arrays)):
        rows.append(F.reshape(a, shape=(*a.shape[:axis], 1, *a.shape[axis:])))
    return from_keras_order(F.concatenate(*rows, axis=axis))


@reads("UNPACK")
def _unpack(node, x):
    axis = _axis(node, x, node.get("Axis", 0))
    if _shape_of(x)[axis] != len(node.outputs):
        raise ShapeError(f"{node.name}: {_shape_of(x)[axis]} places of axis {axis} for {len(node.outputs)} results")
    return tuple(_taken(x, (*[slice(None)] * axis, k)) for k in range(len(node.outputs)))


@reads("SPLIT")
def _split(node, axis, x):
    return _split_v(node, x, None, axis)


@reads("SPLIT_V")
def _split_v(node, x, sizes, axis):
    """sizes: of the parts, one of them -1 for the rest; None for equal ones."""
    (axis,) = integers(axis)
    axis, count = _axis(node, x, axis), len(node.outputs)
    length = _shape_of(x)[axis]
    sizes = [length // count] * count if sizes is None else integers(sizes)
    sizes = [length - sum(n for n in sizes if n >= 0) if n == -1 else n for n in sizes]
    if sum(sizes) != length or min(sizes) < 0 or len(sizes) != count:
        raise ShapeError(f"{node.name}: {length} places in {count} parts {sizes}")
    starts = np.cumsum([0, *sizes])
    parts = [slice(int(a), int(b)) for a, b in itertools.pairwise(starts)]
    return tuple(_taken(x, (*[slice(None)] * axis, part)) for part in parts)


@reads("SLICE")
def _slice(node, x, begin, size):
    index, before = [], node.options["shapes"][0]
    for axis, (start, count) in enumerate(zip(integers(begin), integers(size), strict=True)):
        whole = axis == 0 and start == 0 and before[:1] == (count,)  # the batch, whatever its size
        index.append(slice(start, None if count == -1 or whole else start + count))
    return _taken(x, tuple(index))


@reads("STRIDED_SLICE")
def _strided_slice(node, x, begin, end, steps):
    if node.get("EllipsisMask") or node.get("NewAxisMask") or node.get("Offset"):
        raise WeightsError(f"{node.name}: an ellipsis, new axes and offsets are not known here")
    index, before = [], node.options["shapes"][0]
    for axis, (first, last, step) in enumerate(zip(*map(integers, (begin, end, steps)), strict=True)):
        chosen = lambda option, axis=axis: bool(node.get(option, 0) >> axis & 1)  # noqa: E731
        if chosen("ShrinkAxisMask"):
            index.append(first)
            continue
        whole = axis == 0 and first == 0 and step == 1 and before[:1] == (last,)  # the batch, whatever its size
        start, stop = None if chosen("BeginMask") else first, None if chosen("EndMask") or whole else last
        index.append(slice(start, stop, step))
    return _taken(x, tuple(index))


@reads("GATHER")
def _gather(node, x, indices):
    axis, indices = _axis(node, x, node.get("Axis", 0)), plain(indices)
    if node.get("BatchDims") or indices.dtype.kind not in "iu":
        raise WeightsError(f"{node.name}: places for each picture are not known here")
    return _taken(x, (*[slice(None)] * axis, int(indices) if indices.ndim == 0 else indices))


@reads("PAD", "PADV2", "MIRROR_PAD")
def _pad(node, x, borders, value=None):
    borders, rank = np.asarray(plain(borders)).reshape(-1, 2), len(x.shape)
    if len(borders) != rank or borders.min(initial=0) < 0 or borders.max(initial=0) > 1 << 20:
        raise WeightsError(f"{node.name}: borders {borders.tolist()} for {rank} axes")
    here = {axis_here(axis, rank): pair for axis, pair in enumerate(borders.tolist())}
    require_size(node, [n + sum(here[axis]) for axis, n in enumerate(x.shape)])
    padding = [n for axis in reversed(range(rank)) for n in here[axis]]
    while len(padding) > 2 and padding[-2:] == [0, 0]:
        padding = padding[:-2]
    if node.kind != "MIRROR_PAD":
        return F.pad(x, padding=tuple(padding), value=0.0 if value is None else float(plain(value).reshape(-1)[0]))
    if node.get("Mode", 0) != 0:
        raise WeightsError(f"{node.name}: borders that repeat the outermost numbers (SYMMETRIC) are not known here")
    return F.pad(x, padding=tuple(padding), mode="reflect")


@reads("TILE")
def _tile(node, x, repeats):
    repeats = integers(repeats)
    require_size(node, [n * max(r, 0) for n, r in zip(_shape_of(x), repeats, strict=True)])
    if not isinstance(x, Variable):
        return np.tile(plain(x), repeats)
    return from_keras_order(F.repeat(to_keras(x), repeats=tuple(repeats)))


@reads("BROADCAST_TO")
def _broadcast_to(node, x, shape):
    wanted, before = integers(shape), node.options["shapes"][0]
    require_size(node, wanted)
    if not isinstance(x, Variable):
        return np.broadcast_to(plain(x), wanted)
    if len(before) == len(wanted) and before[0] == wanted[0]:
        wanted[0] = x.shape[0]  # the batch
    return from_keras_order(F.expand(to_keras(x), shape=tuple(wanted)))


@reads("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")
def _reduction(node, x, axes):
    axes = [_axis(node, x, a) for a in integers(axes)]
    options = {"axis": tuple(axes), "keepdims": bool(node.get("KeepDims"))}
    if not takes_part(x):
        ways = {"SUM": np.sum, "REDUCE_MAX": np.max, "REDUCE_MIN": np.min, "REDUCE_PROD": np.prod}
        if node.kind not in ways:
            raise WeightsError(f"{node.name}: this is known for floating-point numbers only")
        return np.asarray(ways[node.kind](plain(x), **options)).astype(plain(x).dtype)  # NumPy's sums are wider
    x = to_keras(tensor(x))
    if node.kind == "REDUCE_MIN":
        minus = tensor(-1.0, x)
        return from_keras_order(F.mul(F.max(F.mul(x, minus), **options), minus))
    op = {"MEAN": F.mean, "SUM": F.sum, "REDUCE_MAX": F.max, "REDUCE_PROD": F.prod}[node.kind]
    return from_keras_order(op(x, **options))


@reads("DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
def _blocks(node, x):
    """Channels to places of a block, b·b of them, or back; the block is the slower one among the channels."""
    (N, H, W, C), b = to_keras(x).shape, node.get("BlockSize", 0)
    if b < 1 or (C % (b * b) if node.kind == "DEPTH_TO_SPACE" else H % b or W % b):
        raise ShapeError(f"{node.name}: blocks of {b}x{b} for {tuple(x.shape)}")
    if node.kind == "DEPTH_TO_SPACE":
        y = F.transpose(F.reshape(to_keras(x), shape=(N, H, W, b, b, C // b**2)), axes=(0, 1, 3, 2, 4, 5))
        return from_keras_order(F.reshape(y, shape=(N, H * b, W * b, C // b**2)))
    y = F.transpose(F.reshape(to_keras(x), shape=(N, H // b, b, W // b, b, C)), axes=(0, 1, 3, 2, 4, 5))
    return from_keras_order(F.reshape(y, shape=(N, H // b, W // b, C * b**2)))


@reads("SPACE_TO_BATCH_ND")
def _space_to_batch(node, x, block, borders):
    """Every b-th row and column as a picture of its own: how older files put down a dilated convolution."""
    high, wide = _block(node, x, block)
    (top, bottom), (left, right) = np.asarray(plain(borders)).reshape(-1, 2)[:2].tolist()
    require_size(node, (*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right))
    x = F.pad(x, padding=(left, right, top, bottom)) if top or bottom or left or right else x
    N, C, H, W = x.shape
    if H % high or W % wide:
        raise ShapeError(f"{node.name}: {H}x{W} places in blocks of {high}x{wide}")
    y = F.transpose(F.reshape(x, shape=(N, C, H // high, high, W // wide, wide)), axes=(3, 5, 0, 1, 2, 4))
    return F.reshape(y, shape=(high * wide * N, C, H // high, W // wide))


@reads("BATCH_TO_SPACE_ND")
def _batch_to_space(node, x, block, crops):
    high, wide = _block(node, x, block)
    (top, bottom), (left, right) = np.asarray(plain(crops)).reshape(-1, 2)[:2].tolist()
    M, C, H, W = x.shape
    if M % (high * wide) or min(top, bottom, left, right) < 0:
        raise ShapeError(f"{node.name}: {M} pictures in blocks of {high}x{wide}")
    N = M // (high * wide)
    y = F.transpose(F.reshape(x, shape=(high, wide, N, C, H, W)), axes=(2, 3, 4, 0, 5, 1))
    y = F.reshape(y, shape=(N, C, H * high, W * wide))
    return F.pad(y, padding=(-left, -right, -top, -bottom)) if top or bottom or left or right else y


def _block(node, x, block):
    block = integers(block)
    if len(block) != 2 or len(x.shape) != 4 or min(block) < 1:
        raise WeightsError(f"{node.name}: blocks {block} of {tuple(x.shape)}; known are rows and columns of pictures")
    return block
