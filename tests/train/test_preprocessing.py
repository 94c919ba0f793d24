"""From a picture to a network's input."""

import numpy as np
import pytest

from tinyvision.errors import CheckpointError
from tinyvision.train.preprocessing import Channels, Preprocessing, ToSize

GREY = Preprocessing(1, (8, 8), (0.5,), (0.25,))
PHOTO = Preprocessing(3, (16, 16), (0.5,) * 3, (0.25,) * 3, shorter=20)


def test_a_picture_of_the_right_size_is_only_scaled(rng):
    image = rng.integers(0, 256, (8, 8, 1), np.uint8)
    x = GREY.transform()(image)
    # float32 rounding of numbers up to 2
    np.testing.assert_allclose(x[0], (image[:, :, 0] / 255 - 0.5) / 0.25, atol=1e-6)


def test_a_batch_equals_its_pictures(rng):
    images = rng.integers(0, 256, (5, 8, 8, 1), np.uint8)
    transform = GREY.transform()
    assert transform.elementwise
    np.testing.assert_array_equal(transform(images), np.stack([transform(image) for image in images]))


@pytest.mark.parametrize("shape", [(30, 40, 3), (40, 30, 3), (9, 100, 3), (8, 8, 1)])
@pytest.mark.parametrize("preprocessing", [GREY, PHOTO])
def test_any_picture_gets_the_right_shape(rng, preprocessing, shape):
    x = preprocessing.transform()(rng.integers(0, 256, shape, np.uint8))
    assert x.shape == (preprocessing.channels, *preprocessing.size)
    assert x.dtype == np.float32


def test_channels(rng):
    grey = rng.integers(0, 256, (4, 5, 1), np.uint8)
    colour = Channels(3)(grey)
    assert colour.shape == (4, 5, 3)
    np.testing.assert_array_equal(Channels(1)(colour), grey)
    np.testing.assert_array_equal(Channels(1)(np.array([[[255, 0, 0]]], np.uint8)), [[[76]]])


def test_fit_on_a_batch(rng):
    images = rng.integers(0, 256, (3, 12, 10, 3), np.uint8)
    fit = ToSize((6, 7))
    np.testing.assert_array_equal(fit(images), np.stack([fit(image) for image in images]))


def test_there_and_back():
    for preprocessing in (GREY, PHOTO):
        assert Preprocessing.from_dict(preprocessing.as_dict()) == preprocessing


@pytest.mark.parametrize(
    "change",
    [
        {"channels": 2},
        {"size": [8]},
        {"size": [8, "x"]},
        {"size": 8},
        {"size": [0, 8]},
        {"size": [10**9, 8]},
        {"mean": "x"},
        {"std": [0.0]},
        {"std": [1.0, 1.0]},
        {"shorter": -1},
        {"shorter": "x"},
        {"interpolation": "magic"},
        {"more": 1},
    ],
)
def test_damaged_notes(change):
    with pytest.raises(CheckpointError, match="damaged"):
        Preprocessing.from_dict({**GREY.as_dict(), **change})
    with pytest.raises(CheckpointError, match="damaged"):
        Preprocessing.from_dict(None)
