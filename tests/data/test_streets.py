"""Drawn street scenes: what is said of them is what is in them."""

import numpy as np
import pytest

from tinyvision.data import Streets
from tinyvision.data.streets import AREAS, THINGS
from tinyvision.errors import OptionError


@pytest.mark.parametrize("size", [48, 97])
def test_scenes_are_consistent(size):
    data, seen = Streets(40, size, seed=3), set()
    for index in range(len(data)):
        image, labels, boxes, masks, areas = data.scene(index)
        count = len(labels)
        assert (image.shape, image.dtype) == ((size, size, 3), np.uint8)
        assert (boxes.shape, masks.shape, masks.dtype) == ((count, 4), (count, size, size), bool)
        assert (areas.shape, set(np.unique(areas)) <= set(range(len(AREAS)))) == ((size, size), True)
        assert masks.sum(0).max(initial=0) <= 1  # what is in sight hides the rest
        for label, box, mask in zip(labels, boxes.astype(int), masks, strict=True):
            left, top, right, bottom = box
            inside = mask[top:bottom, left:right]
            assert inside.sum() == mask.sum() >= 12
            for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]):
                assert edge.any()  # the box is tight
            assert (areas[mask] == AREAS.index(THINGS[label])).all()
            seen.add(int(label))
    assert seen == {0, 1, 2}


def test_nothing_lies_above_the_horizon_and_cars_are_on_the_road():
    for index in range(30):
        _, labels, boxes, masks, areas = Streets(30, 96).scene(index)
        grounds = np.flatnonzero(((areas == AREAS.index("road")) | (areas == AREAS.index("pavement"))).any(1))
        assert 0.25 * 96 < grounds[0] < 0.5 * 96
        assert grounds[-1] == 95
        for box in boxes:
            assert box[3] > grounds[0]
        for mask in masks[labels == THINGS.index("car")]:
            row = np.flatnonzero(mask.any(1))[-1]  # where it stands, or is hidden by what stands before it
            assert (areas[min(row + 1, 95)] != AREAS.index("background")).any()


def test_pictures_follow_from_seed_and_index_alone():
    data = Streets(50, 48, seed=1)
    image, scene = data[7]
    np.testing.assert_array_equal(image, scene.image)
    np.testing.assert_array_equal(image, Streets(8, 48, seed=1)[7][0])
    for other in (Streets(50, 48, seed=2)[7], Streets(50, 48, seed=1, train=False)[7], data[8]):
        assert (image != other[0]).any()


def test_things_stand_out_from_what_is_around_them():
    apart = []
    for index in range(30):
        image, _, boxes, masks, _ = Streets(30, 96).scene(index)
        for box, mask in zip(boxes.astype(int), masks, strict=True):
            left, top, right, bottom = np.clip(box + np.array([-3, -3, 3, 3]), 0, 96)
            around = image[top:bottom, left:right][~masks.any(0)[top:bottom, left:right]]
            apart.append(np.abs(image[mask].astype(float) - around.mean(0)).max(1).mean())
    assert np.median(apart) > 50


@pytest.mark.parametrize("options", [{"length": 0}, {"length": 2.5}, {"size": 47}, {"size": (64, 64)}, {"seed": -1}])
def test_settings_without_meaning(options):
    with pytest.raises(OptionError):
        Streets(**options)


def test_there_is_no_number_beyond_the_last():
    with pytest.raises(IndexError):
        Streets(3, 48)[3]
