"""im2col against PyTorch's unfold and the loops; col2im as its adjoint."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvision import blocks, errors, ops
from tinyvision.ops import col2im, im2col_backward, im2col_forward, naive
from tinyvision.ops.im2col import image_slab, windows

from .oracle import LAYOUTS, torch
from .test_conv import convolutions


@given(convolutions(size=7), st.sampled_from(list(LAYOUTS)))
def test_like_torch_and_the_loops(convolution, layout):
    (x, weight, *_), options = convolution
    options = {"kernel_size": weight.shape[2:], **{k: options[k] for k in ("stride", "padding", "dilation")}}
    columns, cache = im2col_forward(LAYOUTS[layout](x), **options)
    unfolded = torch.nn.functional.unfold(torch.from_numpy(x), **options)  # (N, C·KH·KW, OH·OW)
    expected = unfolded.transpose(1, 2).reshape(-1, unfolded.shape[1]).numpy()
    np.testing.assert_array_equal(columns, expected)
    np.testing.assert_array_equal(columns, naive.im2col(x, **options))
    back = np.random.default_rng(0).standard_normal(columns.shape)
    (dx,) = im2col_backward(back, cache)
    # <im2col(x), c> = <x, col2im(c)> is what makes it the backward; the sums have a few thousand terms of size about 1.
    np.testing.assert_allclose((columns * back).sum(), (x * dx).sum(), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(dx, naive.col2im(back, x.shape, **options), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(dx, col2im(back, x.shape, **options))


def test_a_window_of_one_pixel_is_a_copy():
    x = np.arange(6.0).reshape(1, 1, 2, 3)
    columns, _ = im2col_forward(x, 1)
    columns[...] = -1
    assert x.ravel().tolist() == [0, 1, 2, 3, 4, 5]


def test_nobody_writes_into_windows_whose_pixels_others_share():
    with pytest.raises(ValueError, match="read-only"):
        windows(np.zeros((1, 4, 5, 2)), (2, 3), (1, 1), (1, 1))[...] = 1


def test_an_empty_batch():
    columns, cache = im2col_forward(np.zeros((0, 2, 4, 5)), (2, 3))
    assert columns.shape == (0, 12)
    assert im2col_backward(columns, cache)[0].shape == (0, 2, 4, 5)


def test_the_door():
    with pytest.raises(errors.ShapeError, match="im2col: the window 3x9 is larger than the padded image"):
        im2col_forward(np.zeros((1, 2, 4, 5)), (3, 9), padding=1)
    with pytest.raises(errors.ShapeError, match=r"col2im: expected \(20, 8\) columns for an image \(1, 2, 5, 6\)"):
        ops.col2im(np.zeros((20, 9)), (1, 2, 5, 6), 2)
    for name in ("kernel_size", "stride", "dilation"):
        with pytest.raises(errors.OptionError, match=f"im2col: {name} must be at least 1, got 0"):
            im2col_forward(np.zeros((1, 2, 4, 5)), **{"kernel_size": 2, name: 0})


@pytest.mark.parametrize(("rows", "cols"), [((-4, -1), (0, 3)), ((0, 3), (5, 8)), ((-2, 3), (-1, 6))])
def test_a_slab_is_0_outside_of_the_image_whatever_the_scratch_memory_held(rows, cols, rng):
    x = rng.standard_normal((2, 4, 5, 3))
    height, width = rows[1] - rows[0], cols[1] - cols[0]
    blocks.scratch("slab", (2, height, width, 3), x)[...] = np.nan
    padded = np.pad(x, ((0, 0), (9, 9), (9, 9), (0, 0)))
    expected = padded[:, rows[0] + 9 : rows[1] + 9, cols[0] + 9 : cols[1] + 9]
    np.testing.assert_array_equal(image_slab(x, slice(0, 2), rows, cols), expected)
