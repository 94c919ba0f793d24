"""Group norm and layer norm against PyTorch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvision import errors, ops

from .oracle import LAYOUTS, compare, torch

F = torch.nn.functional


@given(st.data())
def test_group_norm_like_torch(data):
    groups, rng = data.draw(st.integers(1, 3)), np.random.default_rng(data.draw(st.integers(0, 99)))
    C = groups * data.draw(st.integers(1, 3))
    x = rng.standard_normal((data.draw(st.integers(1, 3)), C, *data.draw(st.sampled_from([(2,), (3, 4), (2, 1, 3)]))))
    x, eps = x * 3 + 5, data.draw(st.sampled_from([1e-5, 0.1]))
    arguments = [x, rng.standard_normal(C), rng.standard_normal(C)][: data.draw(st.integers(1, 3))]
    compare(
        "group_norm",
        lambda x, w=None, b=None: F.group_norm(x, groups, w, b, eps),
        arguments,
        {"groups": groups, "eps": eps},
        layout=LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))],
    )


@given(st.data())
def test_layer_norm_like_torch(data):
    rng, shape = np.random.default_rng(1), data.draw(st.sampled_from([(4,), (3, 5), (2, 3, 4)]))
    x = rng.standard_normal((*data.draw(st.sampled_from([(), (2,), (2, 3)])), *shape)) * 2 + 1
    arguments = [x, rng.standard_normal(shape), rng.standard_normal(shape)][: data.draw(st.integers(1, 3))]
    compare(
        "layer_norm",
        lambda x, w=None, b=None: F.layer_norm(x, shape, w, b, 1e-3),
        arguments,
        {"shape": shape, "eps": 1e-3},
        layout=LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))],
    )


def test_a_bias_without_a_weight(rng):
    x, bias = rng.standard_normal((2, 4, 3)), rng.standard_normal(4)
    y, cache = ops.group_norm_forward(x, None, bias, 2)
    expected = F.group_norm(torch.from_numpy(x), 2, None, torch.from_numpy(bias)).numpy()
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)
    dy = rng.standard_normal(y.shape)
    _, dweight, dbias = ops.group_norm_backward(dy, cache)
    assert dweight is None
    np.testing.assert_allclose(dbias, dy.sum(axis=(0, 2)), rtol=1e-12)


def test_a_large_mean_costs_no_digits_in_float32():
    x = (np.random.default_rng(0).standard_normal((2, 4, 50, 50)) + 3000).astype(np.float32)
    y = ops.group_norm_forward(x, groups=2)[0]
    exact = ops.group_norm_forward(x.astype(np.float64), groups=2)[0]
    assert np.abs(y - exact).max() < 1e-3  # the numbers themselves have steps of 2e-4 there


@pytest.mark.parametrize(("size", "offset"), [(400, 0), (15000, 0), (1, 1000), (1e-3, 0)])
def test_float16_is_normalised_in_float32(rng, size, offset):
    """Squares of numbers above 256 are infinite in float16: all came out as 0."""
    x = (rng.standard_normal((3, 6, 4, 5)) * size + offset).astype(np.float16)
    weight, bias, dy = (rng.standard_normal(s).astype(np.float16) for s in ((6,), (6,), x.shape))
    for name, more in (("group_norm", {"groups": 3}), ("group_norm", {"groups": 6}), ("layer_norm", {"shape": (5,)})):
        vectors = (weight, bias) if name == "group_norm" else (weight[:5], bias[:5])
        forward, backward = getattr(ops, f"{name}_forward"), getattr(ops, f"{name}_backward")
        y, cache = forward(x, *vectors, **more)
        exact, exact_cache = forward(*(a.astype(np.float64) for a in (x, *vectors)), **more)
        np.testing.assert_allclose(y, exact, rtol=4e-3, atol=4e-3)
        found, expected = backward(dy, cache), backward(dy.astype(np.float64), exact_cache)
        for one, other in zip((y, *found), (exact, *expected), strict=True):
            assert one.dtype == np.float16
            np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-2 * np.abs(other).max())


REFUSED = [
    (lambda: ops.group_norm_forward(np.ones((2, 4, 3)), groups=3), errors.OptionError, "divide the 4 channels"),
    (lambda: ops.group_norm_forward(np.ones(4)), errors.ShapeError, "something to normalise"),
    (lambda: ops.group_norm_forward(np.ones((2, 4)), np.ones(3)), errors.ShapeError, "each of 4 channels"),
    (lambda: ops.layer_norm_forward(np.ones((2, 4)), shape=(2, 3)), errors.ShapeError, r"should be \(2, 3\)"),
    (lambda: ops.layer_norm_forward(np.ones((2, 4)), shape=(3, 2, 4)), errors.ShapeError, r"should be \(3, 2, 4\)"),
    (lambda: ops.layer_norm_forward(np.ones((2, 4)), np.ones(3)), errors.ShapeError, r"weight should be \(4,\)"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()
