"""Dropout (Srivastava et al., 2014), in the "inverted" form that needs no change at evaluation."""

from typing import Any

import numpy as np

from .. import random
from ..device import device_of, to_device
from ..types import Array, Gradients, Needs, Shape
from .checks import as_array, check_arrays, check_devices, fraction, shape_error


def dropout_forward(x: Array, mask: Array, p: float = 0.5, y: Array | None = None) -> tuple[Array, Any]:
    """y = x · mask / (1 - p): units whose mask is 0 are dropped, the others scaled so that the mean stays.

    x any shape, mask the same shape holding 0 and 1  ->  y like x, cache. The mask is an argument, so that the op is a
    function; `nn.Dropout` draws it. p = 1 drops everything. `y` hands in the result where `drawn` has worked it out
    with the mask. Raises ShapeError, DtypeError, DeviceError, OptionError."""
    check_arrays("dropout", x=x)
    check_devices("dropout", x=x, mask=mask)
    p = fraction("dropout", "p", p)
    if tuple(mask.shape) != tuple(x.shape):
        raise shape_error("dropout", "x and mask differ", x=("(...)", x), mask=("(...)", mask))
    factor = mask.astype(x.dtype) * (1 / (1 - p) if p < 1 else 0)
    return as_array(x * factor) if y is None else y, factor


def kept(x: Array, p: float, shape: Shape) -> Array:
    """A mask of this shape, on the device of x: True with probability 1 - p, drawn from `random.generator()`."""
    return to_device(random.generator().random(shape, dtype=np.float32) >= p, device_of(x))


def drawn(x: Array, p: float) -> tuple[Array, Array | None]:
    """(a mask of x's shape as `kept` draws it, what `dropout_forward` makes of x with it if that is known by then)."""
    return kept(x, p, tuple(x.shape)), None


def dropout_backward(dy: Array, cache: Any, needs: Needs = (True, False)) -> Gradients:
    """dx = dy · mask / (1 - p).   dy  ->  dx, None (a mask has no gradient)"""
    return as_array(dy * cache), None
