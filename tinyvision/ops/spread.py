"""How far numbers lie apart: variance and standard deviation."""

import math
from typing import Any

import numpy as np

from ..types import Array, Axes, Gradients, Needs
from .checks import as_array, axes_of, check_arrays


def var_forward(x: Array, axis: Axes = None, keepdims: bool = False, correction: float = 1) -> tuple[Array, Any]:
    """y = Σ (x - mean)² / (n - correction) over `axis` (an integer, several, or all).   ->  y, cache

    n numbers share a mean. It is computed in float64, in which squares of float32 neither overflow nor vanish. Where
    n - correction is not above 0, y is nan, or infinite unless all numbers are equal."""
    check_arrays("var", x=x)
    axis = axes_of("var", x, axis)
    n = math.prod(x.shape[a] for a in axis)
    count = max(n - correction, 0)
    with np.errstate(all="ignore"):
        centred = x - x.sum(axis=axis, keepdims=True, dtype=np.float64) / np.float64(n)
        y = (centred * centred).sum(axis=axis, keepdims=True) / np.float64(count)
        y = as_array(y).astype(x.dtype)
    return as_array(y if keepdims else y.squeeze(axis)).copy(), (centred, y, count)


def var_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · 2 (x - mean) / (n - correction): through the mean nothing comes, as Σ (x - mean) = 0."""
    centred, y, count = cache
    with np.errstate(all="ignore"):
        return (_chain(dy, y, centred, np.float64(2) / count),)


def std_forward(x: Array, axis: Axes = None, keepdims: bool = False, correction: float = 1) -> tuple[Array, Any]:
    """y = the square root of the variance (see `var_forward`), which may be out of range where its root is not."""
    check_arrays("std", x=x)
    axis = axes_of("std", x, axis)
    y, (centred, y, count) = var_forward(x.astype(np.float64), axis, True, correction)
    with np.errstate(all="ignore"):
        y = as_array(np.sqrt(y)).astype(x.dtype)
    return as_array(y if keepdims else y.squeeze(axis)).copy(), (centred, y, count)


def std_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · (x - mean) / ((n - correction) · y); 0 where all numbers are equal."""
    centred, y, count = cache
    with np.errstate(all="ignore"):
        slope = np.where(y == 0, np.zeros_like(y), 1 / (y * np.float64(count)))
        return (_chain(dy, y, centred, slope),)


def _chain(dy, y, centred, slope):
    """dy · slope · centred, in the dtype of y, whose axes are all there."""
    return (dy.reshape(y.shape) * slope * centred).astype(y.dtype)
