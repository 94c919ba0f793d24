"""The piecewise and the smooth non-linearities against PyTorch: anywhere, at their kinks, and far out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tinyvision import errors, ops

from .oracle import LAYOUTS, compare, torch

F = torch.nn.functional
numbers = arrays(np.float64, array_shapes(min_dims=0, max_dims=4, max_side=4), elements=st.floats(-30, 30))
SELU = {"alpha": 1.6732632423543772848170429916717, "scale": 1.0507009873554804934193349852946}

# name, options of the op, PyTorch's function
REFERENCES = {
    "leaky_relu": ("leaky_relu", {"negative_slope": 0.2}, lambda x: F.leaky_relu(x, 0.2)),
    "clamp": ("clamp", {"low": -0.5, "high": 2.0}, lambda x: x.clamp(-0.5, 2.0)),
    "hardtanh": ("hardtanh", {"min_val": -0.5, "max_val": 2.0}, lambda x: F.hardtanh(x, -0.5, 2.0)),
    # PyTorch's own backward rounds 1/6 to float32 whatever the precision; see the test of float32 below.
    "hardsigmoid": ("hardsigmoid", {}, lambda x: F.relu6(x + 3) / 6),
    "hardswish": ("hardswish", {}, F.hardswish),
    "threshold": ("threshold", {"threshold": 0.5, "value": 2.0}, lambda x: F.threshold(x, 0.5, 2.0)),
    "elu": ("elu", {"alpha": 1.5}, lambda x: F.elu(x, 1.5)),
    "selu": ("elu", SELU, F.selu),
    "celu": ("elu", {"alpha": 0.5, "input_scale": 2.0}, lambda x: F.celu(x, 0.5)),
    "softplus": ("softplus", {}, F.softplus),
    "softplus 2": ("softplus", {"beta": 2.0, "threshold": 5.0}, lambda x: F.softplus(x, 2.0, 5.0)),
    "silu": ("silu", {}, F.silu),
    "mish": ("mish", {}, F.mish),
    "gelu": ("gelu", {}, F.gelu),
    "gelu tanh": ("gelu", {"approximate": "tanh"}, lambda x: F.gelu(x, approximate="tanh")),
}
each = pytest.mark.parametrize(("op", "options", "reference"), REFERENCES.values(), ids=REFERENCES)


@each
@given(x=numbers, layout=st.sampled_from(list(LAYOUTS)))
def test_like_torch(op, options, reference, x, layout):
    compare(op, reference, [x], options, layout=LAYOUTS[layout])


@each
def test_large_arrays_on_several_threads_like_torch(op, options, reference, rng):
    x = rng.standard_normal((5, 16, 33, 9)) * 4
    for layout in LAYOUTS.values():
        compare(op, reference, [x], options, layout=layout)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@each
def test_kinks_far_ends_and_what_is_no_number_like_torch(op, options, reference, dtype):
    kinks = [0.0, -0.0, 0.5, -0.5, 2.0, -3.0, 3.0, 2.5, 20.0, -20.0]
    x = np.array([*kinks, 88.8, -88.8, 1e4, -1e4, np.inf, np.nan], dtype)
    t = torch.from_numpy(x.copy()).requires_grad_()
    expected = reference(t)
    expected.sum().backward()
    y, cache = getattr(ops, op + "_forward")(x, **options)
    eps = 8 * np.finfo(dtype).eps  # a few roundings of functions that are not rounded alike everywhere
    dx, dt = getattr(ops, op + "_backward")(np.ones_like(x), cache)[0], t.grad.numpy()
    assert y.dtype == dx.dtype == dtype
    assert np.isnan(y[-1])
    for ours, theirs in ((y, expected.detach().numpy()), (dx, dt)):
        # At infinity PyTorch's formulas may end in inf · 0, and at nan its slope depends on how long the array is.
        told = ~(np.isinf(x) & np.isnan(theirs)) & ~np.isnan(x)
        np.testing.assert_allclose(ours[told], theirs[told], rtol=eps, atol=eps)


def test_hardsigmoid_in_float32_like_torch():
    x = np.linspace(-4, 4, 33, dtype=np.float32)
    t = torch.from_numpy(x.copy()).requires_grad_()
    F.hardsigmoid(t).sum().backward()
    y, cache = ops.hardsigmoid_forward(x)
    np.testing.assert_allclose(y, F.hardsigmoid(t).detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(ops.hardsigmoid_backward(np.ones_like(x), cache)[0], t.grad.numpy(), rtol=1e-6)


@given(st.data())
def test_prelu_like_torch(data):
    x = data.draw(arrays(np.float64, array_shapes(min_dims=1, max_dims=4, max_side=4), elements=st.floats(-9, 9)))
    channels = x.shape[1] if x.ndim > 1 else 1
    weight = np.linspace(-0.5, 1.5, data.draw(st.sampled_from([1, channels])))
    compare("prelu", F.prelu, [x, weight], layout=LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))])


def test_the_slope_of_gelu_where_squares_are_infinite_in_float16():
    x = np.array([-60000, -300, -41, -2, 0, 2, 41, 300, 60000], np.float16)
    y, cache = ops.gelu_forward(x, "tanh")
    (dx,) = ops.gelu_backward(np.ones_like(y), cache)
    exact = torch.tensor(x.astype(np.float64), requires_grad=True)
    F.gelu(exact, approximate="tanh").sum().backward()
    np.testing.assert_allclose(dx, exact.grad.numpy(), rtol=2e-3, atol=2e-3)


def test_prelu_at_its_kink_like_torch():
    compare("prelu", F.prelu, [np.array([[0.0, -0.0, 1.0, -1.0]]), np.array([0.3])])


REFUSED = [
    (lambda x: ops.prelu_forward(x, np.ones(2)), errors.ShapeError, "3 channels"),
    (lambda x: ops.prelu_forward(x, np.ones((1, 3))), errors.ShapeError, "weight"),
    (lambda x: ops.hardtanh_forward(x, 1, -1), errors.OptionError, "min_val"),
    (lambda x: ops.softplus_forward(x, 0), errors.OptionError, "beta"),
    (lambda x: ops.gelu_forward(x, "erf"), errors.OptionError, 'approximate must be "none" or "tanh", got \'erf\''),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(np.ones((2, 3)))
