"""Reading and writing at places that another tensor names: by number, by mask, by order."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..device import to_numpy
from ..dtypes import default_dtype
from ..errors import DtypeError, OptionError, ShapeError
from ..ops.checks import is_integer, one_axis
from ..tape import Variable
from . import taped
from .conversion import fitted
from .extremes import Extremes, extremes
from .history import without_gradient
from .operands import as_operand, factor, result_type, shape_together

if TYPE_CHECKING:
    from .tensor import Tensor


def gather(x: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """The numbers of x at `index` along `dim`: for dim 1 of a matrix, y[i, j] = x[i, index[i, j]]. Gradients are dense,
    so sparse_grad changes nothing."""
    if not index.numel() and index.ndim != x.ndim:
        return x.reshape(-1)[:0].clone().reshape(index.shape)
    return taped.gather(x, index=index.array, axis=dim)


def take_along_dim(x: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` where the axes other than `dim` broadcast; without dim, of x flattened."""
    if dim is None:
        return gather(x.reshape(-1), 0, indices.reshape(-1))
    axis = one_axis("take_along_dim", x, dim)
    if x.ndim != indices.ndim:
        raise ShapeError(f"take_along_dim: {x.shape} and indices {indices.shape} must have as many axes")
    one = [1 if a == axis else n for a, n in enumerate(x.shape)]
    other = [1 if a == axis else n for a, n in enumerate(indices.shape)]
    try:
        shape = list(np.broadcast_shapes(tuple(one), tuple(other)))
    except ValueError:
        raise ShapeError(
            f"take_along_dim: besides axis {axis}, {x.shape} and indices {indices.shape} do not fit each other"
        ) from None
    wide = [x.shape[axis] if a == axis else n for a, n in enumerate(shape)]
    narrow = [indices.shape[axis] if a == axis else n for a, n in enumerate(shape)]
    return gather(x.expand(wide), axis, indices.expand(narrow))


def scatter(
    x: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """x with the numbers of `src` (a tensor, or one number) at the places that `index` names along `dim`.

    With reduce="add" they are added there. Raises OptionError for what else is to be done there."""
    src = value if src is None else src
    if src is None:
        raise OptionError("scatter: give src, a tensor or a number, that is to be written")
    if reduce not in (None, "add"):
        raise OptionError(f'scatter: reduce={reduce!r} is not supported; only "add" is')
    if not isinstance(src, Variable):
        src = x.like(np.full_like(x.array, fitted("scatter", np.array(src), x.array.dtype).item(), shape=index.shape))
    return (taped.scatter if reduce is None else taped.scatter_add)(x, src, index=index.array, axis=dim)


def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """x with the numbers of `src` added at the places that `index` names along `dim`."""
    return taped.scatter_add(x, src, index=index.array, axis=dim)


def _rows(what, x, dim, index):
    """The index of x that reads whole slices: `index` along `dim`."""
    axis = one_axis(what, x, dim)
    if index.dtype.kind not in "iu":
        raise DtypeError(f"{what}: the index must hold integers, got {index.dtype}; use .long()")
    if index.ndim > 1:
        raise ShapeError(f"{what}: the index must have one axis, got {index.shape}")
    return (slice(None),) * axis + (index.reshape(-1),)


def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices of x along `dim` that `index` names, in its order."""
    if not x.ndim:
        return x.reshape(1)[_rows("index_select", x.reshape(1), dim, index)].reshape(())
    return x[_rows("index_select", x, dim, index)]


def _at_rows(what, x, dim, index, source):
    """`index` for every number of `source`, so that slices can be scattered."""
    axis = one_axis(what, x, dim)
    _rows(what, x, dim, index)
    if source.shape != (*x.shape[:axis], index.numel(), *x.shape[axis + 1 :]):
        raise ShapeError(f"{what}: {index.numel()} slices of {x.shape} along axis {axis} do not make {source.shape}")
    along = index.array.reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    return {"index": np.broadcast_to(along, source.shape), "axis": axis}


def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """x with the slices of `source`, times alpha, added to those that `index` names along `dim`."""
    source = source if alpha == 1 else source * factor("index_add: alpha", alpha, source.array.dtype)
    return taped.scatter_add(x, source, **_at_rows("index_add", x, dim, index, source))


def index_copy(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """x with the slices of `source` in the place of those that `index` names along `dim`."""
    if not x.ndim:
        return index_copy(x.reshape(1), dim, index, source.reshape(-1)).reshape(())
    return taped.scatter(x, source, **_at_rows("index_copy", x, dim, index, source))


def index_put(x: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """x with `values` at x[indices], or added to what is there: a place that is named twice gets both then."""
    place = tuple(indices)
    if not accumulate:
        y = x.clone()
        y[place] = values
        return y
    at = x.like(np.arange(x.numel(), like=x.array).reshape(x.shape))[place]
    return index_add(x.reshape(-1), 0, at.reshape(-1), values.expand(at.shape).reshape(-1)).reshape(x.shape)


def index_fill(x: Tensor, dim: int, index: Tensor, value: float) -> Tensor:
    """x with one number in all slices that `index` names along `dim`."""
    if not x.ndim:
        return index_fill(x.reshape(1), dim, index, value).reshape(())
    chosen = x.like(np.zeros_like(x.array, dtype=bool))
    chosen[_rows("index_fill", x, dim, index)] = True
    return masked_fill(x, chosen, value)


def masked_fill(x: Tensor, mask: Tensor, value: Any) -> Tensor:
    """x with one number wherever the mask holds."""
    if mask.dtype != bool:
        raise DtypeError(f"masked_fill: the mask must hold truth values, got {mask.dtype}; use .bool()")
    if isinstance(value, Variable) and value.array.ndim:
        raise ShapeError(f"masked_fill: the value must be a single number, got {value.shape}; use where(...)")
    shape_together("masked_fill", x, mask)
    if x.dtype.kind != "f" and not isinstance(value, Variable):
        value = fitted("masked_fill", np.asarray(value, like=x.array), x.array.dtype).item()
    if x.dtype.kind != "f":
        return x.like(np.where(mask.array, np.asarray(as_operand(value, x.array, "masked_fill"), x.dtype), x.array))
    value = value if isinstance(value, Variable) else x.like(as_operand(value, x.array, "masked_fill"))
    return taped.where(value.to(x.dtype), x, condition=mask.array)


def masked_select(x: Tensor, mask: Tensor) -> Tensor:
    """The numbers of x where the mask holds, in reading order."""
    shape = shape_together("masked_select", x, mask)
    return x.expand(shape)[mask.expand(shape)]


def masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """x with the first numbers of `source`, in reading order, wherever the mask holds. Raises ShapeError."""
    if mask.dtype != bool or source.dtype != x.dtype:
        raise DtypeError(
            f"masked_scatter: the mask must hold truth values and source what x does, got {mask.dtype} and "
            f"{source.dtype} for {x.dtype}"
        )
    shape = shape_together("masked_scatter", x, mask)
    places = mask.array if mask.shape == shape else np.broadcast_to(mask.array, shape)
    count = int(places.sum())
    if source.numel() < count:
        raise ShapeError(f"masked_scatter: {count} numbers are to be written and source {source.shape} has fewer")
    which = np.maximum(np.cumsum(places.reshape(-1)) - 1, 0).reshape(shape)
    chosen = source.reshape(-1)[x.like(which)] if count else x
    return taped.where(chosen, x, condition=places)


def take(x: Tensor, index: Tensor) -> Tensor:
    """The numbers of x, read as one long row, at `index`."""
    return x.reshape(-1)[index]


def nonzero(x: Tensor, *, as_tuple: bool = False) -> Any:
    """Where x is not zero: a row of coordinates for each place, or with as_tuple one tensor for each axis.

    In memory the rows stand upright, as PyTorch's do, so that the coordinates along one axis lie side by side."""
    if as_tuple:
        return tuple(x.like(np.asarray(found, np.int64, like=x.array)) for found in np.atleast_1d(x.array).nonzero())
    found = [np.asarray(part, np.int64, like=x.array) for part in (x.array.nonzero() if x.ndim else ())]
    if not x.ndim:
        return x.like(np.zeros_like(x.array, np.int64, shape=(int(bool(x)), 0)))
    return x.like(np.stack(found).T)


def argwhere(x: Tensor) -> Tensor:
    """Where x is not zero: a row of coordinates for each place."""
    return nonzero(x)


# -- in order


def argsort(x: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """Where the smallest number is, the next, and so on along `dim`; nan counts as the largest. Always stable."""
    if not x.ndim:
        one_axis("argsort", x.reshape(1), dim)
        return x.like(np.zeros_like(x.array, dtype=np.int64))
    axis = one_axis("argsort", x, dim)
    if not descending:
        order = np.argsort(x.array, axis=axis, kind="stable")
    else:  # sorted from the end, and read from the end: equal numbers keep their order
        back = (slice(None),) * axis + (slice(None, None, -1),)
        order = x.shape[axis] - 1 - np.argsort(x.array[back], axis=axis, kind="stable")[back]
    return x.like(np.asarray(order, dtype=np.int64, like=x.array))


def sort(x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Extremes:
    """The numbers in order along `dim`, and where each was: (values, indices). nan counts as the largest."""
    order = argsort(x, dim, descending)
    return extremes("sort", gather(x, dim, order) if x.ndim else x.clone(), order)


def msort(x: Tensor) -> Tensor:
    """The numbers in order along the first axis."""
    return sort(x, 0).values


def topk(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Extremes:
    """The k largest (or smallest) numbers along `dim`, the best first: (values, indices). Among equals the first is
    best, and nan is larger than any number."""
    if not x.ndim:
        return type(topk(x.reshape(1), k, dim, largest))(x.clone(), argsort(x))
    axis = one_axis("topk", x, dim)
    if not is_integer(k) or not 0 <= k <= x.shape[axis]:
        raise OptionError(f"topk: k must be from 0 to {x.shape[axis]}, the size of axis {dim}, got {k!r}")
    order = argsort(x, axis, descending=largest).narrow(axis, 0, int(k))
    return extremes("topk", gather(x, axis, order), order)


def kthvalue(x: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Extremes:
    """The k-th smallest number along `dim`, counted from 1, and where it is."""
    if not x.ndim:
        found = kthvalue(x.reshape(1), k, dim)
        return extremes("kthvalue", x.clone(), found.indices)
    axis = one_axis("kthvalue", x, dim)
    if not is_integer(k) or not 1 <= k <= x.shape[axis]:
        raise OptionError(f"kthvalue: k must be from 1 to {x.shape[axis]}, the size of axis {dim}, got {k!r}")
    order = argsort(x, axis).narrow(axis, int(k) - 1, 1)
    values = gather(x, axis, order)
    found = extremes("kthvalue", values, order)
    return found if keepdim else found.squeezed(axis)


def mode(x: Tensor, dim: int = -1, keepdim: bool = False) -> Extremes:
    """The number that is there most often along `dim`, of several the least, and where it is for the last time."""
    wide = x if x.ndim else x.reshape(1)
    axis = one_axis("mode", wide, dim)
    if not wide.shape[axis]:
        raise ShapeError(f"mode: there is nothing along axis {dim} of {x.shape}")

    numbers = np.moveaxis(to_numpy(wide.array), axis, -1)
    most = [_most_frequent(line) for line in numbers.reshape(-1, wide.shape[axis])] if numbers.size else []
    places = np.moveaxis(np.array(most, np.int64).reshape(*numbers.shape[:-1], 1), -1, axis)
    order = x.like(np.asarray(places, np.int64, like=x.array))
    found = extremes("mode", gather(wide, axis, order), order)
    return found if keepdim and x.ndim else found.squeezed(axis)


def _most_frequent(line):
    """Where the number that is there most often is for the last time; every nan is a number of its own."""
    numbers, counts = np.unique(line, return_counts=True, equal_nan=False)
    places = np.flatnonzero(line == numbers[counts.argmax()])
    return places[-1] if places.size else 0  # nothing but nan


def cummax(x: Tensor, dim: int) -> Extremes:
    """The largest number so far along `dim`, and where it was, of equal ones the last. After a nan all are nan."""
    return _so_far("cummax", x, dim, np.maximum)


def cummin(x: Tensor, dim: int) -> Extremes:
    """The smallest number so far along `dim`, and where it was, of equal ones the last. After a nan all are nan."""
    return _so_far("cummin", x, dim, np.minimum)


def _so_far(what, x, dim, better):
    axis = one_axis(what, x if x.ndim else x.reshape(1), dim)
    if not x.ndim:
        return extremes(what, x.clone(), x.like(np.zeros_like(x.array, dtype=np.int64)))
    numbers = to_numpy(x.array)
    best = better.accumulate(numbers, axis=axis)
    steps = np.arange(x.shape[axis]).reshape(-1, *(1,) * (x.ndim - axis - 1))
    there = np.maximum.accumulate(np.where((numbers == best) | (numbers != numbers), steps, 0), axis=axis)
    places = x.like(np.asarray(there, np.int64, like=x.array))
    return extremes(what, gather(x, axis, places), places)


def unique(
    x: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The different numbers of x in order; with `dim`, its different slices. Optionally where each went, and counts.
    A nan is like no other number, and none is like it."""
    array = x.array if dim is not None else x.array.reshape(-1)
    axis = None if dim is None else one_axis("unique", x, dim)
    values, inverse, counts = np.unique(array, return_inverse=True, return_counts=True, axis=axis, equal_nan=False)
    inverse = inverse.reshape(x.shape if dim is None else (-1,))
    result = [without_gradient("unique", x, np.asarray(values, like=x.array))]
    result += [x.like(np.asarray(inverse, np.int64, like=x.array))] * bool(return_inverse)
    result += [x.like(np.asarray(counts, np.int64, like=x.array))] * bool(return_counts)
    return result[0] if len(result) == 1 else tuple(result)


def unique_consecutive(
    x: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """x with one number in the place of every run of equal ones; with `dim`, one slice. Optionally as `unique`."""
    array = x.array.reshape(-1) if dim is None else np.moveaxis(x.array, one_axis("unique_consecutive", x, dim), 0)
    begins = np.ones(array.shape[:1], bool, like=x.array)
    begins[1:] = (array[1:] != array[:-1]).any(axis=tuple(range(1, array.ndim)))
    places = np.append(np.flatnonzero(begins), begins.size)
    values = array[begins]
    values = np.ascontiguousarray(values if dim is None else np.moveaxis(values, 0, dim))
    result = [without_gradient("unique_consecutive", x, values)]
    inverse = np.cumsum(begins, dtype=np.int64) - 1
    result += [x.like(inverse.reshape(x.shape if dim is None else (-1,)))] * bool(return_inverse)
    result += [x.like((places[1:] - places[:-1]).astype(np.int64))] * bool(return_counts)
    return result[0] if len(result) == 1 else tuple(result)


def bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each of 0, 1, 2, ... occurs, or the sum of the weights beside it."""
    if x.dtype.kind not in "iu" or x.ndim != 1:
        raise DtypeError(f"bincount: expected whole numbers along one axis, got {x.dtype} {x.shape}")
    if x.numel() and bool((x < 0).any()):
        raise OptionError("bincount: the numbers must not be negative")
    if weights is not None and weights.shape != x.shape:
        raise ShapeError(f"bincount: x is {x.shape} but weights is {weights.shape}")
    counts = np.bincount(x.array, None if weights is None else weights.array, minlength)
    kind = np.int64 if weights is None else np.float32 if weights.dtype == np.float32 else np.float64
    return x.like(np.asarray(counts, kind, like=x.array))


def histc(x: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many numbers lie in each of `bins` equal steps from min to max (from the least to the largest).

    NaN lies in none. Raises DtypeError for whole numbers, OptionError."""
    if x.dtype.kind != "f":
        raise DtypeError(f"histc: only floating-point numbers are counted, got {x.dtype}; use .float(), or bincount")
    if not is_integer(bins) or bins < 1:
        raise OptionError(f"histc: bins must be a positive integer, got {bins!r}")
    numbers, bins = x.array.reshape(-1), int(bins)
    low, high = (min, max) if min != max or not numbers.size else (numbers.min().item(), numbers.max().item())
    if not (math.isfinite(low) and math.isfinite(high)) or low > high:
        raise OptionError(f"histc: {low} to {high} is no range; name min and max")
    low, high = (low - 1, high + 1) if low == high else (low, high)
    inside = numbers[(numbers >= low) & (numbers <= high)]
    low, high = (np.asarray(v, x.dtype, like=x.array) for v in (low, high))
    steps = ((inside - low) * np.asarray(bins, x.dtype, like=x.array) / (high - low)).astype(np.int64)  # in its dtype
    counts = np.bincount(np.minimum(steps, bins - 1), minlength=bins)
    return x.like(np.asarray(counts, x.dtype, like=x.array))


def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where each number of `input` belongs in a sorted row: before equal ones, or behind them with right=True. With
    `sorter`, the row is sorted by these indices. Raises OptionError, ShapeError."""
    if side not in (None, "left", "right") or (side == "left" and right):
        raise OptionError(f"searchsorted: side is left or right, right=True the second; got {side!r} and right={right}")
    if sorted_sequence.ndim != 1:
        raise ShapeError(f"searchsorted: the sorted numbers must have one axis here, got {sorted_sequence.shape}")
    row = sorted_sequence.array if sorter is None else sorted_sequence.array[sorter.array]
    if row.dtype.kind == "f" and row.size and bool(np.isnan(row).any()):
        raise OptionError("searchsorted: nan is among the sorted numbers, and what belongs before or behind it?")
    numbers = input.array if isinstance(input, Variable) else np.asarray(input, like=row)
    found = np.searchsorted(row, numbers, "right" if right or side == "right" else "left")
    return sorted_sequence.like(np.asarray(found, np.int32 if out_int32 else np.int64, like=row))


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """Between which boundaries each number lies."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def isin(x: Tensor, test_elements: Any, *, invert: bool = False) -> Tensor:
    """Where a number of x is one of `test_elements`."""
    others = test_elements.array if isinstance(test_elements, Variable) else np.asarray(test_elements, like=x.array)
    return x.like(np.asarray(np.isin(x.array, others, invert=invert), like=x.array))


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds, else `other`, with broadcasting; gradients flow to both.

    With the condition alone, the coordinates of where it holds, one tensor for each axis."""
    if not hasattr(condition, "array"):
        raise DtypeError(f"where: the condition must be an array of truth values, got {type(condition).__name__}")
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if condition.dtype != bool:
        if condition.dtype != np.uint8:
            raise DtypeError(f"where: the condition must hold truth values, got {condition.dtype}; use .bool()")
        condition = condition.bool()
    input, other = _as_tensors(condition, input, other)
    shape_together("where", condition, input, other)
    kind = result_type(input, other)
    input, other = input.to(kind), other.to(kind)
    if kind.kind == "f":
        return taped.where(input, other, condition=condition.array)
    return condition.like(np.where(condition.array, input.array, other.array))


def _as_tensors(like, *values):
    """Numbers beside tensors as tensors: of the tensor's dtype, or its own kind where all are numbers."""
    pattern = next((v for v in values if isinstance(v, Variable)), None)
    if pattern is None:
        pattern = like.to(_dtype_of_numbers(values))
    return [v if isinstance(v, Variable) else like.like(as_operand(v, pattern.array, "where")) for v in values]


def _dtype_of_numbers(values):
    """The dtype that Python's numbers make together: truth values, int64, or the default float."""
    kinds = {type(v) for v in values}
    return default_dtype() if float in kinds else np.dtype(bool if kinds == {bool} else np.int64)
