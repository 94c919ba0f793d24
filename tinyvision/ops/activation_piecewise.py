"""Non-linearities made of straight (or, between two kinks, square) pieces. At a kink the slope is PyTorch's choice.

Where x is nan, so is y; the slope there is that of the piece to which a comparison with nan leads in PyTorch.
"""

from typing import Any

import numpy as np

from ..blocks import pointwise
from ..errors import OptionError, ShapeError
from ..types import Array, Gradients, Needs
from .checks import check_arrays, describe


def leaky_relu_forward(x: Array, negative_slope: float = 0.01) -> tuple[Array, Any]:
    """y = x where x > 0, else negative_slope · x.   x any shape  ->  y the same shape, cache"""
    check_arrays("leaky_relu", x=x)
    return pointwise(lambda x: np.where(x > 0, x, x * negative_slope), x), (x, negative_slope)


def leaky_relu_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy where x > 0, else negative_slope · dy.   dy  ->  dx"""
    x, negative_slope = cache
    return (pointwise(lambda dy, x: np.where(x > 0, dy, dy * negative_slope), dy, x),)


def prelu_forward(x: Array, weight: Array) -> tuple[Array, Any]:
    """y = x where x > 0, else weight[c] · x: a leaky ReLU whose slope is learned (He et al., 2015).

    x (N, C, ...), weight (C,), or (1,) for one slope everywhere  ->  y like x, cache. Raises ShapeError."""
    check_arrays("prelu", x=x, weight=weight)
    channels = x.shape[1] if x.ndim > 1 else 1
    if weight.ndim != 1 or weight.shape[0] not in (1, channels):
        shown = describe(x=("(N, C, ...)", x), weight=("(C,)", weight))
        raise ShapeError(f"prelu: weight needs 1 number or one for each of {channels} channels\n{shown}")
    return np.where(x > 0, x, x * _along_channels(weight, x)), (x, weight)


def prelu_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dx = dy where x > 0, else weight · dy; dweight = Σ dy · x over all x that are not above 0."""
    x, weight = cache
    dx = np.where(x > 0, dy, dy * _along_channels(weight, x)) if needs[0] else None
    dweight = None
    if needs[1]:
        kept = np.where(x > 0, np.zeros_like(x), dy * x)
        if weight.shape[0] == 1:
            dweight = kept.sum().reshape(1)
        else:
            dweight = kept.sum(axis=(0, *range(2, x.ndim)))
    return dx, dweight


def _along_channels(weight, x):
    """weight (C,) in a shape that meets axis 1 of x, or (1,) in one that meets everything."""
    return weight.reshape((-1,) + (1,) * (x.ndim - 2)) if x.ndim > 1 else weight.reshape((1,) * x.ndim)


def hardtanh_forward(x: Array, min_val: float = -1.0, max_val: float = 1.0) -> tuple[Array, Any]:
    """y = x, moved to the nearest from min_val to max_val.   ->  y, cache. Raises OptionError."""
    check_arrays("hardtanh", x=x)
    if not min_val <= max_val:
        raise OptionError(f"hardtanh: min_val must not be above max_val, got {min_val!r} and {max_val!r}")
    return pointwise(lambda x: np.clip(x, min_val, max_val), x), (x, min_val, max_val)


def hardtanh_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy where x lies between the two, 0 where it lies at one of them or beyond."""
    x, low, high = cache
    return (pointwise(lambda dy, x: np.where((x <= low) | (x >= high), np.zeros_like(dy), dy), dy, x),)


def clamp_forward(x: Array, low: float = -np.inf, high: float = np.inf) -> tuple[Array, Any]:
    """y = x, moved to the nearest from low to high.   ->  y, cache"""
    check_arrays("clamp", x=x)
    return pointwise(lambda x: np.clip(x, low, high), x), (x, low, high)


def clamp_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy where nothing was moved, so at low and high themselves, too, where `hardtanh` gives 0."""
    x, low, high = cache
    return (pointwise(lambda dy, x: np.where((x >= low) & (x <= high), dy, np.zeros_like(dy)), dy, x),)


def hardsigmoid_forward(x: Array) -> tuple[Array, Any]:
    """y = clip(x / 6 + 1/2, 0, 1).   ->  y, cache"""
    check_arrays("hardsigmoid", x=x)
    return pointwise(lambda x: np.clip(x + 3, 0, 6) / 6, x), x


def hardsigmoid_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy / 6 where -3 < x < 3, else 0."""
    return (pointwise(lambda dy, x: np.where((x > -3) & (x < 3), dy / 6, np.zeros_like(dy)), dy, cache),)


def hardswish_forward(x: Array) -> tuple[Array, Any]:
    """y = x · hardsigmoid(x) (Howard et al., "Searching for MobileNetV3", 2019).   ->  y, cache"""
    check_arrays("hardswish", x=x)
    return pointwise(lambda x: x * np.clip(x + 3, 0, 6) / 6, x), x


def hardswish_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = 0 up to x = -3, dy from x = 3 on, dy · (x / 3 + 1/2) between."""

    def slope(dy, x):
        inner = np.where(x < 3, dy * (x / 3 + 0.5), dy)
        return np.where(x <= -3, np.zeros_like(dy), inner)

    return (pointwise(slope, dy, cache),)


def threshold_forward(x: Array, threshold: float, value: float) -> tuple[Array, Any]:
    """y = x where x > threshold, else value.   ->  y, cache"""
    check_arrays("threshold", x=x)
    return pointwise(lambda x: np.where(x <= threshold, np.full_like(x, value), x), x), (x, threshold)


def threshold_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy where x > threshold, else 0."""
    x, threshold = cache
    return (pointwise(lambda dy, x: np.where(x <= threshold, np.zeros_like(dy), dy), dy, x),)
