"""Blocks cover everything once, whatever the memory; scratch memory is reused, and released."""

import threading
import weakref

import numpy as np
import pytest

from tinyvision import blocks, threads


def test_slices_cover_everything_once():
    for count in (1, 2, 3):
        threads.set_num_threads(count)
        for length in (0, 1, 2, 5, 100):
            for item in (0, 1, 1 << 12, 1 << 22):
                covered = [i for s in blocks.slices(length, item) for i in range(length)[s]]
                assert covered == list(range(length))


@pytest.mark.parametrize("order", ["C", "F"])
def test_elementwise_work_reaches_every_number_whatever_the_memory(order, rng):
    threads.set_num_threads(2)
    x = np.asarray(rng.standard_normal((5, 40, 50, 30)), order=order)
    for a in (x, x[:, ::2], x.transpose(2, 0, 3, 1), x[::-1], x[:0], x[:, :, :1, :1]):
        y = np.full(a.shape, np.nan)
        blocks.over_memory(lambda a, y: np.negative(a, out=y), a, y)
        np.testing.assert_array_equal(y, -a)


def test_along_an_axis_of_one_number_there_is_no_distance():
    """The mean over H and W of channels-last images has strides there that no new array would have."""
    base = np.arange(32, dtype=np.float32).reshape(2, 1, 1, 16)
    x = np.lib.stride_tricks.as_strided(base, (2, 16, 1, 1), (64, 4, 4096, 12))
    shapes = []
    blocks.over_memory(lambda a, y: shapes.append((a.shape, y.shape)), x, np.empty_like(x))
    assert shapes == [((32,), (32,))]


def test_scratch_is_reused_and_released():
    like = np.zeros(1, np.float32)
    first = blocks.scratch("a test", (10, 20), like)
    assert first.shape == (10, 20)
    assert first.dtype == np.float32
    assert np.shares_memory(first, blocks.scratch("a test", (5,), like))
    assert not np.shares_memory(first, blocks.scratch("another test", (5,), like))
    blocks.release()
    assert not np.shares_memory(first, blocks.scratch("a test", (5,), like))


def test_release_reaches_every_thread():
    buffers, made, released = [], threading.Event(), threading.Event()

    def other():
        buffers.append(weakref.ref(blocks.scratch("a test", (10,), np.zeros(1)).base))
        made.set()
        released.wait(600)

    thread = threading.Thread(target=other)
    thread.start()
    assert made.wait(600)
    assert buffers[0]() is not None
    blocks.release()
    assert buffers[0]() is None
    released.set()
    thread.join()


def test_a_rare_giant_is_given_back_at_once():
    like, sizes = np.zeros(1, np.uint8), (blocks.SCRATCH_BYTES, blocks.SCRATCH_BYTES + 1)
    blocks.release()
    kept, given_back = (weakref.ref(blocks.scratch("a test", (size,), like).base) for size in sizes)
    assert kept() is not None
    assert given_back() is None
    blocks.release()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("M", "K"), [(5, 3), (700, 300)])
def test_a_product_of_a_column_and_a_row(M, K, count, rng):
    threads.set_num_threads(count)
    column, row, out = rng.standard_normal((M, 1)), rng.standard_normal((1, K)), np.full((M, K), 7.0)
    assert blocks.product(column, row, out=out) is out
    np.testing.assert_array_equal(out, column @ row)
    np.testing.assert_array_equal(blocks.product(row.T, column.T), out.T)
    seen = threads.run(lambda _: blocks.product(column, row), range(3))
    np.testing.assert_array_equal(seen, [out] * 3)
