"""torchvision's place for what is in `tinyvision.data.transforms`."""

from typing import TYPE_CHECKING

from ...data.transforms import *
from ...data.transforms import __all__ as _here
from ...missing import missing
from ...places import stand_for
from . import functional, v2

_LEARNED = "its learned policies are not here; TrivialAugmentWide and RandAugment need none"
_NOT_HERE = {
    "AutoAugment": _LEARNED,
    "AutoAugmentPolicy": _LEARNED,
    "AugMix": "TrivialAugmentWide and RandAugment are here",
    "ElasticTransform": "RandomAffine and RandomPerspective are here",
    "LinearTransformation": "write it with Lambda and a matrix product",
}

stand_for(__name__, "autoaugment", "transforms")

if not TYPE_CHECKING:
    __getattr__ = missing("torchvision.transforms", _here, _NOT_HERE)
