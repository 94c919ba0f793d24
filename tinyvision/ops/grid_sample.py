"""Sampling: every output pixel says where in the image it is read (Jaderberg et al., "Spatial transformers", 2015).

Along each axis a place reads a few neighbouring pixels with weights that depend on it; the pixel's value is the sum of
the products of both axes' weights. So with the weights' derivatives, both gradients are such sums again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import OptionError
from ..types import Array, Gradients, Needs
from .checks import as_array, check_arrays, shape_error
from .shape import index_backward

SAMPLING_MODES = ("bilinear", "nearest", "bicubic")
PADDING_MODES = ("zeros", "border", "reflection")
_CUBIC = -0.75  # the free constant of cubic convolution, as PyTorch has it
_NOWHERE = -100.0  # stands for places that no integer can name; outside of every image


@dataclass
class _Axis:
    """What an axis contributes: for every tap the pixel, whether there is one, its weight and the weight's slope."""

    pixels: list[Array]
    inside: list[Array]
    weights: list[Array]
    slopes: list[Array]


def grid_sample_forward(
    x: Array, grid: Array, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool = False
) -> tuple[Array, Any]:
    """y[n, :, i, j] = x[n] at the place grid[n, i, j].

    x (N, C, H, W), grid (N, OH, OW, 2)  ->  y (N, C, OH, OW), cache

    A place is (across, down), each from -1 to 1 over the whole image: to the outer edges of its pixels, or with
    align_corners to their centres. mode reads one pixel ("nearest"), two ("bilinear") or four ("bicubic") per axis.
    padding_mode says what lies outside: zeros, the pixel at the border, or the image mirrored there.
    Raises ShapeError, OptionError, DtypeError, DeviceError."""
    check_arrays("grid_sample", x=x, grid=grid)
    if mode not in SAMPLING_MODES or padding_mode not in PADDING_MODES:
        raise OptionError(
            f"grid_sample: mode is one of {', '.join(SAMPLING_MODES)}, padding_mode one of {', '.join(PADDING_MODES)}, "
            f"got {mode!r} and {padding_mode!r}"
        )
    if x.ndim != 4 or grid.ndim != 4 or grid.shape[0] != x.shape[0] or grid.shape[3] != 2 or 0 in x.shape[1:]:
        raise shape_error(
            "grid_sample", "an image with pixels and a grid of places (across, down) are needed",
            x=("(N, C, H, W)", x), grid=("(N, OH, OW, 2)", grid),
        )  # fmt: skip
    across, down = (_axis(grid[..., a], x.shape[3 - a], mode, padding_mode, bool(align_corners)) for a in (0, 1))
    y = np.zeros_like(x, shape=(x.shape[0], *grid.shape[1:3], x.shape[1]))
    for v, value, w in _taps(x, down, across):
        y += (down.weights[v] * across.weights[w])[..., None] * value
    return as_array(np.moveaxis(y, 3, 1).copy(order="C")), (x, across, down)


def grid_sample_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """Pixels get dy times the weight they were read with; a place gets Σ dy · x · the slope of that weight.

    dy (N, C, OH, OW)  ->  dx (N, C, H, W), dgrid (N, OH, OW, 2)"""
    x, across, down = cache
    dy = np.moveaxis(dy, 1, 3)
    dx = dgrid = None
    if needs[0]:
        N, C, H, W = x.shape
        dx = np.zeros_like(x, shape=(N, H, W, C))
        images = np.arange(N, like=x).reshape(-1, 1, 1)
        for v in range(len(down.pixels)):
            for w in range(len(across.pixels)):
                weight = down.weights[v] * across.weights[w] * (down.inside[v] & across.inside[w])
                places = (images, down.pixels[v], across.pixels[w])
                dx += index_backward((weight[..., None] * dy).astype(x.dtype, copy=False), (dx.shape, places))[0]
        dx = np.moveaxis(dx, 3, 1).copy(order="C")
    if needs[1]:
        dgrid = np.zeros_like(dy, shape=(*dy.shape[:3], 2))
        for v, value, w in _taps(x, down, across):
            share = (dy * value).sum(-1)
            dgrid[..., 0] += share * down.weights[v] * across.slopes[w]
            dgrid[..., 1] += share * down.slopes[v] * across.weights[w]
    return dx, None if dgrid is None else dgrid.astype(dy.dtype, copy=False)


def _taps(x, down, across):
    """(tap down, the pixels (N, OH, OW, C) that it reads with one across, that tap), zeros where there is no pixel."""
    images = np.arange(x.shape[0], like=x).reshape(-1, 1, 1)
    for v in range(len(down.pixels)):
        for w in range(len(across.pixels)):
            value = np.moveaxis(x, 1, 3)[images, down.pixels[v], across.pixels[w]]
            yield v, np.where((down.inside[v] & across.inside[w])[..., None], value, 0), w


def _axis(place, size, mode, padding_mode, align_corners):
    """The taps of one axis of `size` pixels at places from -1 to 1."""
    place = place.astype(np.float32) if place.dtype.itemsize == 2 else place  # half's 11 bits name no pixel exactly
    per_unit = (size - 1) / 2 if align_corners else size / 2
    pixel = (place + 1) * per_unit - (0 if align_corners else 0.5)  # in pixels, the first one's centre at 0
    if mode == "bicubic":
        first, slope = np.floor(np.where(np.isfinite(pixel), pixel, _NOWHERE)), per_unit
        t = pixel - first
        offsets = (-1, 0, 1, 2)
        weights = [_cubic(abs(t - k)) for k in offsets]
        slopes = [_cubic_slope(abs(t - k)) * np.sign(t - k) * slope for k in offsets]
        taps = [_padded(first + k, size, padding_mode, align_corners)[0] for k in offsets]
    else:
        pixel, slope = _padded(pixel, size, padding_mode, align_corners)
        if mode == "nearest":
            taps, weights, slopes = [np.rint(pixel)], [np.ones_like(pixel)], [np.zeros_like(pixel)]
        else:
            first = np.floor(pixel)
            taps, weights = [first, first + 1], [first + 1 - pixel, pixel - first]
            slopes = [-slope * per_unit, slope * per_unit]
    inside = [(tap >= 0) & (tap < size) for tap in taps]
    pixels = [np.clip(tap, 0, size - 1).astype(np.int64) for tap in taps]
    return _Axis(pixels, inside, weights, slopes)


def _padded(pixel, size, padding_mode, align_corners):
    """(the place inside that stands for `pixel`, its slope there). The border itself counts as outside."""
    slope = np.ones_like(pixel)
    if padding_mode == "reflection":
        low, high = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)
        span = high - low
        away = pixel - low
        slope = np.where(away < 0, -slope, slope)
        if span:
            turns = np.floor(abs(away) / span)
            rest = abs(away) - turns * span
            odd = turns % 2 == 1
            pixel, slope = np.where(odd, span - rest, rest) + low, np.where(odd, -slope, slope)
        else:
            pixel, slope = np.zeros_like(pixel), np.zeros_like(slope)
    if padding_mode != "zeros":
        slope = np.where((pixel > 0) & (pixel < size - 1), slope, 0)
        pixel = np.minimum(np.maximum(pixel, 0), size - 1)
    return np.where(abs(pixel) < 2.0**31, pixel, _NOWHERE).astype(pixel.dtype), slope.astype(pixel.dtype)


def _cubic(distance):
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance * distance + 1
    far = ((distance - 5) * distance + 8) * distance * _CUBIC - 4 * _CUBIC
    return np.where(distance <= 1, near, far)


def _cubic_slope(distance):
    near = (3 * (_CUBIC + 2) * distance - 2 * (_CUBIC + 3)) * distance
    far = ((3 * distance - 10) * distance + 8) * _CUBIC
    return np.where(distance <= 1, near, far)
