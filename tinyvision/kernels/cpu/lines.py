"""How the drop-ins of this room share their lines of pixels out among the threads, and which arrays they take."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import blocks, threads
from ...types import Array

# Pieces for every thread: with more than one, a thread that is held up leaves some of its work to the others.
PIECES = 2


def share_out(work: Callable[[int, int], Any], count: int, work_bytes: int) -> list[Any]:
    """Call `work(first, end)` for parts of range(count) on several threads; returns the results in order."""
    if work_bytes <= blocks.SMALL_BYTES:
        return [work(0, count)]
    parts = blocks.cut(count, max(1, min(count, PIECES * threads.get_num_threads())))
    return threads.run(lambda some: work(some.start, some.stop), parts, products=False)


def channels_are_last(x: Array) -> bool:
    """Whether x (N, C, ...) lies in memory as (N, ..., C), as every convolution leaves it."""
    return bool(x.ndim >= 2 and x.transpose(0, *range(2, x.ndim), 1).flags.c_contiguous)


def last(x: Array) -> Array:
    """x (N, C, ...) seen as C-ordered (N, ..., C) of float32, or as a copy in that order: gradients come in any."""
    return np.ascontiguousarray(x.transpose(0, *range(2, x.ndim), 1), dtype=np.float32)


def first(x: Array) -> Array:
    """(N, ..., C) seen as (N, C, ...)."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def matrix(x: Array) -> Array:
    """(N, ..., C) as (pixels, C)."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
