"""Convolution as an implicit matrix product (conv.cu, and tensor_cores.cu in TF32), in place of im2col and a
cuBLAS product.

The matrix of windows is KH·KW times as large as the image; writing it and reading it back is what the first layers of a
network spend their time on. The kernels gather it block by block into shared memory instead.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..device import precision_of
from ..ops.convolution.sliding import Sliding
from ..types import Array, DType, Pair, Shape
from . import launch as gpu
from . import moments, tensor_cores, tuning
from .ways import ACTIVATIONS, Way, drop_ins, lengths, outputs

MULTIPROCESSORS = 132  # of a large GPU, for which work is shared out
MOST_BLOCKS = 65535  # along a grid's second and third axis


class Slides(NamedTuple):
    """How kernels slide over an image: as `Sliding`, but with the pixel `start` at which the first window begins."""

    stride: Pair
    start: Pair
    dilation: Pair
    groups: int


def applies(x: Array, weight: Array, output: Pair, sliding: Sliding, finished: bool) -> bool:
    """Whether these kernels can, and should, compute this convolution.

    They can for float32 with groups of a multiple of 4 channels (one group: any), of no more channels and phases than a
    grid has blocks. A 1×1 kernel with stride 1 in full FP32 is a plain product: pointwise.py is asked before."""
    (O, CG), groups = weight.shape[:2], sliding.groups
    if groups != 1 and (CG % 4 or O // groups % 4):
        return False
    return fits(x, weight, output, sliding, whole)


def fits(x: Array, weight: Array, output: Pair, sliding: Sliding, whole: Callable[[int], int]) -> bool:
    """Whether 32-bit offsets reach every number, of channels made `whole`, and every pixel that windows begin at
    outside of the image; and whether a grid has a block for every tile of channels, and for every group and phase."""
    (N, C, H, W), (O, CG, KH, KW), groups = x.shape, weight.shape, sliding.groups
    (PH, PW), phases = sliding.padding, math.prod(map(min, sliding.stride, (H, W)))
    reached = (N * H * W + 2 * (PH * W + PW)) * whole(C)
    sizes = (reached, outputs(x, output) * whole(O), whole(O) * KH * KW * whole(CG))
    narrow = max(C, O) // groups <= 64 * MOST_BLOCKS and groups * phases <= MOST_BLOCKS
    return narrow and gpu.fits(sizes, lengths(x, output, sliding))


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
    measured: bool = False,
) -> Any:
    """Fill y (N, OH, OW, O), which may be a strided view, with x (N, H, W, C) correlated with weight (O, KH, KW,
    C/groups), which comes from `arranged`.

    The window of y[:, 0, 0] begins at pixel `start` of x; outside of x all is 0. Every sum is finished as in
    `conv2d_inference` (skip laid out as y). `kernel` names one of conv.cu's or tensor_cores.cu's, instead of the choice
    by shape, precision and GPU. measured: its moments are left for a batch-norm, by a kernel that can (see moments.py);
    y is a whole array then, and the sums get no more than a shift."""
    x = _four_channels(x)
    sliding = Slides(stride, start, dilation, groups)
    plan = correlation(x.shape, weight.shape, y.shape, y.strides, sliding, activation, kernel or _units(x))
    scale, shift = None if scale is None else gpu.aligned(scale), None if shift is None else gpu.aligned(shift)
    launched(plan, measured, x, weight, scale, shift, skip, y)


def launched(plan: Any, measured: bool, *arrays: Any) -> None:
    """Launch `correlation` on its arrays, the last of them y, and have y measured by a kernel that can."""
    if plan.kernel.endswith("simple"):
        gpu.run(plan, *arrays)
        return
    if not measured or "tf32_" in plan.kernel:
        gpu.run(plan, *arrays, None)
        return
    y = arrays[-1]
    partial = gpu.empty(y, (plan.grid[0], 2, y.shape[3]))
    gpu.run(plan, *arrays, partial)
    moments.leave(y, partial, _tile(plan.kernel)[0])


@lru_cache(4096)
def correlation(
    x: Shape, weight: Shape, y: Shape, y_strides: Shape, sliding: Sliding, activation: str | None, kernel: Any,
    mode: str = "tf32",
) -> Any:  # fmt: skip
    """The launch of `correlate` for arrays of these shapes; kernel: its name, or the `_units` that choose it."""
    N, OH, OW, O = y
    columns, rows = O // sliding.groups, N * OH * OW
    sums = rows, columns, math.prod(weight[1:]), sliding.groups, weight[1:3]
    kernel = _kernel(kernel, "correlate", sums, mode, (x, weight, y, sliding, activation))
    geometry = _geometry(x, weight, y, y_strides, sliding, activation=activation)
    return _plan(kernel, rows, columns, sliding.groups, geometry, mode)


def arranged(weight: Array, groups: int = 1, turned: bool = False) -> Array:
    """weight (O, C/groups, KH, KW), in whatever order its memory is, as (O, KH, KW, C/groups); turned: as (C, KH, KW,
    O/groups), for the image's gradient. With zeros in the last axis up to a multiple of 4, and rounded to TF32 where
    that is the precision."""
    rounds = precision_of.cuda == "tf32"
    if not rounds and weight.shape[not turned] % 4 == 0 and (groups == 1 or not turned):
        as_they_are = weight.transpose((1, 2, 3, 0) if turned else (0, 2, 3, 1))
        if as_they_are.flags.c_contiguous:
            return gpu.aligned(as_they_are)
    return arranged_by("conv", "arrange", weight, groups, turned, 4, rounds)


def arranged_by(
    source: str,
    kernel: str,
    weight: Array,
    groups: int,
    turned: bool,
    chunk: int,
    rounds: bool = True,
    dtype: DType = np.float32,
) -> Array:
    """What a kernel makes of weight (O, C/groups, KH, KW), as `arranged` says, with its last axis in whole chunks."""
    shape, plan = _arrangement(source, kernel, weight.shape, weight.strides, groups, turned, chunk, rounds)
    if plan is None:  # a view with gaps so wide that its offsets do not fit 32 bits
        weight = gpu.aligned(weight)
        shape, plan = _arrangement(source, kernel, weight.shape, weight.strides, groups, turned, chunk, rounds)
    out = gpu.empty(weight, shape, dtype)
    gpu.run(plan, weight, out)
    return out


@lru_cache(4096)
def _arrangement(source, kernel, shape, strides, groups, turned, chunk, rounds):
    """(the shape of what `arranged_by` makes of a weight that lies like this, its launch or None)"""
    O, C, KH, KW = shape
    step_o, step_c, down, right = (stride // 4 for stride in strides)
    O //= groups
    group = O * step_o
    if turned:
        O, C, step_o, step_c = C, O, step_c, step_o
    out = (groups * O, KH, KW, C + -C % chunk)
    if sum((length - 1) * abs(stride) for length, stride in zip(shape, strides, strict=True)) > 4 * gpu.LARGEST:
        return out, None
    order = gpu.structure(
        groups=groups, O=O, KH=KH, KW=KW, C=out[3], given=C,
        group=group, out=step_o, into=step_c, down=down, right=right, round=int(rounds),
    )  # fmt: skip
    return out, gpu.Plan(source, kernel, gpu.blocks(math.prod(out) // chunk), (order,))


def image_gradient(
    dy: Array,
    weight: Array,
    dx: Array,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    kernel: str | None = None,
    onto: Array | None = None,
) -> Any:
    """Fill dx (N, H, W, C) given dy (N, OH, OW, O) and weight (O, C/groups, KH, KW), in any order of memory: one
    `correlate` of dy for each phase of the stride. `onto`, laid out as dx, is added.

    Window i reads pixel h = i·S + k·D - P with tap k, so pixel h hears from the windows i = (h + P - k·D) / S that are
    whole. The pixels of one phase, h + P ≡ r (mod S), all hear from the same taps, every (S / gcd(S, D))-th one, and
    neighbours hear from neighbouring windows: a stride-1 correlation of dy with those taps, turned around."""
    KH, KW = weight.shape[2:]
    sliding = Slides(stride, (-padding[0], -padding[1]), dilation, groups)
    kernel = gradient_kernel(kernel or _units(dy), dy.shape, dx.shape, (KH, KW), sliding)
    if kernel in tensor_cores.TILES:
        dy, turned = _four_channels(dy), arranged(weight, groups, turned=True)
        plan = all_phases(dy.shape, turned.shape, dx.shape, dx.strides, sliding, kernel)
        launched(plan, False, dy, turned, None, None, onto, dx)
        return
    for top in range(min(stride[0], dx.shape[1])):
        for left in range(min(stride[1], dx.shape[2])):
            phase = slice(None), slice(top, None, stride[0]), slice(left, None, stride[1])
            target, skip = dx[phase], None if onto is None else onto[phase]
            rows, start_h, step_h = _phase(top + padding[0], KH, stride[0], dilation[0])
            cols, start_w, step_w = _phase(left + padding[1], KW, stride[1], dilation[1])
            if rows is None or cols is None:  # no window ever reads these pixels
                target[...] = 0 if skip is None else skip
                continue
            taps = arranged(weight[:, :, rows, cols], groups, turned=True)
            correlate(dy, taps, target, (1, 1), (start_h, start_w), (step_h, step_w), groups, kernel, skip=skip)


@lru_cache(4096)
def gradient_kernel(kernel: Any, dy: Shape, dx: Shape, taps: Pair, sliding: Slides, mode: str = "tf32") -> Any:
    """The kernel that computes an image's gradient: `kernel` itself, or what the `_units` choose."""
    groups, channels = sliding.groups, whole(dy[3])
    depth = math.prod(taps) * dy[3] // groups // math.prod(sliding.stride)
    turned = (dx[3], *taps, channels // groups)
    sums = math.prod(dx[:3]), dx[3] // groups, depth, groups, taps
    return _kernel(kernel, "image_gradient", sums, mode, ((*dy[:3], channels), turned, dx, sliding, None))


@lru_cache(4096)
def all_phases(
    dy: Shape, turned: Shape, dx: Shape, dx_strides: Shape, sliding: Sliding, kernel: Any, mode: str = "tf32"
) -> Any:
    """The launch in which tensor_cores.cu computes all phases, from the kernels as they are."""
    (N, H, W, C), stride = dx, sliding.stride
    phases = min(stride[0], H), min(stride[1], W)
    rows = N * math.ceil(H / stride[0]) * math.ceil(W / stride[1])  # of the largest phase
    geometry = _geometry(dy, turned, dx, dx_strides, sliding, phases=phases)
    return _plan(kernel, rows, C // sliding.groups, sliding.groups * math.prod(phases), geometry, mode)


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
    x, dy = (_four_channels(a) if groups == 1 else gpu.aligned(a) for a in (x, dy))
    sliding = Slides(stride, (-padding[0], -padding[1]), dilation, groups)
    parts, sums, total = weight_sums(x.shape, dy.shape, dy.strides, shape, sliding, kernel or _units(x), splits)
    padded, dweight = gpu.empty(dy, parts), gpu.empty(dy, shape)
    gpu.run(sums, x, dy, padded)
    gpu.run(total, padded, dweight)
    return dweight


@lru_cache(4096)
def weight_sums(
    x: Shape, dy: Shape, dy_strides: Shape, shape: Shape, sliding: Sliding, kernel: Any, splits: int | None,
    mode: str = "tf32",
) -> tuple[Any, ...]:  # fmt: skip
    """(the shape of the sums of every share of the pixels, their launch, and that which adds the shares up)"""
    (O, KH, KW, CG), groups = shape, sliding.groups
    C, width, pixels, taps = x[3] // groups, dy[3], math.prod(dy[:3]), KH * KW
    rows, columns = width // groups, taps * C
    sums_of = rows, columns, pixels, groups, (KH, KW)
    kernel = _kernel(kernel, "weight_gradient", sums_of, mode, (x, dy, shape, sliding, None))
    if splits is None:
        splits = 1 if kernel.endswith("simple") else _splits(kernel, rows, columns, groups, pixels)
    strides = dy_strides if mode == "tf32" else tuple(2 * stride for stride in dy_strides)  # `_geometry` counts floats
    geometry = _geometry(x, (width, KH, KW, C), dy, strides, sliding, splits)
    sizes = tuple(map(np.int32, (splits, width, O, taps, C, CG)))
    total = gpu.Plan("conv", "add_splits", gpu.blocks(math.prod(shape)), sizes)
    return (splits, width, taps, C), _plan(kernel, rows, columns, groups * splits, geometry, mode), total


def _splits(kernel, rows, columns, groups, pixels):
    """How many blocks share the pixels of one tile of weights. All blocks take rounds on the GPU, so one more than fits
    costs a whole round; and every share's sums are written and added up. The number that is cheapest by this count, for
    a large GPU: the same on every GPU, so that one shape is always summed in one order."""
    blocks, at_once = _blocks(kernel, rows, columns) * groups, MULTIPROCESSORS * _resident(kernel)

    def steps(splits):  # of 32 pixels; a share costs a few more to begin and end, and 300,000 weights as much as one
        rounds = math.ceil(blocks * splits / at_once)
        return rounds * (math.ceil(pixels / splits / 32) + 4) + splits * rows * columns * groups / 300_000

    return min(range(1, max(1, min(pixels // 256, MOST_BLOCKS // groups, 512)) + 1), key=steps)


def _resident(kernel):
    return tensor_cores.TILES[kernel].resident if kernel in tensor_cores.TILES else 2


def _units(x):
    """(whether factors have no more bits than TF32 has, whose tensor cores the GPU of x has for it): what the choice of
    a kernel hangs on."""
    mode = precision_of.cuda
    generation = None if mode == "ieee" else gpu.generation(x)
    generation = generation if "tf32" in tensor_cores.MODES.get(generation, ()) else None
    return mode == "tf32" or generation is not None, generation


def _kernel(units, primitive, sums, mode, shapes):
    """The kernel for the matrix of `sums` (rows, columns, products in each, groups, taps) on a GPU with these `_units`:
    the one that was measured to be the fastest there, else by rule. A kernel's name in their place stands for itself.
    shapes: as in `tuning.Met`."""
    if isinstance(units, str):
        return units
    (tf32, generation), (rows, columns, depth, groups, taps) = units, sums
    own = "correlate" if primitive == "image_gradient" else primitive
    if generation and max(taps) <= tensor_cores.MOST_TAPS:
        unasked = tensor_cores.choose(generation, own, rows, columns, depth)
        candidates = tensor_cores.candidates(generation, own)
    else:
        wide = columns > 64 and math.ceil(rows / 128) * math.ceil(columns / 128) * groups >= MULTIPROCESSORS
        wide = rows > 64 if primitive == "weight_gradient" else wide
        kind = f"{own}_{'tf32' if tf32 else 'fp32'}"
        unasked, candidates = f"{kind}_{128 if wide else 64}", (f"{kind}_64", f"{kind}_128")
        if primitive == "image_gradient":  # a launch for each phase
            return unasked
    layer = tuning.Layer("ieee" if not tf32 else mode, primitive, *sums)
    if tuning.met is not None:
        tuning.met[layer] = tuning.Met((unasked, *(k for k in candidates if k != unasked)), *shapes)
    return tuning.kernel(layer, candidates) or unasked


def forget() -> None:
    """Choose kernels anew for layers that have come by before."""
    for function in (correlation, gradient_kernel, weight_sums):
        function.cache_clear()


def _tile(kernel):
    """The tile of sums of a kernel's block, (rows, columns)."""
    if kernel in tensor_cores.TILES:
        return tensor_cores.TILES[kernel].rows, tensor_cores.TILES[kernel].columns
    narrow = int(kernel.rpartition("_")[2])
    return (narrow, 128) if kernel.startswith("weight_gradient") else (128, narrow)


def _blocks(kernel, rows, columns):
    return math.ceil(rows / _tile(kernel)[0]) * math.ceil(columns / _tile(kernel)[1])


def _plan(kernel, rows, columns, depth, geometry, mode="tf32"):
    """The launch of a kernel for `depth` matrices of sums, rows × columns each, of factors in this precision."""
    if kernel.endswith("simple"):
        return gpu.Plan("conv", kernel, gpu.blocks(rows * columns * depth), (geometry,))
    down, across = (math.ceil(size / tile) for size, tile in zip((rows, columns), _tile(kernel), strict=True))
    grid = (across, down, depth) if kernel.startswith("weight_gradient") else (down, across, depth)
    tile = tensor_cores.TILES.get(kernel)
    if tile is None:
        return gpu.Plan("conv", kernel, grid, (geometry,))
    source = "tensor_cores" if mode == "tf32" else f"tensor_cores {mode}"
    return gpu.Plan(source, kernel, grid, (geometry,), tile.threads, tile.shared)


def _four_channels(x):
    """x (N, H, W, C), in whatever order its memory is, with zeros appended until the channels are a multiple of 4, for
    the kernels copy four at a time."""
    if not x.shape[3] % 4:
        return gpu.aligned(x)
    x = x if x.dtype == np.float32 else x.astype(np.float32)  # the gradient of somebody's own op
    return arranged(x.transpose(0, 3, 1, 2))


def _geometry(x, weight, y, y_strides, sliding, splits=1, activation=None, phases=(0, 0)):
    """The structure `Conv` of conv.cu and of tensor_cores.cu, for the shapes of an image x, kernels (O, KH, KW,
    C/groups) and output y, all channels-last; phases: how many a stride makes, where y is the image's gradient."""
    (N, H, W, C), (_, OH, OW, O), (_, KH, KW, CG) = x, y, weight
    stride, start, dilation, groups = sliding
    return gpu.structure(
        N=N, H=H, W=W, C=C // groups, OH=OH, OW=OW, O=O // groups, KH=KH, KW=KW, K=KH * KW * CG,
        stride_h=stride[0], stride_w=stride[1], start_h=start[0], start_w=start[1],
        dilation_h=dilation[0], dilation_w=dilation[1], x_pixel=C,
        y_image=y_strides[0] // 4, y_row=y_strides[1] // 4, y_pixel=y_strides[2] // 4,
        groups=groups, splits=splits, activation=ACTIVATIONS[activation],
        phases_h=phases[0], phases_w=phases[1],
        apart_h=stride[0] // math.gcd(stride[0], dilation[0]), apart_w=stride[1] // math.gcd(stride[1], dilation[1]),
    )  # fmt: skip


def _correlate(x, kernels, y, sliding, **finish):
    about = sliding.stride, sliding.start, sliding.dilation, sliding.groups
    correlate(x, kernels, y, *about, measured=moments.asked(), **finish)


def _image_gradient(dy, weight, dx, sliding, onto=None):
    image_gradient(dy, weight, dx, *sliding, onto=onto)


def dweight(x: Array, dy: Array, shape: Shape, sliding: Sliding) -> Array:
    """`weight_gradient` in the op's order of axes, shape = (O, C/groups, KH, KW)."""
    O, CG, KH, KW = shape
    return gpu.channels_first(weight_gradient(x, dy, (O, KH, KW, CG), *sliding))


DROP_INS = drop_ins(
    Way(applies, _correlate, _image_gradient, dweight, arranged, adds=True, any_order=True),
    "conv2d",
    "conv2d_inference",
)
