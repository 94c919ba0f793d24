"""torchvision's place for the functions of its second edition: those of `tinyvision.data.transforms.functional`, whose
first argument is named `inpt` here."""

from typing import TYPE_CHECKING

from ....data.transforms.convert import to_dtype, to_image
from ....data.transforms.functional import *
from ....data.transforms.functional import __all__ as _here
from ....data.transforms.functional import get_size
from ....data.transforms.functional import hflip as horizontal_flip
from ....data.transforms.functional import vflip as vertical_flip
from ....missing import missing

if not TYPE_CHECKING:
    from ....data.transforms.second_edition import *

    __getattr__ = missing(
        "torchvision.transforms.v2.functional",
        _here,
        {"elastic": "affine and perspective are here", "elastic_transform": "affine and perspective are here"},
    )
