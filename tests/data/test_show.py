import numpy as np
import pytest
from formats.hostile_data import picture
from PIL import Image

import tinyvision
from tinyvision.data import ascii_preview, read_image, show, to_image
from tinyvision.data import transforms as T
from tinyvision.errors import DtypeError, OptionError, ShapeError

PICTURE = picture(20, 30)


def test_to_image_undoes_to_tensor():
    for image in (PICTURE, T.ToTensor()(PICTURE), tinyvision.tensor(T.ToTensor()(PICTURE))):
        np.testing.assert_array_equal(np.asarray(to_image(image)), PICTURE)
    assert to_image(PICTURE[..., 0]).mode == "L"
    assert to_image(PICTURE[..., :1]).mode == "L"
    normal = T.Normalize(T.IMAGENET_MEAN, T.IMAGENET_STD)(T.ToTensor()(PICTURE))
    np.testing.assert_array_equal(np.asarray(to_image(normal, denormalize=True)), PICTURE)
    extreme = np.array([[[-1.0, np.nan, 2.0, np.inf]]])
    np.testing.assert_array_equal(np.asarray(to_image(extreme)), [[0, 0, 255, 255]])


def test_a_grid_shows_every_image_and_can_be_read_back(tmp_path):
    images = np.stack([PICTURE, 255 - PICTURE, PICTURE])
    grid = show(images, tmp_path / "grid.png", columns=2)
    assert grid.size == (2 * 32 + 2, 2 * 22 + 2)
    found = read_image(tmp_path / "grid.png")
    np.testing.assert_array_equal(found[2:22, 2:32], PICTURE)
    np.testing.assert_array_equal(found[2:22, 34:64], 255 - PICTURE)
    np.testing.assert_array_equal(found[24:44, 2:32], PICTURE)
    assert (found[24:44, 34:64] == 255).all()


def test_one_image_several_and_of_different_sizes():
    assert show(PICTURE).size == show([PICTURE]).size == show(T.ToTensor()(PICTURE)).size == (34, 24)
    assert show(np.zeros((9, 8, 8))).size == (32, 32)  # nine grey images
    assert show([PICTURE, PICTURE[:5, :5]], scale=2).size == (2 * 62 + 2, 44)
    assert show([PICTURE], captions=["a very long caption indeed"]).size == (34, 38)
    assert isinstance(show([Image.fromarray(PICTURE)]), Image.Image)


def test_text_pictures():
    half = np.zeros((4, 4), np.uint8)
    half[:, 2:] = 255
    assert ascii_preview(half) == "\n".join(["    @@@@"] * 4)
    assert max(map(len, ascii_preview(PICTURE, width=20).split("\n"))) <= 20


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: show([]), ShapeError),
        (lambda: show(PICTURE, scale=0), OptionError),
        (lambda: show(PICTURE, columns=0), OptionError),
        (lambda: show(PICTURE, captions=["a", "b"]), OptionError),
        (lambda: to_image(PICTURE.astype(int)), DtypeError),
        (lambda: to_image(PICTURE[:0]), ShapeError),
        (lambda: to_image(np.zeros((5, 4, 4))), ShapeError),
        (lambda: to_image(np.zeros(5)), ShapeError),
        (lambda: to_image("photo.jpg"), DtypeError),
        (lambda: to_image(np.zeros((1, 4, 4)), denormalize=True), ShapeError),
        (lambda: ascii_preview(PICTURE, width=1), OptionError),
    ],
)
def test_mistakes_are_explained(call, error):
    with pytest.raises(error):
        call()
