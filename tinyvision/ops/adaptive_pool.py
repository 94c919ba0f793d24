"""Pooling to a given size, over windows as even as they can be: floor(i·H/OH) ... ceil((i+1)·H/OH) along each axis.

They may overlap by a row or column, and where the output is larger than the image, pixels are read several times.
"""

from typing import Any

import numpy as np

from ..types import Array, Gradients, IntOrPair, Needs, Pair
from .checks import check_arrays, check_rank, pair, shape_error
from .pool import channels_are_last, in_memory


def adaptive_avg_pool2d_forward(x: Array, output_size: IntOrPair) -> tuple[Array, Any]:
    """y[n, c, i, j] = mean of the window at (i, j).   x (N, C, H, W)  ->  y (N, C, OH, OW), cache

    All windows of one row of outputs have the same height, so it is the mean over columns of the means over rows.
    Raises ShapeError, OptionError."""
    OH, OW = checked_size("adaptive_avg_pool2d", x, output_size)
    N, C, H, W = x.shape
    by_rows = np.empty_like(x, shape=(N, C, OH, W), order="C")
    for i, rows in enumerate(even_windows(H, OH)):
        by_rows[:, :, i] = x[:, :, rows].mean(axis=2)
    y = np.empty_like(x, shape=(N, C, OH, OW), order="C")
    for j, columns in enumerate(even_windows(W, OW)):
        y[:, :, :, j] = by_rows[:, :, :, columns].mean(axis=3)
    return y, (x.shape, channels_are_last(x))


def adaptive_avg_pool2d_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dy (N, C, OH, OW)  ->  dx (N, C, H, W): every pixel of a window gets an equal share of its dy."""
    shape, last = cache
    (N, C, H, W), (OH, OW) = shape, dy.shape[2:]
    by_rows = in_memory(dy, (N, C, OH, W), last)
    by_rows[...] = 0
    for j, columns in enumerate(even_windows(W, OW)):
        by_rows[:, :, :, columns] += dy[:, :, :, j][:, :, :, None] / (columns.stop - columns.start)
    dx = in_memory(dy, shape, last)
    dx[...] = 0
    for i, rows in enumerate(even_windows(H, OH)):
        dx[:, :, rows] += by_rows[:, :, i][:, :, None] / (rows.stop - rows.start)
    return (dx,)


def adaptive_max_pool2d_forward(x: Array, output_size: IntOrPair) -> tuple[Array, Any]:
    """y[n, c, i, j] = the largest pixel of the window at (i, j).   x (N, C, H, W)  ->  y (N, C, OH, OW), cache

    Raises ShapeError, OptionError."""
    size = checked_size("adaptive_max_pool2d", x, output_size)
    winners = adaptive_max_pool2d_indices(x, size)
    N, C, H, W = x.shape
    flat = x.reshape(N, C, H * W)
    y = np.take_along_axis(flat, winners.reshape(N, C, size[0] * size[1]), axis=2).reshape(winners.shape)
    return y, (x.shape, winners)


def adaptive_max_pool2d_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dy (N, C, OH, OW)  ->  dx (N, C, H, W): each window's dy goes to its first maximum, in reading order."""
    (N, C, H, W), winners = cache
    dx = np.zeros_like(dy, shape=N * C * H * W, order="C")
    plane = np.arange(N * C, like=winners).reshape(N, C) * (H * W)  # where the plane of each image and channel begins
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            dx[plane + winners[:, :, i, j]] += dy[:, :, i, j]  # within one window, every plane has a winner of its own
    return (dx.reshape(N, C, H, W),)


def adaptive_max_pool2d_indices(x: Array, output_size: IntOrPair) -> Array:
    """Where the maxima are: h·W + w of each window's first one, or last nan.   (N, C, OH, OW) of int64"""
    OH, OW = checked_size("adaptive_max_pool2d", x, output_size)
    N, C, H, W = x.shape
    winners = np.empty_like(x, shape=(N, C, OH, OW), dtype=np.int64, order="C")
    for i, rows in enumerate(even_windows(H, OH)):
        for j, columns in enumerate(even_windows(W, OW)):
            height, width = rows.stop - rows.start, columns.stop - columns.start
            place = _largest(x[:, :, rows, columns].reshape(N, C, height * width))
            winners[:, :, i, j] = (rows.start + place // width) * W + columns.start + place % width
    return winners


def _largest(windows):
    """Where the first largest number along the last axis is, or the last nan, as in `max_pool2d_backward`."""
    nan = np.isnan(windows)
    last = nan.shape[-1] - 1 - nan[..., ::-1].argmax(axis=-1)
    return np.where(nan.any(axis=-1), last, windows.argmax(axis=-1))


def even_windows(size: int, count: int) -> list[slice]:
    """`count` windows over `size` pixels, as even as they can be."""
    return [slice(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def checked_size(op: str, x: Array, output_size: IntOrPair) -> Pair:
    """(OH, OW), if x can be pooled so. Raises ShapeError, OptionError, DtypeError."""
    check_arrays(op, x=x)
    check_rank(op, 4, "(N, C, H, W)", x=x)
    if 0 in x.shape[2:]:
        raise shape_error(op, "there is nothing to pool in an image without pixels", x=("(N, C, H, W)", x))
    return pair(op, "output_size", output_size, 1)
