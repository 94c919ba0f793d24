"""What torchvision does to tensors, on arrays (..., H, W) of pixels: uint8 of 0 to 255, or numbers of 0 to 1.

Where neighbours are mixed, integers are computed as float32, rounded to even and put back, as torchvision does; its
results for Pillow images are Pillow's own and differ in the last level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import DtypeError, OptionError, ShapeError
from .base import told
from .interpolation import OF_TENSORS, OF_WARPED_TENSORS, checked_interpolation, pillows


def resize(planes: np.ndarray, size: tuple[int, int], mode: str) -> np.ndarray:
    """`planes` at (height, width), with antialiasing where neighbours are mixed."""
    checked_interpolation(mode, "resize of a Tensor", OF_TENSORS)
    height, width = planes.shape[-2:]
    if (height, width) == tuple(size):
        return planes
    if mode.startswith("nearest"):
        shift = np.float32(0.5 if mode == "nearest-exact" else 0)
        rows, columns = (
            np.minimum(((np.arange(new, dtype=np.float32) + shift) * np.float32(old / new)).astype(int), old - 1)
            for new, old in zip(size, (height, width), strict=True)
        )
        return planes[..., rows[:, None], columns]
    return in_numbers(planes, lambda numbers: _resampled(numbers, size, mode))


def _resampled(numbers: np.ndarray, size: tuple[int, int], mode: str) -> np.ndarray:
    from PIL import Image

    flat = numbers.reshape(-1, *numbers.shape[-2:]).astype(np.float32, copy=False)
    made = [np.asarray(Image.fromarray(one).resize((size[1], size[0]), pillows(mode))) for one in flat]
    return np.stack(made).reshape(*numbers.shape[:-2], *size).astype(numbers.dtype, copy=False)


def in_numbers(planes: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """change(planes), of which integers see float32 and get back what is rounded and kept in their range."""
    if planes.dtype.kind == "f":
        return change(planes)
    limits = np.iinfo(planes.dtype)
    return np.clip(np.rint(change(planes.astype(np.float32))), limits.min, limits.max).astype(planes.dtype)


def affine(
    planes: np.ndarray, matrix: Sequence[float], mode: str, fill: Any, size: tuple[int, int] | None = None
) -> np.ndarray:
    """Pixel (x, y) of the result is the one at (a x + b y + c, d x + e y + f), the image's centre being (0, 0).

    matrix (a, b, c, d, e, f); size (height, width) of the result, by default that of the image."""
    x, y = _centred_grid(size or planes.shape[-2:], planes)
    a, b, c, d, e, f = (x.dtype.type(number) for number in matrix)
    height, width = (x.dtype.type(side / 2) for side in planes.shape[-2:])
    return _sampled(planes, (a * x + b * y + c) / width, (d * x + e * y + f) / height, mode, fill)


def perspective(planes: np.ndarray, coefficients: Sequence[float], mode: str, fill: Any) -> np.ndarray:
    """Pixel (x, y) of the result is the one at ((a x + b y + c) / s, (d x + e y + f) / s) with s = g x + h y + 1, the
    image's corner being (0, 0).

    coefficients (a, b, c, d, e, f, g, h)"""
    height, width = planes.shape[-2:]
    x, y = _centred_grid((height, width), planes)
    kind = x.dtype.type
    x, y = x + kind(width / 2), y + kind(height / 2)
    a, b, c, d, e, f, g, h = (kind(number) for number in coefficients)
    scale = g * x + h * y + kind(1)
    x_seen = (a * x + b * y + c) / kind(width / 2) / scale - kind(1)
    return _sampled(planes, x_seen, (d * x + e * y + f) / kind(height / 2) / scale - kind(1), mode, fill)


def _centred_grid(size: Sequence[int], planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x (1, W) and y (H, 1) of the middles of pixels, in the precision that torchvision computes with."""
    kind = planes.dtype if planes.dtype.kind == "f" else np.dtype(np.float32)
    y, x = (np.arange(side, dtype=kind) - kind.type((side - 1) / 2) for side in size)
    return x[None, :], y[:, None]


def _sampled(planes: np.ndarray, x: np.ndarray, y: np.ndarray, mode: str, fill: Any) -> np.ndarray:
    """`planes` at x, y (OH, OW) of -1 to 1 from edge to edge; beyond the edges 0, or `fill`: a number, or one for
    each channel."""
    checked_interpolation(mode, "warp of a Tensor", OF_WARPED_TENSORS)
    height, width = planes.shape[-2:]
    kind = x.dtype.type
    x, y = ((x + 1) * kind(width) - 1) / 2, ((y + 1) * kind(height) - 1) / 2
    if mode == "nearest":
        values, inside = _looked_up(planes, np.rint(x), np.rint(y))
        return np.where(inside, values, _fill_of(planes, 0 if fill is None else fill)).astype(planes.dtype)

    def mixed(numbers: np.ndarray) -> np.ndarray:
        left, top = np.floor(x), np.floor(y)
        total: Any = 0
        covered: Any = 0
        for dy in (0, 1):
            for dx in (0, 1):
                weight = (x - left if dx else left + 1 - x) * (y - top if dy else top + 1 - y)
                values, inside = _looked_up(numbers, left + dx, top + dy)
                total, covered = total + weight * values, covered + weight * inside
        if fill is None:
            return total
        return total * covered + (1 - covered) * _fill_of(numbers, fill)

    return in_numbers(planes, mixed)


def _looked_up(planes: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels at whole places x, y (OH, OW), 0 outside; and whether each is inside (OH, OW)."""
    height, width = planes.shape[-2:]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    rows, columns = np.where(inside, y, 0).astype(np.intp), np.where(inside, x, 0).astype(np.intp)
    return planes[..., rows, columns] * inside.astype(planes.dtype), inside


def _fill_of(planes: np.ndarray, fill: Any) -> np.ndarray:
    values = np.asarray(fill, np.float64).reshape(-1)
    if len(values) not in (1, planes.shape[-3]):
        raise ShapeError(f"fill has {len(values)} values, which do not fit an image of shape {planes.shape}")
    return values.astype(planes.dtype).reshape(-1, 1, 1)


def expanded_size(matrix: Sequence[float], height: int, width: int) -> tuple[int, int]:
    """(height, width) that hold all of an image turned by `matrix` (see affine)."""
    corners = np.array([(x * width / 2, y * height / 2, 1) for x in (-1, 1) for y in (-1, 1)], np.float32)
    x, y = (corners @ np.asarray(matrix, np.float32).reshape(2, 3).T).T
    sides = []
    for places, side in ((y, height), (x, width)):
        # A ten-thousandth of a pixel is rounding and earns no further row.
        least, most = (np.trunc((end + side / 2) / 1e-4) * 1e-4 for end in (places.min(), places.max()))
        sides.append(int(np.ceil(most) - np.floor(least)))
    return sides[0], sides[1]


def gaussian_blur(planes: np.ndarray, kernel_size: Sequence[int], sigma: Sequence[float]) -> np.ndarray:
    """A Gaussian of kernel_size (width, height) and sigma (x, y); beyond the edges the image is reflected."""
    for size, side in zip(kernel_size, planes.shape[:-3:-1], strict=True):
        if size // 2 >= side:
            raise ShapeError(f"gaussian_blur: a kernel of {tuple(kernel_size)} is too large for {told(planes)}")

    def blurred(numbers: np.ndarray) -> np.ndarray:
        for axis, size, width in ((-1, kernel_size[0], sigma[0]), (-2, kernel_size[1], sigma[1])):
            distance = np.arange(size) - (size - 1) / 2
            weights = np.exp(-0.5 * (distance / width) ** 2)
            numbers = _along(numbers, (weights / weights.sum()).astype(numbers.dtype), axis)
        return numbers

    return in_numbers(planes, blurred)


def _along(numbers: np.ndarray, weights: np.ndarray, axis: int) -> np.ndarray:
    """Weighted sums of neighbours along one of the last two axes, the image being reflected."""
    half, side = len(weights) // 2, numbers.shape[axis]
    edges = [(0, 0)] * numbers.ndim
    edges[axis] = (half, half)
    padded = np.moveaxis(np.pad(numbers, edges, "reflect"), axis, -1)
    total = sum(weight * padded[..., i : i + side] for i, weight in enumerate(weights))
    return np.moveaxis(np.asarray(total), -1, axis)


def adjust_sharpness(planes: np.ndarray, factor: float) -> np.ndarray:
    """Away from (factor > 1) or towards the image smoothed by (1 1 1, 1 5 1, 1 1 1) / 13; edges stay."""
    height, width = planes.shape[-2:]
    if min(height, width) <= 2:
        return planes

    def smooth(numbers: np.ndarray) -> np.ndarray:
        rows, columns = (slice(1, -1), slice(None, -2), slice(2, None)), (slice(1, -1), slice(None, -2), slice(2, None))
        around = sum(numbers[..., r, c] for r in rows for c in columns)
        result = numbers.copy()
        result[..., 1:-1, 1:-1] = (around + 4 * numbers[..., 1:-1, 1:-1]) / numbers.dtype.type(13)
        return result

    return blend(planes, in_numbers(planes, smooth), factor)


def blend(planes: np.ndarray, other: np.ndarray | np.float32, factor: float) -> np.ndarray:
    """factor * planes + (1 - factor) * other, kept within the image's range; integers are cut off."""
    kind = planes.dtype.type if planes.dtype.kind == "f" else np.float32
    mixed = kind(factor) * planes.astype(kind) + kind(1 - factor) * other.astype(kind)
    return np.clip(mixed, 0, largest(planes)).astype(planes.dtype)


def largest(planes: np.ndarray) -> Any:
    """The value of white: 1, or the largest integer of the dtype."""
    return planes.dtype.type(1 if planes.dtype.kind == "f" else np.iinfo(planes.dtype).max)


def luma(planes: np.ndarray) -> np.ndarray:
    """Brightness (..., 1, H, W) of three channels; one channel stays as it is. Integers are cut off."""
    if planes.shape[-3] == 1:
        return planes
    kind = planes.dtype.type if planes.dtype.kind == "f" else np.float32
    red, green, blue = (planes[..., c : c + 1, :, :].astype(kind) for c in range(3))
    return (kind(0.2989) * red + kind(0.587) * green + kind(0.114) * blue).astype(planes.dtype)


def adjust_brightness(planes: np.ndarray, factor: float) -> np.ndarray:
    """factor times as bright."""
    return blend(planes, np.float32(0), factor)


def adjust_contrast(planes: np.ndarray, factor: float) -> np.ndarray:
    """Away from (factor > 1) or towards the mean brightness."""
    grey = luma(planes) if planes.shape[-3] == 3 else planes
    return blend(planes, np.float32(grey.mean(dtype=np.float64)), factor)


def adjust_saturation(planes: np.ndarray, factor: float) -> np.ndarray:
    """Away from (factor > 1) or towards the grey image; images without colour stay as they are."""
    return blend(planes, luma(planes), factor) if planes.shape[-3] == 3 else planes


def adjust_hue(planes: np.ndarray, turn: float) -> np.ndarray:
    """Every hue of an image (3, H, W) turned by `turn` of a circle; images without colour stay as they are."""
    if planes.shape[-3] != 3:
        return planes
    numbers = planes.astype(np.float32) / np.float32(255) if planes.dtype == np.uint8 else planes
    turned = _hsv_to_rgb(*_rgb_to_hsv(numbers, turn)).astype(numbers.dtype)
    # Just under 256, so that truncation gives each of the 256 values an equal share (as torchvision does).
    return turned if planes.dtype != np.uint8 else (turned * np.float32(255.999)).astype(np.uint8)


def _rgb_to_hsv(rgb: np.ndarray, turn: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(hue + turn, saturation, value), each (H, W) from 0 to 1, of rgb (3, H, W)."""
    red, green = rgb[0], rgb[1]
    value, least = rgb.max(0), rgb.min(0)
    spread = value - least
    grey = spread == 0
    saturation = spread / np.where(grey, 1, value)
    r, g, b = ((value - channel) / np.where(grey, 1, spread) for channel in rgb)
    hue = np.where(value == red, b - g, np.where(value == green, 2 + r - b, 4 + g - r))
    return (np.where(grey, 0, hue) / 6 + 1 + turn) % 1, saturation, value


def _hsv_to_rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(3, H, W) of hue, saturation and value (H, W)."""
    # Distance on the colour circle, in sixths, from each channel's own hue: red 0, green 2, blue 4.
    sixths = np.stack([(hue * 6 - own) % 6 for own in (0, 2, 4)])
    away = np.clip(np.minimum(sixths, 6 - sixths) - 1, 0, 1)
    return np.clip(value * (1 - saturation * away), 0, 1)


def adjust_gamma(planes: np.ndarray, gamma: float, gain: float) -> np.ndarray:
    """gain * x ** gamma, of 0 to 1."""
    kind = planes.dtype.type if planes.dtype.kind == "f" else np.float32
    shares = planes if planes.dtype.kind == "f" else planes.astype(np.float32) / np.float32(255)
    changed = np.clip(kind(gain) * shares ** kind(gamma), 0, 1)
    return changed if planes.dtype.kind == "f" else (changed * kind(255 + 1 - 1e-3)).astype(planes.dtype)


def invert(planes: np.ndarray) -> np.ndarray:
    """White minus each value."""
    return largest(planes) - planes


def posterize(planes: np.ndarray, bits: int) -> np.ndarray:
    """Only the upper `bits` of each byte."""
    return _bytes(planes, "posterize") & np.uint8(256 - 2 ** (8 - bits))


def solarize(planes: np.ndarray, threshold: float) -> np.ndarray:
    """Values from `threshold` on are inverted."""
    if threshold > largest(planes):
        raise OptionError(f"solarize: threshold={threshold} lies above white, which is {largest(planes)}")
    return np.where(planes >= threshold, invert(planes), planes)


def autocontrast(planes: np.ndarray) -> np.ndarray:
    """Each channel spread from black to white."""
    kind = planes.dtype.type if planes.dtype.kind == "f" else np.float32
    least, most = (edge(planes, axis=(-2, -1), keepdims=True).astype(kind) for edge in (np.min, np.max))
    flat = least == most
    scale = kind(largest(planes)) / np.where(flat, kind(1), most - least)
    least, scale = np.where(flat, kind(0), least), np.where(flat, kind(1), scale)
    return np.clip((planes - least) * scale, 0, largest(planes)).astype(planes.dtype)


def equalize(planes: np.ndarray) -> np.ndarray:
    """Each channel's levels used about equally often."""
    flat = _bytes(planes, "equalize").reshape(-1, *planes.shape[-2:])
    return np.stack([_equal_levels(plane) for plane in flat]).reshape(planes.shape)


def _equal_levels(plane: np.ndarray) -> np.ndarray:
    counts = np.bincount(plane.ravel(), minlength=256)
    step = int(counts[counts > 0][:-1].sum()) // 255
    if step == 0:
        return plane
    below = np.cumsum(counts) - counts  # pixels darker than each level
    return np.clip((below + step // 2) // step, 0, 255).astype(np.uint8)[plane]


def _bytes(planes: np.ndarray, name: str) -> np.ndarray:
    if planes.dtype != np.uint8:
        raise DtypeError(f"{name}: expected uint8 pixels, got {told(planes)}")
    return planes
