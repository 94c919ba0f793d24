"""Transforms that move pixels: resizing, cropping, padding, flipping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...device import to_numpy
from ...errors import OptionError, ShapeError
from ...tape import Variable
from ...tensors.tensor import Tensor
from . import pillow, planes
from .base import (
    Size,
    Transform,
    checked_border,
    checked_padding_mode,
    checked_probability,
    checked_range,
    checked_size,
    generator_for,
)
from .interpolation import checked_interpolation, pillows


class Resize(Transform):
    """Scale to `size`: an integer for the shorter side (the longer one follows), or (height, width).

    Bilinear with antialiasing, as Pillow and torchvision do it; interpolation may also be another one of
    InterpolationMode, or its name. max_size limits the longer side, where size is an integer."""

    def __init__(
        self, size: Size, interpolation: Any = "bilinear", max_size: int | None = None, antialias: bool = True
    ) -> None:
        self.size = checked_size(size, "Resize", shorter=True)
        if antialias is not True:
            raise OptionError("Resize: antialias=False is not supported; it makes images that networks read badly")
        if max_size is not None and (not isinstance(self.size, int) or max_size <= self.size):
            raise OptionError(f"Resize: max_size={max_size} needs an integer size below it, got {size!r}")
        self.interpolation, self.max_size = checked_interpolation(interpolation, "Resize"), max_size

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        return _resize(image, self.new_size(*height_width(image)), self.interpolation)

    def of_pillow(self, image: Any, rng: np.random.Generator | None) -> Any:
        return pillow.resize(image, *self.new_size(image.height, image.width), self.interpolation)

    def of_tensor(self, image: Variable, rng: np.random.Generator | None) -> Tensor:
        array = to_numpy(image)
        return Tensor.of(planes.resize(array, self.new_size(*array.shape[-2:]), self.interpolation))

    def new_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) that an image of this height and width gets."""
        if not isinstance(self.size, int):
            return self.size
        short, long = min(height, width), max(height, width)
        new_short, new_long = self.size, int(self.size * long / short)
        if self.max_size is not None and new_long > self.max_size:
            new_short, new_long = max(int(self.max_size * new_short / new_long), 1), self.max_size
        return (new_short, new_long) if height <= width else (new_long, new_short)


class CenterCrop(Transform):
    """The middle of the image, (size, size) or (height, width); smaller images get a black border first."""

    moves = True

    def __init__(self, size: Size) -> None:
        self.size = checked_size(size, "CenterCrop")

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        new_height, new_width = self.size
        height, width = height_width(image)
        short_y, short_x = max(new_height - height, 0), max(new_width - width, 0)
        if short_y or short_x:
            image = _pad(image, (short_x // 2, short_y // 2, (short_x + 1) // 2, (short_y + 1) // 2), 0, "constant")
            height, width = height_width(image)
        # Halves are rounded to even, as torchvision does.
        top, left = round((height - new_height) / 2), round((width - new_width) / 2)
        return _crop(image, top, left, new_height, new_width)


class Pad(Transform):
    """A border of `padding` pixels: one number, (left and right, top and bottom), or (left, top, right, bottom).

    padding_mode is constant (with `fill`, in the image's own range), edge, reflect or symmetric."""

    moves = True

    def __init__(self, padding: Size, fill: Any = 0, padding_mode: str = "constant") -> None:
        self.padding, self.fill = checked_border(padding, "Pad"), fill
        self.padding_mode = checked_padding_mode(padding_mode, "Pad")

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        return _pad(image, self.padding, self.fill, self.padding_mode)


class RandomCrop(Transform):
    """A piece of (size, size) or (height, width) from anywhere, after a border of `padding` as in Pad.

    pad_if_needed widens images that are too small; without it they raise ShapeError."""

    moves = True

    def __init__(
        self,
        size: Size,
        padding: Size | None = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = checked_size(size, "RandomCrop")
        self.padding = None if padding is None else checked_border(padding, "RandomCrop")
        self.pad_if_needed, self.fill = pad_if_needed, fill
        self.padding_mode = checked_padding_mode(padding_mode, "RandomCrop")

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        if self.padding is not None:
            image = _pad(image, self.padding, self.fill, self.padding_mode)
        (height, width), (new_height, new_width) = height_width(image), self.size
        short_y, short_x = max(new_height - height, 0), max(new_width - width, 0)
        if self.pad_if_needed and (short_y or short_x):
            image = _pad(image, (short_x, short_y, short_x, short_y), self.fill, self.padding_mode)
            height, width = height_width(image)
        if height < new_height or width < new_width:
            raise ShapeError(
                f"RandomCrop: the image is {height} x {width}, the crop {new_height} x {new_width}; "
                f"resize the image first, or pass padding=... or pad_if_needed=True"
            )
        rng = generator_for(rng)
        top = int(rng.integers(height - new_height + 1))
        left = int(rng.integers(width - new_width + 1))
        return _crop(image, top, left, new_height, new_width)


class RandomHorizontalFlip(Transform):
    """Mirror left and right with probability p."""

    moves = True

    def __init__(self, p: float = 0.5) -> None:
        self.p = checked_probability(p, "RandomHorizontalFlip")

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        return mirrored(image) if generator_for(rng).random() < self.p else image


class RandomVerticalFlip(Transform):
    """Mirror top and bottom with probability p."""

    moves = True

    def __init__(self, p: float = 0.5) -> None:
        self.p = checked_probability(p, "RandomVerticalFlip")

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        return upside_down(image) if generator_for(rng).random() < self.p else image


class RandomResizedCrop(Transform):
    """A piece with `scale` of the image's area and a width : height within `ratio`, resized to `size`.

    The crop of "Going deeper with convolutions" (Szegedy et al., 2015), as torchvision draws it: ten tries,
    then the largest centred piece with an allowed ratio."""

    def __init__(
        self,
        size: Size,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: Any = "bilinear",
        antialias: bool = True,
    ) -> None:
        self.size = checked_size(size, "RandomResizedCrop")
        self.scale = checked_range(scale, "RandomResizedCrop: scale", 1)
        self.ratio = checked_range(ratio, "RandomResizedCrop: ratio", None)
        self.interpolation = Resize(size, interpolation, antialias=antialias).interpolation

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        top, left, height, width = self._box(*height_width(image), generator_for(rng))
        return _resize(_crop(image, top, left, height, width), self.size, self.interpolation)

    def of_pillow(self, image: Any, rng: np.random.Generator | None) -> Any:
        top, left, height, width = self._box(image.height, image.width, generator_for(rng))
        piece = image.crop((left, top, left + width, top + height))
        return pillow.resize(piece, self.size[0], self.size[1], self.interpolation)

    def of_tensor(self, image: Variable, rng: np.random.Generator | None) -> Tensor:
        array = to_numpy(image)
        top, left, height, width = self._box(array.shape[-2], array.shape[-1], generator_for(rng))
        return Tensor.of(
            planes.resize(array[..., top : top + height, left : left + width], self.size, self.interpolation)
        )

    def _box(self, height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        low, high = np.log(self.ratio)
        for _ in range(10):
            area = height * width * rng.uniform(*self.scale)
            ratio = np.exp(rng.uniform(low, high))
            w, h = round(float(np.sqrt(area * ratio))), round(float(np.sqrt(area / ratio)))
            if 0 < w <= width and 0 < h <= height:
                return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
        w, h = width, height
        if width / height < self.ratio[0]:
            h = max(round(width / self.ratio[0]), 1)
        elif width / height > self.ratio[1]:
            w = max(round(height * self.ratio[1]), 1)
        return (height - h) // 2, (width - w) // 2, h, w


def is_hwc(image: np.ndarray) -> bool:
    """True for an image (H, W, C) as it is read, False for (C, H, W) after `ToTensor`."""
    return image.dtype == np.uint8


def height_width(image: np.ndarray) -> tuple[int, int]:
    """(H, W) of an image in either layout."""
    return image.shape[:2] if is_hwc(image) else image.shape[1:]


def mirrored(image: np.ndarray) -> np.ndarray:
    """Left and right exchanged."""
    return np.ascontiguousarray(image[:, ::-1] if is_hwc(image) else image[:, :, ::-1])


def upside_down(image: np.ndarray) -> np.ndarray:
    """Top and bottom exchanged."""
    return np.ascontiguousarray(image[::-1] if is_hwc(image) else image[:, ::-1])


def cropped(image: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    """`height` x `width` pixels from (top, left) on; black where they lie outside of the image."""
    full_height, full_width = height_width(image)
    if height < 1 or width < 1:
        raise OptionError(f"crop: height and width must be positive, got {height!r} and {width!r}")
    border = (
        *(max(-left, 0), max(-top, 0)),
        *(max(left + width - full_width, 0), max(top + height - full_height, 0)),
    )
    if any(border):
        image = _pad(image, border, 0, "constant")
    return _crop(image, max(top, 0), max(left, 0), height, width)


def _crop(image: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    rows, columns = slice(top, top + height), slice(left, left + width)
    return np.ascontiguousarray(image[rows, columns] if is_hwc(image) else image[:, rows, columns])


def _pad(image: np.ndarray, border: tuple[int, int, int, int], fill: Any, mode: str) -> np.ndarray:
    left, top, right, bottom = border
    height, width = height_width(image)
    if mode == "reflect" and (max(top, bottom) >= height or max(left, right) >= width):
        raise ShapeError(f"Pad: a border of {border} cannot be reflected out of an image of {height} x {width}")
    if mode == "constant":  # a crop of a padded image is the commonest augmentation; np.pad takes seven times as long
        rows, columns = slice(top, top + height), slice(left, left + width)
        shape = list(image.shape)
        axis = 0 if is_hwc(image) else 1
        shape[axis], shape[axis + 1] = height + top + bottom, width + left + right
        padded = np.empty(shape, image.dtype)
        padded[...] = fill if np.ndim(fill) == 0 else _per_channel(fill, image)
        padded[(rows, columns) if is_hwc(image) else (slice(None), rows, columns)] = image
        return padded
    edges = [(top, bottom), (left, right)]
    edges.insert(2 if is_hwc(image) else 0, (0, 0))
    return np.pad(image, edges, mode)  # type: ignore[call-overload]


def _per_channel(fill: Any, image: np.ndarray) -> np.ndarray:
    values = np.asarray(fill).astype(image.dtype).reshape(-1)
    if len(values) not in (1, image.shape[2 if is_hwc(image) else 0]):
        raise ShapeError(f"fill={fill!r} has {len(values)} values, which do not fit an image of shape {image.shape}")
    return values if is_hwc(image) else values[:, None, None]


def _resize(image: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """Resize by Pillow, channel by channel unless it is 8-bit RGB; floating-point pixels as they are."""
    from PIL import Image

    if tuple(size) == height_width(image):
        return image
    method = pillows(interpolation)

    def scaled(plane: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(plane).resize((size[1], size[0]), method))

    if not is_hwc(image):
        return np.stack([scaled(plane.astype(np.float32)) for plane in image]).astype(image.dtype)
    if image.shape[2] == 3:
        return scaled(np.ascontiguousarray(image))
    return np.stack([scaled(np.ascontiguousarray(image[:, :, c])) for c in range(image.shape[2])], axis=2)
