"""Resizing against PyTorch's interpolate, over generated sizes, scales and memory orders."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyvision import errors, ops
from tinyvision.ops.axis_map import AxisMap, along

from .oracle import LAYOUTS, compare, torch

interpolate = torch.nn.functional.interpolate
side = st.integers(1, 9)
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def images(draw, axes):
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 3)), *(draw(side) for _ in range(axes)))
    return np.random.default_rng(draw(st.integers(0, 99))).standard_normal(shape)


@given(st.data())
def test_sizes_like_torch(data):
    axes = data.draw(st.integers(1, 3))
    x, size = images(data.draw, axes), tuple(data.draw(side) for _ in range(axes))
    mode = data.draw(st.sampled_from(["nearest", "nearest-exact", "linear", "area"] + ["cubic"] * (axes == 2)))
    corners = data.draw(st.booleans()) if mode in ("linear", "cubic") else None
    theirs = {"linear": LINEAR[axes], "cubic": "bicubic"}.get(mode, mode)
    options = {"size": size, "mode": mode, "align_corners": bool(corners)}
    compare(
        "resize",
        lambda t: interpolate(t, size, mode=theirs, align_corners=corners),
        [x],
        options,
        layout=LAYOUTS[data.draw(st.sampled_from(list(LAYOUTS)))],
    )


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear", "area", "cubic"])
def test_every_mode_like_torch_to_more_and_to_fewer_pixels(mode, corners, rng):
    """Once in every run, where generated sizes may leave a mode out."""
    if corners and mode not in ("linear", "cubic"):
        return
    theirs = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    align = corners if mode in ("linear", "cubic") else None
    x, size = rng.standard_normal((2, 3, 4, 7)), (9, 5)
    options = {"size": size, "mode": mode, "align_corners": corners}
    compare("resize", lambda t: interpolate(t, size, mode=theirs, align_corners=align), [x], options)


@given(st.data())
def test_scales_like_torch(data):
    axes = data.draw(st.integers(1, 2))
    x = images(data.draw, axes)
    scales = tuple(data.draw(st.sampled_from([0.5, 0.7, 1.0, 1.3, 1.5, 2.0, 2.6, 3.0])) for _ in range(axes))
    size = tuple(int(n * s) for n, s in zip(x.shape[2:], scales, strict=True))
    if 0 in size:
        return
    mode = data.draw(st.sampled_from(["nearest", "nearest-exact", "linear"] + ["cubic"] * (axes == 2)))
    if mode == "nearest" and any(m in (n, 2 * n) for m, n in zip(size, x.shape[2:], strict=True)):
        # PyTorch's backward goes by the sizes there, not by the scale that its forward took: not its gradient.
        scales = tuple(m / n for m, n in zip(size, x.shape[2:], strict=True))
    theirs = {"linear": LINEAR[axes], "cubic": "bicubic"}.get(mode, mode)
    options = {"size": size, "mode": mode, "scales": scales}
    compare("resize", lambda t: interpolate(t, scale_factor=scales, mode=theirs), [x], options)


@given(st.data())
def test_antialias_like_torch(data):
    # To a width of 1 PyTorch 2.13 repeats the first row when it antialiases.
    x, size = images(data.draw, 2), (data.draw(side), data.draw(st.integers(2, 9)))
    mode, corners = data.draw(st.sampled_from(["linear", "cubic"])), False
    options = {"size": size, "mode": mode, "align_corners": corners, "antialias": True}
    compare(
        "resize",
        lambda t: interpolate(t, size, mode="bi" + mode, align_corners=corners, antialias=True),
        [x],
        options,
    )


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear"])
def test_which_pixel_a_place_between_two_falls_to_in_float32_like_torch(mode):
    x = np.random.default_rng(0).standard_normal((1, 1, 60)).astype(np.float32)
    for size in range(1, 200):
        ours = ops.resize_forward(x, (size,), mode)[0]
        theirs = interpolate(torch.from_numpy(x), size, mode=mode).numpy()
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5, err_msg=str(size))


def test_an_overflowed_gradient_stays_where_it_belongs():
    x = np.ones((1, 1, 4))
    dy = np.array([[[1.0, np.inf, 1, 1, 1, 1, 1]]])
    _, cache = ops.resize_forward(x, (7,), "linear")
    assert list(np.isfinite(ops.resize_backward(dy, cache)[0][0, 0])) == [False, False, True, True]


def test_a_map_and_its_transpose_are_adjoint(rng):
    entries = rng.integers(0, 5, (2, 30))
    weights = rng.standard_normal(30)
    axis_map = AxisMap(entries[0], entries[1], weights, 5, 6)
    x, y = rng.standard_normal((2, 6, 3)), rng.standard_normal((2, 5, 3))
    np.testing.assert_allclose((along(x, 1, axis_map) * y).sum(), (x * along(y, 1, axis_map.transposed)).sum())


REFUSED = [
    ({"size": (3,)}, errors.ShapeError, "one positive size for every axis"),
    ({"size": (3, 0)}, errors.ShapeError, "one positive size"),
    ({"size": (3, 2.5)}, errors.ShapeError, "one positive size"),
    ({"size": (3, 3), "mode": "bilinear"}, errors.OptionError, "mode must be one of nearest"),
    ({"size": (3, 3), "antialias": True}, errors.OptionError, "antialias goes with"),
]


@pytest.mark.parametrize(("options", "error", "words"), REFUSED)
def test_refused(options, error, words):
    with pytest.raises(error, match=words):
        ops.resize_forward(np.ones((1, 2, 4, 5)), **options)


def test_an_image_without_pixels_is_refused():
    with pytest.raises(errors.ShapeError, match="nothing to resize"):
        ops.resize_forward(np.ones((1, 2, 0, 5)), (2, 2))
    assert ops.resize_forward(np.ones((0, 2, 4, 5)), (2, 3))[0].shape == (0, 2, 2, 3)
