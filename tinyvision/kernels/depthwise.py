"""Depthwise convolution (depthwise.cu): one kernel for each channel, as in EfficientNet and MobileNet, without columns.

As a matrix product this would be C products with a single row each; the readable op leaves the sum over taps to
`einsum`, and its image gradient at a stride adds up one array per tap. Signatures and caches are as in `ops.conv`."""

import math
from typing import Any

import numpy as np

from ..errors import OptionError
from ..ops import conv as ops_conv
from ..ops.checks import is_integer
from ..types import Array, Gradients, IntOrPair, Needs, Pair
from . import DropIn, conv
from . import launch as gpu

CHANNELS, LANES, STRIP = 32, 8, 4  # as in depthwise.cu
FAST = (3, 5), (1, 2)  # sizes and strides that depthwise.cu has fast versions for
WANTED_BLOCKS = 1024  # of a weight gradient; a fixed number, so that one shape is always summed in one order


def applies(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> bool:
    """Whether this is a depthwise convolution (groups = C = O) without a mistake in it, and fits 32-bit offsets."""
    if x.ndim != 4 or weight.ndim != 4 or 0 in (*x.shape, *weight.shape) or not is_integer(groups):
        return False
    C = x.shape[1]
    if not groups == C == weight.shape[0] or weight.shape[1] != 1 or (bias is not None and tuple(bias.shape) != (C,)):
        return False
    try:
        pairs = conv.pairs(stride, padding, dilation)
    except OptionError:  # the op says it
        return False
    output = conv.output_shape(x, weight, *pairs)
    if min(output) < 1 or weight.size // C >= 2**16:  # the second axis of a grid ends there
        return False
    lengths = (*x.shape[2:], *output, *(n for two in pairs for n in two))
    return gpu.fits((x.size, x.shape[0] * C * math.prod(output), weight.size), lengths)


def conv2d_forward(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> tuple[Array, Any]:
    """As `ops.conv2d_forward`, for groups = C = O."""
    pairs = conv.pairs(stride, padding, dilation)
    y = gpu.empty(x, (x.shape[0], *conv.output_shape(x, weight, *pairs), x.shape[1]))
    forward(gpu.channels_last(x), _by_taps(weight), y, *pairs, shift=bias)
    return gpu.channels_first(y), (x, weight, bias is not None, *pairs, groups)


def conv2d_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """As `ops.conv2d_backward`, for groups = C = O."""
    x, weight, has_bias, *pairs, _ = cache
    rows, dx, dweight, dbias = gpu.channels_last(dy), None, None, None
    if needs[0]:
        dx = gpu.empty(dy, (x.shape[0], *x.shape[2:], x.shape[1]))
        image_gradient(rows, _by_taps(weight), dx, *pairs)
        dx = gpu.channels_first(dx)
    if needs[1]:
        dweight = weight_gradient(gpu.channels_last(x), rows, weight.shape[2:], *pairs).reshape(weight.shape)
    if has_bias and needs[2]:
        dbias = rows.reshape(-1, rows.shape[3]).sum(axis=0)
    return (dx, dweight, dbias) if has_bias else (dx, dweight)


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
) -> Array:
    """As `ops.conv.conv2d_inference`, for groups = C = O."""
    y = gpu.empty(x, (x.shape[0], *conv.output_shape(x, weight, stride, padding, dilation), x.shape[1]))
    finish = {"scale": scale, "shift": shift, "skip": None if skip is None else gpu.channels_last(skip)}
    forward(gpu.channels_last(x), _by_taps(weight), y, stride, padding, dilation, activation=activation, **finish)
    return gpu.channels_first(y)


def applies_to_inference(
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
) -> bool:
    """As `applies`, with everything that is done to the sums fitting them."""
    if not applies(x, weight, None, stride, padding, dilation, groups) or activation not in conv.ACTIVATIONS:
        return False
    output = (*x.shape[:2], *conv.output_shape(x, weight, stride, padding, dilation))
    vectors = all(v is None or tuple(v.shape) == output[1:2] for v in (scale, shift))
    return vectors and (skip is None or tuple(skip.shape) == output)


def forward(
    x: Array,
    weight: Array,
    y: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    kernel: str | None = None,
    scale: Array | None = None,
    shift: Array | None = None,
    skip: Array | None = None,
    activation: str | None = None,
) -> None:
    """Fill y (N, OH, OW, C) given x (N, H, W, C) and weight (KH, KW, C). `kernel`: "simple", or the choice by shape."""
    kernel = kernel or _fast(weight.shape, stride, dilation) or "simple"
    geometry = _geometry(x.shape, y.shape, weight.shape, stride, padding, dilation, 0, conv.ACTIVATIONS[activation])
    strips = y.shape[2] if kernel == "simple" else math.ceil(y.shape[2] / STRIP)
    vectors = (v if v is None else gpu.aligned(v) for v in (scale, shift))
    grid = gpu.blocks(y.shape[0] * y.shape[1] * strips * y.shape[3])
    gpu.launch("depthwise", f"depthwise_forward_{kernel}", grid, x, weight, *vectors, skip, y, geometry)


def image_gradient(
    dy: Array, weight: Array, dx: Array, stride: Pair, padding: Pair, dilation: Pair, kernel: str | None = None
) -> None:
    """Fill dx (N, H, W, C) given dy (N, OH, OW, C) and weight (KH, KW, C)."""
    kernel = kernel or _fast(weight.shape, stride, dilation) or "simple"
    geometry = _geometry(dx.shape, dy.shape, weight.shape, stride, padding, dilation)
    strips = dx.shape[2] if kernel == "simple" else math.ceil((dx.shape[2] + padding[1] % STRIP) / STRIP)
    grid = gpu.blocks(dx.shape[0] * dx.shape[1] * strips * dx.shape[3])
    gpu.launch("depthwise", f"depthwise_image_gradient_{kernel}", grid, dy, weight, dx, geometry)


def weight_gradient(
    x: Array, dy: Array, size: Pair, stride: Pair, padding: Pair, dilation: Pair, kernel: str | None = None
) -> Array:
    """dweight (C, KH, KW) = Σ over output pixels of dy (N, OH, OW, C) times x (N, H, W, C) under each tap, summed in a
    fixed order."""
    (KH, KW), C, rows = size, x.shape[3], dy.shape[0] * dy.shape[1]
    kernel = kernel or _fast((KH, KW), stride, dilation) or "any"
    dweight, taps = gpu.empty(dy, (C, KH, KW)), KH * KW
    widths, several = math.ceil(C / CHANNELS), taps if kernel == "any" else 1
    parts = max(1, min(WANTED_BLOCKS // (widths * several), math.ceil(rows / LANES)))
    each = math.ceil(rows / parts)
    geometry = _geometry(x.shape, dy.shape, (KH, KW), stride, padding, dilation, rows=each)
    if kernel == "simple":
        name = "depthwise_weight_gradient_simple"
        gpu.launch("depthwise", name, gpu.blocks(dweight.size), x, dy, dweight, geometry)
        return dweight
    parts = math.ceil(rows / each)
    partial, grid = gpu.empty(dy, (parts, taps, C)), (widths, several, parts)
    gpu.launch("depthwise", f"depthwise_weight_gradient_{kernel}", grid, x, dy, partial, geometry)
    sizes = (np.int32(parts), np.int32(taps), np.int32(C))
    gpu.launch("depthwise", "depthwise_add_parts", gpu.blocks(dweight.size), partial, dweight, *sizes)
    return dweight


def _by_taps(weight):
    """weight (C, 1, KH, KW) as (KH, KW, C): the lanes of a warp read neighbouring numbers."""
    return gpu.aligned(weight[:, 0].transpose(1, 2, 0))


def _fast(size, stride, dilation):
    """The suffix of the fast version for this size and stride, or None."""
    square = size[0] == size[1] in FAST[0] and stride[0] == stride[1] in FAST[1]
    return f"{size[0]}_{stride[0]}" if square and tuple(dilation) == (1, 1) else None


def _geometry(image, output, size, stride, padding, dilation, rows=0, activation=0):
    """The structure `Depthwise` of depthwise.cu."""
    N, H, W, C = image
    return gpu.structure(
        N=N, H=H, W=W, C=C, OH=output[1], OW=output[2], KH=size[0], KW=size[1],
        stride_h=stride[0], stride_w=stride[1], pad_h=padding[0], pad_w=padding[1],
        dilation_h=dilation[0], dilation_w=dilation[1], rows=rows, activation=activation,
    )  # fmt: skip


DROP_INS = (
    DropIn("depthwise", (ops_conv.conv2d_forward, ops_conv.conv2d_backward), conv2d_forward, conv2d_backward, applies),
    DropIn("depthwise", (ops_conv.conv2d_inference, None), conv2d_inference, applies=applies_to_inference),
)
