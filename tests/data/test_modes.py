"""Pillow images of every mode, as torchvision has them."""

import numpy as np
import pytest
from PIL import Image
from torchvision_oracle import torchvision

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
    with pytest.raises(DtypeError, match=r"^hflip: a Pillow image of mode 'I'"):
        transforms.functional.hflip(Image.new("I", (2, 2)))
    with pytest.raises(DtypeError, match=r"^adjust_hue: expected"):
        transforms.functional.adjust_hue("picture", 0.1)
    with pytest.raises(OptionError, match=r"^adjust_brightness: "):
        transforms.functional.adjust_brightness(np.ones((3, 2, 2)), float("inf"))


def test_rows_of_different_lengths_are_not_called_pictures():
    with pytest.raises(ShapeError, match=r"\(1,\), \(2,\); give the loader a collate_fn"):
        default_collate([tv.ones(1), tv.ones(2)])
    with pytest.raises(ShapeError, match="numbers of channels"):
        default_collate([tv.ones(1, 4, 4), tv.ones(3, 4, 4)])
