"""Pillow images of every mode, as torchvision has them."""

import numpy as np
import pytest
from PIL import Image
from torchvision_oracle import torch, torchvision

import tinyvision as tv
from tinyvision.data import default_collate, transforms
from tinyvision.errors import DtypeError, OptionError, ShapeError

theirs = torchvision.transforms
MODES = ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "HSV", "I", "F"]


def picture(mode, rng):
    pixels = Image.fromarray(rng.integers(0, 256, (7, 9, 4), dtype=np.uint8), "RGBA")
    return pixels.convert(mode) if mode in ("RGBA", "LA") else pixels.convert("RGB").convert(mode)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", MODES)
def test_grey_is_pillows_brightness_of_every_mode(mode, channels, rng):
    image = picture(mode, rng)
    found, wanted = transforms.Grayscale(channels)(image), theirs.Grayscale(channels)(image)
    assert found.mode == wanted.mode
    np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))


def test_the_white_of_a_palette_is_white():
    image = Image.new("P", (1, 1))
    image.putpalette([255, 255, 255] + [0] * 765)
    assert transforms.Grayscale(1)(image).getpixel((0, 0)) == 255
    assert transforms.RandomGrayscale(p=1.0)(image).getpixel((0, 0)) == 255


@pytest.mark.parametrize("fill", [0, 1, 7, 255])
def test_a_border_of_two_colours_is_black_or_white(fill):
    image = Image.new("1", (3, 3))
    found, wanted = transforms.Pad(2, fill=fill)(image), theirs.Pad(2, fill=fill)(image)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))


def test_messages_call_functions_by_their_names():
    with pytest.raises(ShapeError, match=r"^equalize: Pillow says of an image of mode I"):
        transforms.functional.equalize(Image.new("I", (2, 2)))
    with pytest.raises(DtypeError, match=r"^adjust_hue: expected"):
        transforms.functional.adjust_hue("picture", 0.1)
    with pytest.raises(OptionError, match=r"^adjust_brightness: "):
        transforms.functional.adjust_brightness(np.ones((3, 2, 2)), float("inf"))


def test_rows_of_different_lengths_are_not_called_pictures():
    with pytest.raises(ShapeError, match=r"\(1,\), \(2,\); give the loader a collate_fn"):
        default_collate([tv.ones(1), tv.ones(2)])
    with pytest.raises(ShapeError, match="numbers of channels"):
        default_collate([tv.ones(1, 4, 4), tv.ones(3, 4, 4)])


MOVES = {
    "hflip": lambda f, x: f.hflip(x),
    "vflip": lambda f, x: f.vflip(x),
    "crop": lambda f, x: f.crop(x, -1, 2, 5, 9),
    "center_crop": lambda f, x: f.center_crop(x, [3, 4]),
    "pad": lambda f, x: f.pad(x, [1, 2], 7),
    "resized_crop": lambda f, x: f.resized_crop(x, 1, 2, 5, 6, [7, 4], interpolation("nearest", f)),
    "five_crop": lambda f, x: f.five_crop(x, [2, 3])[2],
}


def interpolation(name, f):
    return theirs.InterpolationMode(name) if f is theirs.functional else name


@pytest.mark.parametrize("dtype", ["int64", "int32", "bool"])
@pytest.mark.parametrize("name", MOVES)
def test_labels_are_moved_with_their_picture(name, dtype, rng):
    """A Tensor of class numbers, alone and in a batch."""
    if dtype == "bool" and name in ("pad", "resized_crop"):
        pytest.skip("a border of 7, and Pillow's resizing, are of numbers")
    labels = rng.integers(0, 300, (2, 1, 6, 8)).astype(dtype)
    for x in (labels[0], labels):
        found = MOVES[name](transforms.functional, tv.tensor(x))
        wanted = MOVES[name](theirs.functional, torch.from_numpy(x))
        assert found.numpy().dtype == dtype
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())


@pytest.mark.parametrize("mode", ["I", "F", "I;16"])
@pytest.mark.parametrize("name", MOVES)
def test_pixels_that_are_no_bytes_are_moved(name, mode, rng):
    dtype = {"I": np.int32, "F": np.float32, "I;16": np.uint16}[mode]
    image = Image.fromarray(rng.integers(0, 60000, (6, 8)).astype(dtype))
    assert image.mode == mode
    found, wanted = MOVES[name](transforms.functional, image), MOVES[name](theirs.functional, image)
    assert found.mode == wanted.mode
    np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))


@pytest.mark.parametrize(
    "transform",
    [
        transforms.Resize(5),
        transforms.Normalize(0.5, 0.5),
        transforms.RandomHorizontalFlip(1.0),
        transforms.Compose([transforms.Resize(5)]),
        transforms.RandomApply([transforms.Resize(5)]),
        transforms.ToTensor(),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_a_mask_beside_the_picture_is_not_passed_over(transform):
    """torchvision's second generation moves what stands beside the picture with it."""
    picture = np.zeros((8, 8, 3), np.uint8) if isinstance(transform, transforms.ToTensor) else tv.zeros(3, 8, 8)
    with pytest.raises(OptionError, match="takes one image, and as second argument the NumPy Generator"):
        transform(picture, tv.zeros(1, 8, 8))
