"""The two ways to convolve, im2col and Winograd's, compute the same function and the same gradients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyvision import ops, threads
from tinyvision.ops.convolution import winograd
from tinyvision.ops.convolution.sliding import Sliding

WAYS = IM2COL, F2, F4 = 0, 2, 4  # the tile's size


def convolve(way, monkeypatch, x, weight, padding):
    """(y, dx, dweight), all in one of the three ways, for an upstream gradient of random sign and size."""
    with monkeypatch.context() as patch:
        patch.setattr(winograd, "tile_size", lambda *arguments: way)
        y, cache = ops.conv2d_forward(x, weight, padding=padding)
        dy = np.random.default_rng(1).standard_normal(y.shape).astype(x.dtype)
        dx, dweight = ops.conv2d_backward(dy, cache)
    return y, dx, dweight


@settings(max_examples=60, deadline=None)
@given(
    N=st.integers(1, 4),
    C=st.integers(1, 9),
    O=st.integers(1, 9),
    H=st.integers(1, 9),
    W=st.integers(1, 9),
    PH=st.integers(0, 3),
    PW=st.integers(0, 3),
    seed=st.integers(0, 9),
)
def test_same_values_and_gradients(N, C, O, H, W, PH, PW, seed):
    if H + 2 * PH < 3 or W + 2 * PW < 3:
        return  # no window fits
    rng = np.random.default_rng(seed)
    x, weight = rng.standard_normal((N, C, H, W)), rng.standard_normal((O, C, 3, 3))
    with pytest.MonkeyPatch.context() as patch:
        exact, *others = [convolve(way, patch, x, weight, (PH, PW)) for way in WAYS]
    for results in others:
        for got, expected in zip(results, exact, strict=True):
            # float64: sums of at most 9·9·81 products, rounded in another order
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("size", [(56, 56), (31, 29), (7, 7)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_many_blocks_and_threads(size, count, monkeypatch):
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((5, 48, *size)), rng.standard_normal((40, 48, 3, 3))
    before = threads.get_num_threads()
    try:
        threads.set_num_threads(count)
        exact, *others = [convolve(way, monkeypatch, x, weight, (1, 1)) for way in WAYS]
    finally:
        threads.set_num_threads(before)
    for results in others:
        for got, expected in zip(results, exact, strict=True):
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


def test_float32_is_almost_as_exact(monkeypatch):
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((4, 64, 28, 28)), rng.standard_normal((64, 64, 3, 3))
    exact = convolve(IM2COL, monkeypatch, x, weight, (1, 1))
    for way in WAYS:
        results = convolve(way, monkeypatch, x.astype(np.float32), weight.astype(np.float32), (1, 1))
        # The definition is off by some 4 units in the last place (6e-8) of the largest output. The transforms add
        # numbers before they are multiplied: F(2×2) may cost a bit, and F(4×4), with constants up to 5/2, two bits.
        for got, expected in zip(results, exact, strict=True):
            assert np.abs(got - expected).max() < (1e-6 if way != F4 else 3e-6) * np.abs(expected).max()


def test_the_transforms_are_those_of_the_paper():
    B, G, A = (np.array(m) for m in (
        [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]],
        [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]],
        [[1, 1, 1, 0], [0, 1, -1, 1]],
    ))  # fmt: skip
    # d and g of a row's transform may change their signs together: the first row of B and G did
    B[0], G[0] = -B[0], -G[0]
    for got, one in zip(winograd.transforms(2, np.dtype(float)), (B, G, G[:, ::-1], A), strict=True):
        np.testing.assert_allclose(got, np.kron(one, one), atol=1e-15)  # rounding of ½·½ and the like


def test_it_is_chosen_where_it_pays_and_only_there():
    x = np.zeros((8, 56, 56, 64), np.float32)

    def chosen(weight=(64, 3, 3, 64), y=(8, 56, 56, 64), stride=(1, 1), dilation=(1, 1), groups=1):
        return winograd.tile_size(x, weight, y, Sliding(stride, (1, 1), dilation, groups))

    assert chosen() == 4
    assert chosen(weight=(64, 3, 3, 64), y=(8, 6, 6, 64)) == 2  # F(4×4) would compute 8×8 outputs for 6×6
    assert chosen(weight=(64, 5, 5, 64)) == 0
    assert chosen(stride=(2, 2)) == 0
    assert chosen(dilation=(2, 2)) == 0
    assert chosen(weight=(64, 3, 3, 32), groups=2) == 0
    assert chosen(weight=(64, 3, 3, 3)) == 0  # too few channels
    assert chosen(weight=(512, 3, 3, 512), y=(1, 7, 7, 512)) == 0  # too few pixels to pay for the kernels
    for dtype in (np.float16, np.longdouble):  # too few digits, and more than the transforms have
        assert winograd.tile_size(x.astype(dtype), (64, 3, 3, 64), (8, 56, 56, 64), Sliding()) == 0
