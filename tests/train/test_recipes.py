"""Data sets and networks by name."""

import numpy as np
import pytest

from tinyvision import data
from tinyvision.errors import CheckpointError, DataError, OptionError
from tinyvision.train import recipes


def parts_of(name, network="simple-cnn", size=None, **options):
    preprocessing = recipes.preprocessing_for(recipes.RECIPES[name], network, size)
    return preprocessing, recipes.open_parts(name, preprocessing, **options)


def test_digits_are_split_without_touching_the_test_images():
    _, parts = parts_of("digits")
    assert (len(parts.train), len(parts.val), len(parts.test)) == (1295, 143, 359)
    images = data.Digits(True).images
    used = {images[i].tobytes() for part in (parts.train, parts.val) for i in _indices(part)}
    shared = {image.tobytes() for image in data.Digits(False).images} & used
    assert len(shared) <= 5  # a few 8x8 digits are drawn alike
    assert not set(_indices(parts.train)) & set(_indices(parts.val))


def _indices(part):
    return part.dataset.indices[part.indices].tolist()


def test_the_same_seed_gives_the_same_parts():
    for seed in (0, 1):
        np.testing.assert_array_equal(
            parts_of("digits", seed=seed)[1].val.labels, parts_of("digits", seed=seed)[1].val.labels
        )


def test_nothing_held_back():
    _, parts = parts_of("digits", val=0.0)
    assert parts.val is None
    assert len(parts.train) == 1438


@pytest.mark.parametrize("network", ["simple-cnn", "resnet18", "efficientnet_lite0", "shufflenet_v2_x0_5"])
def test_networks_fit_the_digits(network):
    preprocessing, parts = parts_of("digits", network)
    image, _ = parts.train[0]
    assert image.shape == (1 if network == "simple-cnn" else 3, 8, 8)
    description = recipes.network_description(network, preprocessing, 10)
    model = recipes.build_network(description).eval()
    from tinyvision import Tensor, no_grad

    with no_grad():
        assert model(Tensor.of(np.stack([image, image]))).shape == (2, 10)


def test_networks_that_take_no_pictures_as_small_as_the_digits():
    with pytest.raises(OptionError, match="alexnet takes pictures from 63 pixels a side, not 8"):
        parts_of("digits", "alexnet")
    assert parts_of("digits", "alexnet", size=64)[0].size == (64, 64)


def test_shapes_have_the_size_asked_for():
    preprocessing, parts = parts_of("shapes", size=20)
    assert parts.train[0][0].shape == (3, 20, 20)
    assert preprocessing.size == (20, 20)


def test_folders_with_other_classes_are_refused(tmp_path):
    from PIL import Image

    for folder in ("train/cat", "train/dog", "val/cat", "val/cow"):
        (tmp_path / folder).mkdir(parents=True)
        Image.new("RGB", (20, 20)).save(tmp_path / folder / "a.png")
    with pytest.raises(DataError, match="train and val differ in the classes 'cow', 'dog'"):
        parts_of("folder", root=str(tmp_path))


def test_wrong_names():
    with pytest.raises(OptionError, match="did you mean 'digits'"):
        recipes.find_recipe("digit")
    with pytest.raises(OptionError, match="did you mean 'resnet18'"):
        recipes.network_description("resnet81", recipes.NETWORKS["resnet18"][1], 10)


@pytest.mark.parametrize(
    "notes",
    [
        None,
        {},
        {"name": "nothing", "options": {}},
        {"name": "resnet18", "options": {"weights": "DEFAULT"}},
        {"name": "simple-cnn", "options": {"num_classes": "x"}},
        {"name": "simple-cnn", "options": {"num_classes": 10**9}},
        {"name": "simple-cnn", "options": {"image_size": [8, 8, 8]}},
        {"name": "simple-cnn", "options": 3},
        {"name": [], "options": {}},
    ],
)
def test_damaged_notes_on_a_network(notes):
    with pytest.raises(CheckpointError, match="damaged"):
        recipes.build_network(notes)
