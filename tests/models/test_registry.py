"""Networks and weights by name, as torchvision has them."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision_oracle import torchvision

import tinyvision as tv
from tinyvision import models
from tinyvision.errors import OptionError
from tinyvision.weights.published import PUBLISHED

theirs = torchvision.models
ENUMERATIONS = [
    getattr(models, name) for name in models.weights.__all__ if name.endswith("_Weights") and hasattr(theirs, name)
]


def test_every_published_network_has_an_enumeration_and_the_other_way_round():
    names = {name for name in models.weights.__all__ if name.endswith("_Weights")}
    assert names == {f"{network}_Weights" for network in PUBLISHED}
    for name in names:
        assert getattr(models, name).__name__ == name
    assert {network.lower() for network in PUBLISHED} >= set(models.list_models())


@pytest.mark.parametrize("ours", ENUMERATIONS, ids=lambda e: e.__name__)
def test_weights_are_torchvisions(ours):
    other = getattr(theirs, ours.__name__)
    # IMAGENET1K_FEATURES, a VGG-16 whose last layers are NaN, is of use for detectors of one kind alone.
    assert list(ours.__members__) == [name for name in other.__members__ if name != "IMAGENET1K_FEATURES"]
    for name, member in ours.__members__.items():
        expected = other[name]
        assert (str(member), member.url) == (str(expected), expected.url)
        assert member.meta["categories"] == expected.meta["categories"]
        assert member.meta["num_params"] == expected.meta["num_params"]
        accuracy = member.meta["_metrics"]["ImageNet-1K"]["acc@1"]
        assert accuracy == expected.meta["_metrics"]["ImageNet-1K"]["acc@1"]
        steps, preset = member.value, expected.transforms()
        assert [steps.resize] == preset.resize_size
        assert [steps.crop] == preset.crop_size
        assert steps.interpolation == preset.interpolation.value
        assert list(steps.mean) == pytest.approx(preset.mean)
        assert list(steps.std) == pytest.approx(preset.std)


def test_transforms_make_an_input():
    weights = models.ResNet50_Weights.DEFAULT
    assert weights is models.ResNet50_Weights.IMAGENET1K_V2 is models.get_weight("ResNet50_Weights.IMAGENET1K_V2")
    prepare, preset = weights.transforms(), theirs.ResNet50_Weights.DEFAULT.transforms()
    picture = np.random.default_rng(0).integers(0, 255, (300, 260, 3)).astype("u1")
    expected = preset(Image.fromarray(picture)).numpy()
    assert expected.shape == (3, 224, 224)
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    for given in (picture, Image.fromarray(picture)):
        made = prepare(given)
        assert isinstance(made, tv.Tensor)
        np.testing.assert_allclose(made.numpy(), expected, rtol=0, atol=1e-5)
    of_a_tensor = preset(torch.from_numpy(planes)).numpy()  # not the same arithmetic as on Pillow's pictures
    for given in (tv.tensor(planes), tv.tensor(planes[None])):
        apart = np.abs(np.squeeze(prepare(given).numpy()) - of_a_tensor)
        assert (apart > 1e-5).mean() < 0.001  # a level of 256 where torchvision's number lies half-way between two
        assert apart.max() < 1.01 / 255 / 0.22
    # Numbers are not rounded to 256 levels on the way: up to one of them, over the standard deviation.
    made = prepare(tv.tensor((planes / 255).astype("f4")))
    np.testing.assert_allclose(made.numpy(), expected, rtol=0, atol=1 / 255 / 0.22)
    inception = models.Inception_V3_Weights.DEFAULT.transforms()
    assert inception(picture).shape == (3, 299, 299)


def test_members_by_name():
    enum = models.MobileNet_V2_Weights
    assert enum.verify(None) is None
    for given in ("IMAGENET1K_V1", "MobileNet_V2_Weights.IMAGENET1K_V1", enum.IMAGENET1K_V1):
        assert enum.verify(given) is enum.IMAGENET1K_V1
    assert pickle.loads(pickle.dumps(enum.DEFAULT)) is enum.DEFAULT is enum["DEFAULT"]
    assert models.get_model_weights("mobilenet_v2") is models.get_model_weights(models.mobilenet_v2) is enum
    for call in (
        lambda: enum.verify("IMAGENET1K_V3"),
        lambda: enum.verify(models.ResNet18_Weights.DEFAULT),
        lambda: models.get_weight("ResNet18_Weights.IMAGENET1K_V7"),
        lambda: models.get_weight("Weights.IMAGENET1K_V1"),
        lambda: models.get_weight("resnet18"),
        lambda: models.get_weight(3),
        lambda: models.get_model_weights("resnet19"),
        lambda: models.get_model("resnet19"),
    ):
        with pytest.raises(OptionError):
            call()


def test_networks_by_name():
    names = models.list_models()
    assert names == sorted(names)
    assert {"resnet18", "vgg16_bn", "mobilenet_v2", "efficientnet_lite0"} <= set(names)
    assert models.list_models(models.vgg) == models.list_models(include="vgg*")
    chosen = models.list_models(include=["resnet*", "vgg*"], exclude="*_bn")
    assert chosen == [n for n in names if n.startswith(("resnet", "vgg")) and not n.endswith("_bn")]
    tv.manual_seed(0)
    one = models.get_model("shufflenet_v2_x0_5", num_classes=3)
    tv.manual_seed(0)
    other = models.shufflenet_v2_x0_5(num_classes=3)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())
    assert models.get_model_builder("ResNet18") is models.resnet18


def test_builders_describe_themselves():
    assert models.vgg16.__name__ == "vgg16"
    assert "138.4 million parameters" in models.vgg16.__doc__
    assert "num_classes" in models.vgg16.__doc__
    assert models.vgg16.head == "classifier.6"
    with pytest.raises(TypeError, match="depth"):
        models.resnet18(depth=3)
