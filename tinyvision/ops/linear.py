"""The fully connected layer: one matrix product forward, two backward."""

import math
from typing import Any

import numpy as np

from .. import blocks, threads
from ..types import Array, Gradients, Needs
from .checks import check_arrays, check_rank, shape_error
from .shape import sum_to


def linear_forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, Any]:
    """y = x weightᵀ + bias.   x (N, I), weight (O, I), bias (O,)  ->  y (N, O), cache

    x may have more axes in front, (..., I), and y then has them too. Raises ShapeError, DtypeError, DeviceError."""
    check_arrays("linear", x=x, weight=weight, bias=bias)
    check_rank("linear", 2, "(O, I)", weight=weight)
    if x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        shown = {"x": ("(..., I)", x), "weight": ("(O, I)", weight)}
        features = x.shape[-1] if x.ndim else "no"
        raise shape_error("linear", f"x has {features} features but weight expects {weight.shape[1]}", **shown)
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise shape_error(
            "linear", f"bias must have {weight.shape[0]} numbers", weight=("(O, I)", weight), bias=("(O,)", bias)
        )
    rows = _rows(x)  # (N, I)
    y = blocks.product(rows, weight.T)  # (N, I) @ (I, O)
    if bias is not None:
        y += bias
    return y.reshape(*x.shape[:-1], weight.shape[0]), (x, weight, bias is not None)


def linear_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """dy (N, O)  ->  dx (N, I), dweight (O, I), dbias (O,)"""
    x, weight, has_bias = cache
    rows, drows = _rows(x), _rows(dy)
    dx = blocks.product(drows, weight).reshape(x.shape) if needs[0] else None  # (N, O) @ (O, I)
    dweight = blocks.product(drows.T, rows) if needs[1] else None  # (O, N) @ (N, I)
    if not has_bias:
        return dx, dweight
    return dx, dweight, drows.sum(axis=0) if needs[2] else None


def matmul_forward(a: Array, b: Array) -> tuple[Array, Any]:
    """y = a @ b.   a (..., I, J), b (..., J, K)  ->  y (..., I, K), cache

    The leading axes broadcast. Raises ShapeError, DtypeError, DeviceError."""
    check_arrays("matmul", a=a, b=b)
    shown = {"a": ("(..., I, J)", a), "b": ("(..., J, K)", b)}
    if a.ndim < 2 or b.ndim < 2:
        raise shape_error(
            "matmul",
            "both need two axes or more; make a vector a row with v[None] or a column with v[:, None]",
            **shown,
        )
    if a.shape[-1] != b.shape[-2]:
        raise shape_error("matmul", "the inner axes differ", **shown)
    try:
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise shape_error("matmul", "the leading axes do not broadcast", **shown) from None
    return _products(a, b), (a, b)


def matmul_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dy (..., I, K)  ->  da = dy bᵀ, db = aᵀ dy, summed over broadcast axes"""
    a, b = cache
    da = sum_to(_products(dy, b.swapaxes(-1, -2)), a.shape) if needs[0] else None
    db = sum_to(_products(a.swapaxes(-1, -2), dy), b.shape) if needs[1] else None
    return da, db


def _products(a, b):
    """a @ b of stacks of matrices, on our own threads: BLAS's would wait for each other at every matrix."""
    lead, (I, J), K = a.shape[:-2], a.shape[-2:], b.shape[-1]
    if b.ndim == 2:
        return blocks.product(_rows(a), b).reshape(*lead, I, K)
    if lead == b.shape[:-2]:
        count = math.prod(lead)
        return blocks.product(a.reshape(count, I, J), b.reshape(count, J, K)).reshape(*lead, I, K)
    with threads.one_blas_thread():
        return a @ b


def _rows(x):
    """(..., I) as (N, I); counted rather than asked for with -1, which cannot be worked out for an empty array."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
