"""Pooling: summarise every window by its largest number or by its mean.

All loops run over the kernel's few offsets ("taps"); at one tap, the windows form a strided view of the image.
"""

from typing import Any, NamedTuple

import numpy as np

from .. import blocks
from ..errors import OptionError
from ..types import Array, Gradients, IntOrPair, Needs, Pair, Shape
from .activation import keep
from .checks import check_arrays, check_rank, is_integer, output_size, pair, shape_error


def max_pool2d_forward(
    x: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Any]:
    """y[n, c, i, j] = max over the window at (i, j).   x (N, C, H, W)  ->  y (N, C, OH, OW), cache

    stride defaults to kernel_size; padding, at most half a kernel, counts as -inf.
    OH = floor((H + 2·PH - DH·(KH - 1) - 1) / SH) + 1; with ceil_mode rounded up, for a last window that is only partly
    covered by pixels. Raises ShapeError, DtypeError, OptionError."""
    window, size = _window("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    y = _like_memory(x, (*x.shape[:2], *size))

    def work(images):
        rows = _like_memory(x, (images.stop - images.start, x.shape[1], size[0], x.shape[3]))
        _largest(x[images], rows, 2, *window.along(0))
        _largest(rows, y[images], 3, *window.along(1))

    blocks.over_rows(work, x, y)
    return y, (x, y, window)


def _largest(x, y, axis, kernel, stride, padding, dilation):
    """y = the maxima of windows along one axis alone: a window's maximum is that of its rows' maxima."""
    size = y.shape[axis]
    taps = [_inside(k * dilation, size, x.shape[axis], stride, padding) for k in range(kernel)]
    taps.sort(key=lambda tap: tap[0] != slice(0, size))  # first, a tap inside of the image for every window
    inside = taps[0][0] == slice(0, size)
    y[...] = _at(x, axis, taps.pop(0)[1]) if inside else -np.inf
    for windows, pixels in taps:
        target = _at(y, axis, windows)
        np.maximum(target, _at(x, axis, pixels), out=target)


def _at(a, axis, places):
    """A view of a with these places along one axis, all along the others."""
    return a[:, :, places] if axis == 2 else a[:, :, :, places]


def max_pool2d_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dy (N, C, OH, OW)  ->  dx (N, C, H, W): all of dy goes to the window's first maximum, in reading order.

    nan counts as larger than any number; of several, the last one is the maximum, as in PyTorch."""
    x, y, window = cache
    dx = np.empty_like(x)
    kernel_size, stride, plain = window.kernel_size, window.stride, window.dilation == (1, 1)
    apart = plain and stride[0] >= kernel_size[0] and stride[1] >= kernel_size[1]  # no pixel belongs to two windows
    covered = (
        plain
        and stride == kernel_size
        and window.padding == (0, 0)
        and x.shape[2:] == tuple(s * size for s, size in zip(stride, y.shape[2:], strict=True))
    )  # every pixel belongs to one

    def work(images):
        image, dimage, maxima, upstream = x[images], dx[images], y[images], dy[images]
        if not covered:
            dimage[...] = 0
        if upstream.strides != maxima.strides:  # one copy now is quicker than four passes across the grain
            upstream = np.empty_like(maxima)
            upstream[...] = dy[images]
        paid = np.zeros_like(maxima, dtype=bool)
        mask, share = np.empty_like(paid), np.empty_like(maxima)
        for windows, pixels in _taps(y.shape, x.shape, window):
            first = np.equal(image[pixels], maxima[windows], out=mask[windows])
            np.greater(first, paid[windows], out=first)  # it is the maximum, and no earlier pixel was
            paid[windows] |= first
            if apart:
                keep(upstream[windows], first, out=dimage[pixels])
            else:
                keep(upstream[windows], first, out=share[windows])
                dimage[pixels] += share[windows]
        spoilt = np.isnan(maxima)
        if not blocks.on_cpu(x) or bool(spoilt.any()):  # a GPU would have to wait for the answer
            for windows, pixels in reversed(list(_taps(y.shape, x.shape, window))):
                last = np.isnan(image[pixels]) & spoilt[windows]
                spoilt[windows] &= ~last
                dimage[pixels] += np.where(last, upstream[windows], np.zeros_like(upstream[windows]))

    blocks.over_rows(work, x, y)
    return (dx,)


def avg_pool2d_forward(
    x: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    count_include_pad: bool = True,
    ceil_mode: bool = False,
    divisor_override: int | None = None,
) -> tuple[Array, Any]:
    """y[n, c, i, j] = mean over the window at (i, j).   x (N, C, H, W)  ->  y (N, C, OH, OW), cache

    stride defaults to kernel_size. Padding counts as zeros, or not at all with count_include_pad=False; what ceil_mode
    lets a window see beyond the padding never counts. divisor_override divides every sum by that number instead.
    Raises ShapeError, DtypeError, OptionError."""
    window, size = _window("avg_pool2d", x, kernel_size, stride, padding, 1, ceil_mode)
    if divisor_override is not None and (not is_integer(divisor_override) or divisor_override == 0):
        raise OptionError(f"avg_pool2d: divisor_override must be an integer and not 0, got {divisor_override!r}")
    y = _like_memory(x, (*x.shape[:2], *size))
    share = 1 / divisor_override if divisor_override else _shares(x, size, window, count_include_pad)

    def work(images):
        some = y[images]
        some[...] = 0
        for windows, pixels in _taps(y.shape, x.shape, window):
            some[windows] += x[images][pixels]
        some *= share

    blocks.over_rows(work, x, y)
    return y, (x.shape, share, window)


def avg_pool2d_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dy (N, C, OH, OW)  ->  dx (N, C, H, W): every pixel of a window gets an equal share of its dy."""
    shape, share, window = cache
    dx = _like_memory(dy, shape)

    def work(images):
        some = dx[images]
        some[...] = 0
        shared = dy[images] * share
        for windows, pixels in _taps(dy.shape, shape, window):
            some[pixels] += shared[windows]

    blocks.over_rows(work, dx, dy)
    return (dx,)


def max_pool2d_indices(
    x: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> Array:
    """Where the maxima are: h·W + w of each window's first one, or last nan.   (N, C, OH, OW) of int64"""
    y, (_, _, window) = max_pool2d_forward(x, kernel_size, stride, padding, dilation, ceil_mode)
    W = x.shape[3]
    place = np.arange(x.shape[2] * W, like=x).astype(np.int64).reshape(1, 1, -1, W)
    winners = np.full_like(y, -1, dtype=np.int64, order="C")
    for windows, pixels in _taps(y.shape, x.shape, window):
        seen = x[pixels]
        first = (seen == y[windows]) & (winners[windows] < 0)
        found = first | (seen != seen)  # of several nan, the last one
        winners[windows] = np.where(found, place[:, :, pixels[2], pixels[3]], winners[windows])
    return winners


class Window(NamedTuple):
    """How a window slides over an image, each option a pair (rows, columns)."""

    kernel_size: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    def along(self, axis: int) -> tuple[int, int, int, int]:
        """(kernel, stride, padding, dilation) along rows (0) or columns (1)."""
        return self.kernel_size[axis], self.stride[axis], self.padding[axis], self.dilation[axis]


def _window(op, x, kernel_size, stride, padding, dilation, ceil_mode):
    """The Window and the output's (OH, OW), or the error that says why the options do not fit."""
    check_arrays(op, x=x)
    check_rank(op, 4, "(N, C, H, W)", x=x)
    kernel_size = pair(op, "kernel_size", kernel_size, 1)
    stride = kernel_size if stride is None else pair(op, "stride", stride, 1)
    padding, dilation = pair(op, "padding", padding, 0), pair(op, "dilation", dilation, 1)
    if padding[0] * 2 > kernel_size[0] or padding[1] * 2 > kernel_size[1]:
        raise OptionError(f"{op}: padding must be at most half of kernel_size, got {padding} and {kernel_size}")
    window = Window(kernel_size, stride, padding, dilation)
    size = tuple(_output_size(x.shape[2 + a], *window.along(a), ceil_mode) for a in (0, 1))
    if min(size) < 1:
        padded = f"{x.shape[2] + 2 * padding[0]}x{x.shape[3] + 2 * padding[1]}"
        spans = "x".join(str(d * (k - 1) + 1) for k, d in zip(kernel_size, dilation, strict=True))
        raise shape_error(op, f"the window is {spans} but the padded image is only {padded}", x=("(N, C, H, W)", x))
    return window, size


def _output_size(size, kernel, stride, padding, dilation, ceil_mode):
    if not ceil_mode:
        return output_size(size, kernel, stride, padding, dilation)
    count = -((dilation * (kernel - 1) + 1 - size - 2 * padding) // stride) + 1  # rounded up
    return count - 1 if (count - 1) * stride >= size + padding else count  # a window must begin inside or at its left


def _like_memory(x, shape):
    """An uninitialised (N, C, H, W) array of `shape` whose axes lie in memory in the order of those of x."""
    return in_memory(x, shape, channels_are_last(x))


def channels_are_last(x: Array) -> bool:
    """Whether the memory of x (N, C, H, W) is in the order N, H, W, C."""
    return x.transpose(0, 2, 3, 1).flags.c_contiguous


def in_memory(like: Array, shape: Shape, last: bool) -> Array:
    """An uninitialised (N, C, H, W) array of `shape`, with its channels last in memory or not."""
    if last:
        N, C, H, W = shape
        return np.empty_like(like, shape=(N, H, W, C), order="C").transpose(0, 3, 1, 2)
    return np.empty_like(like, shape=shape, order="C")


def _taps(y_shape, x_shape, window):
    """For every tap of the kernel: the windows for which it lies inside the image, and the pixels under it."""
    (KH, SH, PH, DH), (KW, SW, PW, DW) = window.along(0), window.along(1)
    for k in range(KH):
        rows_y, rows_x = _inside(k * DH, y_shape[2], x_shape[2], SH, PH)
        for l in range(KW):
            cols_y, cols_x = _inside(l * DW, y_shape[3], x_shape[3], SW, PW)
            yield (slice(None), slice(None), rows_y, cols_y), (slice(None), slice(None), rows_x, cols_x)


def _inside(tap, windows, size, stride, padding):
    """The windows i whose pixel i·S + tap - P exists, and those pixels, as slices."""
    first = max(0, -((tap - padding) // stride))  # ceil((P - tap) / S)
    last = min(windows - 1, (size - 1 + padding - tap) // stride)
    if last < first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + tap - padding
    return slice(first, last + 1), slice(start, start + (last - first) * stride + 1, stride)


def _shares(x, size, window, count_include_pad):
    """1 / (how many pixels a window counts): one number, or (OH, OW) where windows at the border count fewer."""
    counts = []
    for axis in (0, 1):
        kernel, stride, padding, _ = window.along(axis)
        around = padding if count_include_pad else 0
        start = np.arange(size[axis]) * stride - padding
        counts.append(np.minimum(start + kernel, x.shape[2 + axis] + around) - np.maximum(start, -around))
    if all((count == kernel).all() for count, kernel in zip(counts, window.kernel_size, strict=True)):
        return 1 / (window.kernel_size[0] * window.kernel_size[1])
    return np.asarray(1 / np.multiply.outer(*counts), dtype=x.dtype, like=x)
