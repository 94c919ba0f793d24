"""Values and gradients at kinks, ties, zeros, nan and infinity are PyTorch's."""

import numpy as np
import pytest

import tinyvision as tv

torch = pytest.importorskip("torch")
NAN, INF = float("nan"), float("inf")
ROWS = [
    [0.0, 0.0, 0.0],
    [1.0, NAN, 2.0],
    [2.0, 1.0, 2.0, 2.0],
    [-1.0, 0.0, 1.0, 0.0],
    [NAN, NAN, 1.0],
    [-2.0, 3.0, 7.0, 6.0],
    [INF, 1.0, -INF, 0.0],
]
FUNCTIONS = """
x.norm() ; x.norm(1) ; x.norm(3) ; x.norm(float("inf")) ; x.norm(-float("inf"))
x.std() ; x.var() ; x.std(0, unbiased=False)
x.max() ; x.min() ; x.max(0).values ; x.min(0).values ; x.median() ; x.median(0).values
x.sort().values ; x.sort(descending=True).values ; x.cumsum(0) ; x.quantile(0.5)
x.sqrt() ; x.rsqrt() ; x ** 0.5 ; x ** 2 ; x ** -1 ; x ** 0 ; x.log() ; x.log1p() ; x.abs() ; x.sign() ; x.exp()
x.sigmoid() ; x.tanh() ; x.softmax(0) ; x.log_softmax(0) ; x.logsumexp(0) ; x.atan() ; x.floor() ; x % 2
x.clamp(0, 1) ; x.clamp(min=0) ; x.clamp(max=1) ; x.clamp(t.zeros_like(x), t.ones_like(x))
x.clamp(min=t.zeros_like(x)) ; x.clamp(max=t.tensor(1.0, dtype=x.dtype))
t.maximum(x, t.zeros_like(x)) ; t.minimum(x, t.ones_like(x)) ; t.where(x > 0, x, x * 0)
"""
FUNCTIONS = [function.strip() for function in FUNCTIONS.replace("\n", ";").split(";") if function.strip()]


def outcome(t, function, row, dtype):
    x = t.tensor(row, dtype=getattr(t, dtype), requires_grad=True)
    y = eval(function, {"t": t, "x": x})
    if not y.requires_grad:
        return np.array(y.tolist()), None
    y.backward(t.tensor(np.linspace(1, 2, y.numel()).reshape(tuple(y.shape)).tolist(), dtype=y.dtype))
    return np.array(y.tolist()), np.array(x.grad.tolist())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_values_and_gradients_at_special_points(function):
    for row in ROWS:
        with np.errstate(all="ignore"):
            ours, theirs = (outcome(t, function, row, "float64") for t in (tv, torch))
        for one, other in zip(ours, theirs, strict=True):
            assert (one is None) == (other is None), row
            if one is not None:
                np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12, err_msg=str(row))


@pytest.mark.parametrize(
    ("function", "row", "dtype"),
    [
        ("x.std()", [1e30, -1e30, 2e30], "float32"),
        ("x.std()", [1e-30, 2e-30, 5e-30], "float32"),
        ("x.norm()", [300.0, 300.0, 300.0], "float16"),
        ("x.mean()", [60000.0, 60000.0, -60000.0], "float16"),
    ],
)
def test_nothing_overflows_or_vanishes_where_pytorchs_does_not(function, row, dtype):
    ours, theirs = (outcome(t, function, row, dtype) for t in (tv, torch))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3 if dtype == "float16" else 1e-6)
