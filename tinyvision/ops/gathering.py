"""Reading and writing at places that an array of integers names, one for each number: gather, and scatter, its mirror.

For axis 1 of a matrix:   gather   y[i, j] = x[i, index[i, j]]        scatter   y[i, index[i, j]] = source[i, j]

The index may be shorter than x along the other axes; what lies beyond is not touched.
"""

from typing import Any

import numpy as np

from ..errors import DtypeError, ShapeError
from ..types import Array, Gradients, Needs
from .checks import as_array, check_devices, describe, one_axis
from .shape import index_backward


def gather_forward(x: Array, index: Array, axis: int) -> tuple[Array, Any]:
    """y = the numbers of x at `index` along `axis`.   index (...) integers  ->  y (...), cache

    Raises ShapeError, DtypeError, DeviceError."""
    places = _places("gather", x, index, axis)
    return as_array(x[places]), (x.shape, places)


def gather_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy at the places that were read, added up where one was read more than once; 0 elsewhere."""
    return index_backward(dy, cache, needs)


def scatter_forward(x: Array, source: Array, index: Array, axis: int) -> tuple[Array, Any]:
    """y = x, with the numbers of source put to the places that `index` names along `axis`.   ->  y, cache

    If a place is named twice, one of them stays. Raises ShapeError, DtypeError, DeviceError."""
    check_devices("scatter", x=x, source=source)
    _same_kind("scatter", x, source)
    places = _places("scatter", x, index, axis)
    part = _part("scatter", source, index)
    y = x.copy()
    y[places] = source[part]
    return y, (places, part, source.shape)


def scatter_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dx = dy, 0 where something was written; dsource = dy at the places it went to."""
    places, part, shape = cache
    dx = None
    if needs[0]:
        dx = as_array(dy.copy())
        dx[places] = 0
    return dx, _of_source(dy, places, part, shape) if needs[1] else None


def scatter_add_forward(x: Array, source: Array, index: Array, axis: int) -> tuple[Array, Any]:
    """y = x, with the numbers of source added at the places that `index` names along `axis`.   ->  y, cache

    Raises ShapeError, DtypeError, DeviceError."""
    check_devices("scatter_add", x=x, source=source)
    _same_kind("scatter_add", x, source)
    places = _places("scatter_add", x, index, axis)
    part = _part("scatter_add", source, index)
    (added,) = index_backward(source[part], (x.shape, places))
    return as_array(x + added), (places, part, source.shape)


def scatter_add_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dx = dy; dsource = dy at the places it was added to."""
    places, part, shape = cache
    return dy.copy() if needs[0] else None, _of_source(dy, places, part, shape) if needs[1] else None


def _of_source(dy, places, part, shape):
    read = dy[places]
    if tuple(read.shape) == tuple(shape):
        return read
    dsource = np.zeros_like(dy, shape=shape)
    dsource[part] = read
    return dsource


def _places(op, x, index, axis):
    """The index of x, one array for every axis, that names the places: along the other axes each its own."""
    check_devices(op, x=x, index=index)
    axis = one_axis(op, x, axis) if x.ndim else 0
    if index.dtype.kind not in "iu":
        raise DtypeError(f"{op}: the index must hold integers, got {index.dtype}; use .long()")
    shown = describe(x=("(...)", x), index=("(...)", index))
    if index.ndim != x.ndim:
        raise ShapeError(f"{op}: the index must have as many axes as x\n{shown}")
    if any(m > n for a, (m, n) in enumerate(zip(index.shape, x.shape, strict=True)) if a != axis):
        raise ShapeError(f"{op}: along every axis but {axis}, the index may be no longer than x\n{shown}")
    size = x.shape[axis] if x.ndim else 1
    if bool(((index < 0) | (index >= size)).any()):
        raise ShapeError(f"{op}: the index names a place outside 0 to {size - 1}, axis {axis} of {tuple(x.shape)}")
    if not x.ndim:
        return ()
    own = [
        np.arange(n, like=index).reshape([-1 if b == a else 1 for b in range(x.ndim)])
        for a, n in enumerate(index.shape)
    ]
    own[axis] = index.copy()  # the caller may change it before the backward
    return tuple(own)


def _part(op, source, index):
    """The stretch of source that the index speaks of."""
    shown = describe(source=("(...)", source), index=("(...)", index))
    if source.ndim != index.ndim or any(m > n for m, n in zip(index.shape, source.shape, strict=True)):
        raise ShapeError(f"{op}: the index may be no longer than source, along every axis\n{shown}")
    return tuple(slice(n) for n in index.shape)


def _same_kind(op, x, source):
    if x.dtype != source.dtype:
        raise DtypeError(f"{op}: x is {x.dtype} but source is {source.dtype}; use one of them for both")
