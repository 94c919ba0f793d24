"""Winograd's convolution, simple and fast, against `ops.conv` in float64; and how much it rounds."""

import numpy as np
import pytest

from tinyvision import precision
from tinyvision.kernels import launch, winograd
from tinyvision.ops import conv2d_backward, conv2d_forward
from tinyvision.ops.conv_inference import conv2d_inference

from .compare import close, run_both

# The transforms add and subtract numbers several times as large as the result: up to 5e-6 of the largest result for 512
# channels (see the test of rounding), less for these few. The definition errs by a few 1e-7.
TOLERANCE = 5e-6
CONV, INFERENCE = winograd.DROP_INS

# N, C, H, W, O, padding
SHAPES = {
    "whole tiles": (2, 5, 8, 12, 7, (1, 1)),
    "odd everything": (3, 3, 9, 7, 37, (2, 0)),
    "less than a tile": (1, 33, 3, 4, 2, (0, 1)),
    "padded beyond the kernel": (1, 2, 3, 5, 3, (4, 3)),
}


def reference(shape, rng):
    N, C, H, W, O, padding = shape
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((N, C, H, W), (O, C, 3, 3)))
    y, cache = conv2d_forward(x.astype(float), w.astype(float), padding=padding)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    return x, w, dy, y, conv2d_backward(dy.astype(float), cache)[0], padding


def run_version(emulation, x, w, dy, padding, simple=False):
    """(y, dx) by the kernels."""
    rows, drows = (launch.channels_last(emulation.array(a)) for a in (x, dy))
    w, y, dx = emulation.array(w), emulation.empty(x, drows.shape), emulation.empty(x, rows.shape)
    winograd.correlate(rows, winograd.transformed(w, False, simple), y, (-padding[0], -padding[1]), simple=simple)
    turned = winograd.transformed(w, True, simple)
    winograd.correlate(drows, turned, dx, (padding[0] - 2, padding[1] - 2), simple=simple)
    return launch.channels_first(y), launch.channels_first(dx)


@pytest.fixture
def always(monkeypatch):
    """Shapes that are small enough for the emulator pay for nothing."""
    monkeypatch.setattr(winograd, "pays", lambda *shapes: True)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("simple", [True, False])
def test_both_versions(emulation, rng, name, simple):
    x, w, dy, *expected, padding = reference(SHAPES[name], rng)
    for what, got, right in zip(("y", "dx"), run_version(emulation, x, w, dy, padding, simple), expected, strict=True):
        close(got, right, TOLERANCE, what)
    assert all(kernel.endswith("simple") == simple for kernel in emulation.launched)


def test_another_gradient_of_the_image_is_added(emulation, rng, always):
    x, w, dy, _, right, padding = reference((2, 8, 9, 8, 8, (1, 1)), rng)
    onto = rng.standard_normal(right.shape).astype(np.float32)
    x, w, dy, onto = map(emulation.array, (x, w, dy, onto))
    _, cache = CONV.forward(x, w, padding=padding)
    close(CONV.backward(dy, cache, (True, False, False), onto)[0], right + onto, TOLERANCE)


@pytest.mark.parametrize("channels", [64, 512])
@pytest.mark.parametrize("after_relu", [True, False])
def test_rounding(emulation, channels, after_relu):
    """5e-6 of the largest result at worst, a tenth of that on average, over several draws: what the notes promise. The
    definition errs less; if it did not, something else would have been compared."""
    worst, mean, plain = 0.0, 0.0, 0.0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        x, w, dy, y, dx, padding = reference((1, channels, 8, 8, 16, (1, 1)), rng)
        if after_relu:
            x = np.maximum(x, 0)
            y, _ = conv2d_forward(x.astype(float), w.astype(float), padding=1)
        for got, right in zip(run_version(emulation, x, w, dy, padding), (y, dx), strict=True):
            error = np.abs(got - right) / np.abs(right).max()
            worst, mean = max(worst, error.max()), max(mean, error.mean())
        columns = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3)).transpose(0, 2, 3, 1, 4, 5)
        products = columns.reshape(36, 1, -1) * w.reshape(16, -1)
        direct = products.sum(-1)  # in float32, and in one order whatever the BLAS
        right = y[0, :, 1:-1, 1:-1].reshape(16, -1).T
        plain = max(plain, np.abs(direct - right).max() / np.abs(right).max())
    assert 4 * plain < worst <= 5e-6
    assert mean <= 5e-7


def test_the_points_round_less_than_the_textbook_s(rng):
    """0, ±1, ±2, ∞ double and triple the error; computed here in NumPy, with the matrices only."""
    error = {}
    for points in (winograd.POINTS, (0.0, 1.0, -1.0, 2.0, -2.0)):
        B, G, A = (m.astype(np.float32) for m in winograd.matrices(points))
        d, g = rng.standard_normal((20, 6, 6, 128)), rng.standard_normal((128, 3, 3))
        right = sum(d[:, k : k + 4, l : l + 4] @ g[:, k, l] for k in range(3) for l in range(3))
        V = np.einsum("ak,nklc,bl->nabc", B, d.astype(np.float32), B, optimize=True)
        U = np.einsum("ak,ckl,bl->cab", G, g.astype(np.float32), G, optimize=True)
        M = np.einsum("nabc,cab->nab", V, U)
        error[points] = np.abs(A @ M @ A.T - right).max() / np.abs(right).max()
    assert 2 * error[winograd.POINTS] < error[0.0, 1.0, -1.0, 2.0, -2.0] < 1e-4


def test_the_matrices_are_those_of_the_kernels():
    """±5/8 and ±3/2 are exact in binary, and so are the products of them that stand in A and B."""
    B, G, A = winograd.matrices()
    assert np.array_equal(B, B.astype(np.float32))
    assert np.array_equal(A, A.astype(np.float32))
    d, g = np.arange(6.0), np.array([2.0, -1.0, 3.0])
    assert np.allclose(A @ ((G @ g) * (B @ d)), [d[i : i + 3] @ g for i in range(4)])


@pytest.mark.parametrize("size", [1, 1 << 30])
def test_images_in_one_pass_or_several(emulation, rng, monkeypatch, size):
    monkeypatch.setattr(winograd, "WORKSPACE", size)
    x, w, dy, *expected, padding = reference(SHAPES["odd everything"], rng)
    for got, right in zip(run_version(emulation, x, w, dy, padding), expected, strict=True):
        close(got, right, TOLERANCE)
    assert emulation.launched.count("winograd_image") == (6 if size == 1 else 2)


@pytest.mark.parametrize("bias", [True, False])
def test_the_drop_in_has_the_op_s_signature_and_cache(emulation, rng, always, bias):
    arrays = [rng.standard_normal(s) for s in ((2, 5, 9, 8), (7, 5, 3, 3), (7,))]
    arrays[2] = arrays[2] if bias else None
    run_both(emulation, CONV, arrays, {"padding": (1, 0)}, rng, TOLERANCE)
    assert any("weight_gradient" in kernel for kernel in emulation.launched)


def test_kernels_in_any_memory_order(emulation, rng):
    w = rng.standard_normal((7, 5, 3, 3)).astype(np.float32)
    right = winograd.transformed(emulation.array(w))
    for order in ((0, 2, 3, 1), (2, 3, 1, 0), (1, 0, 3, 2)):  # the last: the nine taps are not evenly spaced
        moved = emulation.array(w.transpose(order)).transpose(np.argsort(order))
        assert np.array_equal(winograd.transformed(moved), right)


def test_only_wanted_gradients_are_computed(emulation, rng, always):
    x, w = (emulation.array(rng.standard_normal(s).astype(np.float32)) for s in ((1, 4, 5, 5), (4, 4, 3, 3)))
    y, cache = winograd.DROP_INS[0].forward(x, w)
    emulation.launched.clear()
    dx, dw = winograd.DROP_INS[0].backward(y, cache, (False, True))
    assert dx is None
    assert dw is not None
    assert not any("winograd" in kernel for kernel in emulation.launched)


@pytest.mark.parametrize("activation", [None, "relu", "relu6", "hardswish", "sigmoid"])
@pytest.mark.parametrize("full", [True, False])
def test_inference_finishes_its_sums(emulation, rng, always, monkeypatch, activation, full):
    monkeypatch.setattr(winograd, "WORKSPACE", 1)  # skip is cut as the images are
    x, w = rng.standard_normal((2, 6, 7, 9)), rng.standard_normal((10, 6, 3, 3))
    vectors = [rng.standard_normal(10) if full else None for _ in range(2)]
    skip = rng.standard_normal((2, 10, 7, 9)) if full else None
    arrays = [None if a is None else emulation.array(a.astype(np.float32)) for a in (x, w, *vectors, skip)]
    rest = (activation, (1, 1), (1, 1), (1, 1), 1)
    assert winograd.DROP_INS[1].applies(*arrays, *rest)
    doubles = [None if a is None else a.astype(np.float64) for a in arrays]
    close(winograd.DROP_INS[1].forward(*arrays, *rest), conv2d_inference(*doubles, *rest), TOLERANCE)


# Channels and size of ResNet-18's 3×3 layers, and the smallest batch (of powers of 2) from which Winograd is predicted
# to pay: deep layers have large kernels to transform, for few tiles.
LAYERS = [(64, 56, 1), (128, 28, 1), (256, 14, 4), (512, 7, 16)]


@pytest.mark.parametrize(("channels", "size", "batch"), LAYERS)
def test_where_it_is_predicted_to_pay(channels, size, batch):
    x, w = (np.broadcast_to(np.float32(0), s) for s in ((64, channels, size, size), (channels, channels, 3, 3)))
    assert winograd.DROP_INS[0].applies(x, w, padding=1)
    with precision("tf32"):
        assert not winograd.DROP_INS[0].applies(x, w, padding=1)
    pays = [winograd.pays((n, channels, size, size), (n, channels, size, size)) for n in (1, 2, 4, 8, 16, 32, 64)]
    assert pays == sorted(pays)
    assert pays.index(True) == [1, 2, 4, 8, 16, 32, 64].index(batch)


@pytest.mark.parametrize(
    ("x", "weight", "options"),
    [
        ((64, 32, 56, 56), (64, 32, 3, 3), {"padding": 1}),  # too few channels
        ((64, 64, 56, 56), (64, 64, 3, 3), {"padding": 1, "stride": 2}),
        ((64, 64, 56, 56), (64, 64, 3, 3), {"padding": 1, "dilation": 2}),
        ((64, 64, 56, 56), (64, 64, 3, 2), {"padding": 1}),
        ((64, 128, 56, 56), (128, 64, 3, 3), {"padding": 1, "groups": 2}),
        ((64, 64, 56, 56), (64, 128, 3, 3), {"padding": 1}),  # a mistake, whose message the op has
        ((0, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
        ((64, 64, 3, 3), (64, 64, 3, 3), {}),  # one output for each tile
    ],
)
def test_what_is_left_to_others(x, weight, options):
    x, weight = (np.broadcast_to(np.float32(0), shape) for shape in (x, weight))
    assert not winograd.DROP_INS[0].applies(x, weight, **options)


def test_cublas_refuses_to_be_captured(monkeypatch):
    x, w = (np.broadcast_to(np.float32(0), s) for s in ((64, 64, 56, 56), (64, 64, 3, 3)))
    assert winograd.DROP_INS[0].applies(x, w, padding=1)
    monkeypatch.setattr(launch, "capturing", lambda: True)
    assert not winograd.DROP_INS[0].applies(x, w, padding=1)
