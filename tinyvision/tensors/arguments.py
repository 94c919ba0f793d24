"""Shapes and axes as people write them, `f(2, 3)` or `f((2, 3))`, `dim=-1`, as tuples and numbers counted from 0."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..types import Shape


def shape_of(shape: Sequence[Any]) -> Shape:
    """The sizes given as `f(2, 3)` or as `f((2, 3))`, as a tuple of integers. Raises ShapeError."""
    shape = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    try:
        return tuple(operator.index(n) for n in shape)
    except TypeError:
        raise ShapeError(f"a shape is made of integers, got {tuple(shape)}") from None


def new_shape(shape: Sequence[Any]) -> Shape:
    """`shape_of` for a tensor that is to be made, where no size is negative. Raises ShapeError."""
    sizes = shape_of(shape)
    if any(n < 0 for n in sizes):
        raise ShapeError(f"a new tensor cannot have the shape {sizes}: a size is 0 or more")
    return sizes


def axis_of(what: str, dim: Any, ndim: int) -> int:
    """`dim` counted from 0, among `ndim` axes."""
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or not -ndim <= dim < ndim:
        raise ShapeError(f"{what}: there is no axis {dim!r}; a tensor with {ndim} axes here has {-ndim} to {ndim - 1}")
    return int(dim) % ndim
