import numpy as np
import pytest

from tinyvision.data import Shapes, split
from tinyvision.data import transforms as T
from tinyvision.errors import OptionError


@pytest.mark.parametrize("size", [16, 33, (40, 70)])
@pytest.mark.parametrize("objects", [1, 6])
def test_scenes_are_consistent(size, objects):
    data = Shapes(30, size, seed=2, objects=objects)
    height, width = (size, size) if isinstance(size, int) else size
    for index in range(len(data)):
        image, labels, boxes, masks = data.scene(index)
        count = len(labels)
        assert image.shape == (height, width, 3)
        assert image.dtype == np.uint8
        assert 1 <= count <= objects
        assert masks.shape == (count, height, width)
        assert masks.dtype == bool
        assert boxes.shape == (count, 4)
        assert masks.sum(0).max() == 1  # they never overlap
        for box, mask in zip(boxes.astype(int), masks, strict=True):
            left, top, right, bottom = box
            inside = mask[top:bottom, left:right]
            assert inside.sum() == mask.sum() > 0
            for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
                assert edge.any()  # the box is tight
        areas = [(b - a) * (d - c) for a, c, b, d in boxes]
        assert objects == 1 or areas[0] > 0
        found, label = data[index]
        np.testing.assert_array_equal(found, image)
        assert label == labels[0] == data.labels[index]


def test_pictures_follow_from_seed_and_index_alone():
    data = Shapes(50, 32, seed=1)
    np.testing.assert_array_equal(data[7][0], Shapes(8, 32, seed=1)[7][0])
    assert (data[7][0] != Shapes(50, 32, seed=2)[7][0]).any()
    assert (data[7][0] != Shapes(50, 32, seed=1, train=False)[7][0]).any()
    assert (data[7][0] != data[8][0]).any()
    assert Shapes(4, 32, transform=T.ToTensor())[0][0].shape == (3, 32, 32)
    assert len(split(data, 0.2)[1]) > 0
    assert np.bincount(Shapes(600).labels).min() > 60  # 100 each, give or take four standard deviations


def test_shapes_stand_out():
    # The mean difference between a shape and the rest, in the channel where it is largest.
    for index in range(20):
        image, _, _, masks = Shapes(20, 48).scene(index)
        shape, rest = image[masks[0]].mean(0), image[~masks.any(0)].mean(0)
        assert np.abs(shape - rest).max() > 50


@pytest.mark.parametrize(
    "options",
    [{"length": 0}, {"size": 8}, {"size": (20, 20, 3)}, {"size": 20.5}, {"objects": 0}, {"seed": -1}],
)
def test_settings_without_meaning(options):
    with pytest.raises(OptionError):
        Shapes(**options)
