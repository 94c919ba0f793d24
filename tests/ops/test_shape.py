"""Arithmetic, reductions and the ops that move numbers, against PyTorch, and at their doors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import basic_indices, mutually_broadcastable_shapes
from strict import StrictArray, from_strict, to_strict

from tinyvision import errors, ops

from .oracle import LAYOUTS, compare, torch

shapes = st.lists(st.integers(1, 4), max_size=4)


def normal(*shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s) for s in shapes]


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
@given(mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4), st.sampled_from(list(LAYOUTS)))
def test_arithmetic_like_torch(name, both, layout):
    a, b = normal(*both.input_shapes)
    b = b + np.sign(b) if name == "div" else b
    compare(name, getattr(torch, name), [a, b], layout=LAYOUTS[layout])


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_arithmetic_on_large_arrays_like_torch(name, rng):
    a, b = rng.standard_normal((3, 64, 40, 9)), rng.random((3, 64, 40, 9)) + 0.5
    for layout in LAYOUTS.values():
        compare(name, getattr(torch, name), [a, b], layout=layout)


@given(mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3))
def test_where_like_torch(three):
    a, b, c = normal(*three.input_shapes)
    condition = np.asarray(c > 0)
    compare("where", lambda x, y: torch.where(torch.from_numpy(condition), x, y), [a, b], {"condition": condition})


@given(shapes, st.sampled_from([0, 1, 2, 3, -1, 0.5, 2.5, -0.5, np.float64(2), np.int64(3)]))
def test_powers_like_torch(shape, exponent):
    (x,) = normal(shape)
    x = np.abs(x) + 0.5
    plain = exponent.item() if isinstance(exponent, np.generic) else exponent
    compare("pow", lambda t: t**plain, [x], {"exponent": exponent})
    assert ops.pow_forward(x.astype(np.float32), exponent)[0].dtype == np.float32


@given(shapes)
def test_exp_and_log_like_torch(shape):
    (x,) = normal(shape)
    compare("exp", torch.exp, [x])
    compare("log", torch.log, [np.abs(x) + 0.1])


@given(shapes, st.booleans(), st.sampled_from(list(LAYOUTS)), st.data())
def test_reductions_like_torch(shape, keepdims, layout, data):
    (x,) = normal(shape)
    axes = st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True) if shape else st.nothing()
    axis = data.draw(st.one_of(st.none(), axes.map(tuple)))
    if axis is not None and len(axis) == 1:
        axis = data.draw(st.sampled_from([axis, axis[0], axis[0] - len(shape)]))
    options = {"axis": axis, "keepdims": keepdims}
    everywhere = tuple(range(len(shape)))
    dim = {"dim": everywhere if axis is None else axis, "keepdim": keepdims}
    compare("sum", lambda t: t.sum(**dim), [x], options, layout=LAYOUTS[layout])
    compare("mean", lambda t: t.mean(**dim), [x], options, layout=LAYOUTS[layout])
    compare("max", lambda t: t.amax(**dim), [x], options, layout=LAYOUTS[layout])


def test_the_gradient_of_a_maximum_is_shared_among_ties_like_torch():
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    compare("max", lambda t: t.amax(1), [x], {"axis": 1})
    compare("max", lambda t: t.amax(), [x])


@given(shapes, st.data())
def test_moving_like_torch(shape, data):
    (x,) = normal(shape)
    order = data.draw(st.permutations(range(len(shape))))
    compare("transpose", lambda t: t.permute(order), [x], {"axes": order})
    start = data.draw(st.integers(0, max(len(shape) - 1, 0)))
    compare("flatten", lambda t: t.flatten(start), [x], {"start": start})
    compare("reshape", lambda t: t.reshape(-1, 1), [x], {"shape": (-1, 1)})
    if shape:
        axis = data.draw(st.integers(-len(shape), len(shape) - 1))
        others = [x, x[..., :1] if axis in (-1, len(shape) - 1) else x + 1, x]
        compare("concatenate", lambda *t: torch.cat(t, axis), others, {"axis": axis})


@given(st.data())
def test_basic_indexing_like_torch(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    index = data.draw(basic_indices(shape, allow_newaxis=True))
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(p, slice) and p.step is not None and p.step < 0 for p in parts):
        return  # PyTorch has no negative steps
    compare("index", lambda t: t[index], normal(shape), {"index": index})


@pytest.mark.parametrize("index", [
    np.array([2, 0, 2, -1]), np.array([[0, 1], [1, 1]]), [0, 2, 0], (slice(None), np.array([1, 1])),
    (np.array([0, 0]), np.array([1, 1])), (np.array([[0], [2]]), slice(None), np.array([1, 3])), np.zeros(0, int),
    (..., np.array([0, 0, 3])), np.arange(24).reshape(3, 2, 4) % 3 == 0, np.array([True, False, True]), np.int64(1),
    (None, np.array([1, 1])), (0, np.array([True, False])),
], ids=str)  # fmt: skip
def test_advanced_indexing_like_torch(index):
    def moved(part):
        return torch.from_numpy(part) if isinstance(part, np.ndarray) else part

    there = tuple(map(moved, index)) if isinstance(index, tuple) else moved(index)
    compare("index", lambda t: t[there], normal((3, 2, 4)), {"index": index})


@given(st.data())
def test_places_read_often_are_added_up_without_a_race(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    count = data.draw(st.integers(0, 40))
    several = [st.lists(st.integers(-n, n - 1), min_size=count, max_size=count) for n in shape]
    numbers = [np.array(data.draw(some), int) for some in several]
    index = data.draw(st.sampled_from([numbers[0], tuple(numbers), (numbers[0], ...), (..., numbers[-1])]))
    (x,) = normal(shape)
    y, cache = ops.index_forward(x, index=index)
    (dy,) = normal(y.shape)
    there = to_strict(ops.index_forward(StrictArray(x), index=to_strict(index))[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("strict.SCATTERS", set())  # which is how a GPU would race
        (dx,) = ops.index_backward(StrictArray(dy), there)
    # The same numbers in another order: up to 40 of them, of size 3.
    np.testing.assert_allclose(from_strict(dx), ops.index_backward(dy, cache)[0], rtol=1e-13, atol=1e-13)


X = np.zeros((2, 3, 4))
DOOR = [
    ("add", (X, np.zeros((2, 1, 5))), {}, errors.ShapeError, "shapes do not broadcast"),
    ("where", (X, X), {"condition": np.zeros(5, bool)}, errors.ShapeError, "shapes do not broadcast"),
    ("where", (X, X), {"condition": np.zeros(4, int)}, errors.DtypeError, "must hold truth values, got int64"),
    ("where", (X, X), {"condition": [True]}, errors.DtypeError, "condition must be an array, got list"),
    ("pow", (X,), {"exponent": X}, errors.OptionError, "the exponent must be a number, got ndarray"),
    ("pow", (X,), {"exponent": True}, errors.OptionError, "the exponent must be a number, got bool"),
    ("sum", (X,), {"axis": 3}, errors.ShapeError, r"axis 3 does not exist in \(2, 3, 4\)"),
    ("sum", (X,), {"axis": (0, -3)}, errors.OptionError, "an axis is named twice"),
    ("mean", (X,), {"axis": 1.0}, errors.OptionError, "axis must be an integer or several"),
    ("mean", (np.zeros((0, 3)),), {"axis": 0}, errors.ShapeError, "there is nothing to average"),
    ("max", (np.zeros((0, 3)),), {}, errors.ShapeError, "there is no largest number"),
    ("reshape", (X,), {"shape": (5, -1)}, errors.ShapeError, r"24 numbers, which do not fill \(5, -1\)"),
    ("reshape", (X,), {"shape": 7}, errors.ShapeError, "which do not fill 7"),
    ("reshape", (X,), {"shape": (2.5, 4)}, errors.ShapeError, "do not fill"),
    ("flatten", (X,), {"start": 3}, errors.ShapeError, r"there is no axis 3 in \(2, 3, 4\)"),
    ("flatten", (X,), {"start": 0.5}, errors.ShapeError, "there is no axis 0.5"),
    ("transpose", (X,), {"axes": (0, 1)}, errors.ShapeError, "is not an order of the 3 axes"),
    ("transpose", (X,), {"axes": (0, 1, 1)}, errors.ShapeError, "is not an order of the 3 axes"),
    ("concatenate", (), {}, errors.OptionError, "at least one array is needed"),
    ("concatenate", (X, X), {"axis": 3}, errors.ShapeError, "axis 3 does not exist"),
    ("concatenate", (X, X[0]), {}, errors.ShapeError, "all axes but 0 must agree"),
    ("concatenate", (X, X), {"axis": None}, errors.OptionError, "axis must be an integer"),
    ("index", (X,), {"index": 2}, errors.ShapeError, "index 2 is out of bounds"),
    ("index", (X,), {"index": (0, 0, 0, 0)}, errors.ShapeError, "too many indices"),
    ("index", (np.array(1.0),), {"index": 0}, errors.ShapeError, r"the array is \(\); .item\(\) gives the number"),
    ("index", (X,), {"index": np.array([0, 2])}, errors.ShapeError, r"out of bounds for axis 0 of \(2, 3, 4\)"),
    ("index", (X,), {"index": (..., np.array([-5]))}, errors.ShapeError, r"out of bounds for axis 2 of \(2, 3, 4\)"),
    ("index", (X,), {"index": 1.5}, errors.ShapeError, "only integers, slices"),
    ("index", (X,), {"index": np.ones(3, bool)}, errors.ShapeError, "boolean index did not match"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "options", "error", "message"), DOOR)
def test_the_door(name, arguments, options, error, message):
    with pytest.raises(error, match=f"^{name}: .*{message}"):
        getattr(ops, name + "_forward")(*arguments, **options)


def test_indices_out_of_bounds_are_found_where_the_device_would_wrap_them_around():
    with pytest.raises(errors.ShapeError, match="out of bounds for axis 1"):
        ops.index_forward(StrictArray(X), (slice(None), StrictArray(np.array([0, 3]))))
