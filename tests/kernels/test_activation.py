"""ReLU's kernels against `ops.activation`, bit for bit."""

import numpy as np
import pytest

from tinyvision.kernels import activation

from .compare import run_both


@pytest.mark.parametrize("drop_in", activation.DROP_INS, ids=lambda drop_in: drop_in.forward.__name__)
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5, 7), (1,), (4, 300), (2, 8, 9, 4)])
def test_both_directions(emulation, rng, drop_in, shape):
    run_both(emulation, drop_in, [4 * rng.standard_normal(shape)], {}, rng, 0)


@pytest.mark.parametrize("drop_in", activation.DROP_INS, ids=lambda drop_in: drop_in.forward.__name__)
def test_nan_infinity_and_the_bounds(emulation, drop_in):
    x = np.array([np.nan, np.inf, -np.inf, 0, -0.0, 6, 6.5, 1e-30, -1], np.float32)
    dy = np.arange(1, 10, dtype=np.float32)
    y, cache = drop_in.forward(emulation.array(x))
    right, op_cache = drop_in.op[0](x)
    assert np.array_equal(y, right, equal_nan=True)
    assert np.array_equal(drop_in.backward(emulation.array(dy), cache)[0], drop_in.op[1](dy, op_cache)[0])


def test_channels_last_stays_channels_last(emulation, rng):
    """In and out: nothing is copied on the way."""
    rows = emulation.array(rng.standard_normal((2, 5, 7, 3)).astype(np.float32))
    y, cache = activation.relu_forward(rows.transpose(0, 3, 1, 2))
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous
    (dx,) = activation.relu_backward(y, cache)
    assert dx.strides == y.strides
    assert np.array_equal(y.transpose(0, 2, 3, 1), np.maximum(rows, 0))
