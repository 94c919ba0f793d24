"""torchvision's place for what is in `tinyvision.data.transforms.functional`."""

from typing import TYPE_CHECKING

from ...data.transforms.functional import *
from ...data.transforms.functional import __all__ as _here
from ...missing import missing

if not TYPE_CHECKING:
    __getattr__ = missing(
        "torchvision.transforms.functional",
        _here,
        {"elastic_transform": "affine and perspective are here"},
    )
