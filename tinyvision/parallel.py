"""CPU threads and scratch memory: how the ops cut work into pieces that fit a core's cache.

NumPy releases the interpreter lock inside its loops and matrix products, so plain Python threads are enough to keep
every core busy. Two ideas carry all of it:

*Blocks.* An op that makes several passes over its data cuts the data into blocks of a few megabytes and makes all
passes over one block before it turns to the next, so that only the first pass waits for main memory.

*One level of threads.* While our threads work on blocks, BLAS is held to one thread each; it gets its own threads back
afterwards. A large product that comes alone is shared out by `product`, in the same way.

Arrays that are not NumPy's (CuPy's, for instance) are never cut up: a GPU wants one large piece.

Results are the same in every run with a given number of threads. Sums over the batch (weight gradients, batch-norm
statistics) add their partial sums in another order under another number of threads: they may differ in the last bits.
"""

import math
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from itertools import pairwise
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from .errors import OptionError
from .types import Array, Shape

# A block of several passes should stay in a core's share of the caches. It must not be much smaller: two threads that
# make many short calls wait for each other, since each call hands the interpreter over (1 MiB was a fifth slower).
BLOCK_BYTES = 4 << 20

# The most that a scratch buffer may keep.
SCRATCH_BYTES = 16 << 20

# Bytes that travel together between memory and cache, on nearly every processor.
CACHE_LINE = 64

# Handing a piece of work to another thread costs some 30 µs; below this much data that is not worth it.
SMALL_BYTES = 1 << 18

# Work is cut into at least a piece for each thread, so a slip of the hand (--threads 9999999) would seem to hang.
MOST_THREADS = 1024

# A matrix product of fewer multiplications than this takes one core less than a tenth of a millisecond or so.
SMALL_PRODUCT = 1 << 23


def _threads_from_environment():
    text = os.environ.get("TINYVISION_NUM_THREADS", "")
    if text.isascii() and text.isdigit() and int(text[:9]) > 0:
        return min(int(text[:9]), MOST_THREADS)
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


class _Buffers(dict):
    """The scratch memory of one thread, by name. It goes with its thread: a dict that can be referred to weakly."""


class _State:
    """The threads that help, and BLAS's thread counts, shared by every caller in the process."""

    def __init__(self):
        self.threads = _threads_from_environment()
        self.lock = threading.Lock()
        self.jobs = SimpleQueue()  # taken by the helping threads; None sends one of them home
        self.helpers = 0
        self.blas = None  # threadpoolctl's controllers, once the first op has asked for them
        self.regions = set()  # those of this moment
        self.before = None  # BLAS's thread counts, while they are held at one
        self.buffers = weakref.WeakValueDictionary()  # by thread


_state = _State()
_local = threading.local()


def get_num_threads() -> int:
    """How many CPU threads an op may use (TINYVISION_NUM_THREADS, else the cores this process may run on)."""
    return _state.threads


def set_num_threads(threads: int) -> None:
    """Use `threads` CPU threads from now on. Raises OptionError unless it is an integer from 1 to 1024."""
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or not 1 <= threads <= MOST_THREADS:
        raise OptionError(f"set_num_threads: expected an integer from 1 to {MOST_THREADS}, got {threads!r}")
    _dismiss_helpers(int(threads))


def _after_fork():
    # A forked child inherits none of the threads, and possibly a lock that somebody held. If BLAS was held to one
    # thread at that moment, the child's first region knows what to give back.
    global _state, _local
    old, _state, _local = _state, _State(), threading.local()
    _state.threads, _state.blas, _state.before = old.threads, old.blas, old.before


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _keep_freed_memory() -> None:
    """Ask glibc to keep up to 256 MiB of freed memory instead of giving every larger array back to the system at once.

    A training step makes the same activations again and again, and pages fetched anew cost it a fifth of its time.
    TINYVISION_MALLOC=system leaves the allocator alone; other C libraries do not know the call."""
    if os.environ.get("TINYVISION_MALLOC") == "system":
        return
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    mallopt(trim_threshold, 256 << 20)
    mallopt(mmap_threshold, 32 << 20)  # the most that glibc takes


def _call_helpers(job, count):
    """Put `job` before `count` other threads, or before those there are, if the system allows no more."""
    with _state.lock:
        while _state.helpers < count:
            thread = threading.Thread(target=_help, args=(_state.jobs,), name="tinyvision", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                break
            _state.helpers += 1
        for _ in range(min(count, _state.helpers)):
            _state.jobs.put(job)


def _help(jobs):
    for library in _per_thread(_state.blas):
        library.set_num_threads(1)
    while True:
        job = jobs.get()
        if job is None:
            return
        job()
        del job  # and what it refers to, before the next one comes


def _dismiss_helpers(threads=None):
    """Let all helping threads go, with their scratch memory, after what they have been given to do.

    Whoever calls helpers next makes new ones, `threads` from then on if that is given."""
    with _state.lock:
        for _ in range(_state.helpers):
            _state.jobs.put(None)
        _state.jobs, _state.helpers = SimpleQueue(), 0
        if threads is not None:
            _state.threads = threads


@contextmanager
def _blas_on_one_thread():
    """Hold every BLAS in the process to one thread; the last region to leave restores what was there."""
    region, own = object(), []
    try:
        with _state.lock:
            if _state.blas is None:  # the first op of the process
                _state.blas = _blas_libraries()
                _keep_freed_memory()
            own = [(library, library.get_num_threads()) for library in _per_thread(_state.blas)]
            if _state.before is None:
                _state.before = [(library, library.get_num_threads()) for library in _shared(_state.blas)]
            if not _state.regions:
                _tell((library, 1) for library, _ in _state.before)
            _state.regions.add(region)
        for library, _ in own:
            library.set_num_threads(1)
        yield
    finally:
        for library, threads in own:
            library.set_num_threads(threads)
        with _state.lock:
            _state.regions.discard(region)
            if not _state.regions and _state.before is not None:
                _tell(_state.before, leave=True)
                _state.before = None


def _tell(numbers, leave=False):
    """Tell each library its number of threads, whoever else may have told it before.

    threadpoolctl listens to one thread of the process only, the first that set OpenBLAS's number, and ignores the
    others without a word, until that one clears the way."""
    for library, threads in numbers:
        library.set_num_threads(threads)
        clear = getattr(library, "clear_controlling_thread", None)  # older ones have none
        if clear is not None and library.get_num_threads() != threads:
            clear(force=True)
            library.set_num_threads(threads)
        if clear is not None and leave:
            clear()


def _per_thread(libraries):
    """Those for which every thread has a number of its own, for the products that it asks for itself."""
    return [library for library in libraries if getattr(library, "threading_layer", None) == "openmp"]


def _shared(libraries):
    """Those with one number for the whole process."""
    return [library for library in libraries if getattr(library, "threading_layer", None) != "openmp"]


def _blas_libraries():
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:  # results are the same without it, only our threads and BLAS's then compete for the cores
        return []
    return ThreadpoolController().select(user_api="blas").lib_controllers


def product(a: Array, b: Array, out: Array | None = None) -> Array:
    """a @ b, for matrices (M, K) @ (K, N) or stacks of them (P, M, K) @ (P, K, N), shared out among our own threads.

    BLAS's threads are never woken: when a product is done they go on spinning for tens of milliseconds, on cores that
    the next op needs, and where a core has other work, waiting for one of them costs more than a small product."""
    if not on_cpu(a):
        return np.matmul(a, b, out=out)
    if out is None:
        out = np.empty_like(a, shape=(*a.shape[:-1], b.shape[-1]), order="C")
    if getattr(_local, "inside", False):  # of a region: the other cores are busy, and BLAS has been told
        return np.matmul(a, b, out=out)
    shares = _state.threads if out.size * a.shape[-1] >= SMALL_PRODUCT else 1
    axis = 0 if a.ndim == 3 or out.shape[0] >= out.shape[1] else 1

    def work(some: slice) -> None:
        if axis == 1:
            np.matmul(a, b[:, some], out=out[:, some])
        else:
            np.matmul(a[some], b[some] if a.ndim == 3 else b, out=out[some])

    run(work, cut(out.shape[axis], min(shares, out.shape[axis])))
    return out


def on_cpu(array: Array) -> bool:
    """True for a NumPy array, the only kind that is cut into blocks."""
    return isinstance(array, np.ndarray)


def run(work: Callable[..., Any], pieces: Iterable[Any]) -> list[Any]:
    """Call `work(piece)` for every piece, on several threads; returns the results in the order of the pieces.

    The pieces must not write to the same memory. An exception in any of them is raised here, after all have stopped."""
    pieces = list(pieces)
    if getattr(_local, "inside", False):
        return [work(piece) for piece in pieces]
    workers = min(_state.threads, len(pieces))
    if workers <= 1:
        with _blas_on_one_thread():
            return [work(piece) for piece in pieces]
    results = [None] * len(pieces)
    errors: list[BaseException] = []
    numbers = iter(range(len(pieces)))  # next() on it is atomic under the interpreter lock
    started: list[bool] = []
    ended: list[bool] = []
    bell: SimpleQueue[bool] = SimpleQueue()

    def worker():
        _local.inside = True
        try:
            for i in numbers:
                results[i] = work(pieces[i])
        finally:
            _local.inside = False

    def helper():  # who comes too late finds no number left, and nobody waits for it
        started.append(True)
        try:
            worker()
        except BaseException as error:  # raised below, by the thread that called
            errors.append(error)
        ended.append(True)
        bell.put(True)

    with _blas_on_one_thread():
        try:
            _call_helpers(helper, workers - 1)
            worker()
        finally:
            for _ in numbers:  # after an exception, nobody starts another piece
                pass
            _wait(started, ended, bell)
    if errors:
        del errors[1:]
        raise errors.pop()  # held by no list that it refers to itself: a cycle would keep the caller's arrays alive
    return results


def _wait(started, ended, bell):
    """Wait until all who started have ended. Ctrl-C must wait as well: the pieces write to the caller's memory."""
    interrupt = None
    while len(ended) < len(started):
        try:
            bell.get(timeout=1)
        except Empty:
            pass
        except KeyboardInterrupt as caught:
            interrupt = caught
    if interrupt is not None:
        raise interrupt


def slices(length: int, item_bytes: int, block_bytes: int = BLOCK_BYTES) -> list[slice]:
    """Cut range(length) into slices of about `block_bytes`, a multiple of the threads where that is sensible."""
    total = length * item_bytes
    if total <= SMALL_BYTES or length <= 1:
        return [slice(0, length)]
    return fair(length, math.ceil(total / block_bytes))


def fair(length: int, count: int) -> list[slice]:
    """Cut range(length) into `count` slices or up to twice as many: so many that all threads end at about one time."""
    threads = _state.threads

    def longest(slices):  # how much of the length the busiest thread gets
        return math.ceil(slices / threads) * math.ceil(length / slices)

    counts = range(min(count, length), min(max(2 * count, count + threads), length) + 1)
    least = min(longest(slices) for slices in counts)
    return cut(length, next(slices for slices in counts if longest(slices) <= 1.1 * least))  # few slices, few calls


def cut(length: int, count: int) -> list[slice]:
    """range(length) as `count` slices of almost equal length."""
    edges = [length * i // max(count, 1) for i in range(max(count, 1) + 1)]
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
    return run(work, slices(len(first), item_bytes))


def over_memory(work: Callable[..., Any], *arrays: Array) -> None:
    """Call `work(*parts)` on matching parts that together cover all `arrays`, which have one shape.

    For elementwise work, where order does not matter. Arrays laid out alike are cut as flat memory; otherwise, along
    the batch. `work` writes its result into one of the parts."""
    first = arrays[0]
    if not on_cpu(first) or first.ndim == 0:
        work(*arrays)
        return
    flat = [_flat_memory(a) for a in arrays] if all(a.strides == first.strides for a in arrays) else [None]
    parts: Sequence[Array] = arrays if flat[0] is None else flat
    over_rows(lambda some: work(*(a[some] for a in parts)), *parts)


def _flat_memory(array):
    """The memory of an array as a vector, whatever the order of its axes, or None if there are gaps in it."""
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
        buffers = _local.buffers = _state.buffers[threading.get_ident()] = _Buffers()
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
    _dismiss_helpers()
    for reference in _state.buffers.valuerefs():  # a list, whatever other threads add in the meantime
        buffers = reference()
        if buffers is not None:
            buffers.clear()
