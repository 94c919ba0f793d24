"""ReLU and ReLU6, one pass each way."""

from typing import Any

import numpy as np

from ... import blocks
from ...ops import activation
from ...types import Array, Gradients, Needs
from .. import DropIn
from .compiled import loop


@loop("void(f4[::1], f4[::1], f4)", "y")
def clipped(x: Array, y: Array, top: float) -> None:
    """y = min(max(x, 0), top), NaN where x is NaN. A top of NaN is none."""
    for i in range(x.size):
        value = x[i]
        if value <= 0:
            value = np.float32(0)
        if value >= top:
            value = top
        y[i] = value


@loop("void(f4[::1], f4[::1], f4[::1], f4)", "dx")
def slope(dy: Array, y: Array, dx: Array, top: float) -> None:
    """dx = dy where y is neither 0 nor top, else 0. A top of NaN is none."""
    for i in range(y.size):
        dx[i] = dy[i] if y[i] != 0 and y[i] != top else np.float32(0)


def relu_forward(x: Array) -> tuple[Array, Any]:
    """As `ops.relu_forward`."""
    return _forward(x, np.float32(np.nan))


def relu_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """As `ops.relu_backward`."""
    return _backward(dy, cache, activation.relu_backward, np.float32(np.nan))


def relu6_forward(x: Array) -> tuple[Array, Any]:
    """As `ops.relu6_forward`."""
    return _forward(x, np.float32(6))


def relu6_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """As `ops.relu6_backward`."""
    return _backward(dy, cache, activation.relu6_backward, np.float32(6))


def _forward(x, top):
    y = np.empty_like(x)
    blocks.over_memory(lambda x, y: clipped(x, y, top), x, y)
    return y, y


def _backward(dy, y, of_the_op, top):
    if dy.strides != y.strides or dy.dtype != y.dtype:  # parts of them would not be vectors
        return of_the_op(dy, y)
    dx = np.empty_like(y)
    blocks.over_memory(lambda dy, y, dx: slope(dy, y, dx, top), dy, y, dx)
    return (dx,)


def _packed(x):
    """Whether x fills its memory without gaps, and its parts are vectors."""
    order = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
    return bool(x.ndim and x.transpose(order).flags.c_contiguous)


DROP_INS = (
    DropIn("activation", (activation.relu_forward, activation.relu_backward), relu_forward, relu_backward, _packed),
    DropIn("activation", (activation.relu6_forward, activation.relu6_backward), relu6_forward, relu6_backward, _packed),
)
