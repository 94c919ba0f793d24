"""The forms of a function that end in an underscore: the same result, written over the tensor itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec

import numpy as np

from ..errors import DtypeError, ShapeError
from ..grad_mode import no_grad

if TYPE_CHECKING:
    from .tensor import Tensor

P = ParamSpec("P")


def both(
    function: Callable[Concatenate[Tensor, P], Tensor],
) -> tuple[Callable[Concatenate[Tensor, P], Tensor], Callable[Concatenate[Tensor, P], Tensor]]:
    """A function of a tensor, and its form in place: `sin, sin_ = both(elementwise.sin)`."""
    return function, in_place(function)


def in_place(function: Callable[Concatenate[Tensor, P], Tensor]) -> Callable[Concatenate[Tensor, P], Tensor]:
    """`function_(x, ...)` writes what `function(x, ...)` returns into x, and returns x.

    Raises ShapeError or DtypeError if it does not fit there."""
    name = f"{function.__name__}_"

    @functools.wraps(function)
    def changed(x: Tensor, *arguments: P.args, **options: P.kwargs) -> Tensor:
        x._check_in_place(name)
        with no_grad():
            result = function(x, *arguments, **options)
        if result.shape != x.shape:
            raise ShapeError(f"{name}: the result is {result.shape}, which does not fit into {x.shape}")
        if not np.can_cast(result.dtype, x.dtype, "same_kind"):
            raise DtypeError(f"{name}: the result is {result.dtype}, which does not go into a tensor of {x.dtype}")
        return x.copy_(result)

    changed.__name__ = changed.__qualname__ = name
    changed.__doc__ = f"{function.__doc__} In place."
    return changed
