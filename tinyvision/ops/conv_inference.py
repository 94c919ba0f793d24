"""A convolution with what follows it in a network: batch-norm, a skip path, an activation, where nothing is recorded.

Each block of the output is finished while it is still in the cache, in the way (see `conv`) that computes it.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..types import Array, Pair
from .activation import logistic, rectify
from .channels import each_row
from .checks import shape_error
from .conv import conv2d_shape, way_of
from .convolution.sliding import Sliding, channels_last, nhwc


def _hardswish(block):
    block *= np.clip(block + 3, 0, 6)
    block /= 6


# What can stand behind a convolution: each changes a block in place, into what the op of that name gives.
ACTIVATIONS: dict[str, Callable[[Array], Any]] = {
    "relu": lambda block: rectify(block, out=block),
    "relu6": lambda block: np.clip(block, 0, 6, out=block),
    "hardswish": _hardswish,
    "silu": lambda block: np.multiply(block, logistic(block), out=block),
    "hardsigmoid": lambda block: np.divide(np.clip(block + 3, 0, 6), 6, out=block),
    "sigmoid": lambda block: np.copyto(block, logistic(block)),
}


def activate(block: Array, activation: str | None) -> None:
    """block = activation(block), one of ACTIVATIONS or none."""
    if activation is not None:
        with np.errstate(over="ignore", invalid="ignore"):  # far out, a result may be infinite, or nan as PyTorch's is
            ACTIVATIONS[activation](block)


def reaching(x: Array, beyond: Pair) -> Array:
    """x (N, C, H, W) with so many rows of zeros below it, and columns to the right."""
    if not any(beyond):
        return x
    N, C, H, W = x.shape
    wider = np.zeros_like(x, shape=(N, H + beyond[0], W + beyond[1], C), order="C")
    wider[:, :H, :W] = nhwc(x)
    return wider.transpose(0, 3, 1, 2)


def conv2d_inference(
    x: Array,
    weight: Array,
    scale: Array | None,
    shift: Array | None,
    skip: Array | None,
    activation: str | None,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    kept: dict[Any, Array] | None = None,
    beyond: Pair = (0, 0),
) -> Array:
    """activation(scale · conv2d(x, weight) + shift + skip), finished block by block while it is in the cache.   ->  y

    scale, shift (O,) or None: a bias, or a frozen batch-norm; skip like y, or None; activation None or one of
    ACTIVATIONS. kept, if given, belongs to this very weight: what has to be computed from it is left there for the next
    call. beyond: how many rows of zeros there are below x, and columns to the right, more than above and to the left.
    It has no backward: the layers use it where nothing is recorded, and there it takes the place of up to five ops."""
    x = reaching(x, beyond)
    y_shape = conv2d_shape(x, weight, None, stride, padding, dilation, groups)
    if scale is not None and weight.size < math.prod(y_shape):  # it is linear: scale whichever has fewer numbers
        weight, scale, kept = weight * scale[:, None, None, None], None, None  # what is kept is of the weight alone
    bias, shift = (shift, None) if scale is None else (None, shift)  # a bias comes before a scale, a shift after it
    if skip is not None:
        skip = channels_last(nhwc(skip))
        if skip.shape != y_shape:
            axes, y = "(N, OH, OW, O)", np.empty_like(x, shape=y_shape)
            raise shape_error("conv2d", "the skip path has another shape", y=(axes, y), skip=(axes, skip))

    def finish(block, images, rows):
        if scale is not None:
            each_row(np.multiply, block, scale)
        if shift is not None:
            each_row(np.add, block, shift)
        if skip is not None:
            block += skip[images, rows]
        activate(block, activation)

    sliding, kernels = Sliding(stride, padding, dilation, groups), channels_last(nhwc(weight))
    way = way_of(x, kernels.shape, y_shape, sliding, kept is not None)
    return way.correlate(nhwc(x), kernels, y_shape, sliding, bias, finish, kept).transpose(0, 3, 1, 2)
