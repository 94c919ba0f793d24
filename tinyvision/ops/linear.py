"""The fully connected layer: one matrix product forward, two backward."""

import numpy as np

from ..errors import ShapeError
from .door import check_arrays, check_rank, describe, shape_error


def linear_forward(x, weight, bias=None):
    """y = x weightᵀ + bias.   x (N, I), weight (O, I), bias (O,)  ->  y (N, O), cache

    x may have more axes in front, (..., I), and y then has them too. Raises ShapeError, DtypeError, DeviceError."""
    check_arrays("linear", x=x, weight=weight, bias=bias)
    check_rank("linear", 2, "(O, I)", weight=weight)
    if x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        shown = {"x": ("(..., I)", x), "weight": ("(O, I)", weight)}
        features = x.shape[-1] if x.ndim else "no"
        raise shape_error("linear", f"x has {features} features but weight expects {weight.shape[1]}", **shown)
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise shape_error("linear", f"bias must have {weight.shape[0]} numbers", weight=("(O, I)", weight), bias=("(O,)", bias))
    rows = x.reshape(-1, x.shape[-1])  # (N, I)
    y = rows @ weight.T  # (N, I) @ (I, O)
    if bias is not None:
        y += bias
    return y.reshape(*x.shape[:-1], weight.shape[0]), (x, weight, bias is not None)


def linear_backward(dy, cache, needs=(True, True, True)):
    """dy (N, O)  ->  dx (N, I), dweight (O, I), dbias (O,)"""
    x, weight, has_bias = cache
    rows, drows = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    dx = (drows @ weight).reshape(x.shape) if needs[0] else None  # (N, O) @ (O, I)
    dweight = drows.T @ rows if needs[1] else None  # (O, N) @ (N, I)
    if not has_bias:
        return dx, dweight
    return dx, dweight, drows.sum(axis=0) if needs[2] else None


def matmul_forward(a, b):
    """y = a @ b.   a (..., I, J), b (..., J, K)  ->  y (..., I, K), cache; leading axes broadcast. Raises ShapeError."""
    check_arrays("matmul", a=a, b=b)
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise shape_error("matmul", "the inner axes differ", a=("(..., I, J)", a), b=("(..., J, K)", b))
    try:
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise ShapeError(f"matmul: leading axes do not broadcast\n{describe(a=('(..., I, J)', a), b=('(..., J, K)', b))}") from None
    return a @ b, (a, b)


def matmul_backward(dy, cache, needs=(True, True)):
    """dy (..., I, K)  ->  da = dy bᵀ, db = aᵀ dy, summed over broadcast axes"""
    from .shape import sum_to

    a, b = cache
    da = sum_to(dy @ b.swapaxes(-1, -2), a.shape) if needs[0] else None
    db = sum_to(a.swapaxes(-1, -2) @ dy, b.shape) if needs[1] else None
    return da, db
