"""Pooling: summarise every window by its largest number or by its mean.

All loops run over the kernel's few offsets ("taps"); at one tap, the windows form a strided view of the image.
"""

from typing import Any

import numpy as np

from .. import blocks
from ..errors import OptionError
from ..types import Array, Gradients, IntOrPair, Needs
from .activation import keep
from .checks import check_arrays, check_rank, output_size, pair, shape_error


def max_pool2d_forward(
    x: Array, kernel_size: IntOrPair, stride: IntOrPair | None = None, padding: IntOrPair = 0
) -> tuple[Array, Any]:
    """y[n, c, i, j] = max over the window at (i, j).   x (N, C, H, W)  ->  y (N, C, OH, OW), cache

    stride defaults to kernel_size; padding, at most half a kernel, counts as -inf.
    OH = floor((H + 2·PH - KH) / SH) + 1. Raises ShapeError, DtypeError, OptionError."""
    kernel_size, stride, padding, size = _options("max_pool2d", x, kernel_size, stride, padding)
    y = _like_memory(x, (*x.shape[:2], *size))

    def work(images):
        rows = _like_memory(x, (images.stop - images.start, x.shape[1], size[0], x.shape[3]))
        _largest(x[images], rows, 2, kernel_size[0], stride[0], padding[0])
        _largest(rows, y[images], 3, kernel_size[1], stride[1], padding[1])

    blocks.over_rows(work, x, y)
    return y, (x, y, kernel_size, stride, padding)


def _largest(x, y, axis, kernel, stride, padding):
    """y = the maxima of windows along one axis alone: a window's maximum is that of its rows' maxima."""
    size = y.shape[axis]
    taps = [_inside(k, size, x.shape[axis], stride, padding) for k in range(kernel)]
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
    """dy (N, C, OH, OW)  ->  dx (N, C, H, W): all of dy goes to the window's first maximum, in reading order."""
    x, y, kernel_size, stride, padding = cache
    dx = np.empty_like(x)
    apart = stride[0] >= kernel_size[0] and stride[1] >= kernel_size[1]  # no pixel belongs to two windows
    covered = (
        stride == kernel_size
        and padding == (0, 0)
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
        for windows, pixels in _taps(y.shape, x.shape, kernel_size, stride, padding):
            first = np.equal(image[pixels], maxima[windows], out=mask[windows])
            np.greater(first, paid[windows], out=first)  # it is the maximum, and no earlier pixel was
            paid[windows] |= first
            if apart:
                keep(upstream[windows], first, out=dimage[pixels])
            else:
                keep(upstream[windows], first, out=share[windows])
                dimage[pixels] += share[windows]

    blocks.over_rows(work, x, y)
    return (dx,)


def avg_pool2d_forward(
    x: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    count_include_pad: bool = True,
) -> tuple[Array, Any]:
    """y[n, c, i, j] = mean over the window at (i, j).   x (N, C, H, W)  ->  y (N, C, OH, OW), cache

    stride defaults to kernel_size. Padding counts as zeros, or not at all with count_include_pad=False.
    Raises ShapeError, DtypeError, OptionError."""
    kernel_size, stride, padding, size = _options("avg_pool2d", x, kernel_size, stride, padding)
    y = _like_memory(x, (*x.shape[:2], *size))
    share = _shares(x, size, kernel_size, stride, padding, count_include_pad)

    def work(images):
        some = y[images]
        some[...] = 0
        for windows, pixels in _taps(y.shape, x.shape, kernel_size, stride, padding):
            some[windows] += x[images][pixels]
        some *= share

    blocks.over_rows(work, x, y)
    return y, (x.shape, share, kernel_size, stride, padding)


def avg_pool2d_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dy (N, C, OH, OW)  ->  dx (N, C, H, W): every pixel of a window gets an equal share of its dy."""
    shape, share, kernel_size, stride, padding = cache
    dx = _like_memory(dy, shape)

    def work(images):
        some = dx[images]
        some[...] = 0
        shared = dy[images] * share
        for windows, pixels in _taps(dy.shape, shape, kernel_size, stride, padding):
            some[pixels] += shared[windows]

    blocks.over_rows(work, dx, dy)
    return (dx,)


def adaptive_avg_pool2d_forward(x: Array, output_size: IntOrPair) -> tuple[Array, Any]:
    """y[n, c, i, j] = mean of rows floor(i·H/OH) ... ceil((i+1)·H/OH) and such columns.

    x (N, C, H, W)  ->  y (N, C, OH, OW), cache.   The windows are as even as they can be and may overlap by a
    row or column. Raises ShapeError, OptionError."""
    check_arrays("adaptive_avg_pool2d", x=x)
    check_rank("adaptive_avg_pool2d", 4, "(N, C, H, W)", x=x)
    OH, OW = pair("adaptive_avg_pool2d", "output_size", output_size, 1)
    y = np.empty_like(x, shape=(*x.shape[:2], OH, OW), order="C")
    for i, rows in enumerate(_even_windows(x.shape[2], OH)):
        for j, cols in enumerate(_even_windows(x.shape[3], OW)):
            y[:, :, i, j] = x[:, :, rows, cols].mean(axis=(2, 3))
    return y, (x.shape, _channels_last(x))


def adaptive_avg_pool2d_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dy (N, C, OH, OW)  ->  dx (N, C, H, W)"""
    shape, channels_last = cache
    dx = _in_memory(dy, shape, channels_last)
    dx[...] = 0
    for i, rows in enumerate(_even_windows(shape[2], dy.shape[2])):
        for j, cols in enumerate(_even_windows(shape[3], dy.shape[3])):
            area = (rows.stop - rows.start) * (cols.stop - cols.start)
            dx[:, :, rows, cols] += dy[:, :, i, j][:, :, None, None] / area
    return (dx,)


def _options(op, x, kernel_size, stride, padding):
    """The options as pairs and the output's (OH, OW), or the error that says why they do not fit."""
    check_arrays(op, x=x)
    check_rank(op, 4, "(N, C, H, W)", x=x)
    kernel_size = pair(op, "kernel_size", kernel_size, 1)
    stride = kernel_size if stride is None else pair(op, "stride", stride, 1)
    padding = pair(op, "padding", padding, 0)
    if padding[0] * 2 > kernel_size[0] or padding[1] * 2 > kernel_size[1]:
        raise OptionError(f"{op}: padding must be at most half of kernel_size, got {padding} and {kernel_size}")
    size = tuple(output_size(x.shape[2 + i], kernel_size[i], stride[i], padding[i]) for i in (0, 1))
    if min(size) < 1:
        padded = f"{x.shape[2] + 2 * padding[0]}x{x.shape[3] + 2 * padding[1]}"
        window = f"{kernel_size[0]}x{kernel_size[1]}"
        raise shape_error(op, f"the window is {window} but the padded image is only {padded}", x=("(N, C, H, W)", x))
    return kernel_size, stride, padding, size


def _like_memory(x, shape):
    """An uninitialised (N, C, H, W) array of `shape` whose axes lie in memory in the order of those of x."""
    return _in_memory(x, shape, _channels_last(x))


def _channels_last(x):
    return x.transpose(0, 2, 3, 1).flags.c_contiguous


def _in_memory(like, shape, channels_last):
    if channels_last:
        N, C, H, W = shape
        return np.empty_like(like, shape=(N, H, W, C), order="C").transpose(0, 3, 1, 2)
    return np.empty_like(like, shape=shape, order="C")


def _taps(y_shape, x_shape, kernel_size, stride, padding):
    """For every tap of the kernel: the windows for which it lies inside the image, and the pixels under it."""
    for k in range(kernel_size[0]):
        rows_y, rows_x = _inside(k, y_shape[2], x_shape[2], stride[0], padding[0])
        for l in range(kernel_size[1]):
            cols_y, cols_x = _inside(l, y_shape[3], x_shape[3], stride[1], padding[1])
            yield (slice(None), slice(None), rows_y, cols_y), (slice(None), slice(None), rows_x, cols_x)


def _inside(tap, windows, size, stride, padding):
    """The windows i whose pixel i·S + tap - P exists, and those pixels, as slices."""
    first = max(0, -((tap - padding) // stride))  # ceil((P - tap) / S)
    last = min(windows - 1, (size - 1 + padding - tap) // stride)
    if last < first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + tap - padding
    return slice(first, last + 1), slice(start, start + (last - first) * stride + 1, stride)


def _shares(x, size, kernel_size, stride, padding, count_include_pad):
    """1 / (how many pixels a window counts): one number, or (OH, OW) where windows at the border count fewer."""
    if count_include_pad or padding == (0, 0):
        return 1 / (kernel_size[0] * kernel_size[1])
    counts = []
    for axis in (0, 1):
        start = np.arange(size[axis]) * stride[axis] - padding[axis]
        counts.append(np.minimum(start + kernel_size[axis], x.shape[2 + axis]) - np.maximum(start, 0))
    return np.asarray(1 / np.multiply.outer(*counts), dtype=x.dtype, like=x)


def _even_windows(size, count):
    return [slice(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
