"""Ops whose backward is linear in what it keeps, too: then nothing has to be differentiated.

The gradient of y = A x is dx = Aᵀ dy, and that of this, Aᵀ being as linear as A, is d(dy) = A d(dx): the backward's own
backward is the forward. What is piecewise linear, as a ReLU, multiplies each number by a slope, D = Dᵀ: its backward is
its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...errors import GraphError
from ...ops.shape import index_backward, index_forward
from ...ops.write import write_forward
from ...tape import differentiable
from ...types import Array
from .. import in_place, taped
from ..elementwise import rounded_down, rounded_to_0
from ..reductions import counted
from ..writing import write
from .calls import AGAIN, Call, again, rule


class Map(NamedTuple):
    """A linear map and its transpose."""

    there: Callable[[Array], Array]
    back: Callable[[Array], Array]


def _mapped_forward(x, by):
    return np.asarray(by.there(x), like=x), by


def _mapped_backward(dy, by, needs=(True,)):
    dx = by.back(dy)
    return (dx.copy() if np.may_share_memory(dx, dy) else dx,)


mapped = differentiable(_mapped_forward, _mapped_backward, reads=((),), linear=True)

# y[i] = x[i] · what is kept, in each of them; of the steps, nothing is.
DIAGONAL = (
    taped.relu, taped.relu6, taped.leaky_relu, taped.hardtanh, taped.clamp, taped.threshold, taped.hardsigmoid,
    taped.abs, taped.steps, taped.dropout,
)  # fmt: skip


def sum_to(dy: Any, shape: Any) -> Any:
    """Undo broadcasting: dy summed over the axes along which an operand of `shape` was repeated."""
    if tuple(dy.shape) == tuple(shape):
        return dy
    extra = dy.ndim - len(shape)
    repeated = [extra + i for i, n in enumerate(shape) if n == 1 and dy.shape[extra + i] != 1]
    return taped.sum(dy, axis=(*range(extra), *repeated), keepdims=True).reshape(shape)


def of_first(dy: Any, call: Call) -> list[Any]:
    """The rule of a linear op of one array: the backward, whose own backward is the forward."""
    back = call.back(0)
    op, options, cache = call.op, call.options, call.cache
    rest = call.constants[1:] if op not in AGAIN else []
    forth = lambda g: again(op, options, cache, [g, *rest])  # noqa: E731
    return [mapped(dy, by=Map(back, forth))]


@rule(mapped)
def _mapped(dy, call):
    by = call.options["by"]
    return [mapped(dy, by=Map(by.back, by.there))]


@rule(*DIAGONAL)
def _diagonal(dy, call):
    times_slope = call.back(0)
    return [mapped(dy, by=Map(times_slope, times_slope))]


@rule(in_place.steps, rounded_down, rounded_to_0, counted)
def _flat(dy, call):
    """Nothing comes through, now or later."""
    return [
        dy.like(np.zeros_like(dy.array, shape=call.shape(i))) if need else None for i, need in enumerate(call.needs)
    ]


@rule(taped.add)
def _add(dy, call):
    return call.each(lambda: sum_to(dy, call.shape(0)), lambda: sum_to(dy, call.shape(1)))


@rule(taped.sub)
def _sub(dy, call):
    return call.each(lambda: sum_to(dy, call.shape(0)), lambda: sum_to(-dy, call.shape(1)))


@rule(taped.concatenate)
def _concatenate(dy, call):
    sizes, axis = call.cache
    ends = np.cumsum([0, *sizes])
    places = [(slice(None),) * axis + (slice(int(a), int(b)),) for a, b in itertools.pairwise(ends)]
    return call.each(*(partial(taped.index, dy, index=place) for place in places))


@rule(taped.where)
def _where(dy, call):
    condition, zero = call.cache[2], dy.like(np.zeros_like(dy.array))
    return call.each(
        lambda: sum_to(taped.where(dy, zero, condition=condition), call.shape(0)),
        lambda: sum_to(taped.where(zero, dy, condition=condition), call.shape(1)),
    )


@rule(taped.pad)
def _pad(dy, call):
    border = {**call.options, "value": 0.0}
    return [mapped(dy, by=Map(call.back(0), lambda g: taped.pad(g, **border)))]


@rule(taped.gather)
def _gather(dy, call):
    places = call.cache[1]
    return [mapped(dy, by=Map(call.back(0), lambda g: np.asarray(g[places], like=g)))]


@rule(taped.scatter, taped.scatter_add)
def _scatter(dy, call):
    kept, (places, part, _) = call.back(0), call.cache
    shape = tuple(dy.shape)
    put = lambda g: index_backward(g[part], (shape, places))[0]  # noqa: E731
    return call.each(lambda: mapped(dy, by=Map(kept, kept)), lambda: mapped(dy, by=Map(call.back(1), put)))


@rule(write)
def _write(dy, call):
    """0 where something was written over, and for what was written the place itself."""
    kept, (look, index, *_), shape = call.back(0), call.cache, tuple(dy.shape)

    def put(g):
        y = np.zeros_like(g, shape=shape)
        look(y)[index] = g
        return y

    return call.each(lambda: mapped(dy, by=Map(kept, kept)), lambda: mapped(dy, by=Map(call.back(1), put)))


def _written(cache, x, value):
    if x is None:
        raise GraphError("create_graph=True: what was written over is not known any more; write into a .clone()")
    return write_forward(x, value, *cache[:2])[0]


AGAIN[write] = _written
AGAIN[taped.dropout] = lambda factor, x, mask: taped.dropout.backward(x, factor)[0]
AGAIN[taped.where] = lambda cache, a, b: np.where(cache[2], a, b)
AGAIN[taped.index] = lambda cache, x: index_forward(x, cache[1])[0]
