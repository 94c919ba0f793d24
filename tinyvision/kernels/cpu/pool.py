"""Pooling, one pass each way. The maximum's cache holds the winning tap of each window in place of the image."""

import math
from typing import Any

import numpy as np

from ...errors import OptionError
from ...ops import pool
from ...ops.checks import output_size, pair
from ...types import Array, Gradients, IntOrPair, Needs
from .. import DropIn
from .compiled import loop
from .lines import done_in_parts, first, last, worth_turning

MOST = 256  # taps that a byte can tell apart


@loop("void(f4[:,:,:,::1], f4[:,:,:,::1], u1[:,:,:,::1], i8[::1], i8, i8)", "y taps")
def largest(x: Array, y: Array, taps: Any, window: Any, begin: int, end: int) -> None:
    """y = the maxima of the windows of lines begin ... end, and which tap was the first to have each."""
    KH, KW, SH, SW, PH, PW = window
    _, H, W, C = x.shape
    _, OH, OW, _ = y.shape
    for line in range(begin, end):
        n, i = line // OH, line % OH
        for j in range(OW):
            empty = True
            for k in range(KH):
                for l in range(KW):
                    h, w = i * SH + k - PH, j * SW + l - PW
                    if h < 0 or h >= H or w < 0 or w >= W:
                        continue
                    tap = k * KW + l
                    if empty:
                        empty = False
                        for c in range(C):
                            y[n, i, j, c] = x[n, h, w, c]
                            taps[n, i, j, c] = tap
                        continue
                    for c in range(C):
                        value = x[n, h, w, c]
                        if value > y[n, i, j, c] or value != value:
                            y[n, i, j, c] = value
                            taps[n, i, j, c] = tap


@loop("void(f4[:,:,:,::1], u1[:,:,:,::1], f4[:,:,:,::1], i8[::1], i8, i8)", "dx")
def to_the_largest(dy: Array, taps: Any, dx: Array, window: Any, begin: int, end: int) -> None:
    """dx of images begin ... end: every pixel that won a window gets its dy."""
    KH, KW, SH, SW, PH, PW = window
    _, H, W, C = dx.shape
    _, OH, OW, _ = dy.shape
    for n in range(begin, end):
        for h in range(H):
            for w in range(W):
                for c in range(C):
                    dx[n, h, w, c] = 0
        for i in range(OH):
            for j in range(OW):
                for k in range(KH):
                    for l in range(KW):
                        h, w = i * SH + k - PH, j * SW + l - PW
                        if h < 0 or h >= H or w < 0 or w >= W:
                            continue
                        tap = k * KW + l
                        for c in range(C):
                            if taps[n, i, j, c] == tap:
                                dx[n, h, w, c] += dy[n, i, j, c]


@loop("void(f4[:,:,:,::1], f4[:,:,:,::1], f4[:,::1], i8[::1], i8, i8)", "y")
def mean(x: Array, y: Array, shares: Array, window: Any, begin: int, end: int) -> None:
    """y = the sums of the windows of lines begin ... end, times each window's share (OH, OW)."""
    KH, KW, SH, SW, PH, PW = window
    _, H, W, C = x.shape
    _, OH, OW, _ = y.shape
    for line in range(begin, end):
        n, i = line // OH, line % OH
        for j in range(OW):
            for c in range(C):
                y[n, i, j, c] = 0
            for k in range(KH):
                for l in range(KW):
                    h, w = i * SH + k - PH, j * SW + l - PW
                    if h < 0 or h >= H or w < 0 or w >= W:
                        continue
                    for c in range(C):
                        y[n, i, j, c] += x[n, h, w, c]
            for c in range(C):
                y[n, i, j, c] *= shares[i, j]


@loop("void(f4[:,:,:,::1], f4[:,:,:,::1], f4[:,::1], i8[::1], i8, i8)", "dx")
def to_all(dy: Array, dx: Array, shares: Array, window: Any, begin: int, end: int) -> None:
    """dx of images begin ... end: every pixel gets its windows' shares of dy."""
    KH, KW, SH, SW, PH, PW = window
    _, H, W, C = dx.shape
    _, OH, OW, _ = dy.shape
    for n in range(begin, end):
        for h in range(H):
            for w in range(W):
                for c in range(C):
                    dx[n, h, w, c] = 0
        for i in range(OH):
            for j in range(OW):
                for k in range(KH):
                    for l in range(KW):
                        h, w = i * SH + k - PH, j * SW + l - PW
                        if h < 0 or h >= H or w < 0 or w >= W:
                            continue
                        for c in range(C):
                            dx[n, h, w, c] += dy[n, i, j, c] * shares[i, j]


def max_pool2d_forward(
    x: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Any]:
    """As `ops.max_pool2d_forward`, without dilation and ceil_mode."""
    window, shape = _window(x, kernel_size, stride, padding)
    image, y = last(x), np.empty(shape, np.float32)
    taps = np.empty(shape, np.uint8)
    lines = shape[0] * shape[1]
    done_in_parts(largest, lines, x.nbytes, image, y, taps, window)
    return first(y), (taps, x.shape, window)


def max_pool2d_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """As `ops.max_pool2d_backward`."""
    taps, (N, C, H, W), window = cache
    rows, dx = last(dy), np.empty((N, H, W, C), np.float32)
    done_in_parts(to_the_largest, N, dx.nbytes, rows, taps, dx, window)
    return (first(dx),)


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
    window, shape = _window(x, kernel_size, stride, padding)
    shares = _shares(x.shape[2:], shape[1:3], window.reshape(3, 2).T, count_include_pad)
    image, y = last(x), np.empty(shape, np.float32)
    lines = shape[0] * shape[1]
    done_in_parts(mean, lines, x.nbytes, image, y, shares, window)
    return first(y), (x.shape, shares, window)


def avg_pool2d_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """As `ops.avg_pool2d_backward`."""
    (N, C, H, W), shares, window = cache
    rows, dx = last(dy), np.empty((N, H, W, C), np.float32)
    done_in_parts(to_all, N, dx.nbytes, rows, dx, shares, window)
    return (first(dx),)


def _window(x, kernel_size, stride, padding):
    """(KH, KW, SH, SW, PH, PW), and the output's (N, OH, OW, C)."""
    KH, KW = pair("pooling", "kernel_size", kernel_size, 1)
    SH, SW = (KH, KW) if stride is None else pair("pooling", "stride", stride, 1)
    PH, PW = pair("pooling", "padding", padding, 0)
    N, C, H, W = x.shape
    return np.array([KH, KW, SH, SW, PH, PW]), (N, output_size(H, KH, SH, PH), output_size(W, KW, SW, PW), C)


def _shares(size, windows, along, count_include_pad):
    """1 / (how many pixels a window counts), (OH, OW)."""
    counts = []
    for axis, (kernel, stride, padding) in enumerate(along):
        start = np.arange(windows[axis]) * stride - padding
        inside = np.minimum(start + kernel, size[axis]) - np.maximum(start, 0)
        counts.append(np.full(windows[axis], kernel) if count_include_pad else inside)
    return (1 / np.multiply.outer(*counts)).astype(np.float32)


def _max_applies(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    return dilation in (1, (1, 1)) and not ceil_mode and _applies(x, kernel_size, stride, padding)


def _avg_applies(
    x, kernel_size, stride=None, padding=0, count_include_pad=True, ceil_mode=False, divisor_override=None
):
    return not ceil_mode and divisor_override is None and _applies(x, kernel_size, stride, padding)


def _applies(x, kernel_size, stride, padding):
    """Whether these are arguments that the op would accept, in an order that is worth it, and taps that fit a byte."""
    if x.ndim != 4 or not worth_turning(x):
        return False
    try:
        window, shape = _window(x, kernel_size, stride, padding)
    except OptionError:  # the op has the better message
        return False
    KH, KW, _, _, PH, PW = window.tolist()
    return 2 * PH <= KH and 2 * PW <= KW and KH * KW <= MOST and min(shape[1:3]) >= 1 and math.prod(shape) > 0


DROP_INS = (
    DropIn(
        "pooling",
        (pool.max_pool2d_forward, pool.max_pool2d_backward),
        max_pool2d_forward,
        max_pool2d_backward,
        _max_applies,
    ),
    DropIn(
        "pooling",
        (pool.avg_pool2d_forward, pool.avg_pool2d_backward),
        avg_pool2d_forward,
        avg_pool2d_backward,
        _avg_applies,
    ),
)
