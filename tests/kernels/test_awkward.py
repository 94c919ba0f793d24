"""Every kernel that stands in for an op of the table of cases, on arrays as scripts have them and none of its own tests
makes: views that begin anywhere, run backwards and have gaps; numbers that are none; batches without a picture."""

import numpy as np
import pytest
from ops.op_cases import CASES

from tinyvision import kernels
from tinyvision.kernels import winograd

TOLERANCE = 2e-5  # float32 against float64, through logarithms and divisions
# A drop-in that reads no cuBLAS is asked first, and Winograd's spreads what is not finite over its tiles, as it says.
SPREADS = winograd.DROP_INS


def stand_in(case, arrays):
    """The drop-in that takes a case, if these arrays were on a GPU."""
    offered = kernels._offered().get((case.forward, case.backward), ())
    return next(
        (
            one
            for one in offered
            if one not in SPREADS and kernels._in_float32(arrays, one.integers) and one.applies(*arrays, **case.options)
        ),
        None,
    )


def single(arrays, views=None):
    """Floats in float32; as `awkward` views, for which a generator of random numbers is handed in."""
    arrays = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
    return arrays if views is None else [awkward(a, views) for a in arrays]


TAKEN = [case for case in CASES if stand_in(case, single(case.make(np.random.default_rng(0)))) is not None]


def test_there_are_many():
    ops = {case.op for case in TAKEN}
    assert {"conv2d", "max_pool2d", "batchnorm_train", "batchnorm_relu", "relu", "cross_entropy"} <= ops


def awkward(array, rng):
    """The same numbers in a view: every other one along the last axis, backwards along the first, from an odd place."""
    if not array.ndim:
        return array
    *sides, last = array.shape
    base = rng.standard_normal(int(np.prod([*sides, 2 * last + 1])) + 3).astype(array.dtype)[3:]
    view = base.reshape(*sides, 2 * last + 1)[..., 1::2][::-1]
    view[...] = array
    return view


def both(case, arrays, dy, views=None):
    """(results of the kernels, of the op in float64): y and every gradient."""
    given = single(arrays, views)
    drop_in = stand_in(case, given)
    doubles = [a.astype(float) if a.dtype.kind == "f" else a for a in given]
    needs = tuple(a.dtype.kind == "f" for a in given)
    before = [a.copy() for a in given]
    y, cache = drop_in.forward(*given, **case.options)
    expected, op_cache = case.forward(*doubles, **case.options)
    (upstream,) = single([dy(expected.shape)], views)
    got = y, *(drop_in.backward or case.backward)(upstream, cache, needs)
    right = expected, *case.backward(upstream.astype(float), op_cache, needs)
    for a, kept in zip(given, before, strict=True):
        assert np.array_equal(a, kept, equal_nan=a.dtype.kind == "f"), "an input was changed"
    return [(a, b) for a, b, need in zip(got, right, (True, *needs), strict=False) if need and b is not None]


@pytest.mark.parametrize("case", TAKEN, ids=str)
def test_views(emulation, rng, case):
    for got, right in both(case, case.make(rng), rng.standard_normal, views=rng):
        scale = max(1.0, float(np.abs(right).max(initial=0)))
        assert np.abs(got - right).max(initial=0) <= TOLERANCE * scale


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("case", TAKEN, ids=str)
def test_numbers_that_are_none(emulation, rng, case):
    """A NaN and both infinities in what comes in and in what comes back end where the op has them."""
    arrays = case.make(rng)

    def spoiled(array):
        if not array.ndim:  # what comes back to a loss: an ignored row of labels is 0 times it, or 0
            return array
        array = array.copy()
        at = rng.permutation(array.size)[:3]
        array.reshape(-1)[at] = [np.nan, np.inf, -np.inf][: len(at)]
        return array

    arrays[0] = spoiled(arrays[0])
    with np.errstate(all="ignore"):
        results = both(case, arrays, lambda shape: spoiled(np.asarray(rng.standard_normal(shape))))
    for got, right in results:
        right = right.astype(np.float32)
        assert np.array_equal(np.isnan(got), np.isnan(right))
        where = np.isinf(right)
        assert np.array_equal(got[where], right[where])
        assert np.isfinite(got[np.isfinite(right)]).all()


@pytest.mark.parametrize("case", TAKEN, ids=str)
def test_an_empty_batch_is_left_to_the_op(rng, case):
    arrays = [a[:0] if a.ndim and len(a) == len(case.make(rng)[0]) else a for a in single(case.make(rng))]
    assert stand_in(case, arrays) is None
