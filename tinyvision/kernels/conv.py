"""Convolution as an implicit matrix product (conv.cu, and tensor_cores.cu in TF32), in place of im2col and a
cuBLAS product.

The matrix of windows is KH·KW times as large as the image; writing it and reading it back is what the first layers of a
network spend their time on. The kernels gather it block by block into shared memory instead.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ..device import get_precision
from ..ops.convolution.sliding import Sliding
from ..types import Array, Pair, Shape
from . import launch as gpu
from . import tensor_cores
from .ways import ACTIVATIONS, Way, drop_ins, lengths, outputs

MULTIPROCESSORS = 132  # of a large GPU, for which work is shared out


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
    C/groups), which comes from `arranged`.

    The window of y[:, 0, 0] begins at pixel `start` of x; outside of x all is 0. Every sum is finished as in
    `conv2d_inference` (skip laid out as y). `kernel` names one of conv.cu's or tensor_cores.cu's, instead of the choice
    by shape, precision and GPU."""
    x = _four_channels(x)
    N, OH, OW, O = y.shape
    columns, rows = O // groups, N * OH * OW
    kernel = kernel or _kernel(x, "correlate", rows, columns, math.prod(weight.shape[1:]), groups, weight.shape[1:3])
    vectors = (v if v is None else gpu.aligned(v) for v in (scale, shift))
    geometry = _geometry(x, weight, y, stride, start, dilation, groups, 1, activation)
    _launch(kernel, rows, columns, groups, x, weight, *vectors, skip, y, geometry)


def arranged(kernels: Array) -> Array:
    """kernels (groups, O, C, KH, KW), in whatever order their memory is, as (groups·O, KH, KW, C) with zeros in
    channels up to a multiple of 4; rounded to TF32 where that is the precision."""
    groups, O, C, KH, KW = kernels.shape
    rounds, as_they_are = get_precision() == "tf32", kernels.transpose(0, 1, 3, 4, 2)
    if not rounds and C % 4 == 0 and as_they_are.flags.c_contiguous:
        return gpu.aligned(as_they_are.reshape(groups * O, KH, KW, C))
    sides = zip(kernels.shape, kernels.strides, strict=True)
    if sum((length - 1) * abs(stride) for length, stride in sides) > 4 * gpu.LARGEST:
        kernels = gpu.aligned(kernels)  # a view with gaps so wide that its offsets do not fit 32 bits
    out = gpu.empty(kernels, (groups * O, KH, KW, whole(C)))
    group, step_o, step_c, down, right = (stride // 4 for stride in kernels.strides)
    order = gpu.structure(
        groups=groups, O=O, KH=KH, KW=KW, C=whole(C), given=C,
        group=group, out=step_o, into=step_c, down=down, right=right, round=int(rounds),
    )  # fmt: skip
    gpu.launch("conv", "arrange", gpu.blocks(out.size // 4), kernels, out, order)
    return out


def by_group(weight: Array, groups: int) -> Array:
    """weight (O, C/groups, KH, KW) as (groups, O/groups, C/groups, KH, KW)."""
    return weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])


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
    """Fill dx (N, H, W, C) given dy (N, OH, OW, O) and weight (O, C/groups, KH, KW), in any order of memory: one
    `correlate` of dy for each phase of the stride.

    Window i reads pixel h = i·S + k·D - P with tap k, so pixel h hears from the windows i = (h + P - k·D) / S that are
    whole. The pixels of one phase, h + P ≡ r (mod S), all hear from the same taps, every (S / gcd(S, D))-th one, and
    neighbours hear from neighbouring windows: a stride-1 correlation of dy with those taps, turned around."""
    KH, KW = weight.shape[2:]
    turned = by_group(weight, groups).transpose(0, 2, 1, 3, 4)  # (G, C/G, O/G, KH, KW)
    rows, depth = math.prod(dx.shape[:3]), KH * KW * dy.shape[3] // groups // math.prod(stride)
    kernel = kernel or _kernel(dy, "correlate", rows, dx.shape[3] // groups, depth, groups, (KH, KW))
    if kernel in tensor_cores.TILES:
        _all_phases(_four_channels(dy), arranged(turned), dx, stride, padding, dilation, groups, kernel)
        return
    for top in range(min(stride[0], dx.shape[1])):
        for left in range(min(stride[1], dx.shape[2])):
            target = dx[:, top :: stride[0], left :: stride[1]]
            rows, start_h, step_h = _phase(top + padding[0], KH, stride[0], dilation[0])
            cols, start_w, step_w = _phase(left + padding[1], KW, stride[1], dilation[1])
            if rows is None or cols is None:  # no window ever reads these pixels
                target[...] = 0
                continue
            taps = arranged(turned[:, :, :, rows, cols])
            correlate(dy, taps, target, (1, 1), (start_h, start_w), (step_h, step_w), groups, kernel)


def _all_phases(dy, turned, dx, stride, padding, dilation, groups, kernel):
    """tensor_cores.cu computes all phases in one launch, from the kernels as they are."""
    (N, H, W, C), phases = dx.shape, (min(stride[0], dx.shape[1]), min(stride[1], dx.shape[2]))
    rows = N * math.ceil(H / stride[0]) * math.ceil(W / stride[1])  # of the largest phase
    start = (-padding[0], -padding[1])
    geometry = _geometry(dy, turned, dx, stride, start, dilation, groups, 1, phases=phases)
    _launch(kernel, rows, C // groups, groups * math.prod(phases), dy, turned, None, None, None, dx, geometry)


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
    x, dy = (_four_channels(a) if groups == 1 else gpu.aligned(a) for a in (x, dy))
    C, width, pixels, taps = x.shape[3] // groups, dy.shape[3], math.prod(dy.shape[:3]), KH * KW
    kernel = kernel or _kernel(x, "weight_gradient", width // groups, taps * C, pixels, groups, (KH, KW))
    if splits is None:
        splits = 1 if kernel.endswith("simple") else _splits(kernel, width // groups, taps * C, groups, pixels)
    padded = gpu.empty(dy, (splits, width, taps, C))
    start = (-padding[0], -padding[1])
    geometry = _geometry(x, padded[0].reshape(width, KH, KW, C), dy, stride, start, dilation, groups, splits)
    _launch(kernel, width // groups, taps * C, groups * splits, x, dy, padded, geometry)
    dweight = gpu.empty(dy, (O, KH, KW, CG))
    sizes = map(np.int32, (splits, width, O, taps, C, CG))
    gpu.launch("conv", "add_splits", gpu.blocks(dweight.size), padded, dweight, *sizes)
    return dweight


@lru_cache(4096)
def _splits(kernel, rows, columns, groups, pixels):
    """How many blocks share the pixels of one tile of weights. All blocks take rounds on the GPU, so one more than fits
    costs a whole round; and every share's sums are written and added up. The number that is cheapest by this count, for
    a large GPU: the same on every GPU, so that one shape is always summed in one order."""
    blocks, at_once = _blocks(kernel, rows, columns) * groups, MULTIPROCESSORS * _resident(kernel)

    def steps(splits):  # of 32 pixels; a share costs a few more to begin and end, and 300,000 weights as much as one
        rounds = math.ceil(blocks * splits / at_once)
        return rounds * (math.ceil(pixels / splits / 32) + 4) + splits * rows * columns * groups / 300_000

    return min(range(1, max(1, min(pixels // 256, 65535 // groups, 512)) + 1), key=steps)


def _resident(kernel):
    return tensor_cores.TILES[kernel].resident if kernel in tensor_cores.TILES else 2


def _kernel(x, primitive, rows, columns, depth, groups, taps):
    """The kernel for a matrix of sums rows × columns of `depth` products, in the precision that is set, on x's GPU."""
    tf32 = get_precision() == "tf32"
    generation = gpu.generation(x) if tf32 and max(taps) <= tensor_cores.MOST_TAPS else None
    if generation:
        return tensor_cores.choose(generation, primitive, rows, columns, depth)
    if primitive == "weight_gradient":
        wide = rows > 64
    else:
        wide = columns > 64 and math.ceil(rows / 128) * math.ceil(columns / 128) * groups >= MULTIPROCESSORS
    return f"{primitive}_{'tf32' if tf32 else 'fp32'}_{128 if wide else 64}"


def _tile(kernel):
    """The tile of sums of a kernel's block, (rows, columns)."""
    if kernel in tensor_cores.TILES:
        return tensor_cores.TILES[kernel].rows, tensor_cores.TILES[kernel].columns
    narrow = int(kernel.rpartition("_")[2])
    return (narrow, 128) if kernel.startswith("weight_gradient") else (128, narrow)


def _blocks(kernel, rows, columns):
    return math.ceil(rows / _tile(kernel)[0]) * math.ceil(columns / _tile(kernel)[1])


def _launch(kernel, rows, columns, depth, *arguments):
    """Run a kernel for `depth` matrices of sums, rows × columns each."""
    if kernel.endswith("simple"):
        gpu.launch("conv", kernel, gpu.blocks(rows * columns * depth), *arguments)
        return
    down, across = (math.ceil(size / tile) for size, tile in zip((rows, columns), _tile(kernel), strict=True))
    grid = (across, down, depth) if kernel.startswith("weight_gradient") else (down, across, depth)
    tile = tensor_cores.TILES.get(kernel)
    if tile is None:
        gpu.launch("conv", kernel, grid, *arguments)
    else:
        gpu.launch("tensor_cores", kernel, grid, *arguments, threads=tile.threads, shared=tile.shared)


def _four_channels(x):
    """x (N, H, W, C), in whatever order its memory is, with zeros appended until the channels are a multiple of 4, for
    the kernels copy four at a time."""
    if whole(x.shape[3]) == x.shape[3]:
        return gpu.aligned(x)
    x = x if x.dtype == np.float32 else x.astype(np.float32)  # the gradient of somebody's own op
    return arranged(x.transpose(0, 3, 1, 2)[None])


def _geometry(x, weight, y, stride, start, dilation, groups, splits, activation=None, phases=(0, 0)):
    """The structure `Conv` of conv.cu and of tensor_cores.cu, for image x, kernels (O, KH, KW, C/groups) and output y,
    all channels-last; phases: where y is the image's gradient, how many a stride makes of it."""
    (N, H, W, C), (_, OH, OW, O), (_, KH, KW, CG) = x.shape, y.shape, weight.shape
    return gpu.structure(
        N=N, H=H, W=W, C=C // groups, OH=OH, OW=OW, O=O // groups, KH=KH, KW=KW, K=KH * KW * CG,
        stride_h=stride[0], stride_w=stride[1], start_h=start[0], start_w=start[1],
        dilation_h=dilation[0], dilation_w=dilation[1], x_pixel=C,
        y_image=y.strides[0] // 4, y_row=y.strides[1] // 4, y_pixel=y.strides[2] // 4,
        groups=groups, splits=splits, activation=ACTIVATIONS[activation],
        phases_h=phases[0], phases_w=phases[1],
        apart_h=stride[0] // math.gcd(stride[0], dilation[0]), apart_w=stride[1] // math.gcd(stride[1], dilation[1]),
    )  # fmt: skip


def _correlate(x, weight, y, sliding, **finish):
    kernels = arranged(by_group(weight, sliding.groups))
    correlate(x, kernels, y, sliding.stride, sliding.start, sliding.dilation, sliding.groups, **finish)


def _image_gradient(dy, weight, dx, sliding):
    image_gradient(dy, weight, dx, *sliding)


def dweight(x: Array, dy: Array, shape: Shape, sliding: Sliding) -> Array:
    """`weight_gradient` in the op's order of axes, shape = (O, C/groups, KH, KW)."""
    O, CG, KH, KW = shape
    return gpu.channels_first(weight_gradient(x, dy, (O, KH, KW, CG), *sliding))


DROP_INS = drop_ins(Way(applies, _correlate, _image_gradient, dweight, any_order=True), "conv2d", "conv2d_inference")
