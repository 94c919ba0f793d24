"""flip, roll and repeat against PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvision import errors, ops

from .oracle import LAYOUTS, compare


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.sampled_from(list(LAYOUTS)), st.data())
def test_like_torch(shape, layout, data):
    x, layout = np.random.default_rng(0).standard_normal(shape), LAYOUTS[layout]
    axes = data.draw(st.lists(st.integers(0, x.ndim - 1), unique=True))
    compare("flip", lambda t: t.flip(axes), [x], {"axis": axes}, layout=layout)
    shifts = [data.draw(st.integers(-6, 6)) for _ in axes]
    if axes:
        compare("roll", lambda t: t.roll(shifts, axes), [x], {"shifts": shifts, "axis": axes}, layout=layout)
    repeats = data.draw(st.lists(st.integers(0, 3), min_size=x.ndim, max_size=x.ndim + 2))
    compare("repeat", lambda t: t.repeat(repeats), [x], {"repeats": repeats}, layout=layout)


def test_doors():
    x = np.zeros((2, 3))
    with pytest.raises(errors.ShapeError, match="flip: axis 2 does not exist"):
        ops.flip_forward(x, axis=2)
    with pytest.raises(errors.OptionError, match="one whole shift for each axis"):
        ops.roll_forward(x, shifts=(1,), axis=(0, 1))
    for repeats in ((2,), (2, -1), (2, 1.5)):
        with pytest.raises(errors.OptionError, match="for each of the 2 axes is needed"):
            ops.repeat_forward(x, repeats=repeats)
