"""Arithmetic with broadcasting, reductions, and the ops that only move numbers about.

No output of an op shares memory with an input, with one declared exception: `reshape`, `flatten`, `transpose`,
`index`, `diagonal`, `slide` and `expand` only look at x in another way, as in NumPy, and their y is a view of it
wherever it can be one. Their backwards give memory of their own, like all others.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import blocks
from ..errors import DtypeError, OptionError, ShapeError
from ..types import Array, Axes, Gradients, Needs, Pair, Shape
from .checks import (
    as_array,
    axes_of,
    check_arrays,
    check_devices,
    check_is_array,
    describe,
    is_integer,
    is_number,
    one_axis,
)


def sum_to(dy: Array, shape: Shape) -> Array:
    """Undo broadcasting: sum dy over the axes along which an operand of `shape` was repeated."""
    dy, shape = as_array(dy), tuple(shape)
    if tuple(dy.shape) == shape:
        return dy
    extra = dy.ndim - len(shape)
    repeated = tuple(range(extra)) + tuple(
        extra + i for i, n in enumerate(shape) if n == 1 and dy.shape[extra + i] != 1
    )
    return dy.sum(axis=repeated, keepdims=True).reshape(shape)


def broadcast_of(op: str, a: Array, b: Array) -> Shape:
    """The shape of what an op makes of both together. Raises ShapeError, DtypeError, DeviceError."""
    check_arrays(op, a=a, b=b)
    if a.shape == b.shape:
        return a.shape
    try:
        return np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ShapeError(f"{op}: shapes do not broadcast\n{describe(a=('(...)', a), b=('(...)', b))}") from None


def _like_both(ufunc, a, b):
    """ufunc(a, b); on several threads where both are large and laid out alike."""
    if a.shape != b.shape or a.nbytes <= blocks.SMALL_BYTES // 3:
        return as_array(ufunc(a, b))
    y = np.empty_like(a)
    blocks.over_memory(lambda a, b, y: ufunc(a, b, out=y), a, b, y)
    return y


def add_forward(a: Array, b: Array) -> tuple[Array, Any]:
    """y = a + b, with broadcasting.   ->  y, cache. Raises ShapeError, DtypeError, DeviceError."""
    broadcast_of("add", a, b)
    return _like_both(np.add, a, b), (a.shape, b.shape)


def add_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """da = db = dy, summed where an operand was repeated.   Shares no memory with dy."""
    return tuple(_own(sum_to(dy, shape), dy) if need else None for shape, need in zip(cache, needs, strict=True))


def sub_forward(a: Array, b: Array) -> tuple[Array, Any]:
    """y = a - b, with broadcasting.   ->  y, cache"""
    broadcast_of("sub", a, b)
    return _like_both(np.subtract, a, b), (a.shape, b.shape)


def sub_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """da = dy, db = -dy, summed where an operand was repeated."""
    da = _own(sum_to(dy, cache[0]), dy) if needs[0] else None
    return da, sum_to(-dy, cache[1]) if needs[1] else None


def mul_forward(a: Array, b: Array) -> tuple[Array, Any]:
    """y = a · b, with broadcasting.   ->  y, cache"""
    broadcast_of("mul", a, b)
    return _like_both(np.multiply, a, b), (a, b)


def mul_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """da = dy · b, db = dy · a, summed where an operand was repeated."""
    a, b = cache
    return sum_to(dy * b, a.shape) if needs[0] else None, sum_to(dy * a, b.shape) if needs[1] else None


def div_forward(a: Array, b: Array) -> tuple[Array, Any]:
    """y = a / b, with broadcasting.   ->  y, cache"""
    broadcast_of("div", a, b)
    return _like_both(np.true_divide, a, b), (a, b)


def div_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """da = dy / b, db = -dy · a / b², summed where an operand was repeated. (b² itself might overflow, or be 0.)"""
    a, b = cache
    return sum_to(dy / b, a.shape) if needs[0] else None, sum_to(-dy * (a / b / b), b.shape) if needs[1] else None


def pow_forward(x: Array, exponent: float) -> tuple[Array, Any]:
    """y = x ** exponent, for a number `exponent`.   ->  y, cache. Raises OptionError."""
    check_arrays("pow", x=x)
    if not is_number(exponent):
        raise OptionError(f"pow: the exponent must be a number, got {type(exponent).__name__}")
    exponent = int(exponent) if is_integer(exponent) else float(exponent)  # a NumPy number would widen float32
    return as_array(_power(x, exponent)), (x, exponent)


def _power(x, exponent):
    """x ** exponent; to ±1/2 a root, which -∞ has none of, although pow(-∞, 1/2) is ∞."""
    if exponent == 0.5:
        return np.sqrt(x)
    return 1 / np.sqrt(x) if exponent == -0.5 else x**exponent


def pow_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · exponent · x ** (exponent - 1)"""
    x, exponent = cache
    if not exponent:
        return (np.zeros_like(dy),)
    return (as_array(dy * (exponent * _power(x, exponent - 1))),)


def exp_forward(x: Array) -> tuple[Array, Any]:
    """y = exp(x).   ->  y, cache"""
    check_arrays("exp", x=x)
    y = as_array(np.exp(x))
    return y, y


def exp_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · y"""
    return (as_array(dy * cache),)


def log_forward(x: Array) -> tuple[Array, Any]:
    """y = log(x), the natural logarithm.   ->  y, cache"""
    check_arrays("log", x=x)
    return as_array(np.log(x)), x


def log_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy / x"""
    return (as_array(dy / cache),)


def sum_forward(x: Array, axis: Axes = None, keepdims: bool = False) -> tuple[Array, Any]:
    """y = Σ x over `axis` (an integer, several, or all).   ->  y, cache. Raises ShapeError, OptionError."""
    check_is_array("sum", "x", x)
    axis = axes_of("sum", x, axis)
    return as_array(x.sum(axis=axis, keepdims=keepdims)), (x.shape, axis, keepdims)


def sum_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy, repeated along the summed axes."""
    shape, axis, keepdims = cache
    return (_repeated(dy, shape, axis, keepdims),)


def mean_forward(x: Array, axis: Axes = None, keepdims: bool = False) -> tuple[Array, Any]:
    """y = mean of x over `axis` (an integer, several, or all).   ->  y, cache"""
    check_arrays("mean", x=x)
    axis = axes_of("mean", x, axis)
    if 0 in [x.shape[a] for a in axis]:
        raise ShapeError(f"mean: there is nothing to average along {axis} of {tuple(x.shape)}")
    return as_array(x.mean(axis=axis, keepdims=keepdims)), (x.shape, axis, keepdims)


def mean_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy / (how many numbers were averaged), repeated along those axes."""
    shape, axis, keepdims = cache
    count = int(np.prod([shape[a] for a in axis]))
    return (_repeated(as_array(dy / count), shape, axis, keepdims),)


def max_forward(x: Array, axis: Axes = None, keepdims: bool = False, nan_wins: bool = True) -> tuple[Array, Any]:
    """y = largest of x over `axis` (an integer, several, or all).   ->  y, cache

    nan is larger than any number. With nan_wins it gets the gradient then, without all numbers get nan."""
    check_arrays("max", x=x)
    axis = axes_of("max", x, axis)
    if 0 in [x.shape[a] for a in axis]:
        raise ShapeError(f"max: there is no largest number along {axis} of {tuple(x.shape)}")
    y = x.max(axis=axis, keepdims=True)
    return as_array(y if keepdims else y.squeeze(axis)).copy(), (x, y, axis, keepdims, nan_wins)


def max_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy where x is the largest, shared evenly among ties."""
    x, y, axis, keepdims, nan_wins = cache
    winners = ((x == y) | ((x != x) & (y != y)) if nan_wins else x == y).astype(x.dtype)
    with np.errstate(invalid="ignore"):  # 0 winners share 0: nan
        return (as_array(_repeated(dy, x.shape, axis, keepdims) * winners / winners.sum(axis=axis, keepdims=True)),)


def reshape_forward(x: Array, shape: Shape) -> tuple[Array, Any]:
    """y = the numbers of x in reading order, in another shape (one -1 is found).   ->  y, cache. Raises ShapeError.

    A view, unless the memory order of x makes NumPy copy."""
    check_is_array("reshape", "x", x)
    try:
        y = x.reshape(shape)
    except (ValueError, TypeError):
        raise ShapeError(f"reshape: {tuple(x.shape)} holds {x.size} numbers, which do not fill {shape}") from None
    return y, x.shape


def reshape_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy in the shape that x had."""
    return (_own(dy.reshape(cache), dy),)


def flatten_forward(x: Array, start: int = 1) -> tuple[Array, Any]:
    """y = x with the axes from `start` on merged into one.   (N, C, H, W)  ->  (N, C·H·W), cache"""
    check_is_array("flatten", "x", x)
    if not is_integer(start) or not 0 <= start <= max(x.ndim - 1, 0):
        raise ShapeError(f"flatten: there is no axis {start} in {tuple(x.shape)}")
    length = int(np.prod(x.shape[start:]))
    return reshape_forward(x, (*x.shape[:start], length))


def flatten_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy in the shape that x had."""
    return reshape_backward(dy, cache)


def transpose_forward(x: Array, axes: Sequence[int] | None = None) -> tuple[Array, Any]:
    """y = x with its axes in another order (by default reversed), a view.   ->  y, cache. Raises ShapeError."""
    check_is_array("transpose", "x", x)
    axes = tuple(reversed(range(x.ndim))) if axes is None else tuple(axes)
    if sorted(a % x.ndim if is_integer(a) else -1 for a in axes) != list(range(x.ndim)):
        raise ShapeError(f"transpose: {axes} is not an order of the {x.ndim} axes of {tuple(x.shape)}")
    axes = tuple(a % x.ndim for a in axes)
    return x.transpose(axes), axes


def transpose_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy with its axes put back."""
    back = [0] * len(cache)
    for place, axis in enumerate(cache):
        back[axis] = place
    return (dy.transpose(back).copy(),)


def concatenate_forward(*arrays: Array, axis: int = 0) -> tuple[Array, Any]:
    """y = the arrays one after the other along `axis`.   ->  y, cache. Raises ShapeError."""
    if not arrays:
        raise OptionError("concatenate: at least one array is needed")
    check_devices("concatenate", **{f"arrays[{i}]": a for i, a in enumerate(arrays)})
    first = arrays[0]
    axis = one_axis("concatenate", first, axis)
    for a in arrays:
        if a.ndim != first.ndim or any(
            m != n for i, (m, n) in enumerate(zip(a.shape, first.shape, strict=True)) if i != axis
        ):
            shown = ", ".join(str(tuple(a.shape)) for a in arrays)
            raise ShapeError(f"concatenate: all axes but {axis} must agree, got {shown}")
    return np.concatenate(arrays, axis=axis), ([a.shape[axis] for a in arrays], axis)


def concatenate_backward(dy: Array, cache: Any, needs: Needs | None = None) -> Gradients:
    """dx of each array = its stretch of dy."""
    sizes, axis = cache
    gradients, start = [], 0
    for size, need in zip(sizes, needs or [True] * len(sizes), strict=True):
        place = (slice(None),) * axis + (slice(start, start + size),)
        gradients.append(dy[place].copy(order="K") if need else None)  # in memory like dy, channels last maybe
        start += size
    return tuple(gradients)


def index_forward(x: Array, index: Any) -> tuple[Array, Any]:
    """y = x[index], for slices, integers, masks and index arrays alike.   ->  y, cache. Raises ShapeError.

    A view where `index` holds only slices, integers, None and Ellipsis; else a copy, of an x in reading order in it."""
    check_is_array("index", "x", x)
    parts = index if isinstance(index, tuple) else (index,)
    whole = any(part is Ellipsis for part in parts)
    # With an Ellipsis, NumPy gives the place of a single number and not the number.
    y = read(x, parts if whole else (*parts, Ellipsis))
    if any(hasattr(part, "dtype") for part in parts) and x.flags.c_contiguous and not y.flags.c_contiguous:
        y = y.copy(order="C")  # NumPy leaves its axes in the order in which it has read them
    return y, (x.shape, index)


def read(x: Array, index: Any) -> Array:
    """x[index], or a ShapeError that says why there is no such place."""
    axis, parts = 0, index if isinstance(index, tuple) else (index,)
    for i, part in enumerate(parts):
        if hasattr(part, "dtype"):
            check_is_array("index", "the index", part)
        if part is Ellipsis:
            axis = x.ndim - sum(_axes_taken(p) for p in parts[i + 1 :])
        elif getattr(part, "dtype", np.dtype(bool)).kind in "iu" and axis < x.ndim:
            n = x.shape[axis]
            if bool(((part < -n) | (part >= n)).any()):  # NumPy would say so itself, but CuPy would wrap it around
                raise ShapeError(f"index: a number is out of bounds for axis {axis} of {tuple(x.shape)}")
        axis += _axes_taken(part)
    try:
        return x[index]
    except IndexError as error:
        remedy = "" if x.ndim else "; .item() gives the number of a tensor without axes"  # loss.data[0], of old
        raise ShapeError(f"index: {error}; the array is {tuple(x.shape)}{remedy}") from None


def _axes_taken(part):
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    return part.ndim if getattr(part, "dtype", None) == np.bool_ else 1


def index_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy at the places that were read, 0 elsewhere; a place that was read twice gets both."""
    shape, index = cache
    parts = index if isinstance(index, tuple) else (index,)
    often = any(isinstance(p, list) or (getattr(p, "dtype", np.bool_) != np.bool_ and p.ndim) for p in parts)
    if often and not blocks.on_cpu(dy):
        return (_summed_at(dy, shape, index),)
    # Made flat, since CuPy takes an empty shape for none at all.
    dx = np.zeros_like(dy, shape=math.prod(shape)).reshape(shape)
    if often:
        np.add.at(dx, index, dy)
    else:
        dx[index] = dy  # slices, integers and masks cannot read a place twice
    return (dx,)


def _summed_at(dy, shape, index):
    """np.add.at on zeros, in an order that is always the same: on a GPU, np.add.at adds in whatever order threads come.

    The numbers are sorted by their place. After round k of the doubling, each has added up the 2ᵏ numbers before it
    that go to its own place, itself included; in the end, the last one of every place holds the sum."""
    size = math.prod(shape)
    places = np.arange(size, like=dy).reshape(shape)[index].ravel()  # (M,), with M numbers in dy
    order = np.argsort(places, kind="stable")
    places, sums = places[order], dy.ravel()[order]
    reach = 1
    while reach < len(places):
        later, same = sums[reach:], places[reach:] == places[:-reach]
        later += np.where(same, sums[:-reach], np.zeros_like(later))
        reach *= 2
    dx = np.zeros_like(dy, shape=size + 1)  # one more, for partial sums: choosing by mask would make the GPU wait
    dx[np.where(places[1:] != places[:-1], places[:-1], np.full_like(places[1:], size))] = sums[:-1]
    dx[places[-1:]] = sums[-1:]
    return dx[:size].reshape(shape)


def expand_forward(x: Array, shape: Shape) -> tuple[Array, Any]:
    """y = x with axes of size 1 repeated to `shape`, a view that cannot be written to.   ->  y, cache.

    In `shape`, -1 keeps a size; new axes come first. Raises ShapeError."""
    check_is_array("expand", "x", x)
    own = (1,) * (len(shape) - x.ndim) + tuple(x.shape)
    sizes = tuple(n if size == -1 else size for size, n in zip(shape, own, strict=False))
    if len(own) != len(sizes) or any(n not in (1, size) for size, n in zip(sizes, own, strict=True)):
        raise ShapeError(f"expand: {tuple(x.shape)} cannot be repeated to {tuple(shape)}")
    return x[...] if sizes == tuple(x.shape) else np.broadcast_to(x, sizes), x.shape


def expand_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy, summed where x was repeated."""
    return (_own(sum_to(dy, cache), dy),)


def diagonal_forward(x: Array, offset: int = 0, axes: Pair = (0, 1)) -> tuple[Array, Any]:
    """y = the numbers of x at equal places along two axes, as a last axis, a view.   ->  y, cache. Raises ShapeError.

    With an offset, place i of the first axis meets place i + offset of the second."""
    check_is_array("diagonal", "x", x)
    one, two = axes_of("diagonal", x, axes)
    y = np.diagonal(x, offset, one, two)
    if isinstance(y, np.ndarray) and x.flags.writeable:
        y.flags.writeable = True  # NumPy means to allow it one day, as CuPy does
    return y, (x.shape, y.shape[-1], offset, (one, two))


def diagonal_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy on the diagonal, 0 elsewhere."""
    shape, length, offset, axes = cache
    dx = np.zeros_like(dy, shape=shape)
    places = np.arange(length, like=dy)
    last = dx.transpose([a for a in range(len(shape)) if a not in axes] + list(axes))
    last[..., places + max(-offset, 0), places + max(offset, 0)] = dy
    return (dx,)


def slide_forward(x: Array, axis: int, size: int, step: int) -> tuple[Array, Any]:
    """y[..., i, ..., k] = x[..., i · step + k, ...]: windows of `size` along an axis, as a last axis.   ->  y, cache

    A view, which can only be written to where no two windows overlap. Raises ShapeError, OptionError."""
    check_is_array("slide", "x", x)
    axis = one_axis("slide", x, axis)
    if not is_integer(size) or not is_integer(step) or size < 0 or step < 1:
        raise OptionError(f"slide: size must be 0 or more and step 1 or more, got {size!r} and {step!r}")
    if size > x.shape[axis]:
        raise ShapeError(f"slide: a window of {size} does not fit along axis {axis} of {tuple(x.shape)}")
    alone = {"writeable": x.flags.writeable and size <= step} if isinstance(x, np.ndarray) else {}
    every = np.lib.stride_tricks.sliding_window_view(x, size, axis=axis, **alone)
    return every[(slice(None),) * axis + (slice(None, None, step),)], (x.shape, axis, size, step)


def slide_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx[..., i · step + k, ...] += dy[..., i, ..., k]"""
    shape, axis, size, step = cache
    dx = np.zeros_like(dy, shape=shape)
    count = dy.shape[axis]
    for k in range(size):
        dx[(slice(None),) * axis + (slice(k, k + (count - 1) * step + 1, step),)] += dy[..., k]
    return (dx,)


def where_forward(a: Array, b: Array, condition: Array) -> tuple[Array, Any]:
    """y = a where the condition holds, else b, with broadcasting.   ->  y, cache. Raises ShapeError, DtypeError."""
    check_devices("where", a=a, b=b, condition=condition)
    if condition.dtype != bool:
        raise DtypeError(f"where: the condition must hold truth values, got {condition.dtype}")
    try:
        np.broadcast_shapes(broadcast_of("where", a, b), condition.shape)
    except ValueError:
        shown = describe(a=("(...)", a), b=("(...)", b), condition=("(...)", condition))
        raise ShapeError(f"where: shapes do not broadcast\n{shown}") from None
    return as_array(np.where(condition, a, b)), (a.shape, b.shape, condition.copy())  # the caller may change it


def where_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """da = dy where the condition held, db = dy elsewhere."""
    a_shape, b_shape, condition = cache
    zero = np.zeros_like(dy)
    da = sum_to(np.where(condition, dy, zero), a_shape) if needs[0] else None
    return da, sum_to(np.where(condition, zero, dy), b_shape) if needs[1] else None


def _repeated(dy, shape, axis, keepdims):
    """dy repeated along the axes that a reduction took away, in memory of its own."""
    if not keepdims:
        dy = dy.reshape([1 if i in axis else n for i, n in enumerate(shape)])
    return np.broadcast_to(dy, shape).copy()


def _own(y, x):
    """y, copied if it shares memory with x."""
    return y.copy(order="K") if np.may_share_memory(y, x) else y
