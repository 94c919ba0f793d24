"""Cross-entropy by the loops of the CPU against its op in float64: as plain Python, and compiled."""

import numpy as np
import pytest

from tinyvision import kernels, ops
from tinyvision.errors import DtypeError, OptionError
from tinyvision.kernels.cpu import compiled, loss

from .ahead import needs_numba

DROP_IN = loss.DROP_INS[0]
# float32: a log-probability of size 100 has 8e-6 of rounding in it
TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}


def scores(rng, *shape):
    """float32 scores (N, K, ...) with the classes last in memory, as a convolution leaves them."""
    x = np.moveaxis(rng.standard_normal(shape) * 3, 1, -1).astype(np.float32)
    return np.moveaxis(np.ascontiguousarray(x), -1, 1)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("shape", "dtype"), [((7, 5), np.int64), ((1, 1), np.int32), ((3, 4, 2, 5), np.uint8)])
def test_like_the_op_both_ways(shape, dtype, smoothing, reduction, rng, loops):
    x, labels = scores(rng, *shape), rng.integers(0, shape[1], (shape[0], *shape[2:])).astype(dtype)
    ignored = 0 if shape[1] > 1 else -100  # a class that is ignored, among the labels or not
    options = {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": ignored}
    assert DROP_IN.applies(x, labels, **options)
    y, cache = DROP_IN.forward(x, labels, **options)
    expected, its_cache = ops.cross_entropy_forward(x.astype(float), labels, **options)
    np.testing.assert_allclose(y, expected, **TOLERANCE)
    assert y.dtype == np.float32
    assert y.shape == expected.shape
    dy = rng.standard_normal(y.shape)
    got, nothing = DROP_IN.backward(np.asarray(dy, np.float32), cache, (True, False))
    np.testing.assert_allclose(got, ops.cross_entropy_backward(dy, its_cache)[0], **TOLERANCE)
    assert got.dtype == np.float32
    assert got.shape == x.shape
    assert nothing is None


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NaN and infinities, where NumPy's scalars compute
def test_impossible_and_broken_scores_are_what_they_are_to_the_op(smoothing, rng, loops):
    x, labels = scores(rng, 7, 4), np.array([0, 1, 2, 3, 0, -100, -100])
    x[0, 2], x[1, 1], x[2] = -np.inf, -np.inf, -np.inf
    x[3, 0], x[4, 1], x[5, 2], x[6, 0] = np.nan, np.inf, np.nan, 1e30
    y, cache = DROP_IN.forward(x, labels, label_smoothing=smoothing, reduction="none")
    expected, its_cache = ops.cross_entropy_forward(
        x.astype(float), labels, label_smoothing=smoothing, reduction="none"
    )
    np.testing.assert_allclose(y, expected, **TOLERANCE)
    dy = rng.standard_normal(7)
    got = DROP_IN.backward(dy.astype(np.float32), cache)[0]
    np.testing.assert_allclose(got, ops.cross_entropy_backward(dy, its_cache)[0], **TOLERANCE)


def test_scores_far_apart_and_far_out_neither_overflow_nor_lose_their_digits(loops):
    x = np.float32([[1000, 999, -1000], [-50000, -50001, -50000]])
    y, _ = DROP_IN.forward(x, np.array([2, 1]), reduction="none")
    np.testing.assert_allclose(y, [2000.3132616, 1.8619948], rtol=1e-6)


@needs_numba
def test_many_classes_cost_no_digit(rng, machine_code, monkeypatch):
    for one, machine, _ in machine_code:
        monkeypatch.setattr(one, "run", machine)
    x, labels = scores(rng, 2, 200_000), np.array([1, 199_999])
    y, _ = DROP_IN.forward(x, labels, label_smoothing=0.1, reduction="none")
    expected, _ = ops.cross_entropy_forward(x.astype(float), labels, label_smoothing=0.1, reduction="none")
    np.testing.assert_allclose(y, expected, rtol=3e-7)


@pytest.mark.parametrize(
    ("labels", "options", "error", "says"),
    [
        ([0, 3], {}, OptionError, r"labels\[1\] is 3, but the classes are 0 to 2"),
        ([-1, 0], {"reduction": "none"}, OptionError, r"labels\[0\] is -1"),
        ([-100, -100], {}, OptionError, "ignore_index"),
        ([True, False], {}, DtypeError, "labels must be integers"),
        ([0, 1], {"reduction": "average"}, OptionError, "reduction must be"),
        ([0, 1], {"label_smoothing": "much"}, OptionError, "label_smoothing must be"),
        ([0, 1], {"ignore_index": 1.5}, OptionError, "ignore_index must be"),
    ],
)
def test_what_is_wrong_is_said_as_the_op_says_it(labels, options, error, says, rng, loops, monkeypatch):
    monkeypatch.setattr(kernels, "_on_cpu", {DROP_IN.op: [DROP_IN]})
    arrays = [scores(rng, 2, 3), np.array(labels)]
    forward, _ = kernels.choose_on_cpu(*DROP_IN.op, arrays, options)
    with pytest.raises(error, match=says):
        forward(*arrays, **options)


def test_class_weights_probabilities_and_float64_are_left_to_the_op(rng, monkeypatch):
    monkeypatch.setattr(kernels, "_on_cpu", {DROP_IN.op: [DROP_IN]})
    x, labels = scores(rng, 4, 3), np.array([0, 1, 2, 0])

    def chosen(*arrays, **options):
        return kernels.choose_on_cpu(*DROP_IN.op, list(arrays), options)[0]

    assert chosen(x, labels) is DROP_IN.forward
    assert chosen(x, labels.astype(np.uint64)) is ops.cross_entropy_forward  # which sees that 2**64 - 100 is no class
    for arrays in (
        (x, labels, np.ones(3, np.float32)),
        (x, np.full((4, 3), 1 / 3, np.float32)),
        (x.astype(float), labels),
    ):
        assert chosen(*arrays) is ops.cross_entropy_forward
    assert "loss" in compiled.MODULES
