"""The fully connected layer and the matrix product against PyTorch, and at their doors."""

import numpy as np
import pytest
import strict
from hypothesis import given
from hypothesis import strategies as st
from strict import StrictArray, from_strict

from tinyvision import errors
from tinyvision.ops import linear_backward, linear_forward, matmul_forward
from tinyvision.ops.channels import column_sums

from .oracle import LAYOUTS, compare, torch

sizes = st.integers(1, 6)


@given(st.lists(sizes, max_size=3), sizes, sizes, st.booleans(), st.sampled_from(list(LAYOUTS)))
def test_linear_like_torch(leading, inputs, outputs, bias, layout):
    rng = np.random.default_rng(0)
    shapes = [(*leading, inputs), (outputs, inputs)] + [(outputs,)] * bias
    compare("linear", torch.nn.functional.linear, [rng.standard_normal(s) for s in shapes], layout=LAYOUTS[layout])


@given(st.lists(sizes, max_size=2), st.integers(0, 2), sizes, sizes, sizes, st.data())
def test_matmul_like_torch(leading, shorter, i, j, k, data):
    rng = np.random.default_rng(0)
    other = [data.draw(st.sampled_from([1, n])) for n in leading][min(shorter, len(leading)) :]
    shapes = [(*leading, i, j), (*other, j, k)]
    if data.draw(st.booleans()):
        shapes = [(*other, i, j), (*leading, j, k)]
    compare("matmul", torch.matmul, [rng.standard_normal(s) for s in shapes])


@pytest.mark.parametrize(("N", "I"), [(0, 4), (3, 0), (0, 0)])
def test_nothing_in_gives_the_bias_or_nothing(N, I):
    y, cache = linear_forward(np.zeros((N, I)), np.zeros((5, I)), np.arange(5.0))
    np.testing.assert_array_equal(y, np.tile(np.arange(5.0), (N, 1)))
    dx, dweight, dbias = linear_backward(np.ones_like(y), cache)
    assert (dx.shape, dweight.shape) == ((N, I), (5, I))
    assert dbias.tolist() == [N] * 5


@pytest.mark.parametrize("M", [0, 1, 50, 127, 128, 1000, 1024, 20000])
def test_sums_on_a_gpu_are_no_products(M, rng, monkeypatch):
    """With tf32, a product with ones would round what it adds up to 10 bits."""
    monkeypatch.setattr("strict.UFUNCS", strict.UFUNCS - {"matmul"})
    rows = rng.random((M, 3))
    sums = from_strict(column_sums(StrictArray(rows)))
    np.testing.assert_allclose(sums, column_sums(rows), rtol=1e-13)  # the same numbers in another order
    np.testing.assert_allclose(sums, rows.sum(axis=0), rtol=1e-13)


def test_the_door():
    x, weight = np.zeros((3, 4)), np.zeros((5, 4))
    with pytest.raises(errors.ShapeError, match="linear: x has 7 features but weight expects 4"):
        linear_forward(np.zeros((3, 7)), weight)
    with pytest.raises(errors.ShapeError, match="linear: x has no features"):
        linear_forward(np.zeros(()), weight)
    with pytest.raises(errors.ShapeError, match=r"weight must have 2 axes \(O, I\)"):
        linear_forward(x, np.zeros(4))
    with pytest.raises(errors.ShapeError, match="bias must have 5 numbers"):
        linear_forward(x, weight, np.zeros((1, 5)))
    with pytest.raises(errors.ShapeError, match="matmul: the inner axes differ"):
        matmul_forward(x, weight)
    with pytest.raises(errors.ShapeError, match="matmul: the leading axes do not broadcast"):
        matmul_forward(np.zeros((2, 3, 4)), np.zeros((3, 4, 5)))
    with pytest.raises(errors.ShapeError, match="matmul: both need two axes or more"):
        matmul_forward(x, np.zeros(4))
