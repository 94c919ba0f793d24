"""Padding: more numbers at both ends of the last axes, or, where a padding is negative, fewer."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import OptionError, ShapeError
from ..types import Array, Gradients, Needs
from .axis_map import AxisMap, along
from .checks import check_arrays, check_is_array, is_integer

MODES = ("constant", "reflect", "replicate", "circular")


def pad_forward(x: Array, padding: Sequence[int], mode: str = "constant", value: float = 0.0) -> tuple[Array, Any]:
    """y = x with a border around its last axes; padding is (left, right, top, bottom, ...), the last axis first.

    mode "constant" fills the border with `value`; "reflect" mirrors x at its outermost numbers, "replicate" repeats
    those, "circular" goes on at the other end. A negative padding cuts off.   ->  y, cache

    Raises OptionError, ShapeError."""
    ends = ends_of(x, padding, mode)
    if mode == "constant":
        return _constant(x, ends, value)
    check_arrays("pad", x=x)
    y, maps = x, border_maps(x, ends, mode)
    for axis, each in maps:
        y = along(y, axis, each)
    return (y if maps else x.copy()), maps


def ends_of(x: Array, padding: Sequence[int], mode: str) -> dict[int, tuple[int, int]]:
    """What `pad_forward` adds before and behind each axis. Raises OptionError, ShapeError, DtypeError."""
    check_is_array("pad", "x", x)
    if mode not in MODES:
        raise OptionError(f"pad: mode must be one of {', '.join(MODES)}, got {mode!r}")
    if len(padding) % 2 or not all(is_integer(n) for n in padding):
        raise OptionError(
            f"pad: padding must be integers in pairs (left, right, top, bottom, ...), the last axis first, "
            f"got {padding!r}"
        )
    if x.ndim < len(padding) // 2:
        raise ShapeError(f"pad: {padding!r} pads {len(padding) // 2} axes, but x is {tuple(x.shape)}")
    ends = {x.ndim - 1 - k: (padding[2 * k], padding[2 * k + 1]) for k in range(len(padding) // 2)}
    for axis, (before, after) in ends.items():
        _check_fits(x, axis, before, after, mode)
    return ends


def border_maps(x: Array, ends: dict[int, tuple[int, int]], mode: str) -> list[tuple[int, AxisMap]]:
    """(axis, its map) for every axis that is padded in a mode other than "constant"."""
    return [(axis, _border_map(x.shape[axis], *ends[axis], mode)) for axis in ends]


def pad_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy without the border; of a border that repeats numbers of x, each gets what its copies say as well."""
    if isinstance(cache, list):
        dx = dy
        for axis, each in reversed(cache):
            dx = along(dx, axis, each.transposed)
        return (dx if cache else dy.copy(),)
    shape, source, target = cache
    if dy[target].shape == tuple(shape):
        return (dy[target].copy(order="K"),)
    dx = np.zeros_like(dy, shape=shape)
    dx[source] = dy[target]
    return (dx,)


def _check_fits(x, axis, before, after, mode):
    size = x.shape[axis]
    if size + before + after < 0 or (size + before + after == 0 and size):
        raise ShapeError(f"pad: {before} and {after} leave nothing of the {size} numbers along axis {axis}")
    most = {"reflect": size - 1, "circular": size}.get(mode)
    if most is not None and max(before, after) > most:
        raise ShapeError(
            f"pad: mode {mode!r} can add at most {most} to the {size} numbers along axis {axis} of {tuple(x.shape)}, "
            f"got {before} and {after}"
        )
    if mode == "replicate" and not size:
        raise ShapeError(f"pad: there is nothing to replicate along axis {axis} of {tuple(x.shape)}")


def _constant(x, ends, value):
    shape, source, target = list(x.shape), [slice(None)] * x.ndim, [slice(None)] * x.ndim
    for axis, (before, after) in ends.items():
        size = x.shape[axis]
        shape[axis] = size + before + after
        source[axis] = slice(max(0, -before), size - max(0, -after))
        target[axis] = slice(max(0, before), shape[axis] - max(0, after))
    source, target = tuple(source), tuple(target)
    if x.ndim == 4 and x.transpose(0, 2, 3, 1).flags.c_contiguous:  # the order in memory stays as it is
        N, C, H, W = shape
        y = np.full_like(x, value, shape=(N, H, W, C), order="C").transpose(0, 3, 1, 2)
    else:
        y = np.full_like(x, value, shape=shape, order="C")
    y[target] = x[source]
    return y, (tuple(x.shape), source, target)


@functools.lru_cache(maxsize=128)
def _border_map(size, before, after, mode):
    """Which number of x stands at every place of y."""
    place = np.arange(-before, size + after)
    if mode == "circular":  # PyTorch cuts off first, and goes on at the other end of what is left
        first, rest = max(-before, 0), size + min(before, 0) + min(after, 0)
        place = first + (place - first) % rest
    elif mode == "replicate":
        place = np.clip(place, 0, size - 1)
    else:
        place = np.abs(place)
        place = np.where(place < size, place, 2 * (size - 1) - place)
    return AxisMap(np.arange(len(place)), place, None, len(place), size)
