"""Ops that only move or repeat numbers: each backward moves them back, and adds up what was repeated."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import OptionError
from ..types import Array, Axes, Gradients, Needs
from .checks import axes_of, check_is_array, is_integer


def flip_forward(x: Array, axis: Axes) -> tuple[Array, Any]:
    """y = x read backwards along `axis` (one or several).   ->  y, cache"""
    check_is_array("flip", "x", x)
    axes = axes_of("flip", x, axis)
    backwards = tuple(slice(None, None, -1) if a in axes else slice(None) for a in range(x.ndim))
    return x[backwards].copy(), backwards


def flip_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy read backwards along the same axes."""
    return (dy[cache].copy(),)


def roll_forward(x: Array, shifts: Sequence[int], axis: Sequence[int]) -> tuple[Array, Any]:
    """y = x moved on by `shifts` along `axis` (one shift for each); what leaves at one end enters at the other.

    ->  y, cache. Raises OptionError, ShapeError."""
    check_is_array("roll", "x", x)
    shifts, axes = tuple(shifts), axes_of("roll", x, axis)
    if not shifts:
        raise OptionError("roll: there must be a shift")
    if len(shifts) != len(axes) or not all(map(is_integer, shifts)):
        raise OptionError(f"roll: there must be one whole shift for each axis, got {shifts} for {axes}")
    return np.roll(x, shifts, axes), (shifts, axes)


def roll_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy moved back."""
    shifts, axes = cache
    return (np.roll(dy, tuple(-s for s in shifts), axes),)


def repeat_forward(x: Array, repeats: Sequence[int]) -> tuple[Array, Any]:
    """y = x laid side by side, repeats[i] times along axis i; axes that x lacks are added in front.   ->  y, cache

    Raises OptionError."""
    check_is_array("repeat", "x", x)
    repeats = tuple(repeats)
    if len(repeats) < x.ndim or not all(is_integer(n) and n >= 0 for n in repeats):
        raise OptionError(
            f"repeat: one number, 0 or more, for each of the {x.ndim} axes is needed (more add axes in front), "
            f"got {repeats} for {tuple(x.shape)}"
        )
    return np.tile(x, repeats), (x.shape, repeats)


def repeat_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = the sum of dy over all repetitions."""
    shape, repeats = cache
    full = (1,) * (len(repeats) - len(shape)) + tuple(shape)
    split = [n for pair in zip(repeats, full, strict=True) for n in pair]  # (R0, N0, R1, N1, ...)
    return (dy.reshape(split).sum(axis=tuple(range(0, len(split), 2))).reshape(shape),)
