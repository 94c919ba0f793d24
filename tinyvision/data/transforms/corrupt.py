"""What happens to pictures outside of data sets, at five strengths: noise, blur, compression, fog."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np

from ...errors import DtypeError, OptionError
from ...ops.checks import is_integer
from .base import Transform, generator_for
from .planes import gaussian_blur

_SIDE = 224  # pixels of the shorter side for which the widths of the blur are meant


def _noise(image: np.ndarray, sigma: float, rng: np.random.Generator | None) -> np.ndarray:
    return image + generator_for(rng).normal(0, 255 * sigma, image.shape)


def _blur(image: np.ndarray, sigma: float, rng: np.random.Generator | None) -> np.ndarray:
    planes = np.moveaxis(image, -1, 0).astype(np.float32)
    sigma *= math.sqrt(min(planes.shape[1:]) / _SIDE)
    sides = planes.shape[:0:-1]
    sizes = [2 * min(int(3 * sigma) + 1, side - 1) + 1 for side in sides]
    return np.moveaxis(gaussian_blur(planes, sizes, (sigma, sigma)), 0, -1)


def _jpeg(image: np.ndarray, quality: float, rng: np.random.Generator | None) -> np.ndarray:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image[..., :3]).save(
        stream, "JPEG", quality=int(quality)
    )
    with Image.open(stream) as read:
        return np.array(read).reshape(*image.shape[:2], -1)


def _contrast(image: np.ndarray, share: float, rng: np.random.Generator | None) -> np.ndarray:
    middle = image.mean(axis=(0, 1), keepdims=True)
    return middle + (image - middle) * share


# {kind: (what it does with a strength, the strengths 1 to 5)}: Gaussian noise's and blur's standard deviation, JPEG's
# quality, the share of the contrast that is left. The numbers are those of ImageNet-C (Hendrycks and Dietterich, 2019).
CORRUPTIONS: dict[str, tuple[Callable[..., np.ndarray], tuple[float, ...]]] = {
    "noise": (_noise, (0.08, 0.12, 0.18, 0.26, 0.38)),
    "blur": (_blur, (1, 2, 3, 4, 6)),
    "jpeg": (_jpeg, (25, 18, 15, 10, 7)),
    "contrast": (_contrast, (0.4, 0.3, 0.2, 0.1, 0.05)),
}


class Corrupt(Transform):
    """A uint8 picture (H, W, C) with "noise", "blur", "jpeg" or "contrast" at a strength of 1 to 5.

    The same picture, kind, strength and generator give the same result; only noise draws from it. The blur's width is
    that of a picture whose shorter side has 224 pixels, and goes with the square root of the side: small pictures hold
    less detail that a blur could take. Raises OptionError, DtypeError."""

    def __init__(self, kind: str, strength: int = 3) -> None:
        if kind not in CORRUPTIONS:
            raise OptionError(f"Corrupt: there is no {kind!r}; there are {', '.join(CORRUPTIONS)}")
        if not is_integer(strength) or not 1 <= strength <= 5:
            raise OptionError(f"Corrupt: strength must be a whole number from 1 to 5, got {strength!r}")
        self.kind, self.strength = kind, strength

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """The corrupted picture, uint8 (H, W, C)."""
        if image.dtype != np.uint8:
            raise DtypeError(f"Corrupt: a picture has whole numbers of 0 to 255 (uint8), got {image.dtype}")
        spoil, strengths = CORRUPTIONS[self.kind]
        made = spoil(image, strengths[self.strength - 1], rng)
        return np.clip(np.rint(made), 0, 255).astype(np.uint8)
