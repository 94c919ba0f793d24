"""Resizing: every output pixel is a mixture of the few input pixels around the place that it comes from.

The mixture is the product of one mixture per axis, so an image is resized along its height and then along its width,
each by an `AxisMap`. Places are measured between the centres of pixels: output i comes from (i + 1/2) · scale - 1/2,
scale = input size / output size. With align_corners, the centres of the outermost pixels stay where they are.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import OptionError
from ..types import Array, Gradients, Needs
from .axis_map import AxisMap, along
from .checks import MOST, check_arrays, is_integer, shape_error

MODES = ("nearest", "nearest-exact", "linear", "cubic", "area")


def resize_forward(
    x: Array,
    size: Sequence[int],
    mode: str = "nearest",
    align_corners: bool = False,
    scales: Sequence[float | None] | None = None,
    antialias: bool = False,
) -> tuple[Array, Any]:
    """y = x with its axes from the third on resized.   x (N, C, H, W), size (OH, OW)  ->  y (N, C, OH, OW), cache

    mode "nearest" and "nearest-exact" read one pixel (the first as OpenCV does, from i · scale rounded down), "linear"
    two and "cubic" four per axis (cubic convolution with A = -3/4); "area" is the mean of what an output pixel covers.
    `scales` are output / input, where they are known better than from the sizes. `antialias` widens "linear" and
    "cubic" (A = -1/2) where an image shrinks, so that every pixel counts. Any number of axes; one size for each.
    Raises ShapeError, OptionError, DtypeError."""
    maps = resize_maps(x, size, mode, align_corners, scales, antialias)
    y = x
    for axis, each in maps:
        y = along(y, axis, each)
    return y, maps


def resize_maps(
    x: Array,
    size: Sequence[int],
    mode: str = "nearest",
    align_corners: bool = False,
    scales: Sequence[float | None] | None = None,
    antialias: bool = False,
) -> list[tuple[int, AxisMap]]:
    """(axis, its map) for every axis that `resize_forward` resizes with these arguments. Raises what that does."""
    check_arrays("resize", x=x)
    if mode not in MODES:
        raise OptionError(f"resize: mode must be one of {', '.join(MODES)}, got {mode!r}")
    if antialias and mode not in ("linear", "cubic"):
        raise OptionError(f'resize: antialias goes with "linear" and "cubic", got {mode!r}')
    if x.ndim < 3 or len(size) != x.ndim - 2 or not all(is_integer(n) and 1 <= n <= MOST for n in size):
        raise shape_error("resize", f"one positive size for every axis after C is needed, got {size!r}", x=("(...)", x))
    if 0 in x.shape[1:]:
        raise shape_error("resize", "there is nothing to resize in an image without pixels", x=("(...)", x))
    if math.prod(size) > MOST:  # is there memory for the result? Its maps alone may take a good part of it
        np.empty((*x.shape[:2], *map(int, size)), x.dtype, like=x)
    scales = (None,) * len(size) if scales is None else scales
    precision = np.float64 if x.dtype.itemsize == 8 else np.float32  # whatever its byte order
    return [
        (2 + a, axis_map(x.shape[2 + a], int(size[a]), mode, align_corners, scales[a], antialias, precision))
        for a in range(len(size))
    ]


def resize_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dy (N, C, OH, OW)  ->  dx (N, C, H, W): every pixel gets from every output the share that it gave."""
    dx = dy
    for axis, each in reversed(cache):
        dx = along(dx, axis, each.transposed)
    return (dx,)


@functools.lru_cache(maxsize=128)
def axis_map(
    inputs: int, outputs: int, mode: str, align_corners: bool, scale: float | None, antialias: bool, precision: Any
) -> AxisMap:
    """The map of one axis. Places are computed in the `precision` of PyTorch: where one falls between two pixels
    exactly, a last bit decides which of them is read."""
    i = np.arange(outputs, dtype=precision)
    if align_corners:
        step = precision((inputs - 1) / (outputs - 1) if outputs > 1 else 0)
    else:
        step = precision(1 / scale if scale else inputs / outputs)
    if mode == "area":
        return even_windows(inputs, outputs)
    if antialias:
        return _antialiased(inputs, outputs, mode, step, align_corners)
    if mode in ("nearest", "nearest-exact"):
        half = precision(0.5 if mode == "nearest-exact" else 0)
        place = np.minimum(np.floor((i + half) * step).astype(np.int64), inputs - 1)
        return AxisMap(np.arange(outputs), place, None, outputs, inputs)
    place = i * step if align_corners else (i + precision(0.5)) * step - precision(0.5)
    offsets: tuple[int, ...]
    weights: tuple[np.ndarray, ...]
    if mode == "linear":
        place = i if inputs == outputs else np.maximum(place, 0)
        first = np.minimum(place.astype(np.int64), inputs - 1)
        t = np.clip(place - first, 0, 1)
        offsets, weights = (0, 1), (1 - t, t)
    else:
        first = np.floor(place).astype(np.int64)
        t = place - first
        offsets, weights = (-1, 0, 1, 2), tuple(cubic_kernel(abs(t - k), -0.75) for k in (-1, 0, 1, 2))
    return AxisMap(
        np.tile(np.arange(outputs), len(offsets)),
        np.concatenate([np.clip(first + k, 0, inputs - 1) for k in offsets]),
        np.concatenate(weights),
        outputs,
        inputs,
    )


def cubic_kernel(distance: np.ndarray, a: float) -> np.ndarray:
    """The kernel of cubic convolution (Keys, 1981): two cubics, joined smoothly at 1 and ending at 2."""
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


def _antialiased(inputs, outputs, mode, step, align_corners):
    """The kernel stretched by `step` where the image shrinks, and its weights brought to the sum 1."""
    stretch = max(float(step), 1.0)
    reach = (1 if mode == "linear" else 2) * stretch
    rows, columns, weights = [], [], []
    for i in range(outputs):
        centre = float(step) * (i + 0.5)
        first, end = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), inputs)
        places = np.arange(first, end)
        distance = abs(places - centre + 0.5) / stretch
        w = np.maximum(1 - distance, 0) if mode == "linear" else cubic_kernel(distance, -0.5)
        rows.append(np.full(len(places), i))
        columns.append(places)
        weights.append(w / w.sum())
    return AxisMap(np.concatenate(rows), np.concatenate(columns), np.concatenate(weights), outputs, inputs)


def even_windows(inputs: int, outputs: int) -> AxisMap:
    """Means over the windows floor(i·I/O) ... ceil((i+1)·I/O), as even as they can be."""
    i = np.arange(outputs)
    first, end = i * inputs // outputs, -(-(i + 1) * inputs // outputs)
    length = end - first
    rows = np.repeat(i, length)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(length) - length, length) + np.repeat(first, length)
    return AxisMap(rows, columns, 1 / np.repeat(length, length), outputs, inputs)
