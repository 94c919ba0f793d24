"""The same calculus as loops: one line per sum, nothing clever, thousands of times slower.

Read these first. Every function has the name, the arguments and the result of the op in `ops` that does the same work
in blocks and matrix products, and the tests hold the two against each other. NumPy arrays only; a loop over single
numbers makes no sense on a GPU.

A backward is its forward read in the other direction: wherever forward says `y += a * b`, backward says `da += dy * b`
and `db += dy * a`, in the same loops.
"""

from itertools import product
from typing import Any

import numpy as np

from ..types import Array, Gradients, IntOrPair, Needs, Pair, Shape
from .checks import output_size, pair


def conv2d_forward(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> tuple[Array, Any]:
    """y[n, o, i, j] = bias[o] + Σ_{c, k, l} x[n, c, i·SH + k·DH - PH, j·SW + l·DW - PW] · weight[o, c, k, l]

    x (N, C, H, W), weight (O, C/groups, KH, KW), bias (O,)  ->  y (N, O, OH, OW), cache"""
    (SH, SW), (PH, PW) = pair("conv2d", "stride", stride, 1), pair("conv2d", "padding", padding, 0)
    DH, DW = pair("conv2d", "dilation", dilation, 1)
    N, _, H, W = x.shape
    O, CG, KH, KW = weight.shape  # CG = C / groups, the input channels that one output channel reads
    OH, OW = output_size(H, KH, SH, PH, DH), output_size(W, KW, SW, PW, DW)
    y = np.zeros((N, O, OH, OW), x.dtype)
    for n in range(N):
        for o in range(O):
            first = o // (O // groups) * CG  # the first input channel of this output channel's group
            for i in range(OH):
                for j in range(OW):
                    if bias is not None:
                        y[n, o, i, j] = bias[o]
                    for c in range(CG):
                        for k in range(KH):
                            for l in range(KW):
                                h, w = i * SH + k * DH - PH, j * SW + l * DW - PW
                                if 0 <= h < H and 0 <= w < W:
                                    y[n, o, i, j] += x[n, first + c, h, w] * weight[o, c, k, l]
    return y, (x, weight, bias is not None, (SH, SW), (PH, PW), (DH, DW), groups)


def conv2d_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """dy (N, O, OH, OW)  ->  dx (N, C, H, W), dweight (O, C/groups, KH, KW), dbias (O,)"""
    x, weight, has_bias, (SH, SW), (PH, PW), (DH, DW), groups = cache
    N, _, H, W = x.shape
    O, CG, KH, KW = weight.shape
    dx, dweight, dbias = np.zeros_like(x), np.zeros_like(weight), np.zeros(O, dy.dtype)
    for n in range(N):
        for o in range(O):
            first = o // (O // groups) * CG
            for i in range(dy.shape[2]):
                for j in range(dy.shape[3]):
                    dbias[o] += dy[n, o, i, j]
                    for c in range(CG):
                        for k in range(KH):
                            for l in range(KW):
                                h, w = i * SH + k * DH - PH, j * SW + l * DW - PW
                                if 0 <= h < H and 0 <= w < W:
                                    dx[n, first + c, h, w] += dy[n, o, i, j] * weight[o, c, k, l]
                                    dweight[o, c, k, l] += dy[n, o, i, j] * x[n, first + c, h, w]
    return _wanted((dx, dweight, dbias) if has_bias else (dx, dweight), needs)


def max_pool2d_forward(
    x: Array, kernel_size: IntOrPair, stride: IntOrPair | None = None, padding: IntOrPair = 0
) -> tuple[Array, Any]:
    """y[n, c, i, j] = the largest pixel of the window at (i, j).   x (N, C, H, W)  ->  y (N, C, OH, OW), cache"""
    kernel_size, stride, padding, size = _pool_options("max_pool2d", x, kernel_size, stride, padding)
    y = np.empty((*x.shape[:2], *size), x.dtype)
    winners = {}  # for every window: the row and the column of its first maximum, in reading order
    for place in np.ndindex(y.shape):
        n, c, i, j = place
        best = -np.inf
        for h, w in _window(i, j, x.shape[2:], kernel_size, stride, padding):
            if x[n, c, h, w] > best or place not in winners:
                best, winners[place] = x[n, c, h, w], (h, w)
        y[place] = best
    return y, (x.shape, winners)


def max_pool2d_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dy (N, C, OH, OW)  ->  dx (N, C, H, W): each window's dy goes to the pixel that won it."""
    shape, winners = cache
    dx = np.zeros(shape, dy.dtype)
    for (n, c, i, j), (h, w) in winners.items():
        dx[n, c, h, w] += dy[n, c, i, j]
    return _wanted((dx,), needs)


def avg_pool2d_forward(
    x: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    count_include_pad: bool = True,
) -> tuple[Array, Any]:
    """y[n, c, i, j] = the mean of the window at (i, j).   x (N, C, H, W)  ->  y (N, C, OH, OW), cache"""
    kernel_size, stride, padding, size = _pool_options("avg_pool2d", x, kernel_size, stride, padding)
    y = np.zeros((*x.shape[:2], *size), x.dtype)
    for n, c, i, j in np.ndindex(y.shape):
        window = _window(i, j, x.shape[2:], kernel_size, stride, padding)
        for h, w in window:
            y[n, c, i, j] += x[n, c, h, w]
        y[n, c, i, j] /= kernel_size[0] * kernel_size[1] if count_include_pad else len(window)
    return y, (x.shape, kernel_size, stride, padding, count_include_pad)


def avg_pool2d_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dy (N, C, OH, OW)  ->  dx (N, C, H, W): every pixel of a window gets an equal share."""
    shape, kernel_size, stride, padding, count_include_pad = cache
    dx = np.zeros(shape, dy.dtype)
    for n, c, i, j in np.ndindex(dy.shape):
        window = _window(i, j, shape[2:], kernel_size, stride, padding)
        for h, w in window:
            dx[n, c, h, w] += dy[n, c, i, j] / (kernel_size[0] * kernel_size[1] if count_include_pad else len(window))
    return _wanted((dx,), needs)


def im2col(
    x: Array, kernel_size: IntOrPair, stride: IntOrPair = 1, padding: IntOrPair = 0, dilation: IntOrPair = 1
) -> Array:
    """columns[n·OH·OW + i·OW + j] = the window of x[n] at (i, j), in the order (c, k, l).

    x (N, C, H, W)  ->  (N·OH·OW, C·KH·KW)"""
    places, shape = _places(x.shape, kernel_size, stride, padding, dilation)
    columns = np.zeros(shape, x.dtype)
    for row, column, pixel in places:
        columns[row, column] = x[pixel]
    return columns


def col2im(
    columns: Array,
    x_shape: Shape,
    kernel_size: IntOrPair,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
) -> Array:
    """im2col in the other direction: every number is added to the pixel it was read from.

    columns (N·OH·OW, C·KH·KW)  ->  (N, C, H, W)"""
    places, _ = _places(x_shape, kernel_size, stride, padding, dilation)
    x = np.zeros(x_shape, columns.dtype)
    for row, column, pixel in places:
        x[pixel] += columns[row, column]
    return x


def _places(x_shape, kernel_size, stride, padding, dilation):
    """Every (row, column, pixel) of the im2col matrix whose pixel exists, and the shape of that matrix."""
    (KH, KW), (SH, SW) = pair("im2col", "kernel_size", kernel_size, 1), pair("im2col", "stride", stride, 1)
    (PH, PW), (DH, DW) = pair("im2col", "padding", padding, 0), pair("im2col", "dilation", dilation, 1)
    N, C, H, W = x_shape
    OH, OW = output_size(H, KH, SH, PH, DH), output_size(W, KW, SW, PW, DW)
    places = []
    for n, i, j in product(range(N), range(OH), range(OW)):
        for c, k, l in product(range(C), range(KH), range(KW)):
            h, w = i * SH + k * DH - PH, j * SW + l * DW - PW
            if 0 <= h < H and 0 <= w < W:
                places.append(((n * OH + i) * OW + j, (c * KH + k) * KW + l, (n, c, h, w)))
    return places, (N * OH * OW, C * KH * KW)


def _pool_options(op, x, kernel_size, stride, padding) -> tuple[Pair, Pair, Pair, list[int]]:
    kernel_size, padding = pair(op, "kernel_size", kernel_size, 1), pair(op, "padding", padding, 0)
    stride = kernel_size if stride is None else pair(op, "stride", stride, 1)
    return (
        kernel_size,
        stride,
        padding,
        [output_size(x.shape[2 + a], kernel_size[a], stride[a], padding[a]) for a in (0, 1)],
    )


def _window(i, j, size, kernel_size, stride, padding):
    """The pixels (h, w) under the window at (i, j), in reading order, without those outside of the image."""
    top, left = i * stride[0] - padding[0], j * stride[1] - padding[1]
    rows = [h for h in range(top, top + kernel_size[0]) if 0 <= h < size[0]]
    cols = [w for w in range(left, left + kernel_size[1]) if 0 <= w < size[1]]
    return [(h, w) for h in rows for w in cols]


def _wanted(gradients, needs):
    return tuple(g if need else None for g, need in zip(gradients, needs, strict=False))
