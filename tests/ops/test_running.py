"""Running and whole sums and products against PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvision import errors, ops

from .oracle import LAYOUTS, compare, torch

layouts = st.sampled_from(list(LAYOUTS))


@st.composite
def arrays(draw, smallest=1):
    shape = draw(st.lists(st.integers(smallest, 4), min_size=1, max_size=4))
    x = np.random.default_rng(draw(st.integers(0, 99))).standard_normal(shape)
    x[np.random.default_rng(1).random(shape) < draw(st.sampled_from([0, 0.2, 0.6]))] = 0
    return x


@given(arrays(), layouts, st.data())
def test_running_like_torch(x, layout, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    compare("cumsum", lambda t: t.cumsum(axis), [x], {"axis": axis}, layout=LAYOUTS[layout])
    compare("cumprod", lambda t: t.cumprod(axis), [x], {"axis": axis}, layout=LAYOUTS[layout])


@given(arrays(), layouts, st.booleans(), st.data())
def test_products_and_logsumexp_like_torch(x, layout, keepdims, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    options = {"axis": axis, "keepdims": keepdims}
    compare("prod", lambda t: t.prod(axis, keepdims), [x], options, layout=LAYOUTS[layout])
    axes = tuple(data.draw(st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True)))
    options = {"axis": axes, "keepdims": keepdims}
    compare("logsumexp", lambda t: t.logsumexp(axes, keepdims), [x * 50], options, layout=LAYOUTS[layout])


def test_the_product_of_everything_like_torch():
    compare("prod", lambda t: t.prod(), [np.array([[1.0, 0, 3], [2, 4, 5]])])
    compare("prod", lambda t: t.prod(), [np.array([[1.0, 0, 0], [2, 4, 5]])])
    compare("prod", lambda t: t.prod(), [np.array(3.0)])


def test_behind_a_zero_a_running_product_has_no_gradient_however_large_the_one_above():
    x = np.array([0.0, 2, 3])
    dx = ops.cumprod_backward(np.array([1, 1, np.inf]), ops.cumprod_forward(x, axis=0)[1])[0]
    assert dx.tolist() == [np.inf, 0, 0]  # as PyTorch has it


def test_infinities_in_logsumexp_like_torch():
    x = np.array([[-np.inf, -np.inf], [np.inf, 1], [-np.inf, 2], [1000, 1000.5]])
    compare("logsumexp", lambda t: t.logsumexp(1), [x], {"axis": 1})
    assert ops.logsumexp_forward(np.zeros((2, 0)), axis=1)[0].tolist() == [-np.inf, -np.inf]


def test_an_axis_that_is_not_there_is_refused():
    for name in ("cumsum", "cumprod", "prod", "logsumexp"):
        with pytest.raises(errors.ShapeError, match=f"{name}: axis 2 does not exist in"):
            getattr(ops, name + "_forward")(np.zeros((2, 3)), axis=2)


@given(arrays(), layouts, st.booleans(), st.sampled_from([1, 2, 2.0, 3, 1.5, 0.5]), st.data())
def test_norms_like_torch(x, layout, keepdims, p, data):
    axes = tuple(data.draw(st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True)))
    options = {"p": p, "axis": axes, "keepdims": keepdims}
    compare("norm", lambda t: torch.linalg.vector_norm(t, p, axes, keepdims), [x], options, layout=LAYOUTS[layout])


def test_norms_of_nothing_but_zeros_like_torch():
    for p in (1, 2, 3):
        compare("norm", lambda t, p=p: t.norm(p, 1), [np.array([[0.0, 0, 0], [0, 3, 4]])], {"p": p, "axis": 1})


def test_a_norm_of_halves_does_not_overflow():
    assert ops.norm_forward(np.full(4, 300, np.float16))[0] == 600


@pytest.mark.parametrize("p", [0, -1, np.inf, "fro", True])
def test_other_norms_are_refused(p):
    with pytest.raises(errors.OptionError, match="norm: p must be a number above 0"):
        ops.norm_forward(np.ones(3), p=p)


def test_two_zeros_beside_what_is_infinite():
    for x in ([0.0, 0.0, np.inf], [0.0, np.nan, -0.0, 2.0], [0.0, np.inf, 3.0]):
        x = np.array(x)
        compare("prod", lambda x: x.prod(), [x])
        compare("prod", lambda x: x.prod(0), [x], {"axis": 0})


def test_a_sum_of_negative_zeros_is_zero():
    zeros = np.array([-0.0, -0.0, 1.0, -1.0])
    for x in (zeros[:1], zeros):
        ours, theirs = ops.cumsum_forward(x, 0)[0], torch.cumsum(torch.tensor(x), 0).numpy()
        np.testing.assert_array_equal(np.signbit(ours), np.signbit(theirs))
