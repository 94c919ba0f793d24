"""Reductions that are no sums: each spreads dy over what it has looked at, by a slope that depends on the numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import GraphError
from ...ops.checks import axes_of, one_axis
from .. import taped
from .calls import Call, rule
from .elementwise import where


def _axes(call, shape):
    return axes_of(call.op.__name__, np.empty(shape), call.options.get("axis"))


def kept_axes(dy: Any, call: Call) -> Any:
    """dy, or the result, with the axes that the reduction took away, of size 1."""
    shape, axes = call.shape(0), _axes(call, call.shape(0))
    return dy.reshape([1 if i in axes else n for i, n in enumerate(shape)])


@rule(taped.max)
def _max(dy, call):
    share = call.back(0)(np.ones_like(dy.array))  # which of them is the largest, or are
    return [kept_axes(dy, call) * dy.like(share)]


def _centred(call):
    """(x less its mean, by what the squares are divided)"""
    x, axes = call.input(0), _axes(call, call.shape(0))
    count = math.prod(x.shape[a] for a in axes) - call.options.get("correction", 1)
    return x - taped.mean(x, axis=axes, keepdims=True), max(count, 0)


@rule(taped.var)
def _var(dy, call):
    centred, count = _centred(call)
    return [kept_axes(dy, call) * centred * (2 / count if count else math.nan)]


@rule(taped.std)
def _std(dy, call):
    centred, count = _centred(call)
    y = kept_axes(call.output, call)
    slope = kept_axes(dy, call) / (y * count)
    return [where(y.array == 0, slope * 0, slope) * centred]


@rule(taped.norm)
def _norm(dy, call):
    x, p = call.input(0), call.options.get("p", 2)
    dy = kept_axes(dy, call)
    if p == 1:
        return [dy * x.sign()]
    y = kept_axes(call.output, call)
    flat = y.array == 0
    y = where(flat, y * 0 + 1, y)  # where the slope is taken as 0, nothing is divided by 0
    if p == 2:
        return [x * where(flat, dy * 0, dy / y)]
    share = x.sign() * x.abs() ** (p - 1) * (dy / y ** (p - 1))
    return [where(flat if p >= 1 else x.array == 0, share * 0, share)]


@rule(taped.logsumexp)
def _logsumexp(dy, call):
    return [kept_axes(dy, call) * (call.input(0) - kept_axes(call.output, call)).exp()]


@rule(taped.prod)
def _prod(dy, call):
    """The product of all others is a product too: of a row in which the one is replaced by 1."""
    x, axes = call.input(0), _axes(call, call.shape(0))
    dy = kept_axes(dy, call)
    if bool((x.array != 0).all()):
        return [dy * kept_axes(call.output, call) / x]
    kept = [a for a in range(x.ndim) if a not in axes]
    order, count = [*kept, *axes], math.prod(x.shape[a] for a in axes)
    rows = taped.transpose(x, axes=order).reshape(*(x.shape[a] for a in kept), 1, count)
    one = np.eye(count, dtype=bool)
    others = taped.prod(where(np.asarray(one, like=x.array), rows * 0 + 1, rows), axis=-1)
    others = others.reshape([x.shape[a] for a in order])
    return [dy * taped.transpose(others, axes=[order.index(a) for a in range(x.ndim)])]


@rule(taped.cumprod)
def _cumprod(dy, call):
    """dx_i = Σ_{j ≥ i} dy_j · y_j / x_i. Raises GraphError where something is 0, behind which that says nothing."""
    x, axis = call.input(0), one_axis("cumprod", call.input(0).array, call.options["axis"])
    if not bool((x.array != 0).all()):
        raise GraphError("create_graph=True: the gradient of cumprod has no gradient here where a number is 0")
    from_the_end = taped.flip(taped.cumsum(taped.flip(dy * call.output, axis=axis), axis=axis), axis=axis)
    return [from_the_end / x]


@rule(taped.softmax)
def _softmax(dy, call):
    y, axis = call.output, call.options.get("axis", -1)
    return [y * (dy - taped.sum(dy * y, axis=axis, keepdims=True))]


@rule(taped.log_softmax)
def _log_softmax(dy, call):
    return [dy - call.output.exp() * taped.sum(dy, axis=call.options.get("axis", -1), keepdims=True)]
