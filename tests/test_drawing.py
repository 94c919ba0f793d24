"""What is drawn on pictures, pixel by pixel as torchvision draws it with the same Pillow."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image
from torchvision_oracle import torch, torchvision

import tinyvision as tv
from tinyvision import drawing
from tinyvision.errors import DtypeError, OptionError, ShapeError

U = torchvision.utils
RNG = np.random.default_rng(0)


def both(name, *arrays, **options):
    ours = getattr(drawing, name)(*(tv.tensor(a) for a in arrays), **options)
    theirs = getattr(U, name)(*(torch.from_numpy(a) for a in arrays), **options)
    assert str(ours.dtype) == str(theirs.dtype)
    return ours.numpy(), theirs.numpy()


@pytest.mark.parametrize(
    "shape", [(7, 3, 5, 6), (4, 1, 5, 6), (1, 3, 5, 6), (3, 5, 6), (1, 5, 6), (5, 6), (2, 2, 4, 4)]
)
@pytest.mark.parametrize(
    "options",
    [{}, {"nrow": 3, "padding": 0}, {"nrow": 2, "padding": 3, "pad_value": 0.5}, {"normalize": True},
     {"normalize": True, "value_range": (-1, 1)}, {"normalize": True, "scale_each": True}],
    ids=str,
)  # fmt: skip
def test_grids(shape, options):
    ours, theirs = both("make_grid", RNG.normal(size=shape).astype("f4"), **options)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_a_grid_of_a_list_and_of_uint8():
    pictures = [RNG.integers(0, 255, (3, 4, 5)).astype("u1") for _ in range(5)]
    ours = drawing.make_grid([tv.tensor(p) for p in pictures], nrow=2, pad_value=9)
    theirs = U.make_grid([torch.from_numpy(p) for p in pictures], nrow=2, pad_value=9)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    before = tv.tensor(RNG.normal(size=(2, 3, 4, 4)))
    kept = before.numpy().copy()
    drawing.make_grid(before, normalize=True)
    np.testing.assert_array_equal(before.numpy(), kept)


@pytest.mark.parametrize("shape", [(6, 3, 8, 9), (1, 8, 9)])
def test_saved_pictures(tmp_path, shape):
    x = RNG.uniform(-0.2, 1.2, shape).astype("f4")
    for name in ("a.png", "b.bmp"):
        drawing.save_image(tv.tensor(x), tmp_path / name, nrow=3)
        U.save_image(torch.from_numpy(x), tmp_path / f"their{name}", nrow=3)
        ours, theirs = (np.asarray(Image.open(tmp_path / n)) for n in (name, f"their{name}"))
        np.testing.assert_array_equal(ours, theirs)
    file = io.BytesIO()
    drawing.save_image(tv.tensor(x), file, format="PNG", nrow=3)
    np.testing.assert_array_equal(np.asarray(Image.open(file)), np.asarray(Image.open(tmp_path / "a.png")))
    with pytest.raises(OptionError, match="suffix"):
        drawing.save_image(tv.tensor(x), tmp_path / "picture")
    assert not (tmp_path / "picture").exists()


BOXES = np.array([[2.0, 3, 20, 25], [10, 5, 35, 18], [0, 0, 39, 29]])


@pytest.mark.parametrize("kind", ["u1", "f4"])
@pytest.mark.parametrize(
    "options",
    [{}, {"colors": "red", "width": 3}, {"colors": [(1, 2, 3), "blue", "#ff8800"], "fill": True},
     {"labels": ["a", "bc", None], "label_colors": "white"}, {"labels": ["a", "b", "c"], "fill_labels": True},
     {"labels": ["x", "y", "z"], "fill_labels": True, "label_background_colors": "yellow", "colors": (9, 9, 200)}],
    ids=str,
)  # fmt: skip
def test_boxes(kind, options):
    x = RNG.integers(0, 255, (3, 30, 40)).astype("u1")
    x = x if kind == "u1" else (x / 255).astype("f4")
    ours, theirs = both("draw_bounding_boxes", x, BOXES, **options)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    grey, expected = both("draw_bounding_boxes", x[:1], BOXES, **options)
    np.testing.assert_allclose(grey, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["u1", "f4", "f8"])
@pytest.mark.parametrize("options", [{}, {"alpha": 0.3, "colors": "red"}, {"colors": [(1, 200, 3), "blue"]}], ids=str)
def test_masks(kind, options):
    x = RNG.integers(0, 255, (3, 12, 13)).astype("u1")
    x = x if kind == "u1" else (x / 255).astype(kind)
    ours, theirs = both("draw_segmentation_masks", x, RNG.uniform(size=(2, 12, 13)) > 0.6, **options)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    ours, theirs = both("draw_segmentation_masks", x, RNG.uniform(size=(12, 13)) > 0.6)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["u1", "f4"])
def test_points(kind):
    x = RNG.integers(0, 255, (3, 30, 40)).astype("u1")
    x = x if kind == "u1" else (x / 255).astype("f4")
    points = RNG.uniform(3, 27, (2, 4, 2))
    options = {"connectivity": [(0, 1), (1, 3)], "colors": "blue", "radius": 2, "width": 2}
    ours, theirs = both("draw_keypoints", x, points, **options)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    seen = np.array([[True, False, True, True], [False, True, True, True]])
    ours = drawing.draw_keypoints(tv.tensor(x), tv.tensor(points), visibility=tv.tensor(seen), **options)
    theirs = U.draw_keypoints(
        torch.from_numpy(x), torch.from_numpy(points), visibility=torch.from_numpy(seen), **options
    )
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=1e-6)


def test_nothing_to_draw_is_said():
    x = tv.tensor(np.zeros((3, 5, 5), "u1"))
    with pytest.warns(UserWarning, match="no box"):
        assert drawing.draw_bounding_boxes(x, tv.zeros(0, 4)) is x
    with pytest.warns(UserWarning, match="no mask"):
        assert drawing.draw_segmentation_masks(x, tv.tensor(np.zeros((0, 5, 5), bool))) is x


def test_mistakes():
    x, mask = tv.tensor(np.zeros((3, 5, 5), "u1")), tv.tensor(np.zeros((5, 5), bool))
    one = tv.tensor([[0.0, 0, 3, 3]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for error, call in (
            (ShapeError, lambda: drawing.make_grid([x, x[:, :4]])),
            (ShapeError, lambda: drawing.make_grid(tv.zeros(1, 2, 3, 4, 5))),
            (OptionError, lambda: drawing.make_grid(x, nrow=0)),
            (OptionError, lambda: drawing.make_grid(x, normalize=True, value_range=[0, 1])),
            (ShapeError, lambda: drawing.draw_bounding_boxes(x[None], one)),
            (OptionError, lambda: drawing.draw_bounding_boxes(x, tv.tensor([[3.0, 0, 0, 3]]))),
            (OptionError, lambda: drawing.draw_bounding_boxes(x, one, labels=["a", "b"])),
            (OptionError, lambda: drawing.draw_bounding_boxes(x, one, colors=[])),
            (OptionError, lambda: drawing.draw_bounding_boxes(x, one, colors=5)),
            (DtypeError, lambda: drawing.draw_bounding_boxes(x.long(), one)),
            (DtypeError, lambda: drawing.draw_segmentation_masks(x, tv.zeros(5, 5))),
            (ShapeError, lambda: drawing.draw_segmentation_masks(x, mask[:4])),
            (ShapeError, lambda: drawing.draw_segmentation_masks(x[:1], mask)),
            (ShapeError, lambda: drawing.draw_keypoints(x, one)),
        ):
            with pytest.raises(error):
                call()
