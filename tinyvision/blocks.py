"""Blocks: how the ops cut work into pieces that fit a core's cache, and the scratch memory that the pieces use.

An op that makes several passes over its data cuts the data into blocks of a few megabytes and makes all passes over one
block before it turns to the next, so that only the first pass waits for main memory. `over_rows` and `over_memory` do
that for any work, `product` for a matrix product that comes alone.

Arrays that are not NumPy's (CuPy's, for instance) are never cut up: a GPU wants one large piece.
"""

import math
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from . import threads
from .arrays import lie_alike
from .types import Array, Shape

# A block of several passes should stay in a core's share of the caches. It must not be much smaller: two threads that
# make many short calls wait for each other, since each call hands the interpreter over (1 MiB was a fifth slower).
BLOCK_BYTES = 4 << 20

# The most that a scratch buffer may keep.
SCRATCH_BYTES = 16 << 20

# Bytes that travel together between memory and cache, on nearly every processor.
CACHE_LINE = 64

# Handing a piece of work to another thread costs some 50 µs, and its share of Python as much again to the one that
# hands it over; below this much data that is not worth it (a step of a small network took a fifth longer at 1 << 18).
SMALL_BYTES = 1 << 20

# Telling BLAS its number of threads takes longer than a product of so few multiplications, for which it wakes none.
TINY_PRODUCT = 1 << 13

# A matrix product of fewer multiplications than this takes one core less than a tenth of a millisecond or so.
SMALL_PRODUCT = 1 << 23


class _Buffers(dict):
    """The scratch memory of one thread, by name. It goes with its thread: a dict that can be referred to weakly."""


_local = threading.local()
_by_thread: weakref.WeakValueDictionary[int, _Buffers] = weakref.WeakValueDictionary()


def _after_fork():
    # A forked child inherits no thread but one, and possibly a dictionary that another was about to change.
    global _local, _by_thread
    _local, _by_thread = threading.local(), weakref.WeakValueDictionary()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def on_cpu(array: Array) -> bool:
    """True for a NumPy array, the only kind that is cut into blocks."""
    return isinstance(array, np.ndarray)


def product(a: Array, b: Array, out: Array | None = None) -> Array:
    """a @ b, for matrices (M, K) @ (K, N) or stacks of them (P, M, K) @ (P, K, N), shared out among our own threads.

    BLAS's threads are never woken: when a product is done they go on spinning for tens of milliseconds, on cores that
    the next op needs, and where a core has other work, waiting for one of them costs more than a small product."""
    if not on_cpu(a):
        return np.matmul(a, b, out=out)
    if out is None:
        out = np.empty_like(a, shape=(*a.shape[:-1], b.shape[-1]), order="C")
    if a.ndim == 2 and a.shape[1] == 1:  # one number times one number each: a single image's weight gradient
        return _outer(a, b, out)
    if threads.inside_region() or out.size * a.shape[-1] <= TINY_PRODUCT:  # BLAS has been told, or needs no telling
        return np.matmul(a, b, out=out)
    shares = threads.get_num_threads() if out.size * a.shape[-1] >= SMALL_PRODUCT else 1
    if shares == 1:
        with threads.one_blas_thread():
            return np.matmul(a, b, out=out)
    axis = 0 if a.ndim == 3 or out.shape[0] >= out.shape[1] else 1

    def work(some: slice) -> None:
        if axis == 1:
            np.matmul(a, b[:, some], out=out[:, some])
        else:
            np.matmul(a[some], b[some] if a.ndim == 3 else b, out=out[some])

    threads.run(work, cut(out.shape[axis], min(shares, out.shape[axis])))
    return out


def _outer(column: Array, row: Array, out: Array) -> Array:
    """(M, 1) @ (1, K), one multiplication for each result: BLAS would pack and add, and take five times as long."""
    alone = threads.inside_region() or out.nbytes <= SMALL_BYTES
    parts = cut(len(out), 1 if alone else min(len(out), threads.get_num_threads()))
    threads.run(lambda some: np.multiply(column[some], row, out=out[some]), parts, products=False)
    return out


def slices(length: int, item_bytes: int) -> list[slice]:
    """Cut range(length) into slices of about BLOCK_BYTES, a multiple of the threads where that is sensible."""
    total = length * item_bytes
    if total <= SMALL_BYTES or length <= 1:
        return [slice(0, length)]
    return fair(length, math.ceil(total / BLOCK_BYTES))


def fair(length: int, count: int) -> list[slice]:
    """Cut range(length) into `count` slices or up to twice as many: so many that all threads end at about one time."""
    at_once = threads.get_num_threads()

    def longest(slices):  # how much of the length the busiest thread gets
        return math.ceil(slices / at_once) * math.ceil(length / slices)

    counts = range(min(count, length), min(max(2 * count, count + at_once), length) + 1)
    least = min(longest(slices) for slices in counts)
    return cut(length, next(slices for slices in counts if longest(slices) <= 1.1 * least))  # few slices, few calls


def cut(length: int, count: int) -> list[slice]:
    """range(length) as `count` slices of almost equal length."""
    if count <= 1:
        return [slice(0, length)]
    edges = [length * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def over_rows(work: Callable[..., Any], *arrays: Array) -> list[Any]:
    """Call `work(rows)` with slices that together cover axis 0 of `arrays`; returns the list of results.

    CPU arrays are cut into cache-sized blocks that run on several threads; other arrays get one slice."""
    first = arrays[0]
    if not on_cpu(first):
        return [work(slice(0, len(first)))]
    if not len(first):
        return []
    item_bytes = max(a.nbytes // max(len(a), 1) for a in arrays) * len(arrays)
    return threads.run(work, slices(len(first), item_bytes))


def over_memory(work: Callable[..., Any], *arrays: Array) -> None:
    """Call `work(*parts)` on matching parts that together cover all `arrays`, which have one shape.

    For elementwise work, where order does not matter. Arrays laid out alike are cut as flat memory; otherwise, along
    the batch. `work` writes its result into one of the parts."""
    first = arrays[0]
    if not on_cpu(first) or first.ndim == 0:
        work(*arrays)
        return
    flat = [_flat_memory(a) for a in arrays] if all(lie_alike(a, first) for a in arrays) else [None]
    parts: Sequence[Array] = arrays if flat[0] is None else flat
    if first.nbytes * len(arrays) <= SMALL_BYTES:  # one piece, and nobody to be told
        work(*parts)
        return
    over_rows(lambda some: work(*(a[some] for a in parts)), *parts)


def pointwise(formula: Callable[..., Array], *arrays: Array) -> Array:
    """formula(*arrays), which works number by number on arrays of one shape, in memory like the last of them: block by
    block, so that what the formula makes on its way stays in the cache."""
    y = np.empty_like(arrays[-1])

    def work(*parts):
        with np.errstate(over="ignore", invalid="ignore"):  # far out, a result may be infinite, or nan as PyTorch's is
            np.copyto(parts[-1], formula(*parts[:-1]))

    over_memory(work, *arrays, y)
    return y


def _flat_memory(array):
    """The memory of an array as a vector, whatever the order of its axes, or None if there are gaps in it."""
    if array.flags.c_contiguous:
        return array.reshape(-1)
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    packed = array.transpose(order)
    return packed.reshape(-1) if packed.flags.c_contiguous else None


def scratch(name: str, shape: Shape, like: Array) -> Array:
    """An uninitialised array of `shape` with the dtype of `like`, reused by the next call with this name and thread.

    Only for memory that nobody holds on to after the op returns. It grows to the largest block asked for, a few MiB,
    and `release()` lets go of it."""
    if not on_cpu(like):
        return np.empty_like(like, shape=shape, order="C")
    buffers = getattr(_local, "buffers", None)
    if buffers is None:
        buffers = _local.buffers = _by_thread[threading.get_ident()] = _Buffers()
    size = math.prod(shape) * like.dtype.itemsize
    buffer = buffers.get(name)
    if buffer is None or buffer.nbytes < size:
        buffer = np.empty(size, np.uint8)
        if size <= SCRATCH_BYTES:  # a rare giant is given back at once
            buffers[name] = buffer
    return buffer[:size].view(like.dtype).reshape(shape)


def planes(name: str, shape: Shape, like: Array) -> Array:
    """`scratch` for planes shape[0] of the same size each, which begin an odd number of cache lines apart.

    A product walks through all planes side by side; a multiple of some large power of two apart, they would drive each
    other from the few places of the cache that such addresses share (a fifth of the time of some layers)."""
    size, line = math.prod(shape[1:]), max(1, CACHE_LINE // like.dtype.itemsize)
    apart = (math.ceil(size / line) | 1) * line
    return scratch(name, (shape[0], apart), like)[:, :size].reshape(shape)


def release() -> None:
    """Give back the scratch memory of every thread; the next op asks for what it needs again."""
    threads.dismiss_helpers()
    for reference in _by_thread.valuerefs():  # a list, whatever other threads add in the meantime
        buffers = reference()
        if buffers is not None:
            buffers.clear()
