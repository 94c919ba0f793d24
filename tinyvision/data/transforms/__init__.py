"""Transforms of single images, spelled as in torchvision.

An image is a Pillow image, a Tensor (C, H, W), a uint8 array (H, W, C) with pixels of 0 to 255, or a float32 array
(C, H, W) of 0 to 1. Every transform gives back the kind it was given. Pillow images and Tensors come out as
torchvision's own transforms would leave them; `functional` says which arithmetic arrays get.

Random transforms take their numbers from the generator in force, `tinyvision.random.generator()`, or from
one that is handed in: `flip(image, rng)`. A DataLoader puts a stream of its own into force for every sample
(`drawing_from`), so what happens to an image follows from seed, epoch and index alone, whichever thread
does the work. The distributions are torchvision's, the numbers are not."""

from ...errors import OptionError
from ...weights.published import IMAGENET_MEAN, IMAGENET_STD, default_name, published
from . import functional as functional
from .augment import RandAugment, TrivialAugmentWide
from .base import Compose, Transform, drawing_from
from .choosing import FiveCrop, Lambda, RandomApply, RandomChoice, RandomOrder, TenCrop
from .color import ColorJitter, Grayscale, Normalize, RandomErasing, ToTensor
from .convert import ConvertImageDtype, PILToTensor, ToDtype, ToImage, ToPILImage
from .corrupt import CORRUPTIONS, Corrupt
from .drawn import (
    GaussianBlur,
    RandomAdjustSharpness,
    RandomAffine,
    RandomAutocontrast,
    RandomEqualize,
    RandomGrayscale,
    RandomInvert,
    RandomPerspective,
    RandomPosterize,
    RandomRotation,
    RandomSolarize,
)
from .geometry import CenterCrop, Pad, RandomCrop, RandomHorizontalFlip, RandomResizedCrop, RandomVerticalFlip, Resize
from .interpolation import InterpolationMode
from .mixing import CutMix, MixUp

__all__ = [
    "CORRUPTIONS", "IMAGENET_MEAN", "IMAGENET_STD", "CenterCrop", "ColorJitter", "Compose", "ConvertImageDtype",
    "Corrupt", "CutMix", "FiveCrop", "GaussianBlur", "Grayscale", "InterpolationMode", "Lambda", "MixUp",
    "Normalize", "PILToTensor", "Pad", "RandAugment", "RandomAdjustSharpness", "RandomAffine", "RandomApply",
    "RandomAutocontrast", "RandomChoice", "RandomCrop", "RandomEqualize", "RandomErasing", "RandomGrayscale",
    "RandomHorizontalFlip", "RandomInvert", "RandomOrder", "RandomPerspective", "RandomPosterize",
    "RandomResizedCrop", "RandomRotation", "RandomSolarize", "RandomVerticalFlip", "Resize", "TenCrop", "ToDtype",
    "ToImage", "ToPILImage", "ToTensor", "Transform", "TrivialAugmentWide", "drawing_from", "imagenet_preprocess",
    "preprocess_for",
]  # fmt: skip


def imagenet_preprocess(size: int = 224, resize: int = 256) -> Compose:
    """What torchvision's ImageNet networks expect: shorter side 256, centre 224, 0 to 1, ImageNet's mean
    and std."""
    return Compose([Resize(resize), CenterCrop(size), ToTensor(), Normalize(IMAGENET_MEAN, IMAGENET_STD)])


def preprocess_for(model: str, weights: str = "DEFAULT") -> Compose:
    """What the published weights of a network in `tinyvision.models` expect, by the network's name.

    resnet18 for instance: as `imagenet_preprocess()`; efficientnet_lite0: shorter side 256 (bicubic), centre 224,
    (pixel - 127) / 128. `weights` matters where several are published, which may differ in their sizes.

    Raises OptionError for names of which no weights are known."""
    row = published(model).get(default_name(model) if weights == "DEFAULT" else weights)
    if row is None:
        raise OptionError(f"preprocess_for: no published weights {weights!r} are known for {model!r}")
    resize = Resize(row.resize, interpolation=row.interpolation)
    return Compose([resize, CenterCrop(row.crop), ToTensor(), Normalize(row.mean, row.std)])
