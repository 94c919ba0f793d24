"""The general way: im2col and one product, a block of output rows at a time.

The windows of a few output rows become the rows of a matrix that fits into a core's cache, and that matrix meets the
kernels. The matrix for a whole image would be KH·KW times as large as the image; a block of it never leaves the
cache. Backward goes the same way in reverse, product and col2im, and makes the columns for the weights again rather
than keep them.
"""

from typing import Any

import numpy as np

from ... import blocks, threads
from ...types import Array, Shape
from ..channels import column_sums, each_row
from .sliding import (
    Finish,
    Sliding,
    by_images,
    channels_last,
    matrix,
    nothing,
    output_blocks,
    sum_over_blocks,
    taps,
    windows_of,
)


def applies(x: Array, weight_shape: Shape, y_shape: Shape, sliding: Sliding, keeps: bool = False) -> bool:
    """Always."""
    return True


def correlate(
    x: Array,
    weight: Array,
    y_shape: Shape,
    sliding: Sliding,
    bias: Array | None = None,
    finish: Finish = nothing,
    kept: dict[Any, Array] | None = None,
) -> Array:
    """y (N, OH, OW, O): x (N, H, W, C) correlated with weight (O, KH, KW, C/groups), plus bias (O,).

    `finish(block, images, rows)` may change each block of y in place while it is still in the cache."""
    (O, KH, KW, CG), groups, x = weight.shape, sliding.groups, channels_last(x)
    y = np.empty_like(x, shape=y_shape, order="C")
    kernels = weight.reshape(groups, O // groups, -1)  # (G, O/G, KH·KW·C/G), a view

    def work(block):
        out = y[block]
        view = windows_of(x, block, y_shape[2], (KH, KW), sliding)
        for part, some_kernels, some in zip(_split(view, groups), kernels, _split(out, groups), strict=True):
            _product(_columns(part), some_kernels.T, some)  # (rows, KH·KW·C/G) @ (KH·KW·C/G, O/G)
        if bias is not None:
            each_row(np.add, out, bias)
        finish(out, *block)

    threads.run(work, output_blocks(x, y_shape, KH * KW * CG))
    return y


def image_gradient(dy: Array, weight: Array, x_shape: Shape, sliding: Sliding) -> Array:
    """dx (N, H, W, C), the gradient of `correlate` for its image, given dy (N, OH, OW, O).

    Back through the product, dcolumns = dy @ kernels, and back through im2col: what a window's columns were copied
    from, it adds to (col2im). One tap of the kernel at a time: there, no two windows meet (tutorial 11)."""
    _, KH, KW, CG = weight.shape
    dx = np.empty_like(dy, shape=x_shape, order="C")
    grouped = dx.reshape(*x_shape[:3], sliding.groups, CG)

    def work(same_images):
        dx[same_images[0][0]] = 0
        for block in same_images:
            said = _dcolumns(dy[block], weight, sliding.groups)
            for tap, seen, pixels in taps(block, dy.shape[2], x_shape, (KH, KW), sliding):
                grouped[pixels] += said[tap][seen]

    threads.run(work, by_images(output_blocks(dx, dy.shape, KH * KW * x_shape[3])))
    return dx


def weight_gradient(
    x: Array, dy: Array, weight_shape: Shape, sliding: Sliding, biased: bool = False
) -> tuple[Array, Array | None]:
    """dweight (O, KH, KW, C/groups): for every tap, the sum over all windows of dy times the pixel under that tap.

    With it dbias (O,), the sum of dy, if it is `biased`, else None."""
    (O, KH, KW, CG), groups, x = weight_shape, sliding.groups, channels_last(x)
    shape = (groups, O // groups, KH * KW * CG)

    def part(block):
        some, grown = dy[block], np.empty_like(dy, shape=shape, order="C")
        view = windows_of(x, block, dy.shape[2], (KH, KW), sliding)
        for one, pixels, out in zip(_split(some, groups), _split(view, groups), grown, strict=True):
            blocks.product(matrix(one).T, _columns(pixels), out=out)  # (O/G, rows) @ (rows, KH·KW·C/G)
        return grown, column_sums(matrix(some)) if biased else 0

    pieces = output_blocks(x, dy.shape, KH * KW * CG)
    dweight, dbias = sum_over_blocks(part, pieces, dy, shape, (O,))
    return dweight.reshape(weight_shape), dbias if biased else None


def _dcolumns(dy, weight, groups):
    """dy @ kernels: what each window says to the pixels under it.   dy (n, r, OW, O)  ->  (KH, KW, n, r, OW, G, C/G)"""
    (n, r, OW, O), (_, KH, KW, CG) = dy.shape, weight.shape
    kernels = weight.reshape(groups, O // groups, KH * KW * CG)
    dcolumns = blocks.scratch("columns", (groups, n * r * OW, KH * KW * CG), dy)
    for some, kernel, out in zip(_split(dy, groups), kernels, dcolumns, strict=True):
        blocks.product(matrix(some), kernel, out=out)  # (rows, O/G) @ (O/G, KH·KW·C/G)
    return dcolumns.reshape(groups, n, r, OW, KH, KW, CG).transpose(4, 5, 1, 2, 3, 0, 6)


def _split(a, groups):
    """The channels (last axis) of each group, as views."""
    size = a.shape[-1] // groups
    return [a[..., g * size : (g + 1) * size] for g in range(groups)]


def _columns(view):
    """Windows (n, r, OW, KH, KW, C) as a matrix (n·r·OW, KH·KW·C): im2col into scratch memory."""
    n, r, OW, KH, KW, C = view.shape
    if KH == KW == 1 and view.flags.c_contiguous:  # a 1x1 kernel: the image is its own matrix
        return view.reshape(n * r * OW, C)
    columns = blocks.scratch("columns", view.shape, view)
    columns[...] = view
    return columns.reshape(n * r * OW, KH * KW * C)


def _product(columns, kernels, out):
    """out (n, r, OW, O) = columns (n·r·OW, K) @ kernels (K, O)"""
    if out.flags.c_contiguous:
        blocks.product(columns, kernels, out=matrix(out))
    else:
        result = blocks.scratch("product", (columns.shape[0], kernels.shape[1]), columns)
        blocks.product(columns, kernels, out=result)
        out[...] = result.reshape(out.shape)
