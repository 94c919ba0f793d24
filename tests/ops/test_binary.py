"""Functions of two arrays against PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from tinyvision import errors, ops

from .oracle import LAYOUTS, compare, torch

NAMES = ["maximum", "minimum", "power", "atan2", "hypot", "logaddexp", "remainder", "fmod"]
POINTS = np.array([0.0, 1, -1, 2, -2, 0.5, np.inf, np.nan])


@pytest.mark.parametrize("name", NAMES)
@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4), st.sampled_from(list(LAYOUTS)))
def test_like_torch(name, both, layout):
    rng = np.random.default_rng(0)
    a, b = (np.asarray(rng.standard_normal(s)) for s in both.input_shapes)
    a = abs(a) + 0.5 if name == "power" else a
    compare(name, getattr(torch, {"power": "pow"}.get(name, name)), [a, b], layout=LAYOUTS[layout])


@pytest.mark.parametrize("name", NAMES)
def test_special_points_like_torch(name):
    a, b = (v.ravel() for v in np.meshgrid(POINTS, POINTS))
    if name in ("remainder", "fmod"):  # nothing is left of dividing infinity, nor by 0, but nan
        kept = np.isfinite(a) & np.isfinite(b) & (b != 0)
        a, b = a[kept], b[kept]
    compare(name, getattr(torch, {"power": "pow"}.get(name, name)), [a, b])


def test_shapes_that_do_not_broadcast_are_refused():
    for name in NAMES:
        with pytest.raises(errors.ShapeError, match=f"{name}: shapes do not broadcast"):
            getattr(ops, name + "_forward")(np.zeros((2, 3)), np.zeros((2, 4)))
