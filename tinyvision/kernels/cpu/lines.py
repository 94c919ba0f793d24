"""How the drop-ins of this room share their lines of pixels out among the threads, and which arrays they take."""

import math
from typing import Any

import numpy as np

from ... import blocks, threads
from ...types import Array, Shape
from . import crew
from .compiled import Loop

# Pieces for every thread: with more than one, a thread that is held up leaves some of its work to the others.
PIECES = 2

# Below this much data, or so many multiplications, a loop is over before another core has fetched what it needs from
# the one that has just written it.
LEAST_BYTES = 1 << 17
LEAST_PRODUCTS = 1 << 22

NO_VECTOR = np.empty(0, np.float32)
NO_IMAGE = np.empty((0, 0, 0, 0), np.float32)

TURNED = 8  # channels from which a picture in reading order is worth copying (measured: of 5, pooling gets slower)
ROW = 64  # numbers that a row should have; pixels of fewer channels are put together (12 channels: a third of the time)


def hands(products: int) -> int:
    """How many threads a loop of so many multiplications is for."""
    return 1 if products < LEAST_PRODUCTS else threads.get_num_threads()


def shared_out(lines: int, workers: int) -> list[tuple[int, int]]:
    """(begin, end) of every piece of work for so many threads."""
    parts = blocks.fair(lines, PIECES * workers) if workers > 1 else blocks.cut(lines, 1)
    return [(some.start, some.stop) for some in parts]


def done_in_parts(work: Loop, count: int, work_bytes: int, *arguments: Any) -> None:
    """work(*arguments, begin, end) for parts of range(count), on several threads that meet at the crew's board."""
    if work_bytes <= LEAST_BYTES:
        work(*arguments, 0, count)
        return
    parts = blocks.cut(count, min(count, threads.get_num_threads()))
    crew.run(work, [(some.start, some.stop) for some in parts], *arguments)


def sums_in_parts(work: Loop, count: int, work_bytes: int, shape: Shape, *arguments: Any) -> Array:
    """Sums (*shape) in float64 over range(count): work(*arguments, sums, begin, end, piece) adds up one part of them,
    in sums[piece]."""
    parts = blocks.cut(count, 1 if work_bytes <= LEAST_BYTES else min(count, threads.get_num_threads()))
    sums = np.empty((len(parts), *shape))
    pieces = [(some.start, some.stop, number) for number, some in enumerate(parts)]
    crew.run(work, pieces, *arguments, sums)
    return sums[0] if len(parts) == 1 else sums.sum(axis=0)


def flat(array: Array) -> Array:
    """The memory of an array without gaps, as a vector."""
    return array.ravel(order="K")  # of such an array, whatever the order of its axes, a view


# The axes of (N, C, ...) in the order (N, ..., C), for each number of them: made once, as every op asks.
_LAST = {ndim: (0, *range(2, ndim), 1) for ndim in range(2, 65)}


def channels_are_last(x: Array) -> bool:
    """Whether x (N, C, ...) lies in memory as (N, ..., C), as every convolution leaves it."""
    return bool(x.ndim >= 2 and x.transpose(0, *range(2, x.ndim), 1).flags.c_contiguous)


def worth_turning(x: Array) -> bool:
    """Whether x (N, C, ...) has the channels last in memory, or is computed sooner once `last` has copied it so: an op
    makes several passes, a loop one. Of few channels, the copy reads and writes a number at a time."""
    return channels_are_last(x) or (x.ndim > 2 and x.shape[1] >= TURNED)


def last(x: Array) -> Array:
    """x (N, C, ...) seen as C-ordered (N, ..., C) of float32, or as a copy in that order: gradients come in any."""
    return np.ascontiguousarray(x.transpose(_LAST[x.ndim]), dtype=np.float32)


def first(x: Array) -> Array:
    """(N, ..., C) seen as (N, C, ...)."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def matrix(x: Array) -> Array:
    """(N, ..., C) as (pixels, C)."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def together(pixels: int, channels: int) -> int:
    """How many pixels make a row (pixels / k, k·channels) for a loop along its numbers: few numbers fill no vectors."""
    k = 1
    while k * channels < ROW and pixels % (2 * k) == 0:
        k *= 2
    return k
