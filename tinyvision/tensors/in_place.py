"""The forms of a function that end in an underscore: the same result, written over the tensor itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec

from .writing import update

if TYPE_CHECKING:
    from .tensor import Tensor

P = ParamSpec("P")


def both(
    function: Callable[Concatenate[Tensor, P], Tensor],
) -> tuple[Callable[Concatenate[Tensor, P], Tensor], Callable[Concatenate[Tensor, P], Tensor]]:
    """A function of a tensor, and its form in place: `sin, sin_ = both(elementwise.sin)`."""
    return function, in_place(function)


def in_place(function: Callable[Concatenate[Tensor, P], Tensor]) -> Callable[Concatenate[Tensor, P], Tensor]:
    """`function_(x, ...)` writes what `function(x, ...)` returns into x, and returns x (see `writing.update`)."""
    name = f"{function.__name__}_"

    @functools.wraps(function)
    def changed(x: Tensor, *arguments: P.args, **options: P.kwargs) -> Tensor:
        return update(name, x, function, *arguments, **options)

    changed.__name__ = changed.__qualname__ = name
    changed.__doc__ = f"{function.__doc__} In place."
    return changed
