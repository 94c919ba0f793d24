"""Running and whole sums and products against PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvision import errors, ops

from .oracle import LAYOUTS, compare

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


def test_infinities_in_logsumexp_like_torch():
    x = np.array([[-np.inf, -np.inf], [np.inf, 1], [-np.inf, 2], [1000, 1000.5]])
    compare("logsumexp", lambda t: t.logsumexp(1), [x], {"axis": 1})
    assert ops.logsumexp_forward(np.zeros((2, 0)), axis=1)[0].tolist() == [-np.inf, -np.inf]


def test_an_axis_that_is_not_there_is_refused():
    for name in ("cumsum", "cumprod", "prod", "logsumexp"):
        with pytest.raises(errors.ShapeError, match=f"{name}: axis 2 does not exist in"):
            getattr(ops, name + "_forward")(np.zeros((2, 3)), axis=2)
