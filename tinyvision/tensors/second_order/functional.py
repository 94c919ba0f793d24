"""PyTorch's `torch.autograd.functional`: Jacobians, Hessians, and their products with vectors, of functions of tensors.

All go through the backward, a row at a time, so that `vectorize` and `strategy` of PyTorch's change nothing here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import GraphError, OptionError, ShapeError
from ...grad_mode import enable_grad
from ...tape import Variable
from ..arranging import stack
from . import gradients

__all__ = ["hessian", "hvp", "jacobian", "vhp", "vjp"]


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """∂y / ∂x of shape (*y, *x); for several inputs a tuple of them, for several outputs a tuple of those.

    With strict, what does not depend on an input is a GraphError, and else 0."""
    xs, one_in = _taken("jacobian", inputs, create_graph)
    ys, one_out = _called("jacobian", func, xs)
    rows = [_stacked([_slopes("jacobian", [y], [u], xs, strict) for u in _units(y)], y, xs) for y in ys]
    found = [_given([_free(x, create_graph) for x in row], one_in) for row in rows]
    return _given(found, one_out)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """∂²y / ∂x∂x of a single number y, of shape (*x, *x); for several inputs a tuple of tuples, one for each pair."""
    one_in = isinstance(inputs, Variable)

    def slopes(*xs: Any) -> Any:
        (y,), _ = _called("hessian", func, xs, single=True)
        return tuple(_slopes("hessian", [y], [None], xs, strict))

    found = jacobian(slopes, inputs if one_in else tuple(inputs), create_graph, strict)
    return found[0] if one_in else found


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(y, vᵀ ∂y/∂x): what a backward that starts with v gives. Raises ShapeError for a v unlike y."""
    xs, one_in = _taken("vjp", inputs, create_graph)
    ys, one_out = _called("vjp", func, xs)
    found = _slopes("vjp", ys, _vectors("vjp", v, ys), xs, strict)
    return (
        _given([_free(y, create_graph) for y in ys], one_out),
        _given([_free(x, create_graph) for x in found], one_in),
    )


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(y, H v) of a single number y, with H its Hessian, which is never built. Raises ShapeError for a v unlike x."""
    xs, one_in = _taken("hvp", inputs, create_graph)
    (y,), _ = _called("hvp", func, xs, single=True)
    vectors = _vectors("hvp", v, xs)
    first = _slopes("hvp", [y], [None], xs, strict)
    found = _slopes("hvp", first, vectors, xs, strict)
    return _free(y, create_graph), _given([_free(x, create_graph) for x in found], one_in)


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """(y, vᵀ H): a Hessian is symmetric, so that it is what `hvp` gives."""
    return hvp(func, inputs, v, create_graph, strict)


def _taken(name, inputs, create_graph):
    """The inputs as tensors whose gradients are wanted, in the graph that they are in or out of it."""
    one = isinstance(inputs, Variable)
    xs: list[Any] = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    for x in xs:
        if not isinstance(x, Variable):
            raise OptionError(f"{name}: inputs must be a tensor or a tuple of them, got a {type(x).__name__}")
    with enable_grad():
        return [x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in xs], one


def _called(name, func, xs, single=False):
    with enable_grad():
        found = func(*xs)
    one = isinstance(found, Variable)
    ys: list[Any] = [found] if one else list(found)
    if single and (len(ys) != 1 or ys[0].numel() != 1):
        raise GraphError(f"{name}: the function must give a single number, got {[tuple(y.shape) for y in ys]}")
    return ys, one


def _slopes(name: str, ys: Sequence[Any], us: Sequence[Any], xs: Sequence[Any], strict: bool) -> list[Any]:
    roots = [(y, u) for y, u in zip(ys, us, strict=True) if y.requires_grad]
    met = gradients(roots, retain_graph=True) if roots else {}
    found = [met.get(id(x.record or x), (None, None))[1] for x in xs]
    if strict and any(g is None for g in found):
        raise GraphError(f"{name}: strict=True, and the function does not depend on one of its inputs")
    return [x.like(np.zeros_like(x.array)) if g is None else g for g, x in zip(found, xs, strict=True)]


def _units(y):
    """For each number of y what a backward starts with that is to see it alone."""
    for place in range(y.numel()):
        unit = np.zeros_like(y.array, order="C")
        unit.reshape(-1)[place] = 1
        yield y.like(unit)


def _stacked(rows, y, xs):
    """For each input, the gradients of all numbers of y, (*y, *x)."""
    with enable_grad():
        columns = zip(*rows, strict=True) if rows else [() for _ in xs]
        return [_joined(column, x).reshape(*y.shape, *x.shape) for column, x in zip(columns, xs, strict=True)]


def _joined(column, x):
    return stack(list(column)) if column else x.like(np.zeros_like(x.array, shape=(0, *x.shape)))


def _vectors(name, v, values):
    if v is None:
        if any(x.numel() != 1 for x in values):
            raise ShapeError(f"{name}: v is needed where there is more than a single number")
        return [x.like(np.ones_like(x.array)) for x in values]
    given: list[Any] = [v] if isinstance(v, Variable) else list(v)
    shapes = [[tuple(x.shape) for x in several] for several in (given, values)]
    if shapes[0] != shapes[1]:
        raise ShapeError(f"{name}: v has the shapes {shapes[0]}, where {shapes[1]} are needed")
    return given


def _free(x, create_graph):
    return x if create_graph else x.detach()


def _given(found, one):
    return found[0] if one else tuple(found)
