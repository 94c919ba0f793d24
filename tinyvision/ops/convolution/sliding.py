"""What all ways to convolve share: how a kernel slides over an image, how an output is cut into blocks, and the pixels
that lie under one."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import blocks, threads
from ...types import Array, Pair, Shape
from ..im2col import image_slab, inside, windows

# Columns of about this many bytes are filled and multiplied at a time (measured on cores with 1 MiB of cache each: half
# or twice as much is 10 to 50 % slower).
COLUMN_BYTES = 2 << 20

# A GPU wants large pieces, but must have room for them.
GPU_COLUMN_BYTES = 1 << 30

Block = tuple[slice, slice]  # images and rows of an output
Finish = Callable[[Array, slice, slice], None]  # changes a block of y, of these images and rows, in place


class Sliding(NamedTuple):
    """How a kernel slides over an image: each a pair (rows, columns), and in how many groups the channels are.

    Outside of the image all is 0. A negative padding cuts the image's border off instead."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def start(self) -> Pair:
        """The pixel at which the first window begins."""
        return -self.padding[0], -self.padding[1]

    def turned(self, kernel: Pair) -> "Sliding":
        """How the turned kernel slides over dy to give the image's gradient, at a stride of 1 (tutorial 11)."""
        span = self.dilation[0] * (kernel[0] - 1), self.dilation[1] * (kernel[1] - 1)
        return self._replace(padding=(span[0] - self.padding[0], span[1] - self.padding[1]))


def nothing(block: Array, images: slice, rows: slice) -> None:
    """The `finish` of a block that is finished already."""


def nhwc(image: Array) -> Array:
    """(N, C, H, W) seen as (N, H, W, C)."""
    return image.transpose(0, 2, 3, 1)


def channels_last(image: Array) -> Array:
    """(N, H, W, C) with its memory in that order: itself, or a copy."""
    return image if image.flags.c_contiguous else image.copy()


def matrix(block: Array) -> Array:
    """(n, r, OW, C) as (n·r·OW, C), without a copy if the memory allows."""
    return block.reshape(-1, block.shape[-1])


def output_blocks(x: Array, y_shape: Shape, row_length: int) -> list[Block]:
    """Cut y (N, OH, OW, O) into blocks (images, rows) whose columns, `row_length` numbers each, fit the cache."""
    N, OH, OW, O = y_shape
    line = OW * row_length * x.dtype.itemsize  # bytes of columns for one row of output pixels
    if not blocks.on_cpu(x):
        count = min(N, math.ceil(N * OH * line / GPU_COLUMN_BYTES))
        return [(images, slice(0, OH)) for images in blocks.cut(N, max(1, count))]
    if N * OH * line <= blocks.SMALL_BYTES:
        return [(slice(0, N), slice(0, OH))]
    budget = max(COLUMN_BYTES, O * row_length * x.dtype.itemsize)  # large kernels want more rows to meet at a time
    if OH * line <= budget and threads.get_num_threads() <= N:
        return [(images, slice(0, OH)) for images in blocks.fair(N, math.ceil(N * OH * line / budget))]
    rows = max(1, min(OH, budget // line))
    return [(slice(n, n + 1), slice(r, min(r + rows, OH))) for n in range(N) for r in range(0, OH, rows)]


def by_images(pieces: Sequence[Block]) -> list[list[Block]]:
    """Blocks in lists that share no image, for work on dx, where the blocks of an image overlap."""
    lists: dict[int, list[Block]] = {}
    for block in pieces:
        lists.setdefault(block[0].start, []).append(block)
    return list(lists.values())


def windows_of(x: Array, block: Block, OW: int, kernel: Pair, sliding: Sliding) -> Array:
    """The windows of a block as a view (n, r, OW, KH, KW, C) of x (N, H, W, C), or of a copy of the part under them,
    with zeros outside of the image."""
    (images, rows), (start, stride, dilation) = block, (sliding.start, sliding.stride, sliding.dilation)
    top = start[0] + rows.start * stride[0]
    bottom = start[0] + (rows.stop - 1) * stride[0] + dilation[0] * (kernel[0] - 1) + 1
    left, right = start[1], start[1] + (OW - 1) * stride[1] + dilation[1] * (kernel[1] - 1) + 1
    slab = image_slab(x, images, (top, bottom), (left, right))
    return windows(slab, kernel, stride, dilation)


def taps(
    block: Block, OW: int, x_shape: Shape, kernel: Pair, sliding: Sliding
) -> Iterator[tuple[Pair, tuple[slice, ...], tuple[slice, ...]]]:
    """For every tap (k, l) of the kernel: the windows of a block of dy that see a pixel there, and those pixels, as
    indices of the block and of x. At one tap no two windows meet, so what they say can be added with a plain +=."""
    (images, rows), (SH, SW), (PH, PW), (DH, DW) = block, sliding.stride, sliding.padding, sliding.dilation
    for k in range(kernel[0]):
        window_rows, pixel_rows = inside(rows.start * SH + k * DH - PH, SH, rows.stop - rows.start, x_shape[1])
        for l in range(kernel[1]):
            window_columns, pixel_columns = inside(l * DW - PW, SW, OW, x_shape[2])
            yield (k, l), (slice(None), window_rows, window_columns), (images, pixel_rows, pixel_columns)


def sum_over_blocks(
    part: Callable[[Block], Sequence[Any]], pieces: Sequence[Block], like: Array, *shapes: Shape
) -> list[Array]:
    """Σ over the blocks of the arrays of these `shapes` that `part(block)` returns: every thread adds up its share."""

    def work(some):
        totals = [np.zeros_like(like, shape=shape, order="C") for shape in shapes]
        for block in some:
            for total, array in zip(totals, part(block), strict=True):
                total += array
        return totals

    share = math.ceil(len(pieces) / threads.get_num_threads())
    totals = threads.run(work, [pieces[i : i + share] for i in range(0, len(pieces), share)])
    return [sum(several[1:], several[0]) for several in zip(*totals, strict=True)]
