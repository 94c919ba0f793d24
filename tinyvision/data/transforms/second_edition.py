"""What torchvision's second edition has otherwise than the first: the name of a picture, turns by whole quarters, and
conversions that pass on what they do not convert."""

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...device import to_numpy
from ...ops.checks import is_number
from ...tape import Variable
from ...tensors.tensor import Tensor
from . import color, convert, functional
from .base import is_pillow
from .interpolation import checked_interpolation


class ToTensor(color.ToTensor):
    """The first edition's, which leaves what is neither a Pillow image nor an array as it is."""

    def __call__(self, image: Any, rng: np.random.Generator | None = None) -> Any:
        return super().__call__(image, rng) if is_pillow(image) or isinstance(image, np.ndarray) else image


class PILToTensor(convert.PILToTensor):
    """The first edition's, which leaves what is no Pillow image as it is."""

    def __call__(self, pic: Any) -> Any:
        return super().__call__(pic) if is_pillow(pic) else pic


class ToPILImage(convert.ToPILImage):
    """The first edition's, which leaves what is neither a Tensor nor an array as it is."""

    def __call__(self, pic: Any) -> Any:
        return super().__call__(pic) if isinstance(pic, (Variable, np.ndarray)) else pic


def rotate(
    inpt: Any,
    angle: float,
    interpolation: Any = functional.InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Any = None,
) -> Any:
    """`rotate` of the first edition, but for Tensors that are turned by whole quarters about their middle: no pixel of
    theirs is lost, and expand adds no border where one side is odd and the other even."""
    checked_interpolation(interpolation, "rotate")
    quarters = angle / 90 % 4 if is_number(angle) else math.nan
    if isinstance(inpt, Variable) and center is None and quarters in range(4):
        pixels = to_numpy(inpt)
        if pixels.ndim >= 3 and (expand or quarters in (0, 2) or pixels.shape[-1] == pixels.shape[-2]):
            return Tensor.of(np.rot90(pixels, int(quarters), (-2, -1)).copy())
    return functional.rotate(inpt, angle, interpolation, expand, center, fill)


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
_OWN = {"rotate": rotate, "horizontal_flip": functional.hflip, "vertical_flip": functional.vflip}
_functions = {name: getattr(functional, name) for name in functional.__all__} | _OWN
globals().update({name: f if name in _AS_BEFORE else _takes_inpt(f) for name, f in _functions.items()})

__all__ = [*_functions]
