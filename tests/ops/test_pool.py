"""Pooling against PyTorch over generated shapes and options, against the loops, and at its door."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyvision import errors, ops
from tinyvision.ops import adaptive_pool, naive
from tinyvision.ops import pool as pool_ops

from .oracle import LAYOUTS, compare, torch

pair = st.tuples(st.integers(1, 4), st.integers(1, 4))


@st.composite
def pools(draw, size=10):
    """(x without ties, options) of a pooling with at least one window; strides larger than kernels included."""
    kernel = draw(pair)
    stride = draw(st.one_of(st.none(), pair))
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    least = [max(1, kernel[a] - 2 * padding[a]) for a in (0, 1)]
    H, W = (draw(st.integers(n, size)) for n in least)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 3)), H, W)
    x = rng.permutation(int(np.prod(shape))).reshape(shape) / 7 - 3
    return x, {"kernel_size": kernel, "stride": stride, "padding": padding}


@given(pools(), st.data(), st.sampled_from(list(LAYOUTS)))
@settings(max_examples=60)
def test_max_pool_like_torch(pool, data, layout):
    x, options = pool
    if data.draw(st.booleans()):
        fits = (n >= 2 * (k - 1) + 1 for k, n in zip(options["kernel_size"], x.shape[2:], strict=True))
        dilation = tuple(2 if fit and data.draw(st.booleans()) else 1 for fit in fits)
        options = {**options, "dilation": dilation, "ceil_mode": data.draw(st.booleans())}
        winners = pool_ops.max_pool2d_indices(x, **options)
        _, expected = torch.nn.functional.max_pool2d(torch.from_numpy(x), **options, return_indices=True)
        np.testing.assert_array_equal(winners, expected.numpy())
    compare("max_pool2d", lambda t: torch.nn.functional.max_pool2d(t, **options), [x], options, layout=LAYOUTS[layout])


@given(pools(), st.booleans(), st.booleans(), st.sampled_from([None, None, 3]), st.sampled_from(list(LAYOUTS)))
@settings(max_examples=60)
def test_avg_pool_like_torch(pool, count_include_pad, ceil_mode, divisor, layout):
    x, options = pool
    options = {**options, "count_include_pad": count_include_pad, "ceil_mode": ceil_mode, "divisor_override": divisor}
    compare("avg_pool2d", lambda t: torch.nn.functional.avg_pool2d(t, **options), [x], options, layout=LAYOUTS[layout])


@given(st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(1, 7)] * 2), st.sampled_from(list(LAYOUTS)))
def test_adaptive_avg_pool_like_torch(size, output_size, layout):
    """Also where the output is larger than the image."""
    x = np.random.default_rng(0).standard_normal((2, 3, *size))
    compare(
        "adaptive_avg_pool2d", lambda t: torch.nn.functional.adaptive_avg_pool2d(t, output_size), [x],
        {"output_size": output_size}, layout=LAYOUTS[layout],
    )  # fmt: skip


@given(st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(1, 7)] * 2), st.sampled_from(list(LAYOUTS)))
def test_adaptive_max_pool_like_torch_and_the_loops(size, output_size, layout):
    x = np.random.default_rng(0).permutation(6 * size[0] * size[1]).reshape(2, 3, *size) / 7.0
    compare(
        "adaptive_max_pool2d", lambda t: torch.nn.functional.adaptive_max_pool2d(t, output_size), [x],
        {"output_size": output_size}, layout=LAYOUTS[layout],
    )  # fmt: skip
    _, places = torch.nn.functional.adaptive_max_pool2d(torch.from_numpy(x), output_size, return_indices=True)
    np.testing.assert_array_equal(adaptive_pool.adaptive_max_pool2d_indices(x, output_size), places.numpy())
    y, cache = naive.adaptive_max_pool2d_forward(x, output_size)
    ours, own_cache = ops.adaptive_max_pool2d_forward(x, output_size)
    np.testing.assert_array_equal(y, ours)
    (dx,), (expected,) = naive.adaptive_max_pool2d_backward(y, cache), (ops.adaptive_max_pool2d_backward(y, own_cache))
    np.testing.assert_allclose(dx, expected, rtol=1e-13, atol=1e-13)


@given(pools(size=6), st.booleans(), st.booleans())
def test_like_the_loops(pool, count_include_pad, ceil_mode):
    x, options = pool
    options = {**options, "ceil_mode": ceil_mode}
    for name, more in (("max_pool2d", {}), ("avg_pool2d", {"count_include_pad": count_include_pad})):
        y, cache = getattr(ops, name + "_forward")(x, **options, **more)
        looped, looped_cache = getattr(naive, name + "_forward")(x, **options, **more)
        np.testing.assert_allclose(y, looped, rtol=1e-13, atol=1e-13)
        dy = np.random.default_rng(0).standard_normal(y.shape)
        (dx,), (expected,) = (
            getattr(ops, name + "_backward")(dy, cache),
            getattr(naive, name + "_backward")(dy, looped_cache),
        )
        np.testing.assert_allclose(dx, expected, rtol=1e-13, atol=1e-13)


@given(pools(size=6), st.integers(0, 2**32))
def test_a_tie_goes_to_the_first_winner_like_torch(pool, seed):
    x, options = pool
    x = np.random.default_rng(seed).integers(-1, 2, x.shape).astype(float)
    compare("max_pool2d", lambda t: torch.nn.functional.max_pool2d(t, **options), [x], options)
    looped, cache = naive.max_pool2d_forward(x, **options)
    dy = np.random.default_rng(0).standard_normal(looped.shape)
    ours = ops.max_pool2d_backward(dy, ops.max_pool2d_forward(x, **options)[1])[0]
    np.testing.assert_allclose(naive.max_pool2d_backward(dy, cache)[0], ours, rtol=1e-13, atol=1e-13)


def test_minus_infinity_and_nan_in_a_window():
    x = np.array([[[[-np.inf, -np.inf], [-np.inf, -np.inf]], [[1.0, np.nan], [2.0, 3.0]]]])
    y, cache = ops.max_pool2d_forward(x, kernel_size=2)
    assert y[0, 0, 0, 0] == -np.inf
    assert np.isnan(y[0, 1, 0, 0])
    (dx,) = ops.max_pool2d_backward(np.ones_like(y), cache)
    assert dx[0, 0].tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(("kernel_size", "stride"), [(2, 2), (3, 2), (2, 1)])
def test_an_overflowed_gradient_of_a_maximum_reaches_its_pixel_only(kernel_size, stride, rng):
    x = rng.standard_normal((2, 3, 7, 7))
    y, cache = ops.max_pool2d_forward(x, kernel_size, stride)
    dy = np.ones_like(y)
    dy[0, 0, 0, 0] = np.inf
    (dx,) = ops.max_pool2d_backward(dy, cache)
    assert np.isinf(dx).sum() == 1
    assert not np.isnan(dx).any()


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
def test_large_images_in_blocks_like_torch(name, rng):
    x = rng.standard_normal((5, 16, 41, 38))
    options = {"kernel_size": 3, "stride": 2, "padding": 1}
    for layout in LAYOUTS.values():
        compare(name, lambda t: getattr(torch.nn.functional, name)(t, **options), [x], options, layout=layout)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"])
def test_an_empty_batch(name):
    x = np.zeros((0, 3, 6, 4))
    options = {"output_size": 2} if name.startswith("adaptive") else {"kernel_size": 2}
    y, cache = getattr(ops, name + "_forward")(x, **options)
    assert y.shape[:2] == (0, 3)
    (dx,) = getattr(ops, name + "_backward")(np.zeros_like(y), cache)
    assert dx.shape == x.shape


X = np.zeros((1, 3, 5, 4))
DOOR = [
    ({"x": np.zeros((3, 5, 4)), "kernel_size": 2}, errors.ShapeError, r"x must have 4 axes \(N, C, H, W\), got 3"),
    ({"x": X.astype(np.int64), "kernel_size": 2}, errors.DtypeError, "x holds int64 numbers"),
    ({"x": X, "kernel_size": 6}, errors.ShapeError, "the window is 6x6 but the padded image is only 5x4"),
    ({"x": X, "kernel_size": (2, 5)}, errors.ShapeError, "the window is 2x5 but the padded image is only 5x4"),
    ({"x": X, "kernel_size": 3, "padding": 2}, errors.OptionError, "padding must be at most half of kernel_size"),
    ({"x": X, "kernel_size": (7, 7), "padding": (0, 1)}, errors.ShapeError, "the window is 7x7 .* is only 5x6"),
    ({"x": X, "kernel_size": (8, 2), "padding": (1, 0)}, errors.ShapeError, "the window is 8x2 .* is only 7x4"),
    *[({"x": X, "kernel_size": v}, errors.OptionError, "kernel_size must be") for v in (0, -1, 1.5, True, "2", (2, 0))],
    *[({"x": X, "kernel_size": 2, "stride": v}, errors.OptionError, "stride must be") for v in (0, -1, 1.5, 2**70)],
    *[({"x": X, "kernel_size": 2, "padding": v}, errors.OptionError, "padding must be") for v in (-1, 0.5, True, None)],
]  # fmt: skip


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize(
    ("call", "error", "message"), DOOR, ids=lambda v: None if not isinstance(v, dict) else str(list(v.values())[1:])
)
def test_the_door(name, call, error, message):
    with pytest.raises(error, match=f"^{name}: {message}"):
        getattr(ops, name + "_forward")(**call)


@pytest.mark.parametrize("size", [0, -1, 1.5, True, "1", (1, 0), None])
def test_the_door_of_adaptive_pooling(size):
    with pytest.raises(errors.OptionError, match=r"^adaptive_avg_pool2d: output_size must be"):
        ops.adaptive_avg_pool2d_forward(X, size)
