"""Depthwise convolution (depthwise.cu): one kernel for each channel, as in EfficientNet and MobileNet, without columns.

As a matrix product this would be C products with a single row each; the readable op leaves the sum over taps to
`einsum`, and its image gradient at a stride adds up one array per tap."""

import math

import numpy as np

from ..ops.convolution.sliding import Sliding
from ..types import Array, Pair
from . import launch as gpu
from . import moments
from .ways import ACTIVATIONS, Way, drop_ins, lengths, outputs

CHANNELS, LANES, STRIP = 32, 8, 4  # as in depthwise.cu
FAST = (3, 5), (1, 2)  # sizes and strides that depthwise.cu has fast versions for
MEASURED_BLOCKS = 8 * 132  # eight for each multiprocessor of a large GPU
WANTED_BLOCKS = 1024  # of a weight gradient; a fixed number, so that one shape is always summed in one order


def applies(x: Array, weight: Array, output: Pair, sliding: Sliding, finished: bool) -> bool:
    """Whether this is a depthwise convolution (groups = C = O) that fits 32-bit offsets."""
    C = x.shape[1]
    if not sliding.groups == C == weight.shape[0] or weight.size // C >= 2**16:  # a grid's second axis ends there
        return False
    return gpu.fits((x.size, outputs(x, output) * C, weight.size), lengths(x, output, sliding))


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
    measured: bool = False,
) -> None:
    """Fill y (N, OH, OW, C) given x (N, H, W, C) and weight (KH, KW, C). `kernel`: "simple", or the choice by shape.

    measured: leave its moments for a batch-norm (see moments.py), by a fast version, whose sums get at most a shift."""
    fast = _fast(weight.shape, stride, dilation)
    if measured and fast and kernel is None:
        _forward_measured(x, weight, y, stride, padding, dilation, fast, shift)
        return
    kernel = kernel or fast or "simple"
    geometry = _geometry(x.shape, y.shape, weight.shape, stride, padding, dilation, 0, ACTIVATIONS[activation])
    strips = y.shape[2] if kernel == "simple" else math.ceil(y.shape[2] / STRIP)
    vectors = (v if v is None else gpu.aligned(v) for v in (scale, shift))
    grid = gpu.blocks(y.shape[0] * y.shape[1] * strips * y.shape[3])
    gpu.launch("depthwise", f"depthwise_forward_{kernel}", grid, x, weight, *vectors, skip, y, geometry)


def _forward_measured(x, weight, y, stride, padding, dilation, fast, shift):
    (N, OH, OW, C), widths = y.shape, math.ceil(y.shape[3] / CHANNELS)
    rows = max(math.ceil(N * OH / max(1, MEASURED_BLOCKS // widths)), math.ceil(LANES / math.ceil(OW / STRIP)))
    geometry = _geometry(x.shape, y.shape, weight.shape, stride, padding, dilation, rows)
    grid = (widths, math.ceil(N * OH / rows), 1)
    partial, shift = gpu.empty(y, (grid[1], 2, C)), None if shift is None else gpu.aligned(shift)
    gpu.launch("depthwise", f"depthwise_measured_{fast}", grid, x, weight, shift, y, partial, geometry)
    moments.leave(y, partial, rows * OW)


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


def _correlate(x, taps, y, sliding, **finish):
    forward(x, taps, y, *sliding[:3], measured=moments.asked(), **finish)


def _image_gradient(dy, weight, dx, sliding):
    image_gradient(dy, _by_taps(weight), dx, *sliding[:3])


def _weight_gradient(x, dy, shape, sliding):
    return weight_gradient(x, dy, shape[2:], *sliding[:3]).reshape(shape)


DROP_INS = drop_ins(
    Way(applies, _correlate, _image_gradient, _weight_gradient, lambda weight, groups: _by_taps(weight)),
    "depthwise",
    "depthwise",
)
