"""The non-linearities against PyTorch, at their kinks and far out, and dropout."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import tinyvision as tv
from tinyvision import errors, nn, ops

from .oracle import LAYOUTS, compare, torch

numbers = arrays(np.float64, array_shapes(min_dims=0, max_dims=4, max_side=5), elements=st.floats(-20, 20))
REFERENCES = {"relu": torch.relu, "relu6": torch.nn.functional.relu6, "sigmoid": torch.sigmoid, "tanh": torch.tanh}


@pytest.mark.parametrize("name", REFERENCES)
@given(numbers, st.sampled_from(list(LAYOUTS)))
def test_like_torch(name, x, layout):
    compare(name, REFERENCES[name], [x], layout=LAYOUTS[layout])


@pytest.mark.parametrize("name", REFERENCES)
def test_large_arrays_on_several_threads_like_torch(name, rng):
    x = rng.standard_normal((7, 64, 33, 9)) * 4
    for layout in LAYOUTS.values():
        compare(name, REFERENCES[name], [x], layout=layout)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", REFERENCES)
def test_the_kinks_and_the_far_ends_like_torch(name, dtype):
    x = np.array([0.0, -0.0, 6.0, 1e4, -1e4, 800, -800, np.inf, -np.inf], dtype)
    t = torch.from_numpy(x.copy()).requires_grad_()
    expected = REFERENCES[name](t)
    expected.sum().backward()
    y, cache = getattr(ops, name + "_forward")(x)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(y, expected.detach().numpy(), rtol=eps, atol=eps)
    dx = getattr(ops, name + "_backward")(np.ones_like(x), cache)[0]
    np.testing.assert_allclose(dx, t.grad.numpy(), rtol=eps, atol=eps)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["relu", "relu6"])
def test_an_overflowed_gradient_stays_where_it_belongs_like_torch(name, dtype):
    x = np.array([-1, 1, 0, 7, 2, -2, 3], dtype)
    dy = np.array([np.inf, np.inf, -np.inf, np.nan, np.nan, np.nan, -2], dtype)
    t = torch.from_numpy(x.copy()).requires_grad_()
    REFERENCES[name](t).backward(torch.from_numpy(dy.copy()))
    _, cache = getattr(ops, name + "_forward")(x)
    np.testing.assert_array_equal(getattr(ops, name + "_backward")(dy, cache)[0], t.grad.numpy())


@pytest.mark.parametrize("name", ["relu", "relu6"])
def test_a_gradient_of_another_precision(name):
    """What a backward of somebody else's may hand on."""
    x = np.array([-1, 2, 0, 3], np.float32)
    dx = getattr(ops, name + "_backward")(np.array([1.5, -2, 3, 4]), getattr(ops, name + "_forward")(x)[1])[0]
    assert dx.dtype == np.float32
    assert dx.tolist() == [0, -2, 0, 4]


@pytest.mark.parametrize("name", REFERENCES)
def test_nothing_in_nothing_out(name):
    y, cache = getattr(ops, name + "_forward")(np.zeros((0, 3)))
    assert y.shape == getattr(ops, name + "_backward")(y, cache)[0].shape == (0, 3)


def test_dropout_keeps_the_mean_and_passes_the_kept(rng):
    x, mask = rng.standard_normal((40, 50)), rng.random((40, 50)) >= 0.25
    y, cache = ops.dropout_forward(x, mask, p=0.25)
    np.testing.assert_allclose(y, np.where(mask, x / 0.75, 0), rtol=1e-15)
    dy = rng.standard_normal(x.shape)
    np.testing.assert_allclose(ops.dropout_backward(dy, cache)[0], np.where(mask, dy / 0.75, 0), rtol=1e-15)
    assert not ops.dropout_forward(x, mask, p=1)[0].any()
    np.testing.assert_array_equal(ops.dropout_forward(x, np.ones_like(mask), p=0)[0], x)


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan"), True, "0.5", None])
def test_dropout_refuses_what_is_no_probability(p):
    with pytest.raises(errors.OptionError, match="dropout: p must be a number from 0 to 1"):
        ops.dropout_forward(np.zeros(3), np.ones(3), p=p)


def test_dropout_refuses_a_mask_of_another_shape():
    with pytest.raises(errors.ShapeError, match="dropout: x and mask differ"):
        ops.dropout_forward(np.zeros((3, 4)), np.ones(4))
    with pytest.raises(errors.DtypeError, match="dropout: mask must be an array, got list"):
        ops.dropout_forward(np.zeros(2), [1, 0])


FAR = [-np.inf, -88.0, -50.0, -20.7, -17.0, -1e-8, 0.0, 5.0, 20.7, 88.0, np.inf, np.nan]


@pytest.mark.parametrize("name", ["sigmoid", "silu", "softplus", "logsigmoid"])
def test_what_is_small_far_out_is_right_in_float32(name):
    """1e-9 for -20.7, and not 0, whose logarithm is infinite."""
    functional = torch.nn.functional
    t = torch.tensor(FAR, requires_grad=True)
    x = tv.tensor(np.array(FAR, np.float32), requires_grad=True)
    y, wanted = getattr(nn.functional, name)(x), getattr(functional, name)(t)
    y.sum().backward()
    wanted.sum().backward()
    np.testing.assert_allclose(y.detach().numpy(), wanted.detach().numpy(), rtol=3e-6)
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=3e-6, atol=1e-38)
    half = ops.sigmoid_forward(np.array([-12.0], np.float16))[0]
    np.testing.assert_allclose(half, [6.1e-6], rtol=0.01)
