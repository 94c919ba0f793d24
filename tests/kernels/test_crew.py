"""Threads that take pieces of a loop from a board: all pieces once, whoever comes, and nobody who is left behind."""

import ctypes
import itertools
import multiprocessing
import os
import threading
import time

import numpy as np
import pytest

from tinyvision import threads
from tinyvision.kernels.cpu import compiled, crew, winograd
from tinyvision.kernels.cpu.activation import clipped
from tinyvision.kernels.cpu.channels import added_up
from tinyvision.kernels.cpu.lines import done_in_parts, sums_in_parts

from .ahead import needs_numba

NONE = np.float32(np.nan)  # no upper bound


@pytest.fixture(params=[1, 2, 5])
def many(request):
    """One, two and more threads than there are cores."""
    before = threads.get_num_threads()
    threads.set_num_threads(request.param)
    yield request.param
    threads.set_num_threads(before)


@pytest.fixture
def two(machine_code, monkeypatch):
    """Two threads, and loops that are compiled."""
    for one, machine, shared in machine_code:
        monkeypatch.setattr(one, "run", machine)
        monkeypatch.setattr(one, "shared", shared)
    before = threads.get_num_threads()
    threads.set_num_threads(2)
    yield
    threads.set_num_threads(before)


def everybody_has_left():
    end = time.monotonic() + 600
    while crew._crew.serving and time.monotonic() < end:
        time.sleep(0.001)
    return not crew._crew.serving


@pytest.mark.parametrize("count", [1, 2, 3, 64])
def test_every_piece_is_done_once(count, many, rng, loops):
    x = rng.standard_normal(40_001).astype(np.float32)
    y = np.full_like(x, 7)
    edges = np.linspace(0, len(x), count + 1).astype(int)
    crew.run(clipped, list(itertools.pairwise(edges)), x, y, NONE)
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    rows = x[:40_000].reshape(2000, 20)
    sums = sums_in_parts(added_up, len(rows), rows.nbytes, (20,), rows)
    np.testing.assert_allclose(sums, rows.sum(axis=0, dtype=float), rtol=1e-12)
    np.testing.assert_array_equal(sums, sums_in_parts(added_up, len(rows), rows.nbytes, (20,), rows))


@needs_numba
def test_who_serves_takes_the_pieces_of_an_open_job(two):
    pieces = []

    @ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
    def job(arguments, piece):
        pieces.append((arguments, piece))
        return piece == 2  # as one that had no memory

    board = np.zeros(crew.PLACES, np.int64)
    board[crew.JOB] = ctypes.cast(job, ctypes.c_void_p).value
    board[crew.ARGUMENTS], board[crew.PIECES], board[crew.TURN] = 7, 4, 1
    crew.serve(board, 1000)
    assert pieces == []  # the job is not open yet
    board[crew.OPEN] = 1
    crew.serve(board, 1000)
    assert pieces == [(7, 0), (7, 1), (7, 2), (7, 3)]
    assert (board[crew.FINISHED], board[crew.FAILED], board[crew.INSIDE]) == (4, 1, 0)


@needs_numba
def test_pieces_without_memory_are_an_error(two):
    x, y = np.zeros((1, 8, 8, 8), np.float32), np.empty((1, 8, 8, 8), np.float32)
    U, vectors = winograd._kernels(np.zeros((8, 8, 3, 3), np.float32)), np.zeros((2, 8), np.float32)
    tiles_at_a_time = 1 << 40  # 10 petabytes
    geometry = np.array([2, 2, 1, 1, 0, tiles_at_a_time])
    with pytest.raises(MemoryError, match="no memory for 2 of 2 pieces of correlated"):
        crew.run(winograd.correlated, [(0, 1), (1, 2)], x, U, y, *vectors, winograd.NO_ROWS, geometry)
    assert crew._crew.board[crew.BUSY] == 0


@needs_numba
def test_several_threads_of_a_program_share_out_work_at_once(two, rng):
    wrong = []

    def program(seed):
        own = np.random.default_rng(seed)
        for _ in range(300):
            x = own.standard_normal(int(own.integers(1, 20_000))).astype(np.float32)
            y = np.empty_like(x)
            done_in_parts(clipped, x.size, 1 << 20, x, y, NONE)
            if not np.array_equal(y, np.maximum(x, 0)):
                wrong.append(seed)

    programs = [threading.Thread(target=program, args=(seed,)) for seed in range(4)]
    for one in programs:
        one.start()
    for one in programs:
        one.join(60)
    assert not wrong
    assert not any(one.is_alive() for one in programs)
    assert everybody_has_left()


@needs_numba
def test_work_between_loops_gets_the_threads(two, rng, monkeypatch):
    monkeypatch.setattr(crew, "PATIENCE", 1 << 60)  # nobody leaves unless told
    x = rng.standard_normal(1 << 20).astype(np.float32)
    y = np.empty_like(x)
    for _ in range(3):
        done_in_parts(clipped, x.size, x.nbytes, x, y, NONE)
        met = threading.Barrier(2)  # passed by two pieces at once, or never
        threads.run(lambda piece, met=met: met.wait(600), range(2))
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    crew._crew.leave()
    assert everybody_has_left()


def in_a_child(x, answers):
    y = np.empty_like(x)
    for _ in range(20):
        done_in_parts(clipped, x.size, x.nbytes, x, y, NONE)
    answers.put(bool(np.array_equal(y, np.maximum(x, 0))))


@needs_numba
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_has_a_crew_of_its_own(two, rng):
    x = rng.standard_normal(1 << 20).astype(np.float32)
    y, over = np.empty_like(x), threading.Event()

    def busy():
        while not over.is_set():
            done_in_parts(clipped, x.size, x.nbytes, x, y, NONE)

    other = threading.Thread(target=busy)
    other.start()
    context = multiprocessing.get_context("fork")
    try:
        for _ in range(5):  # in the middle of whatever the other does
            answers = context.SimpleQueue()
            child = context.Process(target=in_a_child, args=(x[:100_000], answers))
            child.start()
            child.join(60)
            assert child.exitcode == 0
            assert answers.get()
    finally:
        over.set()
        other.join()


@needs_numba
def test_arguments_of_another_kind_are_refused_and_nothing_is_held(two):
    with pytest.raises(TypeError):
        crew.run(clipped, [(0, 5), (5, 10)], np.zeros(10), np.zeros(10), NONE)
    assert crew._crew.board[crew.BUSY] == 0
    y = np.empty(10, np.float32)
    crew.run(clipped, [(0, 5), (5, 10)], np.float32(range(-5, 5)), y, NONE)
    np.testing.assert_array_equal(y, [0, 0, 0, 0, 0, 0, 1, 2, 3, 4])


def test_the_board_in_plain_python():
    board = np.zeros(crew.PLACES, np.int64)
    assert crew.counted(board, crew.TAKEN, 3) == 0
    assert crew.counted(board, crew.TAKEN, -1) == 3
    assert crew.seen(board, crew.TAKEN) == 2
    assert crew.written(board, crew.OPEN, 1) == board[crew.OPEN] == 1
    board[crew.OPEN] = 0
    crew.serve.function(board, 10)  # nothing to do: it looks ten times, and goes
    assert board[crew.INSIDE] == 0


@needs_numba
def test_who_serves_goes_when_told_and_when_nothing_comes(two):
    board = np.zeros(crew.PLACES, np.int64)
    crew.serve(board, 1000)  # nothing comes
    board[crew.LEAVE] = 1
    begun = time.monotonic()
    crew.serve(board, 1 << 60)
    assert time.monotonic() - begun < 30
    assert board[crew.INSIDE] == 0
    assert "crew" in compiled.MODULES
