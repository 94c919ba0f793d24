"""Masks: what a file's numbers are, connected regions beside scikit-image, and which things were found."""

import numpy as np
import pytest
from PIL import Image
from skimage import measure

from tinyvision.data import read_image
from tinyvision.errors import DataError, ShapeError
from tinyvision.tasks.masks import read_levels, read_mask, regions, things_found


@pytest.mark.parametrize("seed", range(6))
def test_regions_are_scikit_images(seed):
    rng = np.random.default_rng(seed)
    mask = np.kron(rng.integers(0, 3, (9, 13)), np.ones((2, 1), int)) * (rng.random((18, 13)) < 0.9)
    numbers, found = regions(mask)
    theirs = measure.label(mask, connectivity=1, background=0)
    assert np.array_equal(numbers, theirs)
    for region, other in zip(found, measure.regionprops(theirs), strict=True):
        y1, x1, y2, x2 = other.bbox
        assert (region.area, region.box) == (other.area, (x1, y1, x2, y2))
        assert region.centre == pytest.approx(other.centroid[::-1])
        assert region.label == mask[tuple(other.coords[0])]


def test_a_spiral_is_one_region_and_the_small_ones_are_left_out():
    mask = np.zeros((9, 9), int)
    mask[0], mask[:, 8], mask[8], mask[2:, 0], mask[2, :7], mask[2:7, 6] = 1, 1, 1, 1, 1, 1
    mask[5, 3] = 1
    assert [region.area for region in regions(mask)[1]] == [mask.sum() - 1, 1]
    numbers, found = regions(mask, smallest=2)
    assert len(found) == 1
    assert numbers[5, 3] == 0
    assert regions(np.zeros((4, 5), int))[1] == []
    with pytest.raises(ShapeError, match=r"\(H, W\)"):
        regions(np.zeros((2, 3, 4), int))


def test_a_thing_is_found_by_more_than_half():
    true = np.zeros((10, 10), int)
    true[:4, :4], true[6:, 6:] = 7, 9
    predicted = np.zeros_like(true)
    predicted[:4, 1:4], predicted[6:, 8:] = 1, 2  # IoU 12/16 and exactly 8/16
    assert things_found(predicted, true) == (1, 2, 2)
    assert things_found(predicted * 0, true) == (0, 2, 0)
    assert things_found(true, true) == (2, 2, 2)
    with pytest.raises(ShapeError, match="no masks of one picture"):
        things_found(predicted[1:], true)


def test_numbers_of_a_mask_stay_what_they_are(tmp_path):
    numbers = np.array([[0, 1, 2], [254, 255, 7]])
    Image.fromarray(numbers.astype(np.uint8)).save(tmp_path / "grey.png")
    palette = Image.fromarray(numbers.astype(np.uint8), "L").convert("P")
    palette.putdata(numbers.ravel().tolist())
    palette.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tobytes())
    palette.save(tmp_path / "palette.png")
    Image.fromarray((numbers * 200).astype(np.uint16)).save(tmp_path / "wide.png")
    Image.fromarray((numbers * 200).astype(np.uint16)).save(tmp_path / "wide.tif")
    Image.fromarray(numbers > 1).save(tmp_path / "bits.png")
    assert np.array_equal(read_mask(tmp_path / "grey.png"), numbers)
    assert np.array_equal(read_mask(tmp_path / "palette.png"), numbers)
    assert np.array_equal(read_mask(tmp_path / "wide.png"), numbers * 200)
    assert np.array_equal(read_mask(tmp_path / "wide.tif"), numbers * 200)
    assert np.array_equal(read_mask(tmp_path / "bits.png"), numbers > 1)
    Image.fromarray(numbers.astype(np.uint8)).save(tmp_path / "lossy.jpg")
    with pytest.raises(DataError, match=r"lossy\.jpg: a mask must not be JPEG"):
        read_mask(tmp_path / "lossy.jpg")
    (tmp_path / "cut.png").write_bytes((tmp_path / "grey.png").read_bytes()[:50])
    with pytest.raises(DataError, match=r"cut\.png"):
        read_mask(tmp_path / "cut.png")


def test_sixteen_bits_are_stretched_to_their_own_range(tmp_path):
    levels = np.random.default_rng(0).integers(100, 300, (40, 40)).astype(np.uint16)
    Image.fromarray(levels).save(tmp_path / "dark.tif")
    pixels = read_levels(tmp_path / "dark.tif")
    assert pixels.shape == (40, 40, 3)
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert np.corrcoef(pixels[..., 0].ravel(), levels.ravel())[0, 1] > 0.99
    Image.fromarray(np.full((5, 5), 7, np.uint8)).save(tmp_path / "plain.png")
    assert (read_levels(tmp_path / "plain.png") == 7).all()
    Image.fromarray(np.full((5, 5), 900, np.uint16)).save(tmp_path / "even.png")
    assert read_levels(tmp_path / "even.png").max() == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_and_sixteen_bits_are_turned_as_pictures_are(tmp_path, orientation):
    """The EXIF note of a camera stands in the picture's file, and a tool may have copied it into its mask's."""
    numbers = np.arange(24, dtype=np.uint8).reshape(4, 6)
    note = Image.Exif()
    note[0x0112] = orientation
    shown = {"8": numbers, "16": numbers.astype(np.uint16) * 2000, "colours": np.stack([numbers] * 3, 2)}
    for name, pixels in shown.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png", exif=note)
    upright = read_image(tmp_path / "8.png")
    assert np.array_equal(read_mask(tmp_path / "8.png"), upright[:, :, 0])
    assert np.array_equal(read_mask(tmp_path / "16.png"), upright[:, :, 0].astype(int) * 2000)
    assert np.array_equal(read_mask(tmp_path / "colours.png"), upright)
    levels = read_levels(tmp_path / "16.png")
    assert levels.shape == upright.shape
    assert np.array_equal(
        np.argsort(levels[:, :, 0], axis=None, kind="stable")[2:-1], np.argsort(upright[:, :, 0], axis=None)[2:-1]
    )
