"""The non-linearities of ResNet and its kin. Each backward multiplies dy by the slope where the forward was.

The wider families are next door: `activation_piecewise` (leaky, hard, clipped), `activation_smooth` (GELU, SiLU)."""

from typing import Any

import numpy as np

from .. import blocks
from ..types import Array, Gradients, Needs
from .checks import check_arrays


def rectify(x: Array, out: Array) -> None:
    """out = max(x, 0), NaN where x is NaN. NumPy's clip takes a quarter of the time of its maximum with a number."""
    np.clip(x, 0, np.inf, out=out)


def keep(a: Array, mask: Array, out: Array) -> None:
    """out = a where mask (of bool), else 0. Not as a product, in which infinity · 0 is NaN: one overflow in a gradient
    would reach units that gave nothing. As numbers in two's complement, -1 has all bits set and 0 has none."""
    bits = f"i{out.dtype.itemsize}"
    np.bitwise_and(a.astype(out.dtype, copy=False).view(bits), np.negative(mask.view(np.int8)), out=out.view(bits))


def logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)), or exp(x) / (1 + exp(x)) where x is negative: nothing overflows, and what is small is right to
    its last digits. (1 + tanh(x / 2)) / 2, the same function, is 0 in float32 below -18."""
    y, below = np.exp(np.minimum(x, 0)), np.exp(-np.abs(x))
    below += 1
    y /= below
    return y


def relu_forward(x: Array) -> tuple[Array, Any]:
    """y = max(x, 0).   x any shape  ->  y the same shape, cache"""
    check_arrays("relu", x=x)
    y = np.empty_like(x)
    blocks.over_memory(rectify, x, y)
    return y, y


def relu_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy where y > 0, else 0: the slope at 0 is taken as 0, the one at nan as 1.   dy  ->  dx"""
    y = cache
    dx = np.empty_like(y)
    blocks.over_memory(lambda dy, y, dx: keep(dy, y != 0, out=dx), dy, y, dx)
    return (dx,)


def relu6_forward(x: Array) -> tuple[Array, Any]:
    """y = min(max(x, 0), 6).   x any shape  ->  y the same shape, cache"""
    check_arrays("relu6", x=x)
    y = np.empty_like(x)
    blocks.over_memory(lambda x, y: np.clip(x, 0, 6, out=y), x, y)
    return y, y


def relu6_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy where 0 < y < 6 or y is nan, else 0.   dy  ->  dx"""
    y = cache
    dx = np.empty_like(y)
    blocks.over_memory(lambda dy, y, dx: keep(dy, (y != 0) & (y != 6), out=dx), dy, y, dx)
    return (dx,)


def sigmoid_forward(x: Array) -> tuple[Array, Any]:
    """y = 1 / (1 + exp(-x)).   x any shape  ->  y the same shape, cache"""
    check_arrays("sigmoid", x=x)
    y = blocks.pointwise(logistic, x)
    return y, y


def sigmoid_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · y · (1 - y).   dy  ->  dx"""
    y = cache
    dx = np.empty_like(y)

    def work(dy, y, dx):
        np.subtract(1, y, out=dx)
        dx *= y
        dx *= dy

    blocks.over_memory(work, dy, y, dx)
    return (dx,)


def tanh_forward(x: Array) -> tuple[Array, Any]:
    """y = tanh(x).   x any shape  ->  y the same shape, cache"""
    check_arrays("tanh", x=x)
    y = np.empty_like(x)
    blocks.over_memory(lambda x, y: np.tanh(x, out=y), x, y)
    return y, y


def tanh_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · (1 - y²).   dy  ->  dx"""
    y = cache
    dx = np.empty_like(y)

    def work(dy, y, dx):
        np.multiply(y, y, out=dx)
        np.subtract(1, dx, out=dx)
        dx *= dy

    blocks.over_memory(work, dy, y, dx)
    return (dx,)
