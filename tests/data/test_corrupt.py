"""Corruptions: seeded, stronger from strength to strength, and what their names say."""

import numpy as np
import pytest
from scipy import ndimage

from tinyvision.data import photograph
from tinyvision.data.transforms import CORRUPTIONS, Corrupt
from tinyvision.errors import DtypeError, OptionError

PHOTO = photograph()


def corrupted(kind, strength, image=PHOTO, seed=0):
    return Corrupt(kind, strength)(image, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_the_stronger_the_further_from_the_picture(kind):
    before = PHOTO.copy()
    made = [corrupted(kind, strength) for strength in range(1, 6)]
    far = [np.abs(one.astype(float) - PHOTO).mean() for one in made]
    assert far == sorted(far)
    assert 0 < far[0] < far[4]
    assert all(one.shape == PHOTO.shape and one.dtype == np.uint8 for one in made)
    np.testing.assert_array_equal(PHOTO, before)
    np.testing.assert_array_equal(made[2], corrupted(kind, 3))
    assert (corrupted(kind, 3, seed=1) == made[2]).all() == (kind != "noise")


@pytest.mark.parametrize("shape", [(8, 8, 1), (1, 1, 3), (3, 50, 3), (224, 224, 1)])
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_every_size(kind, shape):
    assert corrupted(kind, 5, np.random.default_rng(0).integers(0, 256, shape, np.uint8)).shape == shape


def test_noise_has_the_width_that_is_said():
    grey = np.full((200, 200, 3), 128, np.uint8)
    assert corrupted("noise", 1, grey).std() == pytest.approx(0.08 * 255, rel=0.02)


def test_contrast_keeps_the_mean_of_each_channel():
    made = corrupted("contrast", 1).astype(float)
    np.testing.assert_allclose(made.mean((0, 1)), PHOTO.mean((0, 1)), atol=0.3)
    np.testing.assert_allclose(made.std((0, 1)), 0.4 * PHOTO.std((0, 1)), rtol=0.02)


def test_blur_is_scipy_s():
    image = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    want = ndimage.gaussian_filter(image.astype(float), (2, 2, 0), mode="mirror", radius=(7, 7, 0))
    assert np.abs(corrupted("blur", 2, image) - want).max() <= 0.51


def test_mistakes():
    for kind, strength in (("fog", 1), ("noise", 0), ("noise", 6), ("noise", 1.5)):
        with pytest.raises(OptionError, match="Corrupt: "):
            Corrupt(kind, strength)
    with pytest.raises(DtypeError, match="uint8"):
        Corrupt("noise")(np.zeros((3, 4, 4), np.float32))
