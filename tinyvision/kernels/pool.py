"""Pooling and col2im as gathers (pool.cu). Signatures are those of `ops.pool` and `ops.im2col`; the maximum's
cache holds the winning tap of each window, one byte, in place of the image."""

import math
from typing import Any

import numpy as np

from ..errors import OptionError
from ..ops import adaptive_pool, im2col, pool
from ..ops.checks import output_size, pair
from ..types import Array, Gradients, IntOrPair, Needs
from . import DropIn
from . import launch as gpu


def max_pool2d_forward(
    x: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Any]:
    """As `ops.max_pool2d_forward`, without dilation and ceil_mode."""
    geometry = _geometry(x.shape, kernel_size, stride, padding)
    y = gpu.empty(x, _output(geometry))
    taps = gpu.empty(x, y.shape, np.uint8)
    kernel, grid = _by_fours("max_pool_forward", y)
    gpu.launch("pool", kernel, grid, gpu.channels_last(x), y, taps, geometry)
    return gpu.channels_first(y), (taps, geometry)


def max_pool2d_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """As `ops.max_pool2d_backward`."""
    taps, geometry = cache
    dx = gpu.empty(dy, _image(geometry))
    kernel, grid = _by_fours("max_pool_backward", dx)
    gpu.launch("pool", kernel, grid, gpu.channels_last(dy), taps, dx, geometry)
    return (gpu.channels_first(dx),)


def _by_fours(kernel, images):
    """The version of a kernel that takes four channels at once, and its grid: a block for a part of each row of each
    image (N, H, W, C). The other version where there are no whole fours, or more rows than a grid has."""
    N, H, W, C = images.shape
    if C % 4 or max(N, H) >= 2**16:
        return kernel, gpu.blocks(images.size)
    return f"{kernel}_four", (*gpu.blocks(W * C // 4)[:1], H, N)


def avg_pool2d_forward(
    x: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    count_include_pad: bool = True,
    ceil_mode: bool = False,
    divisor_override: int | None = None,
) -> tuple[Array, Any]:
    """As `ops.avg_pool2d_forward`, without ceil_mode and divisor_override."""
    geometry = _geometry(x.shape, kernel_size, stride, padding, count_include_pad)
    y = gpu.empty(x, _output(geometry))
    gpu.launch("pool", "avg_pool_forward", gpu.blocks(y.size), gpu.channels_last(x), y, geometry)
    return gpu.channels_first(y), geometry


def avg_pool2d_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """As `ops.avg_pool2d_backward`."""
    dx = gpu.empty(dy, _image(cache))
    gpu.launch("pool", "avg_pool_backward", gpu.blocks(dx.size), gpu.channels_last(dy), dx, cache)
    return (gpu.channels_first(dx),)


def adaptive_avg_pool2d_forward(x: Array, output_size: IntOrPair) -> tuple[Array, Any]:
    """As `ops.adaptive_avg_pool2d_forward`, to a single pixel: the mean of each channel of each image."""
    return avg_pool2d_forward(x, tuple(x.shape[2:]))


def im2col_backward(dcolumns: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """As `ops.im2col_backward`."""
    shape, kernel_size, stride, padding, dilation = cache
    geometry = _geometry(shape, kernel_size, stride, padding, dilation=dilation)
    dx = gpu.empty(dcolumns, shape)
    gpu.launch("pool", "col2im_gather", gpu.blocks(dx.size), gpu.aligned(dcolumns), dx, geometry)
    return (dx,)


def _geometry(shape, kernel_size, stride, padding, count_padding=True, dilation=1):
    """The structure `Pool` of pool.cu."""
    N, C, H, W = shape
    KH, KW = pair("pooling", "kernel_size", kernel_size, 1)
    SH, SW = (KH, KW) if stride is None else pair("pooling", "stride", stride, 1)
    (PH, PW), (DH, DW) = pair("pooling", "padding", padding, 0), pair("pooling", "dilation", dilation, 1)
    return gpu.structure(
        N=N,
        H=H,
        W=W,
        C=C,
        OH=output_size(H, KH, SH, PH, DH),
        OW=output_size(W, KW, SW, PW, DW),
        KH=KH,
        KW=KW,
        stride_h=SH,
        stride_w=SW,
        pad_h=PH,
        pad_w=PW,
        dilation_h=DH,
        dilation_w=DW,
        count_padding=int(bool(count_padding)),
    )


def _output(geometry):
    N, _, _, C, OH, OW, *_ = geometry.item()
    return N, OH, OW, C


def _image(geometry):
    return geometry.item()[:4]


def _applies(
    x, kernel_size, stride=None, padding=0, count_include_pad=True, dilation=1, ceil_mode=False, divisor_override=None
):
    """Whether these are arguments that the op would accept, for an image and a window of ordinary size and kind."""
    if ceil_mode or dilation not in (1, (1, 1)) or divisor_override is not None:
        return False
    if not _fits(x, kernel_size, stride, padding):
        return False
    geometry = _geometry(x.shape, kernel_size, stride, padding)
    KH, KW, PH, PW = (int(geometry[name]) for name in ("KH", "KW", "pad_h", "pad_w"))
    fits = 2 * PH <= KH and 2 * PW <= KW and min(_output(geometry)) >= 1
    return fits and KH * KW <= 256 and gpu.fits((math.prod(_output(geometry)),))


def _applies_to_one_pixel(x, output_size):
    return output_size in (1, (1, 1)) and x.ndim == 4 and _applies(x, tuple(x.shape[2:]))


def _applies_to_columns(x, kernel_size, stride=1, padding=0, dilation=1):
    if not _fits(x, kernel_size, stride, padding, dilation):
        return False
    geometry = _geometry(x.shape, kernel_size, stride, padding, dilation=dilation)
    output, taps = _output(geometry), int(geometry["KH"]) * int(geometry["KW"])
    return min(output) >= 1 and gpu.fits((math.prod(output) * taps,))


def _fits(x, kernel_size, stride, padding, dilation=1):
    """Whether x is an image with pixels, and everything about the window fits the structure `Pool`."""
    if x.ndim != 4 or x.size < 1:
        return False
    try:
        options = ((kernel_size, 1), (1 if stride is None else stride, 1), (padding, 0), (dilation, 1))
        lengths = [n for value, least in options for n in pair("pooling", "an option", value, least)]
    except OptionError:  # the op has the better message
        return False
    return gpu.fits((x.size,), (*x.shape[2:], *lengths))


DROP_INS = (
    DropIn(
        "pooling",
        (pool.max_pool2d_forward, pool.max_pool2d_backward),
        max_pool2d_forward,
        max_pool2d_backward,
        _applies,
    ),
    DropIn(
        "pooling",
        (pool.avg_pool2d_forward, pool.avg_pool2d_backward),
        avg_pool2d_forward,
        avg_pool2d_backward,
        _applies,
    ),
    DropIn(
        "col2im",
        (im2col.im2col_forward, im2col.im2col_backward),
        im2col.im2col_forward,
        im2col_backward,
        _applies_to_columns,
    ),
    DropIn(
        "pooling",
        (adaptive_pool.adaptive_avg_pool2d_forward, adaptive_pool.adaptive_avg_pool2d_backward),
        adaptive_avg_pool2d_forward,
        avg_pool2d_backward,
        _applies_to_one_pixel,
    ),
)
