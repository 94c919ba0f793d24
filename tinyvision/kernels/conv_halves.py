"""Convolution of factors of 16 bits on tensor cores: `precision("bf16")` and "fp16", where a GPU has such (see
tensor_cores.cu). Images, kernels and gradients stay float32 outside; what the products take of them is rounded here, in
half the bytes, and an image's is kept for the backward in place of the image.

Where these kernels do not apply (`applies`), the factors are rounded as `halves` does it, and conv.py multiplies them.
"""

from typing import Any

import numpy as np

from ..device import HALVES, get_precision
from ..ops.convolution.sliding import Sliding
from ..types import Array, Pair, Shape
from . import conv, moments, tensor_cores
from . import launch as gpu
from .conv import Slides
from .ways import Way, drop_ins


def whole(channels: int) -> int:
    """How many channels there are after `halved`."""
    return channels + -channels % 8


def halved(weight: Array, mode: str, groups: int = 1, turned: bool = False) -> Array:
    """`conv.arranged` with numbers of 16 bits, zeros in the last axis up to a multiple of 8. The array is of uint16,
    whichever of the two kinds `mode` means."""
    weight = weight if weight.dtype == np.float32 else weight.astype(np.float32)  # the gradient of somebody's own op
    return conv.arranged_by("halves", f"arrange_{mode}", weight, groups, turned, 8, dtype=np.uint16)


def _halved_images(images, mode):
    return halved(images.transpose(0, 3, 1, 2), mode)


def _applies(mode):
    def applies(x: Array, weight: Array, output: Pair, sliding: Sliding, finished: bool) -> bool:
        """Whether this GPU's tensor cores have such factors, and the shapes fit: groups of a multiple of 8 channels
        (one group: any), kernels of at most 15 taps a side."""
        (O, CG, KH, KW), groups = weight.shape, sliding.groups
        if get_precision() != mode or mode not in tensor_cores.MODES.get(gpu.generation(x), ()):
            return False
        if max(KH, KW) > tensor_cores.MOST_TAPS or (groups != 1 and (CG % 8 or O // groups % 8)):
            return False
        return conv.fits(x, weight, output, sliding, whole)

    return applies


def correlate(
    images: Array, kernels: Array, y: Array, sliding: Sliding, mode: str, kernel: str | None = None, **finish: Any
) -> None:
    """`conv.correlate` of images and kernels of 16 bits, both from `halved`."""
    slides = Slides(sliding.stride, sliding.start, sliding.dilation, sliding.groups)
    scale, shift = (None if v is None else gpu.aligned(v) for v in (finish.get("scale"), finish.get("shift")))
    units = kernel or _units(y)
    shapes = images.shape, kernels.shape, y.shape, y.strides
    plan = conv.correlation(*shapes, slides, finish.get("activation"), units, mode)
    conv.launched(plan, moments.asked(), images, kernels, scale, shift, finish.get("skip"), y)


def image_gradient(
    dy: Array,
    weight: Array,
    dx: Array,
    sliding: Sliding,
    onto: Array | None = None,
    *,
    mode: str,
    kernel: str | None = None,
) -> None:
    """`conv.image_gradient`, given dy of 16 bits."""
    turned = halved(weight, mode, sliding.groups, turned=True)
    slides = Slides(sliding.stride, sliding.start, sliding.dilation, sliding.groups)
    kernel = conv.gradient_kernel(kernel or _units(dx), dy.shape, dx.shape, weight.shape[2:], slides, mode)
    plan = conv.all_phases(dy.shape, turned.shape, dx.shape, dx.strides, slides, kernel, mode)
    conv.launched(plan, False, dy, turned, None, None, onto, dx)


def weight_gradient(
    images: Array,
    dy: Array,
    shape: Shape,
    sliding: Sliding,
    mode: str,
    kernel: str | None = None,
    splits: int | None = None,
) -> Array:
    """`conv.dweight`, given images and dy of 16 bits; shape = (O, C/groups, KH, KW)."""
    O, CG, KH, KW = shape
    slides = Slides(sliding.stride, sliding.start, sliding.dilation, sliding.groups)
    shapes = images.shape, dy.shape, dy.strides, (O, KH, KW, CG)
    parts, sums, total = conv.weight_sums(*shapes, slides, kernel or _units(dy), splits, mode)
    padded, dweight = gpu.empty(dy, parts), gpu.empty(dy, (O, KH, KW, CG))
    gpu.run(sums, images, dy, padded)
    gpu.run(total, padded, dweight)
    return gpu.channels_first(dweight)


def _units(array):
    return True, gpu.generation(array)


def _drop_ins(mode):
    way = Way(
        _applies(mode),
        lambda *given, **finish: correlate(*given, mode=mode, **finish),
        lambda *given: image_gradient(*given, mode=mode),
        lambda *given: weight_gradient(*given, mode=mode),
        lambda weight, groups: halved(weight, mode, groups),
        adds=True,
        any_order=True,
        taken=lambda images: _halved_images(images, mode),
        rounds=(mode,),
    )
    return drop_ins(way, "conv2d", "conv2d_inference")


DROP_INS = tuple(drop_in for mode in HALVES for drop_in in _drop_ins(mode))
