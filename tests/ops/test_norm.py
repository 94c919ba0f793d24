"""Batch normalisation against PyTorch, with the batch's statistics and with frozen ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyvision import errors, ops
from tinyvision.ops import batchnorm_frozen_forward, batchnorm_train_backward, batchnorm_train_forward, norm

from .oracle import LAYOUTS, compare, torch

batch_norm = torch.nn.functional.batch_norm
shapes = st.one_of(
    st.tuples(st.integers(2, 9), st.integers(1, 5)),
    st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(2, 6), st.integers(1, 6)),
    st.tuples(st.integers(2, 4), st.integers(1, 5), st.integers(1, 6)),
)


def arguments(shape, seed, frozen=False):
    rng = np.random.default_rng(seed)
    C = shape[1]
    x = rng.standard_normal(shape) * 3 + 5
    vectors = [rng.standard_normal(C), rng.standard_normal(C)]
    return [x, *vectors] + [rng.standard_normal(C) + 4, rng.random(C) + 0.5] * frozen


@given(shapes, st.integers(0, 99), st.floats(1e-6, 0.1), st.sampled_from(list(LAYOUTS)))
@settings(max_examples=50)
def test_train_like_torch(shape, seed, eps, layout):
    given = arguments(shape, seed)
    # dx is a difference of terms that a tiny variance can make large, hence the scale.
    scale = 1 / np.sqrt(given[0].var(axis=(0, *range(2, given[0].ndim))).min() + eps)
    if scale > 1e2:
        return
    compare(
        "batchnorm_train", lambda x, w, b: batch_norm(x, None, None, w, b, training=True, eps=eps), given, {"eps": eps},
        layout=LAYOUTS[layout],
    )  # fmt: skip


@given(shapes, st.integers(0, 99), st.sampled_from(list(LAYOUTS)))
def test_frozen_like_torch(shape, seed, layout):
    given = arguments(shape, seed, frozen=True)
    compare(
        "batchnorm_frozen", lambda x, w, b, m, v: batch_norm(x, m, v, w, b, training=False), given, smooth=[0, 1, 2],
        layout=LAYOUTS[layout],
    )  # fmt: skip


def test_many_rows_in_blocks_like_torch():
    given = arguments((9, 16, 33, 31), 0)
    for layout in LAYOUTS.values():
        compare("batchnorm_train", lambda x, w, b: batch_norm(x, None, None, w, b, training=True), given, layout=layout)


def test_the_statistics_are_those_that_torch_would_keep():
    x, weight, bias = arguments((4, 3, 5, 2), 1)
    (mean, var), count = norm.batch_moments(x), x.size // x.shape[1]
    same, _ = batchnorm_train_forward(x, weight, bias, moments=(mean, var))
    np.testing.assert_array_equal(same, batchnorm_train_forward(x, weight, bias)[0])
    running_mean, running_var = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    batch_norm(torch.from_numpy(x), running_mean, running_var, training=True, momentum=0.1)
    np.testing.assert_allclose(0.1 * mean, running_mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(0.9 + 0.1 * var * count / (count - 1), running_var.numpy(), rtol=1e-12)


@pytest.mark.parametrize("offset", [0, 30, 3000])
def test_a_large_mean_does_not_spoil_float32(offset, rng):
    """E[x²] - E[x]² in float32 would lose everything here.

    PyTorch adds up in float64; we come within four times its error."""
    x = (rng.standard_normal((8, 2, 30, 30)) + offset).astype(np.float32)
    one, zero = np.ones(2, np.float32), np.zeros(2, np.float32)
    exact, _ = batchnorm_train_forward(x.astype(float), one.astype(float), zero.astype(float))
    theirs = batch_norm(
        torch.from_numpy(x), None, None, torch.from_numpy(one), torch.from_numpy(zero), training=True
    ).numpy()
    ours, _ = batchnorm_train_forward(x, one, zero)
    assert abs(ours - exact).max() <= 4 * abs(theirs - exact).max()


def test_a_gradient_along_the_input_is_lost_in_training():
    """Shifting or scaling a channel changes nothing, so dx is orthogonal to 1 and, but for eps, to x."""
    x, weight, bias = arguments((4, 3, 5, 2), 2)
    y, cache = batchnorm_train_forward(x, weight, bias, eps=1e-12)
    dx, _, _ = batchnorm_train_backward(np.random.default_rng(0).standard_normal(y.shape), cache)
    np.testing.assert_allclose(dx.sum(axis=(0, 2, 3)), 0, atol=1e-10)
    np.testing.assert_allclose((dx * x).sum(axis=(0, 2, 3)), 0, atol=1e-9)


def test_the_door():
    x, vector = np.zeros((4, 3, 2, 2)), np.zeros(3)
    with pytest.raises(errors.ShapeError, match="one number per channel has no variance; use a larger batch"):
        batchnorm_train_forward(np.zeros((1, 3, 1, 1)), vector, vector)
    with pytest.raises(errors.ShapeError, match=r"x must be \(N, C\) or \(N, C, H, W\), got \(3,\)"):
        batchnorm_train_forward(np.zeros(3), vector, vector)
    with pytest.raises(errors.ShapeError, match=r"x has 3 channels but bias has \(4,\)"):
        batchnorm_train_forward(x, vector, np.zeros(4))
    with pytest.raises(errors.ShapeError, match=r"x has 3 channels but var has \(1, 3\)"):
        batchnorm_frozen_forward(x, vector, vector, vector, np.ones((1, 3)))
    with pytest.raises(errors.ShapeError, match="batchnorm_train: "):
        batchnorm_train_forward(np.zeros((0, 3, 2, 2)), vector, vector)


def test_frozen_takes_an_empty_batch():
    vector = np.ones(3)
    y, cache = batchnorm_frozen_forward(np.zeros((0, 3, 2, 5)), vector, vector, vector, vector)
    assert y.shape == (0, 3, 2, 5)
    dx, dweight, dbias, *_ = ops.batchnorm_frozen_backward(np.zeros_like(y), cache)
    assert dx.shape == y.shape
    assert not dweight.any()
    assert not dbias.any()


def test_half_precision_is_refused_in_training():
    x = np.zeros((64, 3, 8, 8), np.float16)
    with pytest.raises(errors.DtypeError, match="overflow in float16"):
        norm.batch_moments(x)


def test_the_mean_of_large_numbers_is_the_nearest_but_one():
    """A sum of many thousands in float32 loses some of their last digits: what it missed is added again."""
    x = (np.random.default_rng(0).standard_normal((16, 3, 64, 64)) + 3000).astype(np.float32)
    mean, _ = norm.batch_moments(x)
    assert np.abs(mean - x.mean(axis=(0, 2, 3), dtype=np.float64)).max() < np.spacing(np.float32(3000))
