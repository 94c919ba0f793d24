"""Transforms that draw their settings and leave the work to `functional`.

The settings have torchvision's distributions, and come from the generators described in this package's first lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import OptionError
from . import functional as F
from .base import Size, Transform, checked_probability, checked_range, checked_size, generator_for, numbers
from .interpolation import InterpolationMode, checked_interpolation

_NEAREST, _BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR


class Drawn(Transform):
    """Base of the transforms of this file: define `changed(image, rng)`, which takes an image of any kind."""

    def __call__(self, image: Any, rng: np.random.Generator | None = None) -> Any:
        return self.changed(image, generator_for(rng))

    def changed(self, image: Any, rng: np.random.Generator) -> Any:
        """The image with settings drawn from `rng`."""
        raise OptionError(f"{type(self).__name__} must define changed(image, rng)")


class RandomRotation(Drawn):
    """Turned by an angle from -degrees to degrees, or from (least, most); other settings as in functional.rotate."""

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: Any = _NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Any = 0,
    ) -> None:
        self.degrees = _interval(degrees, "RandomRotation: degrees")
        self.interpolation = checked_interpolation(interpolation, "RandomRotation")
        self.expand, self.center, self.fill = expand, center, 0 if fill is None else fill

    def changed(self, image: Any, rng: np.random.Generator) -> Any:
        angle = rng.uniform(self.degrees[0], self.degrees[1])
        return F.rotate(image, angle, self.interpolation, self.expand, self.center, self.fill)


class RandomAffine(Drawn):
    """Turned, moved, scaled and sheared (see functional.affine).

    degrees    from -degrees to degrees, or (least, most)
    translate  (x, y): at most these parts of width and height, in either direction
    scale      (least, most)
    shear      from -shear to shear along x; or (least, most); or (least, most) of x and (least, most) of y"""

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: Any = _NEAREST,
        fill: Any = 0,
        center: Sequence[float] | None = None,
    ) -> None:
        self.degrees = _interval(degrees, "RandomAffine: degrees")
        self.translate = None if translate is None else numbers(translate, "RandomAffine: translate")
        if self.translate is not None and (len(self.translate) != 2 or not all(0 <= t <= 1 for t in self.translate)):
            raise OptionError(f"RandomAffine: translate is two numbers from 0 to 1, got {translate!r}")
        self.scale = None if scale is None else checked_range(scale, "RandomAffine: scale", None)
        self.shear = None if shear is None else _interval(shear, "RandomAffine: shear", (2, 4))
        self.interpolation = checked_interpolation(interpolation, "RandomAffine")
        self.fill, self.center = 0 if fill is None else fill, center

    def changed(self, image: Any, rng: np.random.Generator) -> Any:
        _, height, width = F.get_dimensions(image)
        angle = rng.uniform(self.degrees[0], self.degrees[1])
        reach = (0.0, 0.0) if self.translate is None else (self.translate[0] * width, self.translate[1] * height)
        shift = [round(rng.uniform(-most, most)) for most in reach]
        scale = 1.0 if self.scale is None else rng.uniform(*self.scale)
        ends = (*(self.shear or ()), 0.0, 0.0, 0.0, 0.0)[:4]
        shear = (rng.uniform(ends[0], ends[1]), rng.uniform(ends[2], ends[3]))
        return F.affine(image, angle, shift, scale, shear, self.interpolation, self.fill, self.center)


class RandomPerspective(Drawn):
    """With probability p, seen from somewhere else: each corner moves inwards by up to distortion_scale of half the
    image (see functional.perspective)."""

    def __init__(
        self, distortion_scale: float = 0.5, p: float = 0.5, interpolation: Any = _BILINEAR, fill: Any = 0
    ) -> None:
        self.distortion_scale = checked_probability(distortion_scale, "RandomPerspective: distortion_scale")
        self.p = checked_probability(p, "RandomPerspective")
        self.interpolation = checked_interpolation(interpolation, "RandomPerspective")
        self.fill = 0 if fill is None else fill

    def changed(self, image: Any, rng: np.random.Generator) -> Any:
        if rng.random() >= self.p:
            return image
        _, height, width = F.get_dimensions(image)
        starts = [(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)]
        reach_x, reach_y = int(self.distortion_scale * (width // 2)), int(self.distortion_scale * (height // 2))
        moved = [(int(rng.integers(reach_x + 1)), int(rng.integers(reach_y + 1))) for _ in starts]
        ends = [(abs(x - dx), abs(y - dy)) for (x, y), (dx, dy) in zip(starts, moved, strict=True)]
        return F.perspective(image, starts, ends, self.interpolation, self.fill)


class GaussianBlur(Drawn):
    """A Gaussian of kernel_size (see functional.gaussian_blur) and a sigma from (least, most), or a fixed one."""

    def __init__(self, kernel_size: Size, sigma: float | Sequence[float] = (0.1, 2.0)) -> None:
        self.kernel_size = checked_size(kernel_size, "GaussianBlur: kernel_size")
        if any(size % 2 == 0 for size in self.kernel_size):
            raise OptionError(f"GaussianBlur: kernel_size must be odd, got {kernel_size!r}")
        ends = numbers(sigma, "GaussianBlur: sigma")
        self.sigma = checked_range(ends * 2 if len(ends) == 1 else ends, "GaussianBlur: sigma", None)

    def changed(self, image: Any, rng: np.random.Generator) -> Any:
        return F.gaussian_blur(image, self.kernel_size, rng.uniform(*self.sigma))


class _Sometimes(Drawn):
    """With probability p, what `step` makes of the image."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = checked_probability(p, type(self).__name__)

    def changed(self, image: Any, rng: np.random.Generator) -> Any:
        return self.step(image) if rng.random() < self.p else image

    def step(self, image: Any) -> Any:
        """The changed image."""
        raise OptionError(f"{type(self).__name__} must define step(image)")


class RandomGrayscale(_Sometimes):
    """With probability p, grey in as many equal channels as there were."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def step(self, image: Any) -> Any:
        return F.rgb_to_grayscale(image, F.get_image_num_channels(image))


class RandomInvert(_Sometimes):
    """With probability p, white minus each value."""

    def step(self, image: Any) -> Any:
        return F.invert(image)


class RandomPosterize(_Sometimes):
    """With probability p, only the upper `bits` of each byte."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def step(self, image: Any) -> Any:
        return F.posterize(image, self.bits)


class RandomSolarize(_Sometimes):
    """With probability p, values from `threshold` on are inverted."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def step(self, image: Any) -> Any:
        return F.solarize(image, self.threshold)


class RandomAdjustSharpness(_Sometimes):
    """With probability p, sharper (sharpness_factor > 1) or smoother."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def step(self, image: Any) -> Any:
        return F.adjust_sharpness(image, self.sharpness_factor)


class RandomAutocontrast(_Sometimes):
    """With probability p, each channel spread from black to white."""

    def step(self, image: Any) -> Any:
        return F.autocontrast(image)


class RandomEqualize(_Sometimes):
    """With probability p, each channel's levels used about equally often."""

    def step(self, image: Any) -> Any:
        return F.equalize(image)


def _interval(values: float | Sequence[float], name: str, lengths: Sequence[int] = (2,)) -> tuple[float, ...]:
    """(least, most), once or twice; a number from 0 stands for (-number, number). Raises OptionError."""
    found = numbers(values, name)
    if len(found) == 1 and found[0] >= 0:
        found = (-found[0], found[0])
    pairs = zip(found[::2], found[1::2], strict=False)
    if len(found) not in lengths or not all(least <= most for least, most in pairs) or not np.isfinite(found).all():
        raise OptionError(f"{name} must be a number from 0, or (least, most), got {values!r}")
    return found
