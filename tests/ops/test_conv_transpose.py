"""Transposed convolution and folding against PyTorch, and the loops, over generated options."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvision import errors, ops
from tinyvision.ops import naive

from .oracle import LAYOUTS, compare, torch

F = torch.nn.functional
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


def drawn(draw):
    """(arguments, options) of a transposed convolution that leaves something."""
    groups, rng = draw(st.sampled_from([1, 1, 2, 3])), np.random.default_rng(draw(st.integers(0, 99)))
    C, O = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    size, kernel, stride, dilation = (draw(pairs) for _ in range(4))
    more = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    spans = [(n - 1) * s + d * (k - 1) + m for n, s, d, k, m in zip(size, stride, dilation, kernel, more, strict=True)]
    padding = tuple(draw(st.integers(0, min(2, span // 2))) for span in spans)
    arguments = [rng.standard_normal((draw(st.integers(1, 2)), C, *size))]
    arguments.append(rng.standard_normal((C, O // groups, *kernel)))
    if draw(st.booleans()):
        arguments.append(rng.standard_normal(O))
    options = {"stride": stride, "padding": padding, "output_padding": more, "groups": groups, "dilation": dilation}
    return arguments, options


@given(st.data())
def test_like_torch(data):
    arguments, options = drawn(data.draw)
    compare(
        "conv_transpose2d",
        lambda x, w, b=None: F.conv_transpose2d(x, w, b, **options),
        arguments,
        options,
        layout=LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))],
    )


@pytest.mark.parametrize(
    ("x", "weight", "options"),
    [
        ((2, 16, 9, 8), (16, 24, 3, 3), {"padding": 1}),  # where Winograd's way may apply
        ((2, 16, 9, 8), (16, 3, 4, 4), {"stride": 2, "padding": 1}),  # to the few channels of a photograph
        ((2, 32, 9, 8), (32, 1, 4, 4), {"stride": 2, "padding": 1, "groups": 32}),  # a kernel for each channel
        ((2, 32, 9, 8), (32, 1, 3, 3), {"padding": 1, "groups": 32}),
        ((2, 8, 7, 6), (8, 4, 2, 2), {"stride": 2}),  # the decoder of a U-Net
    ],
)
def test_every_way_to_convolve_like_torch(x, weight, options, rng):
    arguments = [rng.standard_normal(x), rng.standard_normal(weight)]
    arguments.append(rng.standard_normal(weight[1] * options.get("groups", 1)))
    for layout in LAYOUTS.values():
        reference = lambda x, w, b: F.conv_transpose2d(x, w, b, **options)  # noqa: E731
        compare("conv_transpose2d", reference, arguments, options, layout=layout)


@given(st.data())
def test_the_loops_agree(data):
    arguments, options = drawn(data.draw)
    y, cache = ops.conv_transpose2d_forward(*arguments, **options)
    looped, looped_cache = naive.conv_transpose2d_forward(*arguments, **options)
    np.testing.assert_allclose(looped, y, rtol=1e-11, atol=1e-11)
    dy = np.random.default_rng(5).standard_normal(y.shape)
    gradients = ops.conv_transpose2d_backward(dy, cache)
    for ours, loop in zip(gradients, naive.conv_transpose2d_backward(dy, looped_cache), strict=True):
        np.testing.assert_allclose(loop, ours, rtol=1e-11, atol=1e-11)


@given(st.data())
def test_unfold_and_fold_like_torch(data):
    kernel, stride, dilation = (data.draw(pairs) for _ in range(3))
    padding = (data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2)))
    size = tuple(d * (k - 1) + 1 + data.draw(st.integers(0, 4)) for k, d in zip(kernel, dilation, strict=True))
    options = {"kernel_size": kernel, "dilation": dilation, "padding": padding, "stride": stride}
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    columns = compare("unfold", lambda x: F.unfold(x, **options), [rng.standard_normal((2, 3, *size))], options)
    compare(
        "fold",
        lambda x: F.fold(x, size, **options),
        [rng.standard_normal(columns.shape)],
        {"output_size": size, **options},
    )


IMAGE, KERNEL = np.ones((1, 4, 3, 3)), np.ones((4, 2, 3, 3))
REFUSED = [
    (lambda f: f(IMAGE, KERNEL[:3]), errors.ShapeError, "x has 4 channels but weight expects 3"),
    (lambda f: f(IMAGE, KERNEL, np.ones(3)), errors.ShapeError, "each of 2 output channels"),
    (lambda f: f(IMAGE, KERNEL, groups=3), errors.OptionError, "groups must divide the 4 input channels, got 3"),
    (lambda f: f(IMAGE, KERNEL, stride=2, output_padding=2), errors.OptionError, "output_padding must be smaller"),
    (lambda f: f(IMAGE, KERNEL, padding=3), errors.ShapeError, "would be -1x-1"),
    (lambda f: f(IMAGE[0], KERNEL), errors.ShapeError, "4 axes"),
    (lambda f: f(IMAGE[:, :, :0], KERNEL), errors.ShapeError, "no axis but the batch may be empty"),
]


@pytest.mark.parametrize(("call", "error", "words"), REFUSED)
def test_refused(call, error, words):
    with pytest.raises(error, match=words):
        call(ops.conv_transpose2d_forward)


def test_fold_says_how_long_a_column_is():
    with pytest.raises(errors.ShapeError, match="6 numbers for each channel, and 9 windows"):
        ops.fold_forward(np.ones((1, 12, 8)), (5, 6), (3, 2), padding=(1, 0), stride=2)
