"""Augmentation with one of fourteen changes, chosen at random: TrivialAugment and RandAugment."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...errors import OptionError
from ...ops.checks import whole_number
from . import functional as F
from .drawn import Drawn
from .interpolation import InterpolationMode, checked_interpolation

_NEAREST = InterpolationMode.NEAREST

# name: (the change, whether its strength is taken with either sign). A change is called with (image, strength, mode,
# fill). A shear is about the corner, and its strength the tangent of the angle.
_CHANGES: Mapping[str, tuple[Callable[[Any, float, str, Any], Any], bool]] = {
    "Identity": (lambda image, s, mode, fill: image, False),
    "ShearX": (lambda image, s, mode, fill: _sheared(image, (_degrees(s), 0), mode, fill), True),
    "ShearY": (lambda image, s, mode, fill: _sheared(image, (0, _degrees(s)), mode, fill), True),
    "TranslateX": (lambda image, s, mode, fill: F.affine(image, 0, (int(s), 0), 1, 0, mode, fill), True),
    "TranslateY": (lambda image, s, mode, fill: F.affine(image, 0, (0, int(s)), 1, 0, mode, fill), True),
    "Rotate": (lambda image, s, mode, fill: F.rotate(image, s, mode, fill=fill), True),
    "Brightness": (lambda image, s, mode, fill: F.adjust_brightness(image, 1 + s), True),
    "Color": (lambda image, s, mode, fill: F.adjust_saturation(image, 1 + s), True),
    "Contrast": (lambda image, s, mode, fill: F.adjust_contrast(image, 1 + s), True),
    "Sharpness": (lambda image, s, mode, fill: F.adjust_sharpness(image, 1 + s), True),
    "Posterize": (lambda image, s, mode, fill: F.posterize(image, int(s)), False),
    "Solarize": (lambda image, s, mode, fill: F.solarize(image, s), False),
    "AutoContrast": (lambda image, s, mode, fill: F.autocontrast(image), False),
    "Equalize": (lambda image, s, mode, fill: F.equalize(image), False),
}


def _degrees(tangent: float) -> float:
    return math.degrees(math.atan(tangent))


def _sheared(image: Any, shear: tuple[float, float], mode: str, fill: Any) -> Any:
    return F.affine(image, 0, (0, 0), 1, shear, mode, fill, center=(0, 0))


def _strengths(shear: float, shift: tuple[float, float], turn: float, colour: float, bits: int) -> dict[str, Any]:
    """From the weakest to the strongest of each change: a function of 0 to 1. bits: how many may be lost."""
    most = {"ShearX": shear, "ShearY": shear, "TranslateX": shift[0], "TranslateY": shift[1], "Rotate": turn}
    most |= dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), colour)
    made: dict[str, Any] = {name: lambda share, end=end: end * share for name, end in most.items()}
    return made | {"Posterize": lambda share: 8 - round(bits * share), "Solarize": lambda share: 255.0 * (1 - share)}


class TrivialAugmentWide(Drawn):
    """One of fourteen changes, at one of num_magnitude_bins strengths ("TrivialAugment: tuning-free yet
    state-of-the-art data augmentation", Müller and Hutter, 2021). Of uint8 images."""

    def __init__(self, num_magnitude_bins: int = 31, interpolation: Any = _NEAREST, fill: Any = None) -> None:
        self.num_magnitude_bins = whole_number("TrivialAugmentWide: num_magnitude_bins", num_magnitude_bins, 2)
        self.interpolation = checked_interpolation(interpolation, "TrivialAugmentWide")
        self.fill = fill

    def changed(self, image: Any, rng: np.random.Generator) -> Any:
        strengths = _strengths(0.99, (32, 32), 135, 0.99, 6)
        share = int(rng.integers(self.num_magnitude_bins)) / (self.num_magnitude_bins - 1)
        return _one_change(image, strengths, share, rng, self.interpolation, self.fill)


class RandAugment(Drawn):
    """num_ops of fourteen changes, one after another, each at strength `magnitude` out of num_magnitude_bins
    ("RandAugment: practical automated data augmentation", Cubuk et al., 2020). Of uint8 images."""

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = _NEAREST,
        fill: Any = None,
    ) -> None:
        self.num_ops = whole_number("RandAugment: num_ops", num_ops, 0)
        self.num_magnitude_bins = whole_number("RandAugment: num_magnitude_bins", num_magnitude_bins, 2)
        self.magnitude = whole_number("RandAugment: magnitude", magnitude, 0)
        if self.magnitude >= self.num_magnitude_bins:
            raise OptionError(f"RandAugment: magnitude={magnitude} must be below num_magnitude_bins")
        self.interpolation = checked_interpolation(interpolation, "RandAugment")
        self.fill = fill

    def changed(self, image: Any, rng: np.random.Generator) -> Any:
        _, height, width = F.get_dimensions(image)
        strengths = _strengths(0.3, (150 / 331 * width, 150 / 331 * height), 30, 0.9, 4)
        share = self.magnitude / (self.num_magnitude_bins - 1)
        for _ in range(self.num_ops):
            image = _one_change(image, strengths, share, rng, self.interpolation, self.fill)
        return image


def _one_change(
    image: Any, strengths: Mapping[str, Any], share: float, rng: np.random.Generator, mode: str, fill: Any
) -> Any:
    name = list(_CHANGES)[rng.integers(len(_CHANGES))]
    change, either_sign = _CHANGES[name]
    strength = strengths[name](share) if name in strengths else 0.0
    return change(image, -strength if either_sign and rng.integers(2) else strength, mode, fill)
