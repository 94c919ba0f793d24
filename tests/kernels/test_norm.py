"""Batch normalisation's kernels, simple and fast, against `ops.norm` in float64."""

import math

import numpy as np
import pytest

from tinyvision.kernels import launch, norm
from tinyvision.ops import batchnorm_relu_backward, batchnorm_relu_forward
from tinyvision.ops.norm import batch_moments, folded, running_moments

from .compare import close, run_both

TOLERANCE = 3e-6  # float32 statistics of up to 10⁴ numbers, joined pairwise
SHAPES = [(3, 36, 15, 5), (2, 3, 5, 7), (70, 33), (1, 64, 2, 1), (3, 5, 11, 13), (2, 40, 9)]
TRAIN, FROZEN, RELU = norm.DROP_INS[1:4]


@pytest.mark.parametrize("shape", SHAPES)
def test_training(emulation, rng, shape):
    arrays = [3 + 2 * rng.standard_normal(shape), rng.standard_normal(shape[1]), rng.standard_normal(shape[1])]
    run_both(emulation, TRAIN, arrays, {"eps": 1e-4}, rng, TOLERANCE)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("skip", [True, False])
def test_relu_and_skip(emulation, rng, shape, skip):
    _run_relu(emulation, rng, shape, skip, {})


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if math.prod(shape) // shape[1] > 2])  # of 2 rows dx is 0
@pytest.mark.parametrize("skip", [True, False])
def test_relu_that_ends(emulation, rng, shape, skip):
    _run_relu(emulation, rng, shape, skip, {"top": 0.7})


def _run_relu(emulation, rng, shape, skip, options):
    arrays = [rng.standard_normal(shape), rng.standard_normal(shape[1]), rng.standard_normal(shape[1])]
    arrays.append(rng.standard_normal(shape) if skip else None)
    run_both(emulation, RELU, arrays, options, rng, TOLERANCE)


def test_frozen(emulation, rng):
    C = 19
    arrays = [rng.standard_normal((3, C, 4, 5)), *rng.standard_normal((3, C)), rng.random(C) + 0.5]
    run_both(emulation, FROZEN, arrays, {}, rng, TOLERANCE, needs=(True, True, True, False, False))


def test_moments_survive_a_mean_that_is_large_beside_the_deviation(emulation, rng):
    """E[x²] - E[x]² would lose all digits here: 10⁴ squared has 8 of float32's 7 digits."""
    x = emulation.array((1e4 + rng.standard_normal((20, 5, 16, 16))).astype(np.float32))
    mean, var = norm.batch_moments(x)
    right = batch_moments(x.astype(np.float64))
    close(mean, right[0], 1e-6)
    close(var, right[1], 1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_running_averages_are_kept_up_in_the_same_launches(emulation, rng, shape):
    kept, counter = rng.standard_normal((2, shape[1])).astype(np.float32), np.array(41)
    own, op_kept = [emulation.array(a) for a in kept], [a.astype(np.float64) for a in kept]
    own_counter, op_counter = emulation.array(counter), counter.copy()
    x = emulation.array((2 + rng.standard_normal(shape)).astype(np.float32))
    assert norm.DROP_INS[-1].applies(x, *own, counter=own_counter)
    got = norm.running_moments(x, *own, counter=own_counter, momentum=0.3)
    right = running_moments(x.astype(np.float64), *op_kept, counter=op_counter, momentum=0.3)
    for a, b in zip((*got, *own), (*right, *op_kept), strict=True):
        close(a, b, TOLERANCE)
    assert own_counter == op_counter == 42
    chunks = "moments_of_chunks" if shape[1] % 4 else "moments_of_chunks_four"
    assert emulation.launched == [chunks, "moments_joined"]
    norm.running_moments(x, own[0], None, momentum=1.0)
    close(own[0], right[0], TOLERANCE)
    close(own[1], op_kept[1], TOLERANCE, "what was not given")


@pytest.mark.parametrize("with_bias", [True, False])
def test_a_frozen_batch_norm_as_scale_and_shift(emulation, rng, with_bias):
    vectors = [*rng.standard_normal((3, 300)), rng.random(300) + 0.1, rng.standard_normal(300) if with_bias else None]
    own = [None if v is None else emulation.array(v.astype(np.float32)) for v in vectors]
    assert norm.DROP_INS[-2].applies(*own, eps=1e-3)
    got = norm.folded(*own, eps=1e-3)
    doubles = [None if v is None else v.astype(np.float64) for v in own]
    for a, b in zip(got, folded(*doubles, eps=1e-3), strict=True):
        close(a, b, TOLERANCE)
    assert emulation.launched == ["folded"]
    assert not norm.DROP_INS[-2].applies(own[0], own[1][:3], own[2], own[3])


def test_averages_that_a_kernel_cannot_write_to_are_left_to_the_op():
    x, kept = np.zeros((3, 4), np.float32), np.zeros(4, np.float32)
    applies = norm.DROP_INS[-1].applies
    assert applies(x, kept, None)
    assert applies(x, kept, kept, counter=np.array(1))
    assert not applies(x, kept[:3], kept)
    assert not applies(x, np.zeros(8, np.float32)[::2], kept)
    assert not applies(x, kept, kept, counter=np.array(1, np.int32))


def test_every_other_weight(emulation, rng):
    """Vectors with gaps in memory, as views are; forward and backward."""
    x, weight, bias = rng.standard_normal((3, 5, 4, 2)), rng.standard_normal(10), rng.standard_normal(10)
    single = [emulation.array(a.astype(np.float32)) for a in (x, weight, bias)]
    y, cache = norm.batchnorm_relu_forward(single[0], single[1][::2], single[2][::2])
    right, op_cache = batchnorm_relu_forward(*(a.astype(float) for a in (single[0], single[1][::2], single[2][::2])))
    close(y, right, TOLERANCE)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    wanted = batchnorm_relu_backward(dy.astype(float), op_cache)
    for got, expected in zip(norm.batchnorm_relu_backward(dy, cache), wanted, strict=False):
        if got is not None:
            close(got, expected, TOLERANCE)


@pytest.mark.parametrize("top", [math.inf, 6.0, 2.0])
def test_infinities_and_nan_pass_the_relu_as_they_pass_the_op(emulation, top):
    values = np.array([[np.nan, -np.inf, np.inf, -1.0, 2.0]], np.float32).repeat(2, 0)
    one, zero = np.ones(5, np.float32), np.zeros(5, np.float32)
    arrays = [emulation.array(a) for a in (values, one, zero)]
    moments = (emulation.array(zero), emulation.array(one))
    y, cache = norm.batchnorm_relu_forward(*arrays, None, 0.0, moments, top)
    right, op_cache = batchnorm_relu_forward(values, one, zero, None, 0.0, (zero, one), top)
    assert np.array_equal(y, right, equal_nan=True)
    dy = np.arange(1, 11, dtype=np.float32).reshape(2, 5)
    with np.errstate(invalid="ignore"):  # inf · 0
        expected = batchnorm_relu_backward(dy, op_cache)[2]
    assert np.array_equal(norm.batchnorm_relu_backward(emulation.array(dy), cache)[2], expected)


@pytest.mark.parametrize("top", [None, math.inf, 0.7])
def test_the_simple_versions(emulation, rng, top):
    M, C = 29, 37
    make = lambda *shape: emulation.array(rng.standard_normal(shape).astype(np.float32))  # noqa: E731
    x, skip, weight, bias, dy = make(M, C), make(M, C), make(C), make(C), make(M, C)
    mean, var, dweight, dbias = (emulation.empty(x, (C,)) for _ in range(4))
    y, dx, dskip = (emulation.empty(x, (M, C)) for _ in range(3))
    sizes, eps = (np.int32(M), np.int32(C)), np.float32(1e-5)
    grid, ends = launch.blocks(C), norm._ends(top)
    launch.launch("norm", "batchnorm_forward_simple", grid, x, skip, weight, bias, mean, var, y, *sizes, eps, *ends)
    doubles = [a.astype(np.float64) for a in (x, weight, bias, skip)]
    if top is None:
        close(mean, doubles[0].mean(0), TOLERANCE)
        close(var, doubles[0].var(0), TOLERANCE)
        return
    right, cache = batchnorm_relu_forward(*doubles, top=top)
    close(y, right, TOLERANCE)
    launch.launch(
        "norm",
        "batchnorm_backward_simple",
        grid,
        dy,
        y,
        x,
        mean,
        var,
        weight,
        dweight,
        dbias,
        dx,
        dskip,
        *sizes,
        eps,
        ends[1],
    )
    for got, wanted in zip((dx, dweight, dbias, dskip), batchnorm_relu_backward(dy.astype(float), cache), strict=True):
        close(got, wanted, TOLERANCE)


def test_what_is_left_to_the_op():
    zeros = lambda *shape: np.zeros(shape, np.float32)  # noqa: E731
    assert not TRAIN.applies(zeros(1, 4), zeros(4), zeros(4))  # no variance
    assert not TRAIN.applies(zeros(3, 4), zeros(3), zeros(4))
    assert not RELU.applies(zeros(3, 4), zeros(4), zeros(4), zeros(2, 4))
