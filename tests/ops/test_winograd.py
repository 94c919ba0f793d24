"""The two ways to convolve, im2col and Winograd's, compute the same function and the same gradients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyvision import ops, parallel
from tinyvision.ops import winograd

ONE_WAY, OTHER_WAY = "im2col", "winograd"


def convolve(way, monkeypatch, x, weight, padding):
    """(y, dx, dweight), all through one of the two ways, for an upstream gradient of random sign and size."""
    with monkeypatch.context() as patch:
        patch.setattr(winograd, "applies", lambda *arguments: way == OTHER_WAY)
        y, cache = ops.conv2d_forward(x, weight, padding=padding)
        dy = np.random.default_rng(1).standard_normal(y.shape).astype(x.dtype)
        dx, dweight = ops.conv2d_backward(dy, cache)
    return y, dx, dweight


@settings(max_examples=60, deadline=None)
@given(
    N=st.integers(1, 4), C=st.integers(1, 9), O=st.integers(1, 9), H=st.integers(1, 9), W=st.integers(1, 9),
    PH=st.integers(0, 3), PW=st.integers(0, 3), seed=st.integers(0, 9),
)
def test_same_values_and_gradients(N, C, O, H, W, PH, PW, seed):
    if H + 2 * PH < 3 or W + 2 * PW < 3:
        return  # no window fits
    rng = np.random.default_rng(seed)
    x, weight = rng.standard_normal((N, C, H, W)), rng.standard_normal((O, C, 3, 3))
    with pytest.MonkeyPatch.context() as patch:
        both = [convolve(way, patch, x, weight, (PH, PW)) for way in (ONE_WAY, OTHER_WAY)]
    for got, expected in zip(*both, strict=True):
        # float64: sums of at most 9·9·81 products, rounded in another order
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("size", [(56, 56), (31, 29), (7, 7)])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_many_blocks_and_threads(size, threads, monkeypatch):
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((5, 48, *size)), rng.standard_normal((40, 48, 3, 3))
    before = parallel.get_num_threads()
    try:
        parallel.set_num_threads(threads)
        both = [convolve(way, monkeypatch, x, weight, (1, 1)) for way in (ONE_WAY, OTHER_WAY)]
    finally:
        parallel.set_num_threads(before)
    for got, expected in zip(*both, strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


def test_float32_is_almost_as_exact(monkeypatch):
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((4, 64, 28, 28)), rng.standard_normal((64, 64, 3, 3))
    exact = convolve(ONE_WAY, monkeypatch, x, weight, (1, 1))
    errors = {}
    for way in (ONE_WAY, OTHER_WAY):
        results = convolve(way, monkeypatch, x.astype(np.float32), weight.astype(np.float32), (1, 1))
        errors[way] = [np.abs(r - e).max() / np.abs(e).max() for r, e in zip(results, exact, strict=True)]
    for ours, usual in zip(errors[OTHER_WAY], errors[ONE_WAY], strict=True):
        # the transforms add numbers before they are multiplied, which costs a few bits and no more; 1e-6 is 8 units
        # in the last place of the largest output
        assert ours < max(8 * usual, 1e-6)
        assert ours < 4e-6


def test_it_is_chosen_where_it_pays_and_only_there():
    x = np.zeros((8, 56, 56, 64), np.float32)

    def chosen(weight=(64, 3, 3, 64), y=(8, 56, 56, 64), stride=(1, 1), dilation=(1, 1), groups=1):
        return winograd.applies(x, y, weight, stride, dilation, groups)

    assert chosen()
    assert not chosen(weight=(64, 5, 5, 64))
    assert not chosen(stride=(2, 2))
    assert not chosen(dilation=(2, 2))
    assert not chosen(weight=(64, 3, 3, 32), groups=2)
    assert not chosen(weight=(64, 3, 3, 3))  # too few channels
    assert not chosen(weight=(512, 3, 3, 512), y=(1, 7, 7, 512))  # too few pixels to pay for the kernels
