"""torchvision's place for the second edition of its transforms: the ones of `tinyvision.data.transforms`.

They take one image, or `MixUp` and `CutMix` a batch and its labels; boxes and masks are not moved along."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ....data import transforms as _first
from ....data.transforms import *
from ....data.transforms import __all__ as _here
from ....data.transforms.base import is_pillow as _is_pillow
from ....missing import missing
from ....tape import Variable as _Variable
from . import functional

_LEARNED = "its learned policies are not here; TrivialAugmentWide and RandAugment need none"
_BOXES = "transforms here take pictures alone; move the boxes in your dataset"


class ToTensor(_first.ToTensor):
    """The first edition's, which leaves what is neither a Pillow image nor an array as it is."""

    def __call__(self, image: Any, rng: np.random.Generator | None = None) -> Any:
        return super().__call__(image, rng) if _is_pillow(image) or isinstance(image, np.ndarray) else image


class PILToTensor(_first.PILToTensor):
    """The first edition's, which leaves what is no Pillow image as it is."""

    def __call__(self, pic: Any) -> Any:
        return super().__call__(pic) if _is_pillow(pic) else pic


class ToPILImage(_first.ToPILImage):
    """The first edition's, which leaves what is neither a Tensor nor an array as it is."""

    def __call__(self, pic: Any) -> Any:
        return super().__call__(pic) if isinstance(pic, (_Variable, np.ndarray)) else pic


if not TYPE_CHECKING:
    __getattr__ = missing(
        "torchvision.transforms.v2",
        _here,
        {
            **dict.fromkeys(("AutoAugment", "AutoAugmentPolicy"), _LEARNED),
            **dict.fromkeys(("ClampBoundingBoxes", "ConvertBoundingBoxFormat", "SanitizeBoundingBoxes"), _BOXES),
            **dict.fromkeys(("RandomIoUCrop", "RandomZoomOut", "ClampKeyPoints", "SanitizeKeyPoints"), _BOXES),
            "ToPureTensor": "a picture is a plain Tensor already",
            "UniformTemporalSubsample": "it is for videos, and tinyvision is for images",
            "AugMix": "TrivialAugmentWide and RandAugment are here",
            "ElasticTransform": "RandomAffine and RandomPerspective are here",
            "LinearTransformation": "write it with Lambda and a matrix product",
            "JPEG": "write it with Lambda and Pillow",
        },
    )
