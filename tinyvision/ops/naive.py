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
    x: Array,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Any]:
    """y[n, c, i, j] = the largest pixel of the window at (i, j).   x (N, C, H, W)  ->  y (N, C, OH, OW), cache"""
    window, size = _pool_options("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    y = np.empty((*x.shape[:2], *size), x.dtype)
    winners = {}  # for every window: the row and the column of its first maximum in reading order, or last nan
    for place in np.ndindex(y.shape):
        n, c, i, j = place
        best = -np.inf
        for h, w in _window(i, j, x.shape[2:], window):
            if x[n, c, h, w] > best or np.isnan(x[n, c, h, w]) or place not in winners:
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
    ceil_mode: bool = False,
    divisor_override: int | None = None,
) -> tuple[Array, Any]:
    """y[n, c, i, j] = the mean of the window at (i, j).   x (N, C, H, W)  ->  y (N, C, OH, OW), cache"""
    window, size = _pool_options("avg_pool2d", x, kernel_size, stride, padding, 1, ceil_mode)
    y = np.zeros((*x.shape[:2], *size), x.dtype)
    shares = {}  # for every window: its pixels, and the number by which their sum is divided
    for n, c, i, j in np.ndindex(y.shape):
        pixels = _window(i, j, x.shape[2:], window)
        padded = _window(i, j, x.shape[2:], window, border=window[2])
        shares[n, c, i, j] = pixels, divisor_override or len(padded if count_include_pad else pixels)
        for h, w in pixels:
            y[n, c, i, j] += x[n, c, h, w]
        y[n, c, i, j] /= shares[n, c, i, j][1]
    return y, (x.shape, shares)


def avg_pool2d_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dy (N, C, OH, OW)  ->  dx (N, C, H, W): every pixel of a window gets an equal share."""
    shape, shares = cache
    dx = np.zeros(shape, dy.dtype)
    for (n, c, i, j), (pixels, divisor) in shares.items():
        for h, w in pixels:
            dx[n, c, h, w] += dy[n, c, i, j] / divisor
    return _wanted((dx,), needs)


def conv_transpose2d_forward(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    output_padding: IntOrPair = 0,
    groups: int = 1,
    dilation: IntOrPair = 1,
) -> tuple[Array, Any]:
    """y[n, o, i·SH + k·DH - PH, j·SW + l·DW - PW] += x[n, c, i, j] · weight[c, o, k, l], on top of bias[o]

    x (N, C, H, W), weight (C, O/groups, KH, KW), bias (O,)  ->  y (N, O, OH, OW), cache"""
    (SH, SW), (PH, PW) = pair("conv", "stride", stride, 1), pair("conv", "padding", padding, 0)
    (DH, DW), (MH, MW) = pair("conv", "dilation", dilation, 1), pair("conv", "output_padding", output_padding, 0)
    (N, C, H, W), (_, OG, KH, KW) = x.shape, weight.shape
    OH, OW = (H - 1) * SH - 2 * PH + DH * (KH - 1) + MH + 1, (W - 1) * SW - 2 * PW + DW * (KW - 1) + MW + 1
    y = np.zeros((N, OG * groups, OH, OW), x.dtype)
    places = []
    for n, c, o, i, j, k, l in product(*map(range, (N, C, OG, H, W, KH, KW))):
        h, w = i * SH + k * DH - PH, j * SW + l * DW - PW
        if 0 <= h < OH and 0 <= w < OW:
            place = (n, c // (C // groups) * OG + o, h, w)
            y[place] += x[n, c, i, j] * weight[c, o, k, l]
            places.append((place, (n, c, i, j), (c, o, k, l)))
    if bias is not None:
        for o in range(OG * groups):
            y[:, o] += bias[o]
    return y, (x, weight, bias is not None, places)


def conv_transpose2d_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """dy (N, O, OH, OW)  ->  dx (N, C, H, W), dweight (C, O/groups, KH, KW), dbias (O,)"""
    x, weight, has_bias, places = cache
    dx, dweight, dbias = np.zeros_like(x), np.zeros_like(weight), np.zeros(dy.shape[1], dy.dtype)
    for place, pixel, tap in places:
        dx[pixel] += dy[place] * weight[tap]
        dweight[tap] += dy[place] * x[pixel]
    for n, o, h, w in np.ndindex(dy.shape):
        dbias[o] += dy[n, o, h, w]
    return _wanted((dx, dweight, dbias) if has_bias else (dx, dweight), needs)


def adaptive_max_pool2d_forward(x: Array, output_size: IntOrPair) -> tuple[Array, Any]:
    """y[n, c, i, j] = the largest pixel from row floor(i·H/OH) to ceil((i+1)·H/OH), and such columns."""
    y = np.empty((*x.shape[:2], *pair("adaptive_max_pool2d", "output_size", output_size, 1)), x.dtype)
    winners = {}
    for n, c, i, j in np.ndindex(y.shape):
        rows, columns = (
            range(p * size // count, -(-(p + 1) * size // count))
            for p, size, count in zip((i, j), x.shape[2:], y.shape[2:], strict=True)
        )
        plane = x[n, c]
        winners[n, c, i, j] = max(product(rows, columns), key=plane.__getitem__)
        h, w = winners[n, c, i, j]
        y[n, c, i, j] = x[n, c, h, w]
    return y, (x.shape, winners)


adaptive_max_pool2d_backward = max_pool2d_backward  # each window's dy goes to the pixel that won it


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


def _pool_options(op, x, kernel_size, stride, padding, dilation, ceil_mode) -> tuple[tuple[Pair, ...], list[int]]:
    """(kernel_size, stride, padding, dilation) as pairs, and the size of the output."""
    kernel_size, padding = pair(op, "kernel_size", kernel_size, 1), pair(op, "padding", padding, 0)
    stride = kernel_size if stride is None else pair(op, "stride", stride, 1)
    dilation = pair(op, "dilation", dilation, 1)
    sizes = []
    for a in (0, 1):
        beyond = stride[a] - 1 if ceil_mode else 0  # how far the last window may reach over the padding's end
        end = x.shape[2 + a] + padding[a]
        starts = range(-padding[a], end + beyond - dilation[a] * (kernel_size[a] - 1), stride[a])
        sizes.append(len([start for start in starts if not ceil_mode or start < x.shape[2 + a]]))
    return (kernel_size, stride, padding, dilation), sizes


def _window(i, j, size, window, border=(0, 0)):
    """The pixels (h, w) under the window at (i, j), in reading order, without those outside of the image
    and a border."""
    kernel_size, stride, padding, dilation = window
    top, left = i * stride[0] - padding[0], j * stride[1] - padding[1]
    rows = [top + k * dilation[0] for k in range(kernel_size[0])]
    cols = [left + l * dilation[1] for l in range(kernel_size[1])]
    rows = [h for h in rows if -border[0] <= h < size[0] + border[0]]
    return [(h, w) for h in rows for w in cols if -border[1] <= w < size[1] + border[1]]


def _wanted(gradients, needs):
    return tuple(g if need else None for g, need in zip(gradients, needs, strict=False))
