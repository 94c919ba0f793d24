"""Transforms that change the values of pixels: scaling to numbers, normalising, colours, erasing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...arrays import full_name, plain
from ...device import to_numpy
from ...dtypes import default_dtype
from ...errors import DtypeError, OptionError, ShapeError
from ...tape import Variable
from ...tensors.tensor import Tensor
from . import pillow, planes
from .base import Transform, checked_probability, checked_range, generator_for, is_pillow, numbers, told
from .geometry import height_width, is_hwc


class ToTensor(Transform):
    """A picture  ->  a Tensor (C, H, W): uint8 of 0 to 255 becomes floats of 0 to 1, other numbers stay as they are.

    The floats are of the default dtype: float32, unless `set_default_dtype` named another.
    A picture is a Pillow image of any mode, or an array (H, W, C) or (H, W); of arrays, a batch (N, H, W, C) too.
    Raises DtypeError for anything else, a Tensor among them: it is one already."""

    elementwise = True

    def __call__(self, image: Any, rng: np.random.Generator | None = None) -> Tensor:
        if rng is not None:
            generator_for(rng)
        if is_pillow(image):
            image = np.asarray(image)
            image = image.astype(np.uint8) * np.uint8(255) if image.dtype == bool else image
            image = image.astype(np.int32) if image.dtype.kind == "i" else image
        if not isinstance(image, np.ndarray):
            raise DtypeError(f"ToTensor: expected a Pillow image or a NumPy array, got {full_name(image)}")
        image = plain("ToTensor", "the picture", image)
        if image.ndim not in (2, 3, 4) or image.dtype.kind not in "biuf":
            raise ShapeError(f"ToTensor: expected a picture (H, W, C) or (H, W), got {told(image)}")
        if 0 in image.shape:
            raise ShapeError(f"ToTensor: the picture has no pixels: {told(image)}")
        image = image[:, :, None] if image.ndim == 2 else image
        array = np.ascontiguousarray(np.moveaxis(image, -1, -3))
        kind = default_dtype().type
        return Tensor.of(array.astype(kind) / kind(255) if array.dtype == np.uint8 else array)


class Normalize(Transform):
    """(x - mean) / std, channel by channel: x float (C, H, W) or (N, C, H, W), mean and std numbers or (C,).

    inplace   write into x, a Tensor or an array, and return it

    Raises DtypeError for integers (put ToTensor before it), ShapeError if the channels do not match,
    OptionError if a std is not positive."""

    elementwise = True

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float], inplace: bool = False) -> None:
        self.inplace = inplace
        self.mean, self.std = numbers(mean, "mean"), numbers(std, "std")
        if not np.all(np.isfinite(self.mean)) or not np.all(np.asarray(self.std) > 0):
            raise OptionError(f"Normalize: mean must be finite and std positive, got {mean!r} and {std!r}")
        if len(self.mean) != len(self.std) and 1 not in (len(self.mean), len(self.std)):
            raise OptionError(f"Normalize: {len(self.mean)} means but {len(self.std)} standard deviations")

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        if image.dtype.kind != "f":
            raise DtypeError(f"Normalize: expected floating-point numbers, got {told(image)}; put ToTensor before it")
        channels = max(len(self.mean), len(self.std))
        if image.ndim not in (3, 4) or channels not in (1, image.shape[-3]):
            raise ShapeError(f"Normalize: {channels} means and deviations do not fit {told(image)}")
        mean, std = (np.array(v, image.dtype).reshape(-1, 1, 1) for v in (self.mean, self.std))
        made = (image - mean) / std
        if self.inplace:
            image[...] = made
            return image
        return made

    def of_tensor(self, image: Variable, rng: np.random.Generator | None) -> Tensor:
        if not self.inplace:
            return super().of_tensor(image, rng)
        return image.copy_(Tensor.of(Normalize(self.mean, self.std).apply(to_numpy(image), rng)))  # type: ignore[attr-defined]


class RandomErasing(Transform):
    """With probability p, overwrite a rectangle ("Random erasing data augmentation", Zhong et al., 2017).

    scale  its area as a part of the image's;  ratio  its height : width
    value  what is written, in the image's own range: a number, one per channel, or "random" (standard normal noise, for
           floating-point images)"""

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: float | Sequence[float] | str = 0,
        inplace: bool = False,
    ) -> None:
        if inplace:
            raise OptionError("RandomErasing: inplace=True is not supported; use what the transform returns")
        self.p = checked_probability(p, "RandomErasing")
        self.scale = checked_range(scale, "RandomErasing: scale", 1)
        self.ratio = checked_range(ratio, "RandomErasing: ratio", None)
        if value != "random":
            numbers(value, "value")
        self.value = value

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        rng = generator_for(rng)
        if rng.random() >= self.p:
            return image
        if self.value == "random" and image.dtype.kind != "f":
            raise DtypeError(f"RandomErasing: value='random' needs floating-point images, got {told(image)}")
        height, width = height_width(image)
        for _ in range(10):
            area = height * width * rng.uniform(*self.scale)
            ratio = np.exp(rng.uniform(*np.log(self.ratio)))
            h, w = round(float(np.sqrt(area * ratio))), round(float(np.sqrt(area / ratio)))
            if 0 < h < height and 0 < w < width:
                top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
                return self._erase(image.copy(), top, left, h, w, rng)
        return image

    def _erase(self, image: np.ndarray, top: int, left: int, h: int, w: int, rng: np.random.Generator) -> np.ndarray:
        # A view with the channels last lets one assignment serve both layouts.
        pixels = image if is_hwc(image) else image.transpose(1, 2, 0)
        area = pixels[top : top + h, left : left + w]
        if self.value == "random":
            area[...] = rng.standard_normal(area.shape)
        else:
            value = numbers(self.value, "value")
            if len(value) not in (1, area.shape[2]):
                raise ShapeError(f"RandomErasing: {len(value)} values do not fit {told(image)}")
            area[...] = np.asarray(value)
        return image


class Grayscale(Transform):
    """Brightness in place of colour, as 1 or 3 equal channels: 0.299 R + 0.587 G + 0.114 B (ITU-R 601-2)."""

    def __init__(self, num_output_channels: int = 1) -> None:
        if num_output_channels not in (1, 3):
            raise OptionError(f"Grayscale: num_output_channels is 1 or 3, got {num_output_channels!r}")
        self.num_output_channels = num_output_channels

    def of_pillow(self, image: Any, rng: np.random.Generator | None) -> Any:
        """Pillow's own brightness, which knows palettes, transparency and inks."""
        return pillow.to_grayscale(image, self.num_output_channels)

    def of_tensor(self, image: Variable, rng: np.random.Generator | None) -> Tensor:
        array = to_numpy(image)
        if array.ndim < 3 or array.shape[-3] not in (1, 3):
            raise ShapeError(f"Grayscale: expected 1 or 3 channels, got {told(array)}")
        return Tensor.of(np.repeat(planes.luma(array), self.num_output_channels, -3))

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        axis = 2 if is_hwc(image) else 0
        channels = image.shape[axis]
        if channels not in (1, 3):
            raise ShapeError(f"Grayscale: expected 1 or 3 channels, got {told(image)}")
        if channels == 3:
            image = _pillow_luma(image) if is_hwc(image) else planes.luma(image)
        return np.repeat(image, self.num_output_channels, axis)


class ColorJitter(Transform):
    """Random brightness, contrast, saturation and hue, in random order.

    brightness, contrast, saturation   v for a factor from max(0, 1 - v) to 1 + v, or (least, most)
    hue                                v for a turn from -v to v, at most 0.5, or (least, most); 1 is a full
                                       circle

    Grey images keep their saturation and hue."""

    def __init__(
        self,
        brightness: float | Sequence[float] = 0,
        contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0,
        hue: float | Sequence[float] = 0,
    ) -> None:
        self.brightness = _jitter(brightness, "brightness")
        self.contrast = _jitter(contrast, "contrast")
        self.saturation = _jitter(saturation, "saturation")
        self.hue = _jitter(hue, "hue", centre=0.0, least=-0.5, most=0.5)

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        steps = (planes.adjust_brightness, planes.adjust_contrast, planes.adjust_saturation, planes.adjust_hue)
        return by_planes(image, lambda pixels: self._changed(pixels, rng, steps))

    def of_pillow(self, image: Any, rng: np.random.Generator | None) -> Any:
        steps = (pillow.adjust_brightness, pillow.adjust_contrast, pillow.adjust_saturation, pillow.adjust_hue)
        return self._changed(image, rng, steps)

    def _changed(
        self, image: Any, rng: np.random.Generator | None, steps: Sequence[Callable[[Any, float], Any]]
    ) -> Any:
        rng = generator_for(rng)
        order = rng.permutation(4)
        factors = [rng.uniform(*limits) for limits in (self.brightness, self.contrast, self.saturation, self.hue)]
        for i in order:
            if factors[i] != (0.0 if i == 3 else 1.0):
                image = steps[i](image, factors[i])
        return image


def by_planes(image: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What a function of arrays (C, H, W) makes of an image in either layout."""
    if not is_hwc(image):
        return change(image)
    return np.ascontiguousarray(np.moveaxis(change(np.moveaxis(image, -1, 0)), 0, -1))


def _pillow_luma(image: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) -> (H, W, 1) in the integer arithmetic of Pillow's convert("L")."""
    wide = image.astype(np.int64)
    total = wide[..., :1] * 19595 + wide[..., 1:2] * 38470 + wide[..., 2:] * 7471 + 0x8000
    return (total >> 16).astype(np.uint8)


def _jitter(
    amount: float | Sequence[float], name: str, centre: float = 1.0, least: float = 0.0, most: float = np.inf
) -> tuple[float, float]:
    """The interval to draw from: `centre` plus or minus `amount`, or the one that is given."""
    values: Any = numbers(amount, f"ColorJitter: {name}")
    if len(values) == 1 and values[0] >= 0 and (centre or values[0] <= most):
        values = (max(centre - values[0], least), centre + values[0])
    if len(values) != 2 or not least <= values[0] <= values[1] <= most or np.inf in values:
        raise OptionError(f"ColorJitter: {name} must be a number from 0, or (least, most), got {amount!r}")
    return values
