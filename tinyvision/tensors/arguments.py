"""Shapes and axes as people write them, `f(2, 3)` or `f((2, 3))`, `dim=-1`, as tuples and numbers counted from 0."""

import functools
import inspect
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from ..errors import OutOfMemoryError, ShapeError
from ..ops.checks import is_integer
from ..types import Shape

P = ParamSpec("P")
R = TypeVar("R")
Kind = TypeVar("Kind", bound=type)

MOST_NUMBERS = 2**63 // 16 - 1  # NumPy can count their bytes, whatever their dtype

NUMPYS_NAMES = {"axis": "dim", "keepdims": "keepdim"}
NAMES_OF_THE_FIRST = ("input", "x", "a", "x1", "self")


def takes_numpys_names(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, which then also takes `axis` for `dim` and `keepdims` for `keepdim`, as PyTorch's functions do."""

    @functools.wraps(function)
    def renamed(*arguments: P.args, **options: P.kwargs) -> R:
        for theirs, ours in NUMPYS_NAMES.items():
            if theirs in options and ours not in options:
                options[ours] = options.pop(theirs)
        return function(*arguments, **options)

    return renamed


def whose_methods_take_numpys_names(kind: Kind) -> Kind:
    """A class, all of whose methods that have a `dim` take NumPy's names too."""
    for name, method in list(vars(kind).items()):
        if inspect.isfunction(method) and "dim" in inspect.signature(method).parameters:
            setattr(kind, name, takes_numpys_names(method))
    return kind


def shape_of(shape: Sequence[Any]) -> Shape:
    """The sizes given as `f(2, 3)` or as `f((2, 3))`, as a tuple of integers. Raises ShapeError."""
    shape = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    try:
        return tuple(operator.index(n) for n in shape)
    except TypeError:
        raise ShapeError(f"a shape is made of integers, got {tuple(shape)}") from None


def new_shape(shape: Sequence[Any]) -> Shape:
    """`shape_of` for a tensor that is to be made, where no size is negative. Raises ShapeError, OutOfMemoryError."""
    sizes = shape_of(shape)
    if any(n < 0 for n in sizes):
        raise ShapeError(f"a new tensor cannot have the shape {sizes}: a size is 0 or more")
    if math.prod(n or 1 for n in sizes) > MOST_NUMBERS:
        raise OutOfMemoryError(f"a new tensor cannot have the shape {sizes}: no memory has room for so many numbers")
    return sizes


def axis_of(what: str, dim: Any, ndim: int) -> int:
    """`dim` counted from 0, among `ndim` axes."""
    if not is_integer(dim) or not -ndim <= dim < ndim:
        raise ShapeError(f"{what}: there is no axis {dim!r}; a tensor with {ndim} axes here has {-ndim} to {ndim - 1}")
    return int(dim) % ndim


def numbers_first(name: str, numbers: int, tensors: int, arguments: Sequence[Any]) -> tuple[Any, ...]:
    """The arguments of a call in PyTorch's older order, `x.add_(2, y)` for `x.add_(y, alpha=2)`: so many numbers, then
    so many tensors. Raises TypeError where they are not that."""
    plain = [isinstance(a, (int, float)) for a in arguments]
    if plain != [True] * numbers + [False] * tensors:
        raise TypeError(f"{name}(): expected {tensors} tensors, or {numbers} numbers and then {tensors} tensors")
    return tuple(arguments)
