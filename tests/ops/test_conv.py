"""Convolution against PyTorch over generated shapes and options, against the loops, and at its door."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strict import StrictArray, from_strict

from tinyvision import blocks, errors, ops
from tinyvision.ops import conv2d_backward, conv2d_forward, naive
from tinyvision.ops.convolution import sliding

from .oracle import LAYOUTS, compare, torch

pair = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def convolutions(draw, channels=3, size=9):
    """(x, weight, bias or None, options) of a convolution that has at least one window."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    CG, multiplier = draw(st.integers(1, channels)), draw(st.integers(1, 3))
    N, kernel = draw(st.integers(1, 3)), draw(pair)
    stride, dilation = draw(pair), draw(st.tuples(st.integers(1, 2), st.integers(1, 3)))
    padding = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    least = [max(1, dilation[a] * (kernel[a] - 1) + 1 - 2 * padding[a]) for a in (0, 1)]
    H, W = (draw(st.integers(n, max(size, n))) for n in least)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    arguments = [rng.standard_normal((N, CG * groups, H, W)), rng.standard_normal((groups * multiplier, CG, *kernel))]
    if draw(st.booleans()):
        arguments.append(rng.standard_normal(groups * multiplier))
    return arguments, {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


@given(convolutions(), st.sampled_from(list(LAYOUTS)))
@settings(max_examples=60)
def test_like_torch(convolution, layout):
    arguments, options = convolution
    compare(
        "conv2d",
        lambda *tensors: torch.nn.functional.conv2d(*tensors, **options),
        arguments,
        options,
        layout=LAYOUTS[layout],
    )


@given(
    st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
    st.tuples(st.integers(32, 40), st.integers(32, 36)),
    st.sampled_from(list(LAYOUTS)),
)
@example((1, 1, 1), (1, 1), (32, 33), "contiguous")
@example((2, 3, 2), (0, 1), (33, 32), "gaps")
def test_many_channels_like_torch(shape, padding, channels, layout):
    """From 32 channels on, 3x3 kernels take another way."""
    (N, H, W), (C, O) = shape, channels
    H, W = max(H, 3 - 2 * padding[0]), max(W, 3 - 2 * padding[1])
    rng = np.random.default_rng(H * W)
    arguments = [rng.standard_normal((N, C, H, W)), rng.standard_normal((O, C, 3, 3)), rng.standard_normal(O)]
    compare(
        "conv2d", lambda *t: torch.nn.functional.conv2d(*t, padding=padding), arguments, {"padding": padding},
        layout=LAYOUTS[layout],
    )  # fmt: skip


@pytest.mark.parametrize("size", [40, 57])
@pytest.mark.parametrize(
    "options", [{"padding": 1}, {"stride": 2, "padding": 1}, {"padding": 2, "dilation": 2}, {"groups": 8}], ids=str
)
def test_images_of_several_blocks_like_torch(options, size, rng):
    groups = options.get("groups", 1)
    arguments = [
        rng.standard_normal((3, 8, size, size + 3)),
        rng.standard_normal((16, 8 // groups, 3, 3)),
        rng.standard_normal(16),
    ]
    compare("conv2d", lambda *t: torch.nn.functional.conv2d(*t, **options), arguments, options)


@pytest.mark.parametrize("C", [8, 48])
def test_float32_is_as_exact_as_torch(C, rng):
    """The error against float64 is at most four times that of PyTorch's own float32 convolution."""
    x, weight = rng.standard_normal((2, C, 20, 20)), rng.standard_normal((48, C, 3, 3))
    dy = rng.standard_normal((2, 48, 20, 20))

    def all_of(dtype):
        a, b = (
            torch.from_numpy(x.astype(dtype)).requires_grad_(),
            torch.from_numpy(weight.astype(dtype)).requires_grad_(),
        )
        y = torch.nn.functional.conv2d(a, b, padding=1)
        y.backward(torch.from_numpy(dy.astype(dtype)))
        return y.detach().numpy(), a.grad.numpy(), b.grad.numpy()

    y, cache = conv2d_forward(x.astype(np.float32), weight.astype(np.float32), padding=1)
    ours = (y, *conv2d_backward(dy.astype(np.float32), cache, (True, True)))
    for mine, theirs, exact in zip(ours, all_of(np.float32), all_of(np.float64), strict=True):
        assert abs(mine - exact).max() <= 4 * abs(theirs - exact).max()


@given(convolutions(channels=2, size=5))
@settings(max_examples=15)
def test_like_the_loops(convolution):
    arguments, options = convolution
    y, cache = conv2d_forward(*arguments, **options)
    looped, looped_cache = naive.conv2d_forward(*arguments, **options)
    np.testing.assert_allclose(y, looped, rtol=1e-12, atol=1e-12)
    dy = np.random.default_rng(0).standard_normal(y.shape)
    gradients, expected = conv2d_backward(dy, cache), naive.conv2d_backward(dy, looped_cache)
    assert len(gradients) == len(expected) == len(arguments)
    for got, want in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("C", [3, 8])
def test_a_stride_beyond_the_image_takes_no_memory(C, rng):
    x, weight = rng.standard_normal((2, C, 5, 6)), rng.standard_normal((4, C, 3, 3))
    blocks.release()
    tracemalloc.start()
    try:
        y, cache = conv2d_forward(x, weight, stride=(7, 10**7), padding=1)
        dx, dweight = conv2d_backward(np.ones_like(y), cache)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert y.shape == (2, 4, 1, 1)
    corner, taps = x[:, :, :2, :2], weight[:, :, 1:, 1:]  # of the one window, these lie inside of the image
    np.testing.assert_allclose(y[:, :, 0, 0], np.einsum("nckl,ockl->no", corner, taps), rtol=0, atol=1e-13)
    np.testing.assert_allclose(dx[0, :, :2, :2], taps.sum(axis=0), rtol=0, atol=1e-13)
    np.testing.assert_allclose(dweight[0, :, 1:, 1:], corner.sum(axis=0), rtol=0, atol=1e-13)
    assert peak < 1 << 20  # the arrays are a few KiB; a plane for every place between two windows would be gigabytes


def test_one_matrix_product_of_im2col_is_the_convolution(rng):
    x, weight = rng.standard_normal((2, 3, 5, 6)), rng.standard_normal((4, 3, 2, 3))
    columns, _ = ops.im2col_forward(x, kernel_size=(2, 3), padding=1)
    y = (columns @ weight.reshape(4, -1).T).reshape(2, 6, 6, 4).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(conv2d_forward(x, weight, padding=1)[0], y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("C", [2, 32])
def test_an_empty_batch_gives_empty_values_and_zero_gradients(C):
    x, weight, bias = np.zeros((0, C, 5, 6)), np.ones((32, C, 3, 3)), np.ones(32)
    y, cache = conv2d_forward(x, weight, bias, padding=1)
    assert y.shape == (0, 32, 5, 6)
    dx, dweight, dbias = conv2d_backward(np.zeros_like(y), cache)
    assert dx.shape == x.shape
    assert dweight.shape == weight.shape
    assert not dweight.any()
    assert dbias.shape == (32,)
    assert not dbias.any()


def wrong(**changes):
    """conv2d_forward with one thing changed."""
    call = {"x": np.zeros((1, 3, 5, 5)), "weight": np.zeros((4, 3, 3, 3)), "bias": np.zeros(4), **changes}
    return lambda: conv2d_forward(call.pop("x"), call.pop("weight"), call.pop("bias"), **call)


DOOR = [
    ({"x": np.zeros((1, 2, 5, 5))}, errors.ShapeError, "conv2d: x has 2 channels but weight expects 3"),
    (
        {"x": np.zeros((3, 5, 5))},
        errors.ShapeError,
        r"must have 4 axes \(N, C, H, W\), got 3 .*needs a batch axis: x\[None\]",
    ),
    ({"weight": np.zeros((4, 27))}, errors.ShapeError, r"weight must have 4 axes \(O, C/groups, KH, KW\)"),
    ({"bias": np.zeros(3)}, errors.ShapeError, "bias must have one number for each of 4 output channels"),
    ({"weight": np.zeros((4, 3, 6, 6))}, errors.ShapeError, "the kernel spans 6x6 but the padded image is only 5x5"),
    ({"dilation": 3}, errors.ShapeError, "the kernel spans 7x7 but the padded image is only 5x5"),
    ({"weight": np.zeros((4, 3, 0, 3))}, errors.ShapeError, "conv2d: "),
    ({"weight": np.zeros((0, 3, 3, 3)), "bias": np.zeros(0)}, errors.ShapeError, "are 3 input and 0 output channels"),
    (
        {"x": np.zeros((1, 0, 5, 5)), "weight": np.zeros((4, 0, 3, 3))},
        errors.ShapeError,
        "there are 0 input and 4 output channels",
    ),
    (
        {"x": np.zeros((1, 3, 5, 5), np.uint8)},
        errors.DtypeError,
        "x holds uint8 numbers, but a floating-point array is needed",
    ),
    ({"weight": np.zeros((4, 3, 3, 3), np.float32)}, errors.DtypeError, "x is float64 but weight is float32"),
    ({"groups": 2}, errors.OptionError, "groups must divide both 3 input and 4 output channels, got 2"),
    ({"groups": 0}, errors.OptionError, "groups must divide"),
    ({"groups": True}, errors.OptionError, "groups must divide"),
    ({"groups": 1.0}, errors.OptionError, "groups must divide"),
    *[
        ({name: value}, errors.OptionError, f"conv2d: {name} must be")
        for name, values in {
            "stride": [0, -1, 1.5, True, "2", None, (1, 2, 3), (1, 0), (1.0, 1), 2**62],
            "padding": [-1, 0.5, False, "same", (1, -1), 2**62],
            "dilation": [0, -2, 1.5, True, (0, 1), 2**31],
        }.items()
        for value in values
    ],
]


@pytest.mark.parametrize(
    ("changes", "error", "message"), DOOR, ids=lambda v: str(v)[:40] if isinstance(v, dict) else ""
)
def test_the_door(changes, error, message):
    with pytest.raises(error, match=message) as caught:
        wrong(**changes)()
    assert isinstance(caught.value, errors.TinyVisionError)


def test_a_shape_error_lists_every_argument():
    with pytest.raises(errors.ShapeError) as caught:
        conv2d_forward(np.zeros((1, 3, 5, 5)), np.zeros((4, 2, 3, 3)))
    assert str(caught.value) == (
        "conv2d: x has 3 channels but weight expects 2\n"
        "    x       (N, C, H, W)   = (1, 3, 5, 5)\n"
        "    weight  (O, C, KH, KW) = (4, 2, 3, 3)"
    )


def test_a_gpu_makes_columns_of_some_images_at_a_time(monkeypatch):
    """Without drop-ins, the columns of a whole batch would be KH·KW times as large as the batch."""
    rng = np.random.default_rng(0)
    x, weight, bias = (rng.standard_normal(shape) for shape in ((5, 3, 8, 9), (4, 3, 3, 3), (4,)))
    y, cache = ops.conv2d_forward(x, weight, bias, 2, 1)
    dy = rng.standard_normal(y.shape)
    expected = (y, *ops.conv2d_backward(dy, cache))
    monkeypatch.setattr(sliding, "GPU_COLUMN_BYTES", 2 * y[0, 0].size * weight[0].size * x.itemsize)  # of two images
    lengths, image_slab = [], sliding.image_slab

    def watched(x, images, *sides):
        lengths.append(images.stop - images.start)
        return image_slab(x, images, *sides)

    monkeypatch.setattr(sliding, "image_slab", watched)
    y, cache = ops.conv2d_forward(*map(StrictArray, (x, weight, bias)), 2, 1)
    results = (y, *ops.conv2d_backward(StrictArray(dy), cache))
    assert max(lengths) == 2
    assert sum(lengths) == 2 * 5  # forward and for dweight; dx needs none
    for got, want in zip(results, expected, strict=True):
        np.testing.assert_allclose(from_strict(got), want, rtol=0, atol=1e-12)  # float64, another order of sums
