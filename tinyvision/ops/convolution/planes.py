"""The way for few channels: columns made of whole planes, where a window's row would be too short to copy quickly.

A photograph has 3 channels, so a row of a 7×7 kernel's window is 21 numbers. Here the columns are made transposed:
each row of the matrix is a plane of the image, shifted by a tap, in runs as long as the image is wide. The image may
lie in memory in any order.
"""

import math
from typing import Any

import numpy as np

from ... import blocks, threads
from ...types import Array, Pair, Shape
from ..im2col import inside, windows
from .sliding import Block, Finish, Sliding, by_images, matrix, nothing, output_blocks, sum_over_blocks, taps

# The most channels for which planes are quicker than windows.
FEW_CHANNELS = 4


def applies(x: Array, weight_shape: Shape, y_shape: Shape, sliding: Sliding, keeps: bool = False) -> bool:
    """On a CPU, for few channels in a single group."""
    return sliding.groups == 1 and weight_shape[3] <= FEW_CHANNELS and blocks.on_cpu(x)


def correlate(
    x: Array,
    weight: Array,
    y_shape: Shape,
    sliding: Sliding,
    bias: Array | None = None,
    finish: Finish = nothing,
    kept: dict[Any, Array] | None = None,
) -> Array:
    """As `columns.correlate`; the bias is one more row of the product."""
    O, KH, KW, C = weight.shape
    y = np.empty_like(x, shape=y_shape, order="C")
    bias = np.zeros_like(weight, shape=O) if bias is None else bias
    kernels = np.vstack([weight.reshape(O, -1).T, bias])  # (KH·KW·C + 1, O)

    def work(block):
        columns = plane_columns(x, block, y_shape[2], (KH, KW), sliding)
        blocks.product(columns.T, kernels, out=matrix(y[block]))  # (rows, KH·KW·C + 1) @ (KH·KW·C + 1, O)
        finish(y[block], *block)

    threads.run(work, output_blocks(x, y_shape, KH * KW * C))
    return y


def image_gradient(dy: Array, weight: Array, x_shape: Shape, sliding: Sliding) -> Array:
    """As `columns.image_gradient`, with dx (N, H, W, C) in planes. From one plane to one plane, at a stride of 1, the
    turned kernel reads every pixel of dy once."""
    (O, KH, KW, C), (N, H, W, _) = weight.shape, x_shape
    if O == C == 1 and sliding.stride == (1, 1):
        return correlate(dy, weight[:, ::-1, ::-1], x_shape, sliding.turned((KH, KW)))
    dx = np.empty_like(dy, shape=(N, C, H, W), order="C").transpose(0, 2, 3, 1)
    kernels = weight.reshape(O, KH * KW * C)

    def work(same_images):
        dx[same_images[0][0]] = 0
        for block in same_images:
            some = dy[block]
            dcolumns = blocks.scratch("columns", (KH, KW, C, *some.shape[:3]), dy)
            blocks.product(kernels.T, matrix(some).T, out=dcolumns.reshape(KH * KW * C, -1))
            for tap, seen, pixels in taps(block, dy.shape[2], x_shape, (KH, KW), sliding):
                dx[pixels] += dcolumns[tap].transpose(1, 2, 3, 0)[seen]

    threads.run(work, by_images(output_blocks(dx, dy.shape, KH * KW * C)))
    return dx


def weight_gradient(
    x: Array, dy: Array, weight_shape: Shape, sliding: Sliding, biased: bool = False
) -> tuple[Array, Array | None]:
    """As `columns.weight_gradient`; dbias is one more row of the product."""
    O, KH, KW, C = weight_shape

    def part(block):
        columns = plane_columns(x, block, dy.shape[2], (KH, KW), sliding)
        grown = blocks.product(columns, matrix(dy[block]))  # (KH·KW·C + 1, rows) @ (rows, O)
        return grown[:-1].T, grown[-1]

    dweight, dbias = sum_over_blocks(part, output_blocks(x, dy.shape, KH * KW * C), dy, (O, KH * KW * C), (O,))
    return dweight.reshape(weight_shape), dbias if biased else None


def plane_columns(x: Array, block: Block, OW: int, kernel: Pair, sliding: Sliding) -> Array:
    """im2col of a block, transposed: x (N, H, W, C) in any memory order  ->  (KH·KW·C + 1, n·r·OW) in scratch memory.

    Row (k, l, c) of the result is plane c of the image, shifted by (k, l): one run of memory for every row of pixels.
    The last row is of ones, to meet the bias.
    For few channels those runs are far longer than the windows', which have KW·C numbers. To have them whole at a
    stride as well, the planes are first dealt out into planes that hold every stride-th column each."""
    (images, rows), start = block, sliding.start
    (KH, KW), (SH, SW), (DH, DW) = kernel, sliding.stride, sliding.dilation
    some = x[images].transpose(0, 3, 1, 2)
    (n, C, H, W), r = some.shape, rows.stop - rows.start
    top, height = start[0] + rows.start * SH, (r - 1) * SH + DH * (KH - 1) + 1
    width = OW + DW * (KW - 1) // SW
    every = SW // math.gcd(SW, DW)  # taps so far apart lie in the same of the dealt planes
    phases = min(every, KW)  # there may be more, which no tap looks at
    dealt = blocks.scratch("slab", (phases, n, C, height, width), x)
    dealt[...] = 0
    h0, h1 = max(0, top), min(H, top + height)
    for l in range(phases if h0 < h1 else 0):
        cols, pixels = inside(start[1] + l * DW % SW, SW, width, W)
        dealt[l, :, :, h0 - top : h1 - top, cols] = some[:, :, h0:h1, pixels]
    matrix = blocks.planes("columns", (KH * KW * C + 1, n * r * OW), x)
    matrix[-1] = 1
    columns = matrix[:-1].reshape(KH, KW, C, n, r, OW)
    for l in range(phases):
        taps, shift = len(range(l, KW, every)), l * DW // SW
        plane = dealt[l, ..., shift : shift + OW + (taps - 1) * (every * DW // SW)].transpose(0, 2, 3, 1)
        seen = windows(plane, (KH, taps), (SH, 1), (DH, every * DW // SW))  # (n, r, OW, KH, taps, C)
        columns[:, l::every] = seen.transpose(3, 4, 5, 0, 1, 2)
    return matrix
