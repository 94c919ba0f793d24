"""The forms of a function that end in an underscore: the same result, written over the tensor itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

import numpy as np

from ..errors import GraphError
from ..grad_mode import is_grad_enabled, no_grad
from ..tape import Variable, differentiable
from .conversion import cast
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


def both_unrecorded(
    function: Callable[Concatenate[Tensor, P], Tensor],
) -> tuple[Callable[Concatenate[Tensor, P], Tensor], Callable[Concatenate[Tensor, P], Tensor]]:
    """A function and its form in place, of which, as in PyTorch, the tape never hears: other numbers stand in x, a leaf
    or not, and the gradient is that of the numbers that stood there."""
    return function, no_grad()(in_place(function))


def both_flat(function: Callable[[Tensor, Any], Tensor]) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """A comparison, and its form in place, whose slope is 0 on both sides."""

    def flat(x: Tensor, other: Any) -> Tensor:
        truth = function(x, other)
        if not (isinstance(other, Variable) and other.requires_grad and x.array.dtype.kind == "f"):
            return truth
        return steps(x, cast(other, x.array.dtype), truth=truth.array.astype(x.dtype))

    return function, in_place(functools.wraps(function)(flat))


def _steps_forward(a, b, truth):
    return truth, (a.shape, b.shape)


def _steps_backward(dy, shapes, needs):
    return tuple(np.zeros_like(dy, shape=shape) for shape in shapes)


steps = differentiable(_steps_forward, _steps_backward)


def rearranged(
    name: str, function: Callable[Concatenate[Tensor, P], Tensor]
) -> Callable[Concatenate[Tensor, P], Tensor]:
    """`unsqueeze_` and its like: x looks at its own memory in another shape from now on. Returns x.

    Raises GraphError for a leaf that asks for a gradient, and where views of x exist, or x is one, while recording; and
    under no_grad for what was recorded, whose backward would meet a gradient of the new shape."""

    def changed(x: Tensor, *arguments: P.args, **options: P.kwargs) -> Tensor:
        y = function(x, *arguments, **options)
        if is_grad_enabled() and x.requires_grad and x.record is None:
            raise GraphError(f"{name}: a leaf that requires a gradient keeps its shape; write x.{name[:-1]}(...)")
        if is_grad_enabled() and (x.origin is not None or [v for v in (x.views or {}).values() if v is not y]):
            raise GraphError(f"{name}: others look at this memory; write x = x.{name[:-1]}(...)")
        if not is_grad_enabled() and x.record is not None:
            raise GraphError(f"{name}: x was recorded, and no_grad() would hide its new shape; use x.{name[:-1]}(...)")
        x.array, x.record = y.array, y.record
        return x

    changed.__name__ = changed.__qualname__ = name
    changed.__doc__ = f"`{name[:-1]}`, where the tensor itself takes on the new shape."
    return changed
