"""Transforms of single images, spelled as in torchvision.

An image is a uint8 array (H, W, C), pixels of 0 to 255, or after `ToTensor` a float32 array (C, H, W) of 0
to 1. Every geometric transform takes both and gives back the kind it was given.

Random transforms take their numbers from the generator in force, `tinyvision.random.generator()`, or from
one that is handed in: `flip(image, rng)`. A DataLoader puts a stream of its own into force for every sample
(`drawing_from`), so what happens to an image follows from seed, epoch and index alone, whichever thread
does the work."""

from ...errors import OptionError
from .base import Compose, Transform, drawing_from
from .color import ColorJitter, Grayscale, Normalize, RandomErasing, ToTensor
from .geometry import (
    CenterCrop,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
)

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "Grayscale",
    "Normalize",
    "Pad",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomVerticalFlip",
    "Resize",
    "ToTensor",
    "Transform",
    "drawing_from",
    "imagenet_preprocess",
    "preprocess_for",
]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def imagenet_preprocess(size: int = 224, resize: int = 256) -> Compose:
    """What torchvision's ImageNet networks expect: shorter side 256, centre 224, 0 to 1, ImageNet's mean
    and std."""
    return Compose([Resize(resize), CenterCrop(size), ToTensor(), Normalize(IMAGENET_MEAN, IMAGENET_STD)])


def preprocess_for(model: str) -> Compose:
    """What the published weights of a network in `tinyvision.models` expect, by the network's name.

    resnet18, resnet34, resnet50   as `imagenet_preprocess()`
    efficientnet_lite0             shorter side 256 (bicubic), centre 224, (pixel - 127) / 128

    Raises OptionError for any other name."""
    if model in ("resnet18", "resnet34", "resnet50"):
        return imagenet_preprocess()
    if model == "efficientnet_lite0":
        scale = Normalize((127 / 255,) * 3, (128 / 255,) * 3)
        return Compose([Resize(256, interpolation="bicubic"), CenterCrop(224), ToTensor(), scale])
    known = "resnet18, resnet34, resnet50, efficientnet_lite0"
    raise OptionError(f"preprocess_for: no published weights are known for {model!r}; known are {known}")
