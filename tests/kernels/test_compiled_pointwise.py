"""Convolutions by 1×1 kernels in loops, against the op in float64: of few pixels, and in long lines."""

import numpy as np
import pytest

from tinyvision import ops, threads
from tinyvision.kernels.cpu import direct, lines, pointwise
from tinyvision.kernels.cpu.registers import RUN, WIDTH
from tinyvision.ops.conv_inference import conv2d_inference

from .ahead import needs_numba
from .test_compiled_loops import TOLERANCE, last, small

FORWARD, INFERENCE = pointwise.DROP_INS

# (N, C, H, W) of the image, and the channels of the result
FEW = [
    ((1, WIDTH, 1, 1), RUN),
    ((4, WIDTH + 5, 1, 1), WIDTH + 3),
    ((RUN + 2, 2 * WIDTH, 1, 1), 2 * RUN + 1),
    ((2, WIDTH + 1, 3, 4), RUN + 3),
]
LONG = [((3, 5, 2, 9), WIDTH + 1), ((4, 3, 5, 3), WIDTH), ((2, 6, 1, RUN), WIDTH - 1), ((8, 2, 1, 1), WIDTH)]


@pytest.fixture(autouse=True)
def small_ones_are_shared_out(monkeypatch):
    """Where another thread does not pay, it computes the same."""
    monkeypatch.setattr(lines, "LEAST_PRODUCTS", 0)
    monkeypatch.setattr(lines, "LEAST_BYTES", 0)


def check(drop_in, case, rng, layout, applies):
    """All that the pair computes, against the op."""
    shape, O = case
    given = rng.standard_normal(shape), rng.standard_normal((O, shape[1], 1, 1)) / 4, rng.standard_normal(O)
    given[0].flat[1] = np.inf
    ours = [layout(a).astype(np.float32) for a in given]
    for a in ours:
        a.flags.writeable = False
    assert drop_in.applies(*ours) or not applies
    y, cache = drop_in.forward(*ours)
    expected, its_cache = ops.conv2d_forward(*given)
    np.testing.assert_allclose(y, expected, **TOLERANCE)
    dy = rng.standard_normal(y.shape)
    dy.flat[2] = np.nan
    for _ in range(2):  # the second call gives the same
        got, wanted = drop_in.backward(layout(dy).astype(np.float32), cache), ops.conv2d_backward(dy, its_cache)
        for a, b in zip(got, wanted, strict=True):
            assert a.shape == b.shape
            assert a.dtype == np.float32
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * np.abs(np.where(np.isfinite(b), b, 1)).max())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("layout", [last, np.array])
@pytest.mark.parametrize("case", FEW)
def test_few_pixels_are_like_the_op_both_ways(case, layout, rng, loops):
    check(FORWARD, case, rng, layout, applies=True)


@needs_numba
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("case", LONG)
def test_long_lines_are_like_the_op_both_ways(case, count, rng, machine_code, monkeypatch):
    for one, machine, _ in machine_code:
        monkeypatch.setattr(one, "run", machine)
    threads.set_num_threads(count)
    for large in (True, False):
        monkeypatch.setattr(direct, "kernels_outweigh", lambda packed, x, large=large: large)
        for layout in (last, np.array):
            check(direct.DROP_INS[0], case, rng, layout, applies=False)


@pytest.mark.parametrize("activation", [None, "relu", "relu6", "hardswish", "hardsigmoid", "silu", "sigmoid"])
@pytest.mark.parametrize("given", ["", "scale", "shift", "skip", "scale shift", "scale shift skip"])
@pytest.mark.parametrize("kind", [INFERENCE, direct.DROP_INS[1]])
def test_inference_finishes_its_sums(kind, given, activation, rng, loops):
    O = WIDTH + 3
    x, weight, skip = rng.standard_normal((2, WIDTH, 2, 5)), rng.standard_normal((O, WIDTH, 1, 1)) / 4, None
    scale, shift = (rng.standard_normal(O) if word in given else None for word in ("scale", "shift"))
    if "skip" in given:
        skip = rng.standard_normal((2, O, 2, 5)) * 4
    values, rest = (x, weight, scale, shift, skip), (activation, (1, 1), (0, 0), (1, 1), 1)
    expected = conv2d_inference(*values, *rest)
    ours = [None if a is None else small(a) for a in values]
    assert kind.applies(*ours, *rest, {})
    np.testing.assert_allclose(kind.forward(*ours, *rest), expected, rtol=5e-5, atol=5e-5)


def test_only_single_pixels_without_anything_around_them_and_few_of_them():
    def applies(x, weight, **options):
        return FORWARD.applies(np.zeros(x, np.float32), np.zeros(weight, np.float32), **options)

    C, weight = WIDTH, (RUN, WIDTH, 1, 1)
    assert applies((pointwise.FEW_PIXELS, C, 1, 1), weight)
    assert not applies((pointwise.FEW_PIXELS + 1, C, 1, 1), weight)
    assert not applies((1, C, 3, 3), (RUN, C, 3, 3))
    assert not applies((1, C, 2, 3), weight, stride=2)
    assert not applies((1, C, 1, 1), weight, padding=1)
    assert not applies((1, C, 1, 1), (RUN - 1, C, 1, 1))
    assert not applies((1, C - 1, 1, 1), (RUN, C - 1, 1, 1))
    assert not applies((1, 2 * C, 1, 1), (2 * RUN, C, 1, 1), groups=2)
    image, kernel = np.zeros((1, C, 1, 1), np.float32), np.zeros(weight, np.float32)
    for stride, beyond, whether in (((1, 1), (0, 0), True), ((1, 1), (0, 1), False), ((2, 2), (1, 1), False)):
        rest = None, None, None, None, stride, (0, 0), (1, 1), 1, None, beyond
        assert INFERENCE.applies(image, kernel, *rest) == whether


@pytest.mark.parametrize(
    ("most", "least", "lines", "pixels"),
    [
        (100, 1, 1, 60),
        (30, 1, 2, 30),
        (29, 1, 3, 20),
        (100, 3, 3, 20),
        (100, 5, 6, 10),
        (4, 1, 12, 5),
        (100, 13, 12, 5),
    ],
)
def test_long_lines_are_as_long_as_they_may_be(most, least, lines, pixels):
    x, y = np.arange(2 * 6 * 5 * 2.0).reshape(2, 6, 5, 2), np.zeros((2, 6, 5, 3))
    long, results = pointwise.in_long_lines(x, y, most, least)
    assert long.shape == (1, lines, pixels, 2)
    assert results.shape == (1, lines, pixels, 3)
    np.testing.assert_array_equal(long.ravel(), x.ravel())
    assert np.shares_memory(results, y)


def test_pixels_that_do_not_lie_side_by_side_stay_in_their_lines():
    x, y = np.zeros((2, 3, 4, 5)).transpose(0, 2, 3, 1), np.zeros((2, 4, 5, 7))
    assert [a.shape for a in pointwise.in_long_lines(x, y, 100, 1)] == [x.shape, y.shape]
