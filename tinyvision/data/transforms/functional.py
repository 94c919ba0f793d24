"""Single steps on single images, as torchvision's `transforms.functional` has them: nothing here is random.

An image is a Pillow image, a Tensor (..., C, H, W) or an array: uint8 (H, W, C) or floating point (C, H, W). It comes
back in the same kind. A Pillow image gets what Pillow does to it, a Tensor what torchvision does to tensors (`planes`);
a uint8 array is treated as the Pillow image that it is, a floating-point array as a Tensor. Two things are older than
this rule: brightness, contrast, saturation and hue of uint8 arrays are those of Tensors, and the nearest pixel in
`resize` of an array is Pillow's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...device import to_numpy
from ...errors import OptionError, ShapeError, TinyVisionError
from ...ops.checks import is_number
from ...tape import Variable
from ...tensors.tensor import Tensor
from . import color, geometry, pillow, planes
from .base import (
    Size,
    Transform,
    as_pillow,
    checked_image,
    checked_size,
    is_pillow,
    numbers,
    pillow_pixels,
)
from .convert import convert_image_dtype, pil_to_tensor, to_pil_image
from .interpolation import InterpolationMode, checked_interpolation

__all__ = [
    "InterpolationMode", "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue", "adjust_saturation",
    "adjust_sharpness", "affine", "autocontrast", "center_crop", "convert_image_dtype", "crop", "equalize", "erase",
    "five_crop", "gaussian_blur", "get_dimensions", "get_image_num_channels", "get_image_size", "hflip", "invert",
    "normalize", "pad", "perspective", "pil_to_tensor", "posterize", "resize", "resized_crop", "rgb_to_grayscale",
    "rotate", "solarize", "ten_crop", "to_grayscale", "to_pil_image", "to_tensor", "vflip",
]  # fmt: skip

_NEAREST, _BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR
Change = Callable[[Any], Any]


def _by_kind(name: str, image: Any, of_pillow: Change, of_planes: Change) -> Any:
    """`image` changed by the one of the two functions that suits its kind; the first sees Pillow images, the second
    arrays (..., C, H, W). uint8 arrays go the way of Pillow images."""
    if isinstance(image, Variable):
        array = to_numpy(image)
        if array.ndim < 3:
            raise ShapeError(f"{name}: expected a Tensor (..., C, H, W), got {array.shape}")
        return Tensor.of(np.ascontiguousarray(of_planes(array)))
    if is_pillow(image):
        return _by_pillow(name, of_pillow, image)
    array = checked_image(image, name)
    if array.dtype != np.uint8:
        return of_planes(array)
    made = np.array(_by_pillow(name, of_pillow, to_pil_image(array)))
    return made if made.ndim == 3 else made[:, :, None]


def _by_pillow(name: str, change: Change, image: Any) -> Any:
    try:
        return change(image)
    except (OSError, NotImplementedError, ValueError) as error:
        if isinstance(error, TinyVisionError):
            raise
        raise ShapeError(f"{name}: Pillow says of an image of mode {image.mode}: {error}") from error


class _Moved(Transform):
    """Pixels moved by a function of arrays, in whatever kind of image."""

    moves = True

    def __init__(self, name: str, move: Change) -> None:
        self._name, self._move = name, move

    def _title(self) -> str:
        return self._name

    def apply(self, image: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        return self._move(image)


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width]."""
    if is_pillow(img):
        return [len(img.getbands()), img.height, img.width]
    if isinstance(img, Variable):
        return [1 if len(img.shape) == 2 else img.shape[-3], *img.shape[-2:]]
    array = checked_image(img, "get_dimensions")
    return [array.shape[2], *array.shape[:2]] if geometry.is_hwc(array) else list(array.shape)


def get_image_size(img: Any) -> list[int]:
    """[width, height]."""
    return get_dimensions(img)[:0:-1]


def get_size(inpt: Any) -> list[int]:
    """[height, width], as torchvision's second edition gives it."""
    return get_dimensions(inpt)[1:]


def get_image_num_channels(img: Any) -> int:
    """The number of channels."""
    return get_dimensions(img)[0]


def to_tensor(pic: Any) -> Tensor:
    """What ToTensor makes of a picture."""
    return color.ToTensor()(pic)


def normalize(tensor: Any, mean: Any, std: Any, inplace: bool = False) -> Any:
    """(tensor - mean) / std, channel by channel."""
    return color.Normalize(mean, std, inplace)(tensor)


def resize(
    img: Any, size: Size, interpolation: Any = _BILINEAR, max_size: int | None = None, antialias: bool = True
) -> Any:
    """Scaled as Resize does it."""
    return geometry.Resize(size, interpolation, max_size, antialias)(img)


def center_crop(img: Any, output_size: Size) -> Any:
    """The middle, as CenterCrop cuts it."""
    return geometry.CenterCrop(output_size)(img)


def pad(img: Any, padding: Size, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """A border, as Pad puts it."""
    return geometry.Pad(padding, fill, padding_mode)(img)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """`height` x `width` pixels from (top, left) on; black where they lie outside of the image."""
    return _Moved("crop", lambda pixels: geometry.cropped(pixels, top, left, height, width))(img)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Size,
    interpolation: Any = _BILINEAR,
    antialias: bool = True,
) -> Any:
    """`crop`, then `resize`."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def hflip(img: Any) -> Any:
    """Left and right exchanged."""
    return _Moved("hflip", geometry.mirrored)(img)


def vflip(img: Any) -> Any:
    """Top and bottom exchanged."""
    return _Moved("vflip", geometry.upside_down)(img)


def five_crop(img: Any, size: Size) -> tuple[Any, ...]:
    """(top left, top right, bottom left, bottom right, centre), each of `size`."""
    height, width = checked_size(size, "five_crop")
    _, full_height, full_width = get_dimensions(img)
    if height > full_height or width > full_width:
        raise ShapeError(f"five_crop: {height} x {width} cannot be cut out of {full_height} x {full_width}")
    places = [(top, left) for top in (0, full_height - height) for left in (0, full_width - width)]
    return *(crop(img, top, left, height, width) for top, left in places), center_crop(img, (height, width))


def ten_crop(img: Any, size: Size, vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the image and of its mirror image."""
    return five_crop(img, size) + five_crop(vflip(img) if vertical_flip else hflip(img), size)


def erase(img: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """`h` x `w` pixels from (i, j) on overwritten by `v`, which broadcasts against them; of Tensors and arrays.

    inplace   write into a Tensor, and return it"""
    value = to_numpy(v) if isinstance(v, Variable) else np.asarray(v)
    if isinstance(img, Variable):
        array = to_numpy(img).copy()
        array[..., i : i + h, j : j + w] = value
        return img.copy_(Tensor.of(array)) if inplace else Tensor.of(array)  # type: ignore[attr-defined]
    array = checked_image(img, "erase")
    array = array if inplace else array.copy()
    array[(slice(i, i + h), slice(j, j + w)) if geometry.is_hwc(array) else (..., slice(i, i + h), slice(j, j + w))] = (
        value
    )
    return array


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """Brightness in place of colour, as Grayscale makes it."""
    return color.Grayscale(num_output_channels)(img)


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """Brightness of a Pillow image of any mode."""
    if num_output_channels not in (1, 3) or not is_pillow(img):
        raise OptionError("to_grayscale: expected a Pillow image, and 1 or 3 channels; see rgb_to_grayscale for others")
    return pillow.to_grayscale(img, num_output_channels)


def _adjusted(name: str, image: Any, factor: float) -> Any:
    """Colours changed by the function of that name, in `pillow` or in `planes`, as ColorJitter does it."""
    if not math.isfinite(factor):
        raise OptionError(f"{name}: a factor must be finite, got {factor!r}")
    if is_pillow(image):
        return getattr(pillow, name)(image, factor)
    change = getattr(planes, name)
    return _Recoloured(name, lambda pixels: color.by_planes(pixels, lambda array: change(array, factor)))(image)


class _Recoloured(_Moved):
    """As _Moved, for one image at a time."""

    moves = False


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """brightness_factor times as bright."""
    return _adjusted("adjust_brightness", img, _not_negative(brightness_factor, "adjust_brightness"))


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """Away from (factor > 1) or towards the mean brightness."""
    return _adjusted("adjust_contrast", img, _not_negative(contrast_factor, "adjust_contrast"))


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """Away from (factor > 1) or towards the grey image."""
    return _adjusted("adjust_saturation", img, _not_negative(saturation_factor, "adjust_saturation"))


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Every hue turned by hue_factor, from -0.5 to 0.5, of the circle."""
    if not -0.5 <= hue_factor <= 0.5:
        raise OptionError(f"adjust_hue: hue_factor lies from -0.5 to 0.5, got {hue_factor!r}")
    return _adjusted("adjust_hue", img, hue_factor)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """gain * x ** gamma, of 0 to 1."""
    gamma = _not_negative(gamma, "adjust_gamma")
    return _by_kind(
        "adjust_gamma",
        img,
        lambda image: pillow.adjust_gamma(image, gamma, gain),
        lambda array: planes.adjust_gamma(array, gamma, gain),
    )


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """Away from (factor > 1) or towards a smoothed image."""
    f = _not_negative(sharpness_factor, "adjust_sharpness")
    return _by_kind(
        "adjust_sharpness", img, lambda x: pillow.adjust_sharpness(x, f), lambda x: planes.adjust_sharpness(x, f)
    )


def _not_negative(value: float, name: str) -> float:
    if not is_number(value) or not 0 <= value < math.inf:
        raise OptionError(f"{name}: the factor must be a number from 0, got {value!r}")
    return float(value)


def _finite(value: float, name: str) -> float:
    found = numbers(value, name)
    if len(found) != 1 or not math.isfinite(found[0]):
        raise OptionError(f"{name} must be one finite number, got {value!r}")
    return found[0]


def invert(img: Any) -> Any:
    """White minus each value."""
    return _by_kind("invert", img, pillow.invert, planes.invert)


def posterize(img: Any, bits: int) -> Any:
    """Only the upper `bits`, from 0 to 8, of each byte."""
    if bits not in range(9):
        raise OptionError(f"posterize: bits goes from 0 to 8, got {bits!r}")
    bits = int(bits)
    return _by_kind("posterize", img, lambda x: pillow.posterize(x, bits), lambda x: planes.posterize(x, bits))


def solarize(img: Any, threshold: float) -> Any:
    """Values from `threshold` on are inverted."""
    return _by_kind("solarize", img, lambda x: pillow.solarize(x, threshold), lambda x: planes.solarize(x, threshold))


def autocontrast(img: Any) -> Any:
    """Each channel spread from black to white."""
    return _by_kind("autocontrast", img, pillow.autocontrast, planes.autocontrast)


def equalize(img: Any) -> Any:
    """Each channel's levels used about equally often; of bytes only."""
    return _by_kind("equalize", img, pillow.equalize, planes.equalize)


def gaussian_blur(img: Any, kernel_size: Size, sigma: Any = None) -> Any:
    """A Gaussian of kernel_size (width, height), both odd, and sigma (x, y), by default 0.15 kernel_size + 0.35."""
    sizes = checked_size(kernel_size, "gaussian_blur: kernel_size")
    widths = tuple(0.15 * size + 0.35 for size in sizes) if sigma is None else numbers(sigma, "gaussian_blur: sigma")
    widths = widths * 2 if len(widths) == 1 else widths
    if any(size % 2 == 0 for size in sizes):
        raise OptionError(f"gaussian_blur: kernel_size must be odd, got {kernel_size!r}")
    if len(widths) != 2 or not all(0 < width < math.inf for width in widths):
        raise OptionError(f"gaussian_blur: sigma must be positive, one number or (x, y), got {sigma!r}")

    def of_pillow(image: Any) -> Any:  # Pillow's own blur is another one
        pixels = np.moveaxis(pillow_pixels(image, "gaussian_blur"), 2, 0)
        return as_pillow(np.moveaxis(planes.gaussian_blur(pixels, sizes, widths), 0, 2), image)

    return _by_kind("gaussian_blur", img, of_pillow, lambda x: planes.gaussian_blur(x, sizes, widths))


def rotate(
    img: Any,
    angle: float,
    interpolation: Any = _NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Any = None,
) -> Any:
    """Turned counter-clockwise by `angle` degrees.

    center   (x, y) of the point that stays, by default the middle of the image
    expand   make the image as large as the result needs, which holds for turns about the middle
    fill     what appears at the corners: a number, or one for each channel"""
    mode, angle = checked_interpolation(interpolation, "rotate"), _finite(angle, "rotate: angle")

    def of_planes(array: np.ndarray) -> np.ndarray:
        matrix = _inverse_affine(_from_centre(center, array), -angle, (0, 0), 1, (0, 0))
        size = planes.expanded_size(matrix, *array.shape[-2:]) if expand else None
        return planes.affine(array, matrix, mode, fill, size)

    return _by_kind("rotate", img, lambda x: pillow.rotate(x, angle, mode, expand, center, fill), of_planes)


def affine(
    img: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    interpolation: Any = _NEAREST,
    fill: Any = None,
    center: Sequence[float] | None = None,
) -> Any:
    """Sheared by `shear` degrees (x, y), scaled, turned clockwise by `angle` degrees, and moved by `translate` pixels
    (x, y); `center` and `fill` as for rotate."""
    mode, angle = checked_interpolation(interpolation, "affine"), _finite(angle, "affine: angle")
    shears, shift = numbers(shear, "affine: shear"), numbers(translate, "affine: translate")
    if len(shears) == 1:
        shears = shears * 2 if isinstance(shear, (tuple, list)) else (shears[0], 0.0)
    if len(shears) != 2 or len(shift) != 2 or not 0 < scale < math.inf:
        raise OptionError(
            f"affine: translate and shear are two numbers and scale is positive; got {translate!r}, {shear!r}, "
            f"{scale!r}"
        )

    def of_pillow(image: Any) -> Any:
        middle = (image.width / 2, image.height / 2) if center is None else numbers(center, "affine: center")
        return pillow.affine(image, _inverse_affine(middle, angle, shift, scale, shears), mode, fill)

    def of_planes(array: np.ndarray) -> np.ndarray:
        matrix = _inverse_affine(_from_centre(center, array), angle, shift, scale, shears)
        return planes.affine(array, matrix, mode, fill)

    return _by_kind("affine", img, of_pillow, of_planes)


def _from_centre(center: Sequence[float] | None, array: np.ndarray) -> tuple[float, ...]:
    """A point (x, y) counted from the middle of an image (..., H, W)."""
    if center is None:
        return 0.0, 0.0
    x, y = numbers(center, "center")
    return x - array.shape[-1] / 2, y - array.shape[-2] / 2


def _inverse_affine(
    centre: Sequence[float], angle: float, shift: Sequence[float], scale: float, shears: Sequence[float]
) -> tuple[float, ...]:
    """(a, b, c, d, e, f) that lead from a place in the result back to one in the image.

    Forward, p becomes centre + shift + M (p - centre), with M = scale R(angle) Y X, X = (1, -tan x; 0, 1) and
    Y = (1, 0; -tan y, 1) for the shears x and y; back, p becomes centre + M^-1 (p - centre - shift)."""
    turn, x, y = (math.radians(degrees) for degrees in (angle, *shears))
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    shear_y, shear_x = np.array([[1, 0], [-math.tan(y), 1]]), np.array([[1, -math.tan(x)], [0, 1]])
    back = np.linalg.inv(scale * rotation @ shear_y @ shear_x)
    offset = np.asarray(centre) - back @ (np.asarray(centre) + np.asarray(shift))
    (a, b), (d, e) = back.tolist()
    return a, b, float(offset[0]), d, e, float(offset[1])


def perspective(
    img: Any,
    startpoints: Sequence[Sequence[float]],
    endpoints: Sequence[Sequence[float]],
    interpolation: Any = _BILINEAR,
    fill: Any = None,
) -> Any:
    """The four `startpoints` (x, y) moved to `endpoints`, straight lines staying straight."""
    mode = checked_interpolation(interpolation, "perspective")
    coefficients = _perspective_coefficients(startpoints, endpoints)
    return _by_kind(
        "perspective",
        img,
        lambda image: pillow.perspective(image, coefficients, mode, fill),
        lambda array: planes.perspective(array, coefficients, mode, fill),
    )


def _perspective_coefficients(
    startpoints: Sequence[Sequence[float]], endpoints: Sequence[Sequence[float]]
) -> tuple[float, ...]:
    """(a, ..., h) that lead from places in the result back to the image: x (g u + h v + 1) = a u + b v + c, and
    y (g u + h v + 1) = d u + e v + f for each start (x, y) and end (u, v). Two equations for each of four points."""
    starts, ends = np.asarray(startpoints, np.float64), np.asarray(endpoints, np.float64)
    if starts.shape != (4, 2) or ends.shape != (4, 2):
        raise OptionError(f"perspective: four points (x, y) each are needed, got {startpoints!r} and {endpoints!r}")
    equations = []
    for (x, y), (u, v) in zip(starts, ends, strict=True):
        equations += [[u, v, 1, 0, 0, 0, -x * u, -x * v], [0, 0, 0, u, v, 1, -y * u, -y * v]]
    solution = np.linalg.lstsq(np.array(equations), starts.ravel(), rcond=None)[0]
    return tuple(solution.astype(np.float32).tolist())
