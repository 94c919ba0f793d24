"""Functions of one number against PyTorch: inside their domains, at their edges, and beyond."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvision import errors, ops

from .oracle import LAYOUTS, compare, torch

NAMES = [
    "abs", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh", "expm1", "log1p",
    "log2", "log10", "erf", "erfinv",
]  # fmt: skip
STEPS = ["floor", "ceil", "trunc", "round", "sign"]
SPECIAL = np.array([0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2, 30, -30, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("name", NAMES)
@given(st.lists(st.integers(0, 4), max_size=4), st.sampled_from(list(LAYOUTS)), st.integers(0, 99))
def test_values_and_slopes_like_torch(name, shape, layout, seed):
    x = np.random.default_rng(seed).random(shape) * 1.6 - 0.8
    x = abs(x) + 0.1 if name.startswith("log") else x + 2.5 if name == "acosh" else x
    compare(name, getattr(torch, name), [x], layout=LAYOUTS[layout])


@pytest.mark.parametrize("name", NAMES)
def test_special_points_like_torch(name):
    compare(name, getattr(torch, name), [SPECIAL])


@pytest.mark.parametrize("kind", STEPS)
def test_steps_like_torch(kind):
    compare("steps", getattr(torch, kind), [SPECIAL], {"kind": kind})
    compare("steps", getattr(torch, kind), [np.random.default_rng(0).standard_normal((3, 4)) * 3], {"kind": kind})


def test_an_unknown_step_is_refused():
    with pytest.raises(errors.OptionError, match="one of floor, ceil, trunc, round, sign, got 'up'"):
        ops.steps_forward(np.zeros(3), kind="up")


def test_erf_is_right_to_the_last_bits():
    x = np.concatenate([np.linspace(-7, 7, 4001), np.logspace(-300, 0, 301)])
    exact = np.array([math.erf(v) for v in x])
    np.testing.assert_allclose(ops.erf_forward(x)[0], exact, rtol=4e-15, atol=0)
    assert np.abs(ops.erf_forward(x.astype(np.float32))[0] - exact).max() < 2.5e-7
    assert ops.erf_forward(x.astype(np.float32))[0].dtype == np.float32


def test_erfinv_undoes_erf_to_the_last_bits():
    x = np.concatenate([np.linspace(-0.7, 0.7, 4001), np.logspace(-300, -1, 301)])
    np.testing.assert_allclose([math.erf(v) for v in ops.erfinv_forward(x)[0]], x, rtol=4e-15, atol=0)
    missing = np.concatenate([np.logspace(-15.9, -0.3, 300), [2.0**-53]])  # from 1, where erf has no digits left
    missing = 1 - (1 - missing)
    y = ops.erfinv_forward(1 - missing)[0]
    np.testing.assert_allclose([math.erfc(v) for v in y], missing, rtol=2e-13, atol=0)
    np.testing.assert_array_equal(ops.erfinv_forward(missing - 1)[0], -y)
    for dtype in (np.float32, np.float16):
        narrow = np.linspace(-1, 1, 4001).astype(dtype)
        y = ops.erfinv_forward(narrow)[0]
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, ops.erfinv_forward(narrow.astype(np.float64))[0].astype(dtype))
