"""CPU threads: how many an op may use, the pool that helps, and who tells BLAS and the allocator what.

NumPy releases the interpreter lock inside its loops and matrix products, so plain Python threads are enough to keep
every core busy. There is one level of them: while our threads work on the pieces of an op (`run`), BLAS is held to one
thread each; it gets its own threads back afterwards. How work is cut into pieces is `blocks`' subject.

Results are the same in every run with a given number of threads. Sums over the batch (weight gradients, batch-norm
statistics) add their partial sums in another order under another number of threads: they may differ in the last bits.
"""

import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from queue import Empty, SimpleQueue
from typing import Any

from .cores import threads_at_first
from .errors import OptionError
from .types import is_integer

# Work is cut into at least a piece for each thread, so a slip of the hand (--threads 9999999) would seem to hang.
MOST_THREADS = 1024


class _State:
    """The threads that help, and BLAS's thread counts, shared by every caller in the process."""

    def __init__(self):
        self.threads = min(threads_at_first(), MOST_THREADS)
        self.lock = threading.RLock()  # a signal's handler, which may fork, runs in whatever thread has it
        self.jobs = SimpleQueue()  # taken by the helping threads; None sends one of them home
        self.helpers = 0
        self.blas = None  # threadpoolctl's controllers, once the first op has asked for them
        self.regions = set()  # those of this moment
        self.before = None  # BLAS's thread counts, while they are held at one


class _Local(threading.local):
    """What a thread is doing: `inside` a region whose other threads have work of their own, or `holding` BLAS at one
    thread for a region that it runs alone."""

    inside = holding = False


_state, _local = _State(), _Local()


def get_num_threads() -> int:
    """How many CPU threads an op may use: TINYVISION_NUM_THREADS or OMP_NUM_THREADS, else the cores that this process
    may keep busy, and 1 in a process that MPI has started among others, until `distributed.init()`."""
    return _state.threads


def set_num_threads(num: int) -> None:
    """Use `num` CPU threads from now on. Raises OptionError unless it is an integer from 1 to 1024."""
    if not is_integer(num) or not 1 <= num <= MOST_THREADS:
        raise OptionError(f"set_num_threads: expected an integer from 1 to {MOST_THREADS}, got {num!r}")
    dismiss_helpers(int(num))


def _before_fork():
    # Under our lock, other threads are inside threadpoolctl, which has locks of its own: a child that is forked then
    # would wait for them for ever. So whoever forks waits until they are out.
    _forking.append(_state)
    _state.lock.acquire()


def _after_fork_in_parent():
    _forking.pop().lock.release()


def _after_fork():
    # A forked child inherits none of the threads. If BLAS was held to one thread at that moment, the child's first
    # region knows what to give back.
    global _state, _local
    _forking.clear()
    old, _state, _local = _state, _State(), _Local()
    _state.threads, _state.blas, _state.before = old.threads, old.blas, old.before


if hasattr(os, "register_at_fork"):
    _forking: list[_State] = []
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)


def _keep_freed_memory() -> None:
    """Ask glibc to keep freed memory, up to 2 GiB or a quarter of the machine's, instead of giving every larger array
    back to the system at once.

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
    mallopt(trim_threshold, min((1 << 31) - 1, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4))
    mallopt(mmap_threshold, 32 << 20)  # the most that glibc takes


def prepare() -> None:
    """What comes before the first op of a process: find out which BLAS there is, and tell the allocator."""
    with _state.lock:
        if _state.blas is None:
            _state.blas = _blas_libraries()
            _keep_freed_memory()


_before_calls: list[Callable[[], object]] = []


def before_a_call(leave: Callable[[], object]) -> None:
    """From now on call `leave()` before `run` calls helping threads: it ends what else keeps them."""
    _before_calls.append(leave)


def call_helpers(job: Callable[[], object], count: int) -> int:
    """Put `job` before `count` other threads, or before those there are, if the system allows no more.

    Returns how many were called."""
    prepare()  # they ask what there is as soon as they begin
    with _state.lock:
        while _state.helpers < count:
            thread = threading.Thread(target=_help, args=(_state.jobs,), name="tinyvision", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                break
            _state.helpers += 1
        called = min(count, _state.helpers)
        for _ in range(called):
            _state.jobs.put(job)
    return called


def _help(jobs):
    _tell_this_thread((library, 1) for library in _per_thread(_state.blas))
    while True:
        job = jobs.get()
        if job is None:
            return
        job()
        del job  # and what it refers to, before the next one comes


def dismiss_helpers(threads: int | None = None) -> None:
    """Let all helping threads go, with their scratch memory, after what they have been given to do.

    Whoever calls helpers next makes new ones, `threads` from then on if that is given."""
    with _state.lock:
        for _ in range(_state.helpers):
            _state.jobs.put(None)
        _state.jobs, _state.helpers = SimpleQueue(), 0
        if threads is not None:
            _state.threads = threads


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold every BLAS in the process to one thread; the last region to leave restores what was there."""
    if _local.holding:  # this thread is in a region already, and nobody helps it
        yield
        return
    region, own = object(), []
    try:
        with _state.lock:
            prepare()
            own = [(library, library.get_num_threads()) for library in _per_thread(_state.blas)]
            if _state.before is None:
                _state.before = [(library, library.get_num_threads()) for library in _shared(_state.blas)]
            if not _state.regions:
                _tell((library, 1) for library, _ in _state.before)
            _state.regions.add(region)
        _tell_this_thread((library, 1) for library, _ in own)
        yield
    finally:
        _tell_this_thread(own)
        with _state.lock:
            _state.regions.discard(region)
            if not _state.regions and _state.before is not None:
                _tell(_state.before, leave=True)
                _state.before = None


def _tell_this_thread(numbers):
    for library, threads in numbers:
        with _state.lock:
            library.set_num_threads(threads)


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
    return [_told_directly(library) for library in ThreadpoolController().select(user_api="blas").lib_controllers]


class _OpenBLAS:
    """An OpenBLAS with one number of threads for the whole process, told by its own two functions: every op does that
    twice, and on the way through threadpoolctl it takes some five times as long."""

    threading_layer = "pthreads"

    def __init__(self, filepath, ask, tell):
        self.filepath, self.get_num_threads, self.set_num_threads = filepath, ask, tell


def _told_directly(library):
    """The same library without threadpoolctl between, if it is an OpenBLAS with threads of its own."""
    if getattr(library, "internal_api", None) != "openblas" or library.threading_layer != "pthreads":
        return library
    for prefix, suffix in itertools.product(("", "scipy_"), ("", "64_", "_64")):
        ask = getattr(library.dynlib, f"{prefix}openblas_get_num_threads{suffix}", None)
        tell = getattr(library.dynlib, f"{prefix}openblas_set_num_threads{suffix}", None)
        if ask and tell:
            return _OpenBLAS(library.filepath, ask, tell)
    return library


def run(work: Callable[..., Any], pieces: Iterable[Any], products: bool = True) -> list[Any]:
    """Call `work(piece)` for every piece, on several threads; returns the results in the order of the pieces.

    The pieces must not write to the same memory. An exception in any of them is raised here, after all have stopped.
    Without `products` in them, BLAS is told nothing (but in the first region, before helping threads begin)."""
    pieces = list(pieces)
    if _local.inside:
        return list(map(work, pieces))
    workers, products = min(_state.threads, len(pieces)), products or _state.blas is None
    if workers <= 1 and not products:
        return list(map(work, pieces))
    if workers <= 1:  # its products may still be shared out among the other threads
        with one_blas_thread(), _alone():
            return list(map(work, pieces))
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

    with one_blas_thread() if products else nullcontext():
        try:
            for leave in _before_calls:
                leave()
            call_helpers(helper, workers - 1)
            worker()
        finally:
            for _ in numbers:  # after an exception, nobody starts another piece
                pass
            _wait(started, ended, bell)
    if errors:
        del errors[1:]
        raise errors.pop()  # held by no list that it refers to itself: a cycle would keep the caller's arrays alive
    return results


@contextmanager
def _alone():
    """This thread runs a region by itself, with BLAS held at one thread already."""
    before, _local.holding, _local.inside = _local.holding, True, _state.threads == 1
    try:
        yield
    finally:
        _local.holding, _local.inside = before, False


def inside_region() -> bool:
    """Whether this thread works on a piece of a region, and no other thread is free to help it with that piece."""
    return _local.inside


def _wait(started, ended, bell):
    """Wait until all who started have ended. Ctrl-C must wait as well: the pieces write to the caller's memory."""
    try:
        while len(ended) < len(started):
            with suppress(Empty):
                bell.get(timeout=1)
    except KeyboardInterrupt:
        _wait(started, ended, bell)
        raise
