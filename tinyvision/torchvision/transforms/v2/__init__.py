"""torchvision's place for the second edition of its transforms: the ones of `tinyvision.data.transforms`.

They take one image, or `MixUp` and `CutMix` a batch and its labels; boxes and masks are not moved along."""

from typing import TYPE_CHECKING

from ....data.transforms import *
from ....data.transforms import __all__ as _here
from ....missing import missing
from . import functional

_LEARNED = "its learned policies are not here; TrivialAugmentWide and RandAugment need none"
_BOXES = "transforms here take pictures alone; move the boxes in your dataset"

if not TYPE_CHECKING:
    from ....data.transforms.second_edition import PILToTensor, ToPILImage, ToTensor

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
