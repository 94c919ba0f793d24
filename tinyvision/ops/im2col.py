"""im2col: every window of an image becomes one row of a matrix; col2im adds the rows back.

A convolution is then a single matrix product of that matrix with the kernels (Chellapilla, Puri, Simard, "High
performance convolutional neural networks for document processing", 2006). col2im is its adjoint: <im2col(x), c> =
<x, col2im(c)>.
"""

from typing import Any

import numpy as np

from .. import blocks
from ..types import Array, Gradients, IntOrPair, Needs, Pair, Shape
from .checks import check_arrays, check_rank, output_size, pair, shape_error


def windows(x: Array, kernel_size: Pair, stride: Pair = (1, 1), dilation: Pair = (1, 1)) -> Array:
    """All windows of x (N, H, W, C) as a view (N, OH, OW, KH, KW, C): no number is copied."""
    (N, H, W, C), (KH, KW), (SH, SW), (DH, DW) = x.shape, kernel_size, stride, dilation
    if not blocks.on_cpu(x):  # the one way that every kind of array knows
        span = (DH * (KH - 1) + 1, DW * (KW - 1) + 1)
        view = np.lib.stride_tricks.sliding_window_view(x, span, axis=(1, 2))  # (N, ·, ·, C, span)
        return view[:, ::SH, ::SW, :, ::DH, ::DW].transpose(0, 1, 2, 4, 5, 3)
    n, h, w, c = x.strides
    shape = (N, (H - DH * (KH - 1) - 1) // SH + 1, (W - DW * (KW - 1) - 1) // SW + 1, KH, KW, C)
    return np.lib.stride_tricks.as_strided(x, shape, (n, h * SH, w * SW, h * DH, w * DW, c), writeable=False)


def image_slab(x: Array, images: slice, rows: Pair, cols: Pair) -> Array:
    """x[images] of x (N, H, W, C), cut to rows top ... bottom and columns left ... right, zeros outside of the image.

    A view where nothing lies outside, else scratch memory."""
    (top, bottom), (left, right), (H, W) = rows, cols, x.shape[1:3]
    some = x[images]
    if top >= 0 and bottom <= H and left >= 0 and right <= W:
        return some[:, top:bottom, left:right]
    slab = blocks.scratch("slab", (len(some), bottom - top, right - left, x.shape[3]), x)
    h0, h1, w0, w1 = max(top, 0), min(bottom, H), max(left, 0), min(right, W)
    slab[...] = 0  # one call that writes all of it is quicker than four that write the borders
    if h0 < h1 and w0 < w1:
        slab[:, h0 - top : h1 - top, w0 - left : w1 - left] = some[:, h0:h1, w0:w1]
    return slab


def inside(first: int, step: int, count: int, size: int) -> tuple[slice, slice]:
    """Of the places first, first + step, ... (count of them), those in range(size): which they are, and the places."""
    a = max(0, -(first // step))  # ceil(-first / step)
    b = min(count, (size - 1 - first) // step + 1)
    if a >= b:
        return slice(0, 0), slice(0, 0)
    return slice(a, b), slice(first + a * step, first + (b - 1) * step + 1, step)


def im2col_forward(
    x: Array, kernel_size: IntOrPair, stride: IntOrPair = 1, padding: IntOrPair = 0, dilation: IntOrPair = 1
) -> tuple[Array, Any]:
    """columns[n·OH·OW + i·OW + j] = the window of x[n] at (i, j).   x (N, C, H, W)  ->  (N·OH·OW, C·KH·KW), cache

    Within a row the order is (c, kh, kw), as in `weight.reshape(O, -1)`. Pixels outside of the image are 0."""
    check_arrays("im2col", x=x)
    check_rank("im2col", 4, "(N, C, H, W)", x=x)
    (KH, KW), (SH, SW) = pair("im2col", "kernel_size", kernel_size, 1), pair("im2col", "stride", stride, 1)
    (PH, PW), (DH, DW) = pair("im2col", "padding", padding, 0), pair("im2col", "dilation", dilation, 1)
    N, C, H, W = x.shape
    OH, OW = output_size(H, KH, SH, PH, DH), output_size(W, KW, SW, PW, DW)
    if OH < 1 or OW < 1:
        raise shape_error("im2col", f"the window {KH}x{KW} is larger than the padded image", x=("(N, C, H, W)", x))
    padded = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)))
    view = windows(padded.transpose(0, 2, 3, 1), (KH, KW), (SH, SW), (DH, DW))  # (N, OH, OW, KH, KW, C)
    columns = np.empty_like(x, shape=(N, OH, OW, C, KH, KW), order="C")
    columns[...] = view.transpose(0, 1, 2, 5, 3, 4)
    return columns.reshape(N * OH * OW, C * KH * KW), (x.shape, (KH, KW), (SH, SW), (PH, PW), (DH, DW))


def im2col_backward(dcolumns: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """col2im: dcolumns (N·OH·OW, C·KH·KW)  ->  dx (N, C, H, W): each pixel sums what its windows say."""
    return (col2im(dcolumns, *cache),)


def col2im(
    columns: Array,
    x_shape: Shape,
    kernel_size: IntOrPair,
    stride: IntOrPair = (1, 1),
    padding: IntOrPair = (0, 0),
    dilation: IntOrPair = (1, 1),
) -> Array:
    """Add every row of columns (N·OH·OW, C·KH·KW) back into its window.   ->  (N, C, H, W)

    The loop runs over the kernel's few offsets, not over the many windows: at one offset no two windows meet, so a
    plain += on a strided view is safe."""
    N, C, H, W = x_shape
    (KH, KW), (SH, SW) = pair("col2im", "kernel_size", kernel_size, 1), pair("col2im", "stride", stride, 1)
    (PH, PW), (DH, DW) = pair("col2im", "padding", padding, 0), pair("col2im", "dilation", dilation, 1)
    OH, OW = output_size(H, KH, SH, PH, DH), output_size(W, KW, SW, PW, DW)
    if tuple(columns.shape) != (N * OH * OW, C * KH * KW):
        raise shape_error(
            "col2im",
            f"expected {(N * OH * OW, C * KH * KW)} columns for an image {tuple(x_shape)}",
            columns=("(N·OH·OW, C·KH·KW)", columns),
        )
    by_tap = columns.reshape(N, OH, OW, C, KH, KW).transpose(4, 5, 0, 3, 1, 2)  # (KH, KW, N, C, OH, OW)
    padded = np.zeros_like(columns, shape=(N, C, H + 2 * PH, W + 2 * PW))
    for k in range(KH):
        for l in range(KW):
            rows = slice(k * DH, k * DH + SH * (OH - 1) + 1, SH)
            cols = slice(l * DW, l * DW + SW * (OW - 1) + 1, SW)
            padded[:, :, rows, cols] += by_tap[k, l]
    return padded[:, :, PH : PH + H, PW : PW + W].copy()
