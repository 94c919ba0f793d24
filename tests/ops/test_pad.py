"""Padding against PyTorch, over generated borders."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvision import errors, ops

from .oracle import LAYOUTS, compare, torch

pad = torch.nn.functional.pad


@given(st.data())
def test_constants_like_torch(data):
    axes = data.draw(st.integers(1, 4))
    shape = tuple(data.draw(st.integers(3, 5)) for _ in range(axes))
    padding = [data.draw(st.integers(-1, 3)) for _ in range(2 * data.draw(st.integers(0, axes)))]
    value, x = data.draw(st.sampled_from([0.0, -1.5])), np.random.default_rng(1).standard_normal(shape)
    layout = LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))]
    compare("pad", lambda t: pad(t, padding, value=value), [x], {"padding": padding, "value": value}, layout=layout)


@given(st.data())
def test_borders_of_x_itself_like_torch(data):
    padded = data.draw(st.integers(1, 3))
    shape = (2, 3, *(data.draw(st.integers(3, 5)) for _ in range(padded)))
    padding = [data.draw(st.integers(-1, 2)) for _ in range(2 * padded)]
    mode = data.draw(st.sampled_from(["reflect", "replicate", "circular"]))
    x = np.random.default_rng(1).standard_normal(shape)
    layout = LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))]
    compare("pad", lambda t: pad(t, padding, mode=mode), [x], {"padding": padding, "mode": mode}, layout=layout)


def test_integers_are_padded_too():
    y, _ = ops.pad_forward(np.arange(3), (1, 2), value=7)
    np.testing.assert_array_equal(y, [7, 0, 1, 2, 7, 7])
    assert y.dtype == np.int64


REFUSED = [
    ({"padding": (1, 2, 3)}, errors.OptionError, "in pairs"),
    ({"padding": (1.0, 2)}, errors.OptionError, "integers"),
    ({"padding": (1,) * 6}, errors.ShapeError, r"pads 3 axes, but x is \(3, 4\)"),
    ({"padding": (-2, -2)}, errors.ShapeError, "leave nothing of the 4 numbers along axis 1"),
    ({"padding": (4, 0), "mode": "reflect"}, errors.ShapeError, "at most 3 to the 4 numbers along axis 1"),
    ({"padding": (0, 5), "mode": "circular"}, errors.ShapeError, "at most 4"),
    ({"padding": (1, 1), "mode": "mirror"}, errors.OptionError, "mode must be one of constant"),
]


@pytest.mark.parametrize(("options", "error", "words"), REFUSED)
def test_refused(options, error, words):
    with pytest.raises(error, match=words):
        ops.pad_forward(np.ones((3, 4)), **options)
