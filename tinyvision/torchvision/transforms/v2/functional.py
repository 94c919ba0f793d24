"""torchvision's place for the functions of its second edition: those of `tinyvision.data.transforms.functional`, whose
first argument is named `inpt` here."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ....data.transforms import functional as _first
from ....data.transforms.convert import to_dtype, to_image
from ....data.transforms.functional import *
from ....data.transforms.functional import __all__ as _here
from ....data.transforms.functional import get_size
from ....device import to_numpy as _to_numpy
from ....missing import missing
from ....tape import Variable as _Variable
from ....tensors.tensor import Tensor as _Tensor


def _takes_inpt(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of the first edition, with `inpt` for the name of its first argument."""
    first, *others = inspect.signature(function).parameters.values()

    @functools.wraps(function)
    def renamed(inpt: Any, *arguments: Any, **options: Any) -> Any:
        return function(inpt, *arguments, **options)

    vars(renamed)["__signature__"] = inspect.Signature([first.replace(name="inpt"), *others])
    return renamed


# Those whose first argument has another name there too.
_AS_BEFORE = ("InterpolationMode", "convert_image_dtype", "pil_to_tensor", "to_pil_image")

if not TYPE_CHECKING:
    globals().update({name: _takes_inpt(getattr(_first, name)) for name in _here if name not in _AS_BEFORE})

horizontal_flip, vertical_flip = _takes_inpt(_first.hflip), _takes_inpt(_first.vflip)


def rotate(
    inpt: Any,
    angle: float,
    interpolation: Any = _first.InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Any = None,
) -> Any:
    """`rotate` of the first edition, but for Tensors that are turned by whole quarters about their middle: no pixel of
    theirs is lost, and expand adds no border where one side is odd and the other even."""
    quarters = angle / 90 % 4
    if isinstance(inpt, _Variable) and center is None and quarters in range(4):
        pixels = _to_numpy(inpt)
        if pixels.ndim >= 3 and (expand or quarters in (0, 2) or pixels.shape[-1] == pixels.shape[-2]):
            return _Tensor.of(np.rot90(pixels, int(quarters), (-2, -1)).copy())
    return _first.rotate(inpt, angle, interpolation, expand, center, fill)


if not TYPE_CHECKING:
    __getattr__ = missing(
        "torchvision.transforms.v2.functional",
        _here,
        {"elastic": "affine and perspective are here", "elastic_transform": "affine and perspective are here"},
    )
