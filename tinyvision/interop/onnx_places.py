"""The nodes of ONNX that pick numbers by their places, and places by their numbers."""

from __future__ import annotations

import numpy as np

from ..boxes import nms
from ..errors import ShapeError, WeightsError
from ..tape import Variable
from ..tensors import choosing, products
from ..tensors import taped as F
from ..tensors.tensor import Tensor
from .onnx_ops import integers, is_number, plain, reads, require_size, tensor


def _from_the_front(node, indices, sizes):
    """Indices into axes of these sizes, of which negative ones count from the end. Raises ShapeError."""
    indices, sizes = plain(indices).astype(np.int64), np.asarray(sizes)
    if ((indices < -sizes) | (indices >= sizes)).any():
        raise ShapeError(f"{node.name}: an index outside of {sizes.tolist()}")
    return indices % np.maximum(sizes, 1)


@reads("GatherElements")
def _gather_elements(node, x, indices):
    shape, axis = plain(x).shape, node.get("axis", 0)
    index = _from_the_front(node, indices, shape[axis])
    if not is_number(x):
        return np.take_along_axis(plain(x), index, axis)
    return F.gather(tensor(x), index=index, axis=axis)


@reads("GatherND")
def _gather_nd(node, x, indices):
    """y[b, i] = x[b, indices[b, i]]; an index names a place, or all behind first axes."""
    shape, batch = plain(x).shape, node.get("batch_dims", 0)
    depth = plain(indices).shape[-1]
    index = _from_the_front(node, indices, shape[batch : batch + depth])
    rows = np.ix_(*(np.arange(n) for n in shape[:batch])) if batch else ()
    rows = tuple(r.reshape(*r.shape, *[1] * (index.ndim - 1 - batch)) for r in rows)
    place = (*rows, *np.moveaxis(index, -1, 0))
    return F.index(tensor(x), index=place) if is_number(x) else plain(x)[place]


@reads("ScatterElements", "Scatter")
def _scatter_elements(node, x, indices, updates):
    """y = x, with updates[i, j] in the place of y[indices[i, j], j]."""
    shape, axis, kind = plain(x).shape, node.get("axis", 0) % len(plain(x).shape), node.get("reduction", "none")
    if kind not in ("none", "add"):
        raise WeightsError(f"{node.name}: reduction {kind!r} is not known here; known: none, add")
    index = _from_the_front(node, indices, shape[axis])
    if not (is_number(x) or is_number(updates)):
        y, place = plain(x).copy(), list(np.indices(index.shape, sparse=True))
        place[axis] = index
        (np.add.at if kind == "add" else np.ndarray.__setitem__)(y, tuple(place), plain(updates))
        return y
    x = tensor(x)
    return (F.scatter_add if kind == "add" else F.scatter)(x, tensor(updates, x), index=index, axis=axis)


@reads("OneHot")
def _one_hot(node, indices, depth, values):
    """The second of two values at each index along a new axis, the first beside it."""
    count, axis = integers(depth)[0], node.get("axis", -1)
    index = plain(indices).astype(np.int64)
    require_size(node, [*index.shape, count])
    there = np.expand_dims(index, axis) % count == np.arange(count).reshape(
        [-1 if k == axis % (index.ndim + 1) else 1 for k in range(index.ndim + 1)]
    )
    there &= np.expand_dims((index >= -count) & (index < count), axis)
    off, on = plain(values)
    made = np.where(there, on, off).astype(plain(values).dtype)
    return Tensor.of(made) if made.dtype.kind == "f" else made


@reads("TopK")
def _top_k(node, x, count=None):
    """How many was an attribute first (opset 9), an argument later."""
    k = node.get("k") if count is None else integers(count)[0]
    values, places = choosing.topk(tensor(x), k, node.get("axis", -1), bool(node.get("largest", 1)))
    return values if is_number(x) else plain(values), plain(places)


@reads("NonZero")
def _non_zero(node, x):
    return np.stack(np.nonzero(plain(x))).astype(np.int64)


@reads("Trilu")
def _triangle(node, x, diagonal=None):
    rows, columns = (np.arange(n) for n in plain(x).shape[-2:])
    away = columns - rows[:, None] - (0 if diagonal is None else integers(diagonal)[0])
    kept = away >= 0 if node.get("upper", 1) else away <= 0
    if not is_number(x):
        return np.where(kept, plain(x), np.zeros_like(plain(x)))
    x = tensor(x)
    return F.where(x, tensor(0.0, x), condition=np.broadcast_to(kept, x.shape))


@reads("CumSum")
def _cumulative(node, x, axis):
    axis, whole = integers(axis)[0] % len(plain(x).shape), not is_number(x)
    x = plain(x) if whole else tensor(x)

    def turned(x):
        if not node.get("reverse"):
            return x
        return np.flip(x, axis) if whole else F.flip(x, axis=axis)

    x = turned(x)
    x = _moved_on(x, axis) if node.get("exclusive") else x
    return turned(np.cumsum(x, axis, dtype=x.dtype) if whole else F.cumsum(x, axis=axis))


def _moved_on(x, axis):
    """x one place further along the axis, after a 0. (A number taken from a sum again would leave inf - inf = nan.)"""
    before = (slice(None),) * axis
    first, rest = (*before, slice(0, 1)), (*before, slice(0, -1))
    nothing = np.zeros_like(plain(x)[first])
    if isinstance(x, Variable):
        return F.concatenate(Tensor.of(nothing), F.index(x, index=rest), axis=axis)
    return np.concatenate([nothing, x[rest]], axis=axis)


@reads("Einsum")
def _einsum(node, first, *others):
    return products.einsum(node.get("equation", ""), *map(tensor, (first, *others)))


@reads("SpaceToDepth")
def _space_to_depth(node, x):
    N, C, H, W = x.shape
    b = node.get("blocksize")
    y = F.transpose(F.reshape(x, shape=(N, C, H // b, b, W // b, b)), axes=(0, 3, 5, 1, 2, 4))
    return F.reshape(y, shape=(N, C * b * b, H // b, W // b))


# opset 16's words, and those of opset 20
_WAYS = {"linear": "bilinear", "bilinear": "bilinear", "cubic": "bicubic", "bicubic": "bicubic", "nearest": "nearest"}


@reads("GridSample")
def _grid_sample(node, x, grid):
    x, grid = tensor(x), tensor(grid)
    options = {"padding_mode": node.get("padding_mode", "zeros"), "align_corners": bool(node.get("align_corners", 0))}
    return F.grid_sample(x, grid, mode=_WAYS[node.get("mode", "linear")], **options)


@reads("NonMaxSuppression")
def _suppressed(node, boxes, scores, most=None, overlap=None, least=None):
    """(picture, class, box) of the boxes that stay, the best of each class first.   (K, 3)"""
    boxes, scores = (plain(v).astype(np.float64) for v in (boxes, scores))
    most = integers(most)[0] if most is not None else 0
    overlap = float(plain(overlap).reshape(-1)[0]) if overlap is not None else 0.0
    least = float(plain(least).reshape(-1)[0]) if least is not None else -np.inf
    if node.get("center_point_box"):
        middle, half = boxes[..., :2], boxes[..., 2:] / 2
        boxes = np.concatenate([middle - half, middle + half], axis=-1)
    else:  # any two opposite corners, as (y, x, y, x): what overlaps does not depend on which is called x
        a, b = boxes[..., :2], boxes[..., 2:]
        boxes = np.concatenate([np.minimum(a, b), np.maximum(a, b)], axis=-1)
    found = []
    for picture, rows in enumerate(scores):
        for label, row in enumerate(rows):
            (there,) = np.nonzero(row > least)
            kept = there[nms(boxes[picture][there], row[there], overlap).numpy()][: max(most, 0)]
            found += [(picture, label, int(box)) for box in kept]
    return np.array(found, np.int64).reshape(-1, 3)


@reads("Size")
def _size(node, x):
    return np.array(plain(x).size, np.int64)


@reads("IsNaN")
def _is_nan(node, x):
    return np.isnan(plain(x))


@reads("IsInf")
def _is_inf(node, x):
    x = plain(x)
    below, above = bool(node.get("detect_negative", 1)), bool(node.get("detect_positive", 1))
    return np.isinf(x) & np.where(x < 0, below, above)
