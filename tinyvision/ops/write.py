"""Writing at a place: what assignment and every other change in place stand for when gradients flow through them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import GraphError
from ..types import Array, Gradients, Needs
from .checks import as_array, check_devices
from .shape import read, sum_to


def whole(x: Array) -> Array:
    """The look at an array that sees all of it."""
    return x


def write_forward(
    x: Array, value: Array, look: Callable[[Array], Array] = whole, index: Any = ...
) -> tuple[Array, Any]:
    """y = x, but look(y)[index] = value, repeated where it is smaller.   ->  y, cache. Raises ShapeError, DeviceError.

    `look` gives a view of whatever array it is given: some of its numbers, maybe in another shape or order."""
    check_devices("write", x=x, value=value)
    y = x.copy(order="K")
    read(look(y), index)  # says what is wrong with the index
    look(y)[index] = value
    return y, write_cache(x, value, look, index)


def write_cache(x: Array, value: Array, look: Callable[[Array], Array], index: Any) -> Any:
    """What the backward has to know: nothing of the numbers, only where they went."""
    return look, index, tuple(value.shape), _axes_in_memory(x)


def write_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dx = dy, 0 at the place that was written over; dvalue = dy there, summed where the value was repeated."""
    look, index, shape, order = cache
    dx = dvalue = None
    if needs[0]:
        dx = _copy_laid_out(as_array(dy), order)
        place = look(dx)
        if place.size and not np.may_share_memory(place, dx):
            raise GraphError("write: in this order of memory the place is no view; write into a .clone() instead")
        place[index] = 0
    if needs[1]:
        part = as_array(look(dy)[index])
        dvalue = sum_to(part.copy(), shape)
    return dx, dvalue


def _axes_in_memory(x):
    """The axes of x, those first along which neighbours are far apart in memory."""
    return sorted(range(x.ndim), key=lambda axis: (-abs(x.strides[axis]), axis))


def _copy_laid_out(dy, order):
    """A copy of dy with its axes in this order in memory, so that every look at x is a view of it as well."""
    back = sorted(range(len(order)), key=order.__getitem__)
    return dy.transpose(order).copy(order="C").transpose(back)
