"""ReLU and ReLU6, one pass each way."""

from typing import Any

import numpy as np

from ...ops import activation
from ...types import Array, Gradients, Needs
from .. import DropIn
from .compiled import loop
from .lines import done_in_parts, flat


@loop("void(f4[::1], f4[::1], f4, i8, i8)", "y")
def clipped(x: Array, y: Array, top: float, begin: int, end: int) -> None:
    """y = min(max(x, 0), top) from begin to end, NaN where x is NaN. A top of NaN is none."""
    x, y = x[begin:end], y[begin:end]  # of an index that begins at 0, the compiler knows that it is not negative
    for i in range(x.size):
        value = x[i]
        if value <= 0:
            value = np.float32(0)
        if value >= top:
            value = top
        y[i] = value


@loop("void(f4[::1], f4[::1], f4[::1], f4, i8, i8)", "dx")
def slope(dy: Array, y: Array, dx: Array, top: float, begin: int, end: int) -> None:
    """dx = dy where y is neither 0 nor top, else 0, from begin to end. A top of NaN is none."""
    dy, y, dx = dy[begin:end], y[begin:end], dx[begin:end]
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
    done_in_parts(clipped, x.size, x.nbytes, flat(x), flat(y), top)
    return y, y


def _backward(dy, y, of_the_op, top):
    if dy.strides != y.strides or dy.dtype != y.dtype:  # parts of them would not be vectors
        return of_the_op(dy, y)
    dx = np.empty_like(y)
    done_in_parts(slope, y.size, y.nbytes, flat(dy), flat(y), flat(dx), top)
    return (dx,)


def _packed(x):
    """Whether x fills its memory without gaps, and its parts are vectors."""
    order = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
    return bool(x.ndim and x.transpose(order).flags.c_contiguous)


DROP_INS = (
    DropIn("activation", (activation.relu_forward, activation.relu_backward), relu_forward, relu_backward, _packed),
    DropIn("activation", (activation.relu6_forward, activation.relu6_backward), relu6_forward, relu6_backward, _packed),
)
