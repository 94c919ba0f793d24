"""Pooling and col2im as gathers, against `ops.pool` and `ops.im2col` in float64."""

import numpy as np
import pytest

from tinyvision.kernels import launch, pool

from .compare import close, run_both

MAX, AVG, COL2IM, ADAPTIVE = pool.DROP_INS
TOLERANCE = 1e-6  # sums of at most a window's numbers
OPTIONS = [
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (2, 3), "stride": (3, 1)},
    {"kernel_size": 2},
    {"kernel_size": (4, 5), "stride": (1, 2), "padding": (2, 1)},
]


@pytest.mark.parametrize("channels", [5, 8])  # 8: by fours
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_max(emulation, rng, options, channels):
    run_both(emulation, MAX, [rng.standard_normal((2, channels, 9, 11))], options, rng, TOLERANCE)
    assert emulation.launched[0] == ("max_pool_forward" if channels == 5 else "max_pool_forward_four")


@pytest.mark.parametrize("channels", [5, 8])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_max_gives_a_tie_to_its_first_winner(emulation, rng, options, channels):
    run_both(emulation, MAX, [rng.integers(-1, 2, (2, channels, 9, 11)).astype(float)], options, rng, TOLERANCE)


def test_more_rows_than_a_grid_has_are_taken_one_by_one():
    assert pool._by_fours("max_pool_forward", np.empty((1, 1 << 16, 1, 4), np.uint8))[0] == "max_pool_forward"


@pytest.mark.parametrize("channels", [1, 4])
def test_max_of_nan_and_infinity(emulation, channels):
    x = np.full((1, channels, 4, 4), -np.inf, np.float32)
    x[0, :, 0, 1], x[0, -1, 3, 3] = np.nan, 5
    single = emulation.array(x)
    y, cache = pool.max_pool2d_forward(single, 2)
    right, op_cache = MAX.op[0](x, 2)
    assert np.array_equal(y, right, equal_nan=True)
    dy = np.arange(1, 4 * channels + 1, dtype=np.float32).reshape(1, channels, 2, 2)
    (dx,) = pool.max_pool2d_backward(emulation.array(dy), cache)
    assert np.array_equal(dx, MAX.op[1](dy, op_cache)[0])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_simple_backward_of_the_maximum(emulation, rng, options):
    x = rng.integers(-2, 3, (2, 3, 9, 11)).astype(np.float32)
    right, cache = MAX.op[0](x.astype(float), **options)
    dy = rng.standard_normal(right.shape).astype(np.float32)
    rows, drows = (launch.channels_last(emulation.array(a)) for a in (x, dy))
    dx = emulation.empty(rows, rows.shape)
    geometry = pool._geometry(x.shape, options["kernel_size"], options.get("stride"), options.get("padding", 0))
    launch.launch("pool", "max_pool_backward_simple", launch.blocks(dx.size), drows, rows, dx, geometry)
    close(launch.channels_first(dx), MAX.op[1](dy.astype(float), cache)[0], TOLERANCE)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_average(emulation, rng, options, count_include_pad):
    options = {**options, "count_include_pad": count_include_pad}
    run_both(emulation, AVG, [rng.standard_normal((2, 5, 9, 11))], options, rng, TOLERANCE)


@pytest.mark.parametrize("size", [1, (1, 1)])
def test_the_average_of_whole_images(emulation, rng, size):
    run_both(emulation, ADAPTIVE, [rng.standard_normal((2, 5, 9, 11))], {"output_size": size}, rng, TOLERANCE)
    assert emulation.launched == ["avg_pool_forward", "avg_pool_backward", "avg_pool_backward"]
    assert not ADAPTIVE.applies(np.zeros((2, 5, 9, 11), np.float32), (1, 2))
    assert not ADAPTIVE.applies(np.zeros((2, 5, 9), np.float32), size)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("count_include_pad", [True, False])
def test_the_simple_backward_of_the_average(emulation, rng, options, count_include_pad):
    options = {**options, "count_include_pad": count_include_pad}
    right, cache = AVG.op[0](np.zeros((2, 3, 9, 11)), **options)
    dy = rng.standard_normal(right.shape).astype(np.float32)
    drows = launch.channels_last(emulation.array(dy))
    dx = emulation.empty(drows, (2, 9, 11, 3))
    _, geometry = pool.avg_pool2d_forward(emulation.array(np.zeros((2, 3, 9, 11), np.float32)), **options)
    launch.launch("pool", "avg_pool_backward_simple", launch.blocks(dx.size), drows, dx, geometry)
    close(launch.channels_first(dx), AVG.op[1](dy.astype(float), cache)[0], TOLERANCE)


@pytest.mark.parametrize("dilation", [1, (2, 3)])
def test_the_simple_col2im(emulation, rng, dilation):
    options = {"kernel_size": (3, 2), "stride": (1, 2), "padding": (2, 1), "dilation": dilation}
    columns, cache = COL2IM.op[0](np.zeros((2, 3, 9, 8)), **options)
    dcolumns = rng.standard_normal(columns.shape).astype(np.float32)
    single, dx = emulation.array(dcolumns), emulation.empty(dcolumns, (2, 3, 9, 8))
    geometry = pool._geometry(dx.shape, **options)
    launch.launch("pool", "col2im_simple", launch.blocks(dx.size), single, dx, geometry)
    close(dx, COL2IM.op[1](dcolumns.astype(float), cache)[0], TOLERANCE)


@pytest.mark.parametrize("dilation", [1, (2, 3)])
def test_col2im(emulation, rng, dilation):
    options = {"kernel_size": (3, 2), "stride": (1, 2), "padding": (2, 1), "dilation": dilation}
    run_both(emulation, COL2IM, [rng.standard_normal((2, 3, 9, 8))], options, rng, TOLERANCE)


def test_what_is_left_to_the_op():
    x = np.zeros((1, 2, 4, 4), np.float32)
    assert not MAX.applies(x, 5)
    assert not MAX.applies(x, 2, padding=2)
    assert not MAX.applies(x[0], 2)
    assert MAX.applies(np.zeros((1, 1, 40, 40), np.float32), 16)
    assert not MAX.applies(np.zeros((1, 1, 40, 40), np.float32), 17)  # a tap must fit a byte
