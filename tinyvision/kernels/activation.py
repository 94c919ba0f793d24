"""ReLU and ReLU6 in one pass each way (activation.cu). Signatures and caches are those of `ops.activation`."""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ..ops import activation
from ..types import Array, Gradients, Needs
from . import DropIn
from . import launch as gpu

NO_TOP, SIX = np.float32(math.nan), np.float32(6)


def relu_forward(x: Array) -> tuple[Array, Any]:
    """As `ops.relu_forward`."""
    return _forward(x, NO_TOP)


def relu_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """As `ops.relu_backward`."""
    return _backward(dy, cache, NO_TOP)


def relu6_forward(x: Array) -> tuple[Array, Any]:
    """As `ops.relu6_forward`."""
    return _forward(x, SIX)


def relu6_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """As `ops.relu6_backward`."""
    return _backward(dy, cache, SIX)


def _forward(x, top):
    y = _each("clipped", x, (x,), top)
    return y, y


def _backward(dy, y, top):
    return (_each("slope", y, (dy, y), top),)


def _each(kernel, like, arrays, top):
    """The kernel's results for the numbers of `arrays`, laid out as those of `like` are."""
    last = like.ndim > 2 and not like.flags.c_contiguous  # channels-last, most likely: nothing is copied then
    arrays = [gpu.channels_last(a) if last else gpu.aligned(a) for a in arrays]
    out = gpu.empty(like, arrays[0].shape)
    grid, size = _shares(out.size)
    gpu.launch("activation", kernel, grid, *arrays, out, size, top)
    return gpu.channels_first(out) if last else out


@lru_cache(4096)
def _shares(size):
    """(the grid for so many numbers, their number as the kernels take it)"""
    return gpu.blocks(size, 4 * gpu.THREADS), np.int32(size)


def _applies(x):
    return x.size > 0 and gpu.fits((x.size,))


DROP_INS = (
    DropIn("activation", (activation.relu_forward, activation.relu_backward), relu_forward, relu_backward, _applies),
    DropIn(
        "activation", (activation.relu6_forward, activation.relu6_backward), relu6_forward, relu6_backward, _applies
    ),
)
