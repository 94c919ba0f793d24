"""What torchvision leaves to Pillow, on Pillow images: the arithmetic is Pillow's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import DtypeError, OptionError, ShapeError
from .interpolation import pillows

_WARPS = ("nearest", "nearest-exact", "bilinear", "bicubic")  # what Pillow warps with


def adjust_brightness(image: Any, factor: float) -> Any:
    """Away from (factor > 1) or towards black."""
    return _enhanced("Brightness", image, factor)


def adjust_contrast(image: Any, factor: float) -> Any:
    """Away from (factor > 1) or towards the mean brightness."""
    return _enhanced("Contrast", image, factor)


def adjust_saturation(image: Any, factor: float) -> Any:
    """Away from (factor > 1) or towards the grey image."""
    return _enhanced("Color", image, factor)


def adjust_sharpness(image: Any, factor: float) -> Any:
    """Away from (factor > 1) or towards a smoothed image."""
    return _enhanced("Sharpness", image, factor)


def _enhanced(kind: str, image: Any, factor: float) -> Any:
    from PIL import ImageEnhance

    try:
        return getattr(ImageEnhance, kind)(image).enhance(factor)
    except ValueError as error:
        raise DtypeError(
            f"Pillow cannot change the {kind.lower()} of an image of mode {image.mode}: {error}"
        ) from error


def adjust_hue(image: Any, turn: float) -> Any:
    """Every hue, of 256 steps, turned by `turn` of a circle; images without colour stay as they are."""
    if image.mode in ("L", "1", "I", "F"):
        return image
    from PIL import Image

    hue, saturation, value = image.convert("HSV").split()
    turned = (np.asarray(hue).astype(np.int64) + int(turn * 255)).astype(np.uint8)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert(image.mode)


def adjust_gamma(image: Any, gamma: float, gain: float) -> Any:
    """255 gain (x / 255) ** gamma, by a table of the 256 levels."""
    table = [int((255 + 1 - 1e-3) * gain * math.pow(level / 255, gamma)) for level in range(256)]
    return image.convert("RGB").point(table * 3).convert(image.mode)


def to_grayscale(image: Any, channels: int) -> Any:
    """The brightness of an image of any mode, as mode L, or RGB of three equal channels."""
    from PIL import Image

    grey = image.convert("L")
    return grey if channels == 1 else Image.merge("RGB", (grey, grey, grey))


def resize(image: Any, height: int, width: int, mode: str) -> Any:
    """Scaled to height x width, each colour weighed by how opaque it is; palettes and two colours as by "nearest"."""
    try:
        return image.resize((width, height), pillows(mode))
    except ValueError as error:
        raise DtypeError(f"Pillow cannot resize an image of mode {image.mode} by {mode}: {error}") from error


def rotate(image: Any, angle: float, mode: str, expand: bool, center: Sequence[float] | None, fill: Any) -> Any:
    """Turned counter-clockwise by `angle` degrees."""
    return image.rotate(angle, pillows(_warp(mode)), expand, center, fillcolor=_fill_of(image, fill))


def affine(image: Any, matrix: Sequence[float], mode: str, fill: Any) -> Any:
    """Pixel (x, y) of the result is the one at (a x + b y + c, d x + e y + f), matrix being (a, b, c, d, e, f)."""
    from PIL import Image

    how = pillows(_warp(mode))
    return image.transform(image.size, Image.Transform.AFFINE, matrix, how, fillcolor=_fill_of(image, fill))


def perspective(image: Any, coefficients: Sequence[float], mode: str, fill: Any) -> Any:
    """Pixel (x, y) of the result is the one at ((a x + b y + c) / s, (d x + e y + f) / s), s = g x + h y + 1."""
    from PIL import Image

    how = pillows(_warp(mode))
    return image.transform(image.size, Image.Transform.PERSPECTIVE, coefficients, how, fillcolor=_fill_of(image, fill))


def _warp(mode: str) -> str:
    if mode not in _WARPS:
        raise OptionError(f"interpolation of a warp is {', '.join(_WARPS)}, got {mode!r}")
    return mode


def _fill_of(image: Any, fill: Any) -> Any:
    """`fill`, a number or one for each band, as Pillow takes it."""
    bands = len(image.getbands())
    values = [0.0] if fill is None else [float(v) for v in np.asarray(fill, np.float64).reshape(-1)]
    if len(values) not in (1, bands):
        raise ShapeError(f"fill={fill!r} has {len(values)} values, which do not fit an image of mode {image.mode}")
    whole = values if image.mode == "F" else [int(v) for v in values]
    return tuple(whole if len(whole) == bands else whole * bands) if bands > 1 else whole[0]


def invert(image: Any) -> Any:
    """White minus each value."""
    from PIL import ImageOps

    return ImageOps.invert(image)


def posterize(image: Any, bits: int) -> Any:
    """Only the upper `bits` of each byte."""
    from PIL import ImageOps

    return ImageOps.posterize(image, bits)


def solarize(image: Any, threshold: float) -> Any:
    """Values from `threshold` on are inverted."""
    from PIL import ImageOps

    return ImageOps.solarize(image, threshold)  # type: ignore[arg-type]


def autocontrast(image: Any) -> Any:
    """Each band spread from black to white."""
    from PIL import ImageOps

    return ImageOps.autocontrast(image)


def equalize(image: Any) -> Any:
    """Each band's levels used about equally often."""
    from PIL import ImageOps

    return ImageOps.equalize(image)
