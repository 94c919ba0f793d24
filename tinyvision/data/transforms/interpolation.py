"""How pixels between pixels are made: the names, as torchvision, Pillow and this package spell them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from ...errors import OptionError
from ...ops.checks import is_integer


class InterpolationMode(Enum):
    """torchvision's names; wherever one is taken, its value ("bilinear") and Pillow's number (2) are, too."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


_PILLOWS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
ALL = tuple(mode.value for mode in InterpolationMode)
OF_TENSORS = ("nearest", "nearest-exact", "bilinear", "bicubic")  # when resizing
OF_WARPED_TENSORS = ("nearest", "bilinear")


def checked_interpolation(mode: Any, name: str, allowed: Sequence[str] = ALL) -> str:
    """`mode` as one of our strings. Raises OptionError, which lists those that are allowed."""
    value: Any = mode.value if isinstance(mode, InterpolationMode) else mode
    if is_integer(value):
        value = _PILLOWS.get(int(value))
    if value not in allowed:
        raise OptionError(f"{name}: interpolation is {', '.join(allowed[:-1])} or {allowed[-1]}, got {mode!r}")
    return value


def pillows(mode: str) -> Any:
    """Pillow's own constant of one of our strings; its nearest is what others call nearest-exact."""
    from PIL import Image

    return Image.Resampling[mode.partition("-")[0].upper()]
