"""Looking at images: grids as PNG files, arrays as Pillow images, small ones as text in a terminal."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DtypeError, OptionError, ShapeError
from ..ops.checks import whole_number
from .transforms import IMAGENET_MEAN, IMAGENET_STD

if TYPE_CHECKING:
    from PIL import Image

_RAMP = " .:-=+*#%@"


def show(
    images: Any,
    path: str | os.PathLike[str] | None = None,
    columns: int | None = None,
    captions: Sequence[str] | None = None,
    scale: int = 1,
) -> Image.Image:
    """A grid of images as one Pillow image, which a notebook displays; written to `path` (.png) as well if given.

    images    one image or several, each as `to_image` takes them; sizes may differ
    columns   images in a row (default: about as many as rows)
    captions  a line of text under each image
    scale     pixels on screen for each pixel of the images

    Raises ShapeError or DtypeError for what is no image, OptionError for settings without meaning."""
    pictures = [to_image(image) for image in _several(images)]
    if not isinstance(scale, int) or scale < 1 or (columns is not None and columns < 1):
        raise OptionError(f"show: scale and columns must be integers from 1, got {scale!r} and {columns!r}")
    if captions is not None and len(captions) != len(pictures):
        raise OptionError(f"show: {len(pictures)} images but {len(captions)} captions")
    grid = _grid(pictures, columns or math.ceil(math.sqrt(len(pictures))), captions, scale)
    if path is not None:
        from ..atomic import atomic_write

        with atomic_write(path) as file:
            grid.save(file, "PNG")
    return grid


def to_image(image: Any, denormalize: bool = False) -> Image.Image:
    """A Pillow image of uint8 (H, W) or (H, W, C), or of numbers from 0 to 1 (C, H, W); C is 1, 3 or 4.

    `image` is an array or a Tensor on any device. denormalize=True undoes the ImageNet normalisation first.
    Numbers outside of 0 to 1 are cut off. Raises ShapeError or DtypeError for what is no image."""
    from PIL import Image

    pixels = _numpy(image)
    if denormalize:
        if pixels.dtype.kind != "f" or pixels.ndim != 3 or pixels.shape[0] != 3:
            raise ShapeError(f"to_image: denormalize needs numbers (3, H, W), got {pixels.dtype} {pixels.shape}")
        pixels = pixels * np.reshape(IMAGENET_STD, (3, 1, 1)) + np.reshape(IMAGENET_MEAN, (3, 1, 1))
    if pixels.dtype.kind == "f":
        planes = pixels[None] if pixels.ndim == 2 else pixels
        numbers = np.nan_to_num(planes.astype(np.float32), nan=0.0)
        pixels = np.moveaxis(np.rint(np.clip(numbers, 0, 1) * 255).astype(np.uint8), 0, -1)
    if pixels.dtype != np.uint8:
        raise DtypeError(f"to_image: expected uint8, or floating-point numbers of 0 to 1, got {pixels.dtype}")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim not in (2, 3) or 0 in pixels.shape or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
        raise ShapeError(f"to_image: expected uint8 (H, W, C) or numbers (C, H, W), got {_numpy(image).shape}")
    return Image.fromarray(np.ascontiguousarray(pixels))


def ascii_preview(image: Any, width: int = 40) -> str:
    """A small image as lines of text, the brighter the denser, at most `width` characters wide.

    `image` as in `to_image`. A character stands about twice as high as wide, so two columns show a pixel of
    images up to width / 2 pixels wide; larger ones are scaled down."""
    from PIL import Image

    whole_number("ascii_preview: width", width, 2)
    grey = to_image(image).convert("L")
    columns = min(grey.width * 2, width)
    rows = max(round(grey.height / grey.width * columns / 2), 1)
    levels = np.asarray(grey.resize((columns, rows), Image.Resampling.BOX)).astype(int) * len(_RAMP) // 256
    return "\n".join("".join(_RAMP[level] for level in row).rstrip() for row in levels)


def blocks_preview(image: Any, width: int = 80, lines: int | None = None) -> str:
    """An image as lines for a terminal of 24-bit colours, two pixels in a character, at most `width` characters wide;
    small images are enlarged by whole numbers, as long as they fit into that many `lines`. `image` as in `to_image`."""
    from PIL import Image

    whole_number("blocks_preview: width", width, 2)
    picture = to_image(image).convert("RGB")
    times = min(width // picture.width, 8)
    if times > 1:
        times = max(min(times, 2 * (lines or picture.height * times) // picture.height), 1)
        picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    elif not times:
        height = max(round(picture.height * width / picture.width), 1)
        picture = picture.resize((width, height), Image.Resampling.BOX)
    pixels = np.asarray(picture)
    if len(pixels) % 2:
        pixels = np.concatenate([pixels, pixels[-1:]])
    drawn = []
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        cells = (f"\x1b[38;2;{a};{b};{c};48;2;{d};{e};{f}m▀" for (a, b, c), (d, e, f) in zip(upper, lower, strict=True))
        drawn.append("".join(cells) + "\x1b[0m")
    return "\n".join(drawn)


# What is above 0 is blue, what is below is orange, what is no finite number pink.
_ABOVE, _BELOW, _NOT_FINITE = np.array([0, 95, 163]), np.array([168, 67, 0]), np.array([255, 0, 255])


def array_picture(array: Any, most: int = 64) -> tuple[np.ndarray, int, int]:
    """(a picture uint8 (H, W, 3), how many maps are on it, how many there are) of an array of numbers.

    The last two axes are a map: a filter bank (O, C, KH, KW) has a row for each filter, unless its maps of C = 3
    channels are one in colour. A single row or column of many numbers is folded into lines, read as text is. At most
    `most` maps are drawn. Without negative numbers 0 is black and the largest white; else 0 is white, blue above and
    orange below, all on one scale. Raises DtypeError for what are no real numbers, ShapeError for an empty array."""
    values = _numpy(array)
    if values.dtype.kind not in "biuf":
        raise DtypeError(f"array_picture: expected real numbers, got {values.dtype}")
    if not values.size:
        raise ShapeError(f"array_picture: an array of shape {values.shape} holds nothing to show")
    if values.dtype == np.uint8 and values.ndim == 3 and values.shape[2] in (3, 4):
        return values[:, :, :3], 1, 1
    values = values.astype(np.float64)
    colour = values.ndim == 4 and values.shape[1] == 3
    columns = values.shape[1] if values.ndim == 4 and not colour and values.shape[1] > 1 else 0
    maps = values.reshape(-1, *values.shape[-3:]) if colour else values.reshape(-1, *np.atleast_2d(values).shape[-2:])
    shown = maps[:most]
    finite = np.where(np.isfinite(shown), shown, 0)
    pictures = [_mapped(one, abs(finite).max() or 1.0, finite.min() < 0, colour) for one in shown]
    if len(maps) == 1 and not colour and 1 in maps.shape[1:]:
        pictures = [_folded(pictures[0])]
    columns = min(columns or math.ceil(math.sqrt(len(shown))), len(shown))
    return np.asarray(_grid([to_image(p) for p in pictures], columns, None, 1)), len(shown), len(maps)


def _folded(line: np.ndarray) -> np.ndarray:
    """A row or column of pixels (1, L, 3) or (L, 1, 3) in lines of 64, or of more where they would be more than 64."""
    pixels = line.reshape(-1, 3)
    width = max(64, math.ceil(math.sqrt(len(pixels))))
    if len(pixels) <= width:
        return pixels[None]
    full = np.full((math.ceil(len(pixels) / width) * width, 3), 255, np.uint8)
    full[: len(pixels)] = pixels
    return full.reshape(-1, width, 3)


def _mapped(values: np.ndarray, scale: float, signed: bool, colour: bool) -> np.ndarray:
    """One map (H, W), or one in colour (3, H, W), as uint8 (H, W, 3)."""
    share = np.where(np.isfinite(values), values, 0) / scale
    if colour:
        pixels = 255 * np.moveaxis((share + 1) / 2 if signed else share, 0, -1)
        lost = ~np.isfinite(values).all(axis=0)
    else:
        towards = np.where((share < 0)[..., None], _BELOW, _ABOVE) if signed else np.full(3, 255)
        away = 255 if signed else 0
        pixels = away + abs(share)[..., None] * (towards - away)
        lost = ~np.isfinite(values)
    return np.where(lost[..., None], _NOT_FINITE, np.rint(pixels)).astype(np.uint8)


def _several(images: Any) -> list[Any]:
    """The single images in an array, a Tensor, or a sequence of them."""
    if isinstance(images, (list, tuple)):
        found = list(images)
    else:
        array = _numpy(images)
        alone = array.ndim == 2 or (array.ndim == 3 and 1 <= array.shape[2 if array.dtype == np.uint8 else 0] <= 4)
        found = [array] if alone else list(array)
    if not found:
        raise ShapeError("show: there are no images")
    return found


def _grid(pictures: list[Image.Image], columns: int, captions: Sequence[str] | None, scale: int) -> Image.Image:
    from PIL import Image, ImageDraw

    columns = min(columns, len(pictures))
    rows, gap = math.ceil(len(pictures) / columns), 2
    text = 14 if captions is not None else 0
    wide = max(picture.width for picture in pictures) * scale
    high = max(picture.height for picture in pictures) * scale + text
    grid = Image.new("RGB", (columns * (wide + gap) + gap, rows * (high + gap) + gap), "white")
    draw = ImageDraw.Draw(grid)
    for number, picture in enumerate(pictures):
        x, y = gap + number % columns * (wide + gap), gap + number // columns * (high + gap)
        size = (picture.width * scale, picture.height * scale)
        grid.paste(picture.convert("RGB").resize(size, Image.Resampling.NEAREST), (x, y))
        if captions is not None:
            draw.text((x, y + high - text + 1), str(captions[number])[: max(wide // 6, 1)], fill="black")
    return grid


def _numpy(image: Any) -> np.ndarray:
    from ..device import to_numpy

    return np.asarray(to_numpy(getattr(image, "data", image) if hasattr(image, "requires_grad") else image))
