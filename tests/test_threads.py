"""Threads: the same numbers, whoever calls; BLAS gets its threads back; exceptions come out; forked children work."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import tinyvision as tv
from tinyvision import blocks, ops, threads
from tinyvision.cores import available_cores
from tinyvision.errors import OptionError


def blas_threads():
    """How many threads NumPy's BLAS would use now; other packages may have loaded a BLAS of their own since."""
    threads.run(abs, range(2))
    ours = {library.filepath for library in threads._state.blas}
    return [library["num_threads"] for library in threadpool_info() if library["filepath"] in ours]


def step(seed=0):
    """A forward and a backward pass through every op that cuts its work up, on arrays large enough to be cut."""
    rng = np.random.default_rng(seed)
    x, weight = rng.standard_normal((6, 8, 33, 31)), rng.standard_normal((16, 8, 3, 3))
    dy = rng.standard_normal((6, 16, 33, 31))
    y, conv_cache = ops.conv2d_forward(x, weight, padding=1)
    z, norm_cache = ops.batchnorm_train_forward(y, np.ones(16), np.zeros(16))
    a, relu_cache = ops.relu_forward(z)
    p, pool_cache = ops.max_pool2d_forward(a, 2)
    (da,) = ops.max_pool2d_backward(dy[:, :, :16, :15], pool_cache)
    (dz,) = ops.relu_backward(da, relu_cache)
    dn, dscale, dshift = ops.batchnorm_train_backward(dz, norm_cache)
    dx, dweight = ops.conv2d_backward(dn, conv_cache, (True, True))
    return [p, dx, dweight, dscale, dshift]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_number_of_threads_changes_only_last_bits(count):
    threads.set_num_threads(1)
    alone = step()
    threads.set_num_threads(count)
    together, again = step(), step()
    for a, b, c in zip(alone, together, again, strict=True):
        # Partial sums of about a thousand numbers of size 1 to 100, in another order.
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)
        np.testing.assert_array_equal(b, c, "the same number of threads gives the same bits")


def test_several_python_threads_may_compute_at_once():
    threads.set_num_threads(3)
    alone = [step(seed) for seed in range(4)]
    results = [None] * 4

    def work(i):
        for _ in range(3):
            results[i] = step(i)

    before = blas_threads()
    callers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in callers:
        t.start()
    for t in callers:
        t.join()
    for got, want in zip(results, alone, strict=True):
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a, b, "whichever thread calls, and whoever else does, the bits are the same")
    assert blas_threads() == before


def test_blas_is_held_to_one_thread_and_gets_its_own_back():
    threads.set_num_threads(2)
    before = blas_threads()
    assert before
    inside = threads.run(lambda i: blas_threads(), range(4))
    assert len(inside) == 4
    assert all(count == 1 for seen in inside for count in seen)
    assert blas_threads() == before


@pytest.fixture
def two_blas_threads():
    """BLAS with another number than a region's, whatever the machine; this thread is the one that set it."""
    with threadpool_limits(2, user_api="blas"):
        yield
    for library in threads._state.blas or ():
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


def in_a_thread(work):
    with ThreadPoolExecutor(1) as other:
        return other.submit(work).result(timeout=600)


def test_any_thread_holds_blas_to_one(two_blas_threads):
    """threadpoolctl listens to the first thread that sets a number, here the main one, and ignores the others."""
    threads.set_num_threads(2)
    before = blas_threads()
    assert set(before) == {2}
    inside = in_a_thread(lambda: threads.run(lambda i: blas_threads(), range(4)))
    assert {count for seen in inside for count in seen} == {1}
    assert blas_threads() == before
    with threadpool_limits(1, user_api="blas"):
        assert set(blas_threads()) == {1}, "and others may set it again"
    assert blas_threads() == before


def test_the_last_to_leave_restores_blas_whoever_it_is(two_blas_threads):
    before, entered = blas_threads(), threading.Event()

    def leave_last():
        entered.wait(600)
        threads.run(lambda i: time.sleep(0.2), range(1))

    other = threading.Thread(target=leave_last)
    other.start()
    threads.run(lambda i: (entered.set(), time.sleep(0.1)), range(1))
    other.join()
    assert not threads._state.regions
    assert blas_threads() == before


def test_a_blas_with_a_number_for_every_thread(monkeypatch):
    """OpenMP's kind: the caller's number is held and restored, a helping thread's is one from its first moment on."""

    class OpenMP(threading.local):
        threading_layer, threads = "openmp", 4
        get_num_threads = lambda self: self.threads  # noqa: E731
        set_num_threads = lambda self, threads: setattr(self, "threads", threads)  # noqa: E731

    library, both = OpenMP(), threading.Barrier(2, timeout=600)
    monkeypatch.setattr(threads, "_state", threads._State())
    threads._state.blas, threads._state.threads = [library], 2
    assert threads.run(lambda i: (both.wait() >= 0, library.threads), range(2)) == [(True, 1)] * 2
    assert library.threads == 4
    blocks.release()


@pytest.mark.parametrize("culprit", [0, 3, 7])
def test_an_exception_comes_out_and_blas_gets_its_threads_back(culprit):
    threads.set_num_threads(3)
    before, done = blas_threads(), []

    def work(i):
        if i == culprit:
            raise ZeroDivisionError(i)
        done.append(i)

    with pytest.raises(ZeroDivisionError):
        threads.run(work, range(8))
    assert blas_threads() == before
    assert threads.run(lambda i: i * i, range(5)) == [0, 1, 4, 9, 16], "and the pool still works"


def test_an_exception_of_a_helper_keeps_no_arrays_alive():
    threads.set_num_threads(2)
    both, main, gone = threading.Barrier(2, timeout=600), threading.get_ident(), []

    def fail():
        array = np.zeros(3)
        gone.append(weakref.ref(array))

        def work(i):
            both.wait()
            if threading.get_ident() != main:
                raise ZeroDivisionError(array)

        threads.run(work, range(2))

    gc.disable()
    try:
        with pytest.raises(ZeroDivisionError):
            fail()
        assert gone[0]() is None
    finally:
        gc.enable()


def test_pieces_inside_of_pieces_do_not_wait_for_one_another():
    threads.set_num_threads(2)
    result = threads.run(lambda i: sum(threads.run(lambda j: i * j, range(5))), range(6))
    assert result == [10 * i for i in range(6)]


def test_after_an_exception_nobody_starts_another_piece(monkeypatch):
    threads.set_num_threads(2)
    both, main, begun = threading.Barrier(2, timeout=600), threading.get_ident(), []
    wait, over = threads._wait, threading.Event()
    monkeypatch.setattr(threads, "_wait", lambda *state: (over.set(), wait(*state)))

    def work(i):
        begun.append(i)
        if len(begun) <= 2:
            both.wait()
            if threading.get_ident() == main:
                raise ZeroDivisionError
            assert over.wait(600)  # the main thread has said that nobody begins another

    with pytest.raises(ZeroDivisionError):
        threads.run(work, range(50))
    assert len(begun) == 2


class CountedBlas:
    threading_layer, threads, told = "pthreads", 2, 0

    def get_num_threads(self):
        return self.threads

    def set_num_threads(self, count):
        self.threads, self.told = count, self.told + 1


@pytest.mark.parametrize("count", [1, 2])
def test_a_region_inside_of_one_that_a_thread_runs_alone_tells_blas_nothing(count, monkeypatch):
    library = CountedBlas()
    monkeypatch.setattr(threads, "_state", threads._State())
    threads._state.blas, threads._state.threads = [library], count
    seen = threads.run(lambda _: [threads.run(lambda _: library.threads, range(1)) for _ in range(9)], range(1))
    assert seen == [[[1]] * 9]
    assert library.told == 2  # held, and given back
    assert library.threads == 2
    blocks.release()


def test_a_piece_that_is_alone_may_still_share_out_its_products():
    threads.set_num_threads(2)
    both = threading.Barrier(2, timeout=600)

    def work(_):
        assert not threads.inside_region()
        return threads.run(lambda _: (both.wait() >= 0, threading.get_ident()), range(2))

    ((one, other),) = threads.run(work, range(1))
    assert one != other
    threads.set_num_threads(1)
    assert threads.run(lambda _: threads.inside_region(), range(1)) == [True]
    assert not threads.inside_region()


def test_the_number_of_threads_may_change_while_others_compute():
    stop, wrong = threading.Event(), []

    def work():
        while not stop.is_set():
            try:
                if threads.run(lambda i: i, range(9)) != list(range(9)):
                    wrong.append("result")
            except Exception as error:
                wrong.append(error)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for w in workers:
        w.start()
    for i in range(60):
        threads.set_num_threads(1 + i % 3)
    stop.set()
    for w in workers:
        w.join()
    assert not wrong


def test_no_more_threads_than_the_system_allows(monkeypatch):
    threads.set_num_threads(4)
    started = []

    class Scarce(threading.Thread):
        def start(self):
            if started:
                raise RuntimeError("can't start new thread")
            started.append(self)
            super().start()

    monkeypatch.setattr(threads.threading, "Thread", Scarce)
    assert threads.run(abs, range(9)) == list(range(9))
    assert len(started) == 1
    blocks.release()


def test_nobody_waits_for_a_helper_that_has_not_begun():
    """Its job finds nothing left to do, later."""
    threads.set_num_threads(2)
    free = threading.Event()
    with ThreadPoolExecutor(1) as other:
        both = threading.Barrier(2, timeout=600)
        busy = other.submit(threads.run, lambda i: (both.wait(), free.wait(600)), range(2))  # with the only helper
        assert threads.run(abs, range(5)) == list(range(5))
        free.set()
        busy.result(timeout=600)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="there are no signals to threads here")
def test_ctrl_c_waits_for_the_pieces_of_others():
    """They write to memory of the caller, who may use it for something else once the error is out."""
    threads.set_num_threads(2)
    both, main, ended = threading.Barrier(2, timeout=600), threading.get_ident(), []

    def work(i):
        both.wait()
        if threading.get_ident() != main:
            while sys._current_frames()[main].f_code is not threads._wait.__code__:
                time.sleep(0)
            signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.1)
            ended.append(i)

    with pytest.raises(KeyboardInterrupt):
        threads.run(work, range(2))
    assert len(ended) == 1
    assert not threads._state.regions


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_computes_too():
    threads.set_num_threads(2)
    expected = step()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        for got, want in zip(pool.apply_async(step).get(timeout=600), expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_waits_for_whoever_is_inside_threadpoolctl():
    """It has a lock that no thread of the child would ever give back."""
    threads.set_num_threads(2)
    threads.run(abs, range(2))
    inside, their_lock = threading.Event(), threading.Lock()

    class Library:
        def set_num_threads(self, number):
            with their_lock:
                inside.set()
                time.sleep(0.2)

        def get_num_threads(self):
            return 1

    def region():
        with threads._state.lock:
            threads._tell([(Library(), 1)])

    other = threading.Thread(target=region)
    other.start()
    inside.wait(600)
    child = os.fork()
    if not child:
        os._exit(not their_lock.acquire(timeout=60))
    assert os.waitpid(child, 0)[1] == 0
    other.join()
    assert not threads._forking
    assert threads.run(abs, range(4)) == list(range(4))


def test_release_inside_a_region_leaves_it_one():
    threads.set_num_threads(2)

    def work(piece):
        blocks.release()
        return {threading.get_ident()} == set(threads.run(lambda _: threading.get_ident(), range(8)))

    assert all(threads.run(work, range(4)))


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2", None, 9_999_999])
def test_the_door(count):
    before = tv.get_num_threads()
    with pytest.raises(OptionError, match="expected an integer from 1 to 1024"):
        tv.set_num_threads(count)
    assert tv.get_num_threads() == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3", "3"), ("0", "cores"), ("many", "cores"), ("²", "cores"), ("", "cores"), ("9" * 20, "1024")],
)
def test_the_environment_may_name_the_number(text, expected):
    code = "import tinyvision as tv; print(tv.get_num_threads())"
    told = {**os.environ, "TINYVISION_NUM_THREADS": text, "OMP_NUM_THREADS": ""}
    result = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True)
    cores = available_cores()
    assert result.stdout.decode().strip() == (str(cores) if expected == "cores" else expected)
