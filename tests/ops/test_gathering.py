"""gather, scatter and scatter_add against PyTorch, and at their doors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvision import errors, ops

from .oracle import LAYOUTS, compare, torch


@st.composite
def places(draw, twice=True):
    """x, an index that fits it along an axis, and a source at least as large as the index."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    sizes = [int(rng.integers(0, n + 1)) for n in shape]
    if twice:
        sizes[axis] = int(rng.integers(0, 6))
        index = rng.integers(0, shape[axis], sizes)
    else:
        order = np.argsort(rng.random(shape), axis=axis)
        index = order[tuple(slice(n) for n in sizes)]
    source = rng.standard_normal([n + int(rng.integers(0, 2)) for n in sizes])
    return rng.standard_normal(shape), index, source, axis


@given(places(), st.sampled_from(list(LAYOUTS)))
def test_reading_and_adding_like_torch(case, layout):
    x, index, source, axis = case
    there, options, layout = torch.from_numpy(index), {"index": index, "axis": axis}, LAYOUTS[layout]
    compare("gather", lambda t: t.gather(axis, there), [x], options, layout=layout)
    larger = torch.from_numpy(x).scatter_add(axis, there, torch.from_numpy(source))
    np.testing.assert_allclose(ops.scatter_add_forward(x, source, **options)[0], larger.numpy(), rtol=1e-12, atol=1e-12)
    # PyTorch has no gradient for a source larger than the index.
    source = source[tuple(slice(n) for n in index.shape)]
    compare("scatter_add", lambda t, s: t.scatter_add(axis, there, s), [x, source], options, layout=layout)


@given(places(twice=False), st.sampled_from(list(LAYOUTS)))
def test_writing_like_torch(case, layout):
    x, index, source, axis = case
    there = torch.from_numpy(index)
    options = {"index": index, "axis": axis}
    # PyTorch has no gradient for a source larger than the index.
    source = source[tuple(slice(n) for n in index.shape)]
    compare("scatter", lambda t, s: t.scatter(axis, there, s), [x, source], options, layout=LAYOUTS[layout])


def test_a_single_number():
    compare("gather", lambda t: t.gather(0, torch.tensor(0)), [np.array(3.0)], {"index": np.array(0), "axis": 0})


X = np.zeros((2, 3))


@pytest.mark.parametrize(("error", "message", "index"), [
    (errors.ShapeError, "outside 0 to 2, axis 1", np.array([[3]])),
    (errors.ShapeError, "outside 0 to 2, axis 1", np.array([[-1]])),
    (errors.DtypeError, r"must hold integers, got float64; use .long\(\)", np.zeros((1, 1))),
    (errors.ShapeError, "as many axes as x", np.array([1])),
    (errors.ShapeError, "no longer than x", np.zeros((3, 1), int)),
])  # fmt: skip
def test_doors(error, message, index):
    for name, more in (("gather", []), ("scatter", [np.zeros((4, 4))]), ("scatter_add", [np.zeros((4, 4))])):
        with pytest.raises(error, match=f"^{name}: .*{message}"):
            getattr(ops, name + "_forward")(X, *more, index=index, axis=1)


def test_a_source_must_reach_as_far_as_the_index_and_hold_the_same_numbers():
    for name in ("scatter", "scatter_add"):
        forward = getattr(ops, name + "_forward")
        with pytest.raises(errors.ShapeError, match="no longer than source"):
            forward(X, np.zeros((1, 1)), index=np.zeros((2, 2), int), axis=1)
        with pytest.raises(errors.DtypeError, match="x is float64 but source is float32"):
            forward(X, np.zeros((2, 2), np.float32), index=np.zeros((2, 2), int), axis=1)
