"""The leaky ReLU whose slopes are learned, one pass each way: the slopes' gradients are added up on the way back."""

from typing import Any

import numpy as np

from ...ops import activation_piecewise
from ...types import Array, Gradients, Needs
from .. import DropIn
from .compiled import loop
from .lines import done_in_parts, first, last, sums_in_parts, together, worth_turning


@loop("void(f4[:,::1], f4[::1], f4[:,::1], i8, i8)", "y")
def leaky(x: Array, weight: Array, y: Array, begin: int, end: int) -> None:
    """y = x where x > 0, else weight · x, for rows begin to end of x (M, C)."""
    for m in range(begin, end):
        for c in range(x.shape[1]):
            y[m, c] = x[m, c] if x[m, c] > 0 else x[m, c] * weight[c]


@loop("void(f4[:,::1], f4[:,::1], f4[::1], f4[:,::1], f8[:,::1], i8, i8, i8)", "dx sums")
def slopes(dy: Array, x: Array, weight: Array, dx: Array, sums: Array, begin: int, end: int, piece: int) -> None:
    """dx = dy where x > 0, else weight · dy, for rows begin to end, unless dx is empty; sums[piece] (C,) = Σ dy · x
    over all of them that are not above 0."""
    C, own = x.shape[1], sums[piece]
    own[...] = 0
    for m in range(begin, end):
        for c in range(C):
            own[c] += np.float64(0) if x[m, c] > 0 else np.float64(dy[m, c]) * np.float64(x[m, c])
        if dx.size:
            for c in range(C):
                dx[m, c] = dy[m, c] if x[m, c] > 0 else dy[m, c] * weight[c]


def prelu_forward(x: Array, weight: Array) -> tuple[Array, Any]:
    """As `ops.prelu_forward`."""
    image = _pixels(x)
    (rows, slope), y = _rows(image, weight), np.empty_like(image)
    done_in_parts(leaky, len(rows), rows.nbytes, rows, slope, y.reshape(rows.shape))
    return _like(x, y), (x, weight)


def prelu_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """As `ops.prelu_backward`."""
    x, weight = cache
    image = _pixels(x)
    (rows, slope), dx = _rows(image, weight), np.empty_like(image if needs[0] else image[:0])
    arguments = _pixels(dy).reshape(rows.shape), rows, slope, dx.reshape(-1, rows.shape[1])
    sums = sums_in_parts(slopes, len(rows), 2 * rows.nbytes, rows.shape[1:], *arguments)
    dweight = sums.reshape(-1, len(weight)).sum(axis=0).astype(np.float32) if needs[1] else None
    return _like(x, dx) if needs[0] else None, dweight


def _pixels(x):
    """x (N, C, ...) as (N, ..., C), and (N,) as one pixel."""
    return last(x) if x.ndim > 1 else np.ascontiguousarray(x, np.float32).reshape(1, -1)


def _like(x, pixels):
    return first(pixels) if x.ndim > 1 else pixels.reshape(-1)


def _rows(image, weight):
    """(N, ..., C) as (rows, k·C), and the slope of every number in a row."""
    C = image.shape[-1]
    k = together(image.size // C, C)
    return image.reshape(-1, k * C), np.tile(np.broadcast_to(weight, C), k)


def _applies(x, weight):
    """Whether there are numbers, in an order that is worth it, and one slope, or one for each channel."""
    if x.ndim < 1 or not x.size or weight.ndim != 1:
        return False
    channels = x.shape[1] if x.ndim > 1 else 1
    return len(weight) in (1, channels) and (worth_turning(x) if x.ndim > 1 else True)


DROP_INS = (
    DropIn(
        "activation",
        (activation_piecewise.prelu_forward, activation_piecewise.prelu_backward),
        prelu_forward,
        prelu_backward,
        _applies,
    ),
)
