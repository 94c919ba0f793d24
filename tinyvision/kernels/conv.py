"""Stage 2: convolution as an implicit matrix product (conv.cu), in place of im2col and a cuBLAS product.

The matrix of windows is KH·KW times as large as the image; writing it and reading it back is what the first layers of a
network spend their time on. The kernels gather it block by block into shared memory instead.
"""

import math
from typing import Any

import numpy as np

from ..device import get_precision
from ..ops.convolution.sliding import Sliding
from ..types import Array, Pair, Shape
from . import launch as gpu
from .ways import ACTIVATIONS, Way, drop_ins, lengths, outputs

# Blocks for which the pixels of a weight gradient are split: about two for each multiprocessor of a large GPU. A fixed
# number, so that one shape is always summed in one order.
WANTED_BLOCKS = 264


def applies(x: Array, weight: Array, output: Pair, sliding: Sliding, finished: bool) -> bool:
    """Whether these kernels can, and should, compute this convolution.

    They can for float32 with groups of a multiple of 4 channels (one group: any). They should unless a 1×1 kernel with
    stride 1 is a plain product already, which cuBLAS does. Where they do more than the product, `finished`, always."""
    (N, C, H, W), (O, CG, KH, KW), groups = x.shape, weight.shape, sliding.groups
    if groups != 1 and (CG % 4 or O // groups % 4 or groups > 65535):
        return False
    sizes = (N * H * W * whole(C), outputs(x, output) * whole(O), whole(O) * KH * KW * whole(CG))
    if not gpu.fits(sizes, lengths(x, output, sliding)):
        return False
    if finished or gpu.without_cublas():
        return True
    return not (KH == KW == 1 and sliding.stride == (1, 1) and sliding.padding == (0, 0))


def whole(channels: int) -> int:
    """How many channels there are after `_four_channels`."""
    return channels + -channels % 4


def correlate(
    x: Array,
    weight: Array,
    y: Array,
    stride: Pair,
    start: Pair,
    dilation: Pair,
    groups: int,
    kernel: str | None = None,
    scale: Array | None = None,
    shift: Array | None = None,
    skip: Array | None = None,
    activation: str | None = None,
) -> Any:
    """Fill y (N, OH, OW, O), which may be a strided view, with x (N, H, W, C) correlated with weight (O, KH, KW,
    C/groups).

    The window of y[:, 0, 0] begins at pixel `start` of x; outside of x all is 0. Every sum is finished as in
    `conv2d_inference` (skip laid out as y). `kernel` names one of conv.cu's, instead of the choice by shape and
    precision."""
    x, weight = _four_channels(x), _four_channels(weight)
    N, OH, OW, O = y.shape
    columns, rows = O // groups, N * OH * OW
    if kernel is None:
        wide = columns > 64 and math.ceil(rows / 128) * math.ceil(columns / 128) * groups >= WANTED_BLOCKS // 2
        kernel = f"correlate_{_arithmetic()}_{128 if wide else 64}"
    geometry = _geometry(x, weight, y, stride, start, dilation, groups, 1, ACTIVATIONS[activation])
    if kernel.endswith("simple"):
        grid = gpu.blocks(rows * O)
    else:
        grid = (math.ceil(rows / 128), math.ceil(columns / int(kernel[-3:].strip("_"))), groups)
    vectors = (v if v is None else gpu.aligned(v) for v in (scale, shift))
    gpu.launch("conv", kernel, grid, x, weight, *vectors, skip, y, geometry)


def image_gradient(
    dy: Array,
    weight: Array,
    dx: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    kernel: str | None = None,
) -> Any:
    """Fill dx (N, H, W, C) given dy (N, OH, OW, O): one `correlate` of dy for each phase of the stride.

    Window i reads pixel h = i·S + k·D - P with tap k, so pixel h hears from the windows i = (h + P - k·D) / S that are
    whole. The pixels of one phase, h + P ≡ r (mod S), all hear from the same taps, every (S / gcd(S, D))-th one, and
    neighbours hear from neighbouring windows: a stride-1 correlation of dy with those taps, turned around."""
    O, KH, KW, CG = weight.shape
    turned = weight.reshape(groups, O // groups, KH, KW, CG).transpose(0, 4, 2, 3, 1)  # (G, C/G, KH, KW, O/G)
    for top in range(min(stride[0], dx.shape[1])):
        for left in range(min(stride[1], dx.shape[2])):
            target = dx[:, top :: stride[0], left :: stride[1]]
            rows, start_h, step_h = _phase(top + padding[0], KH, stride[0], dilation[0])
            cols, start_w, step_w = _phase(left + padding[1], KW, stride[1], dilation[1])
            if rows is None or cols is None:  # no window ever reads these pixels
                target[...] = 0
                continue
            taps = gpu.aligned(turned[:, :, rows, cols])
            taps = taps.reshape(groups * CG, *taps.shape[2:4], O // groups)
            correlate(dy, taps, target, (1, 1), (start_h, start_w), (step_h, step_w), groups, kernel)


def _phase(shifted, size, stride, dilation):
    """For the pixels h with h + P = shifted, shifted + S, ...: the taps that reach them, last tap first (None if there
    are none), the window that the last tap reads them from, and how many windows lie between one tap's and the next's.

    The taps are a slice: of a list, CuPy would make an array on the GPU, and wait for it."""
    taps = [k for k in reversed(range(size)) if (shifted - k * dilation) % stride == 0]
    if not taps:
        return None, 0, 1
    step = stride // math.gcd(stride, dilation)
    last = slice(taps[0], taps[-1] - 1 if taps[-1] else None, -step)
    return last, (shifted - taps[0] * dilation) // stride, dilation // math.gcd(stride, dilation)


def weight_gradient(
    x: Array,
    dy: Array,
    shape: Shape,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    kernel: str | None = None,
    splits: int | None = None,
) -> Any:
    """dweight (O, KH, KW, C/groups) = Σ over output pixels of dy times window, summed in a fixed order."""
    O, KH, KW, CG = shape
    if groups == 1:
        x, dy = _four_channels(x), _four_channels(dy)
    C, width, pixels = x.shape[3] // groups, dy.shape[3], math.prod(dy.shape[:3])
    if kernel is None:
        kernel = f"weight_gradient_{_arithmetic()}_{128 if width // groups > 64 else 64}"
    dweight = gpu.empty(dy, (width, KH, KW, C))
    geometry = {"stride": stride, "start": (-padding[0], -padding[1]), "dilation": dilation, "groups": groups}
    if kernel.endswith("simple"):
        launched = _geometry(x, dweight, dy, splits=1, **geometry)
        gpu.launch("conv", kernel, gpu.blocks(dweight.size), x, dy, dweight, launched)
    else:
        tiles = math.ceil(KH * KW * C / 128) * math.ceil(width // groups / int(kernel[-3:].strip("_"))) * groups
        if splits is None:  # at least 256 pixels each, or adding the parts up would cost more than it wins
            splits = max(1, min(math.ceil(WANTED_BLOCKS / tiles), pixels // 256, 65535 // groups))
        partial = dweight if splits == 1 else gpu.empty(dy, (splits, dweight.size))
        grid = (math.ceil(KH * KW * C / 128), math.ceil(width // groups / int(kernel[-3:].strip("_"))), groups * splits)
        launched = _geometry(x, dweight, dy, splits=splits, **geometry)
        gpu.launch("conv", kernel, grid, x, dy, partial, launched)
        if splits > 1:
            count = np.int32(dweight.size)
            gpu.launch("conv", "add_splits", gpu.blocks(dweight.size), partial, dweight, np.int32(splits), count)
    return dweight[:O, :, :, :CG] if dweight.shape != tuple(shape) else dweight


def _arithmetic():
    return "tf32" if get_precision() == "tf32" else "fp32"


def _four_channels(x):
    """x (N, H, W, C) with zeros appended until the channels are a multiple of 4, for the kernels copy four at a
    time."""
    if whole(x.shape[3]) == x.shape[3]:
        return gpu.aligned(x)
    padded = gpu.empty(x, (*x.shape[:3], whole(x.shape[3])))
    padded[..., : x.shape[3]] = x
    padded[..., x.shape[3] :] = 0
    return padded


def _geometry(x, weight, y, stride, start, dilation, groups, splits, activation=0):
    """The structure `Conv` of conv.cu, for image x, kernels (O, KH, KW, C/groups) and output y, all channels-last."""
    N, H, W, C = x.shape
    return gpu.structure(
        N=N,
        H=H,
        W=W,
        C=C // groups,
        OH=y.shape[1],
        OW=y.shape[2],
        O=y.shape[3] // groups,
        KH=weight.shape[1],
        KW=weight.shape[2],
        K=weight.shape[1] * weight.shape[2] * (C // groups),
        stride_h=stride[0],
        stride_w=stride[1],
        start_h=start[0],
        start_w=start[1],
        dilation_h=dilation[0],
        dilation_w=dilation[1],
        x_pixel=C,
        y_image=y.strides[0] // 4,
        y_row=y.strides[1] // 4,
        y_pixel=y.strides[2] // 4,
        groups=groups,
        splits=splits,
        activation=activation,
    )


def _correlate(x, weight, y, sliding, **finish):
    kernels = gpu.channels_last(weight)
    correlate(x, kernels, y, sliding.stride, sliding.start, sliding.dilation, sliding.groups, **finish)


def _image_gradient(dy, weight, dx, sliding):
    image_gradient(dy, gpu.channels_last(weight), dx, *sliding)


def dweight(x: Array, dy: Array, shape: Shape, sliding: Sliding) -> Array:
    """`weight_gradient` in the op's order of axes, shape = (O, C/groups, KH, KW)."""
    O, CG, KH, KW = shape
    return gpu.channels_first(weight_gradient(x, dy, (O, KH, KW, CG), *sliding))


DROP_INS = drop_ins(Way(applies, _correlate, _image_gradient, dweight), "conv2d", "conv2d_inference")
