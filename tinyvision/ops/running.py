"""Sums and products along an axis, running and whole; the logarithm of a sum of exponentials; norms."""

import math
from typing import Any

import numpy as np

from ..errors import OptionError
from ..types import Array, Axes, Gradients, Needs
from .checks import as_array, axes_of, check_arrays, is_number, one_axis


def cumsum_forward(x: Array, axis: int) -> tuple[Array, Any]:
    """y_i = x_0 + ... + x_i along `axis`, added up in float64.   ->  y, cache"""
    check_arrays("cumsum", x=x)
    axis = one_axis("cumsum", x, axis)
    return _running_sum(x, axis), axis


def cumsum_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx_i = dy_i + dy_{i+1} + ...: x_i is in every sum from its own on."""
    return (_from_the_end(dy, cache).copy(),)


def _running_sum(x, axis):
    with np.errstate(all="ignore"):
        sums = np.cumsum(x, axis=axis, dtype=np.float64) + 0.0  # a sum begins with 0, so -0.0 alone is 0.0
        return sums.astype(x.dtype)


def _from_the_end(x, axis):
    back = (slice(None),) * axis + (slice(None, None, -1),)
    return _running_sum(x[back], axis)[back]


def cumprod_forward(x: Array, axis: int) -> tuple[Array, Any]:
    """y_i = x_0 · ... · x_i along `axis`.   ->  y, cache"""
    check_arrays("cumprod", x=x)
    axis = one_axis("cumprod", x, axis)
    with np.errstate(all="ignore"):
        y = np.cumprod(x, axis=axis)
    return y, (x, y, axis)


def cumprod_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx_i = Σ_{j ≥ i} dy_j · (the product up to j without x_i)

    Before the first zero, the product is y_j / x_i. Behind it everything is multiplied by that zero, so dx is 0; at the
    zero, x_k, it is p · r_k, with p what stands before it and r_i = dy_i + x_{i+1} · r_{i+1}, counted from the end."""
    x, y, axis = cache
    if x.shape[axis] == 1:  # no product; and without one, infinite numbers have no nan
        return (dy.copy(),)
    x, y, dy = (np.moveaxis(a, axis, 0) for a in (x, y, dy))  # (n, ...)
    zeros = np.cumsum(x == 0, axis=0)
    rest, at_zero = 0, np.empty_like(dy, order="C")
    with np.errstate(all="ignore"):
        for i in range(len(x) - 1, -1, -1):
            rest = dy[i] + (x[i + 1] * rest if i + 1 < len(x) else rest)
            at_zero[i] = rest
        at_zero[1:] *= y[:-1]
        dx = _from_the_end(np.where(zeros == 0, dy * y, np.zeros_like(dy)), 0) / x
    dx = np.where(zeros == 0, dx, np.where((zeros == 1) & (x == 0), at_zero, np.zeros_like(dy)))
    return (np.moveaxis(dx, 0, axis),)


def prod_forward(x: Array, axis: Axes = None, keepdims: bool = False) -> tuple[Array, Any]:
    """y = the product of x over `axis` (an integer, several, or all).   ->  y, cache"""
    check_arrays("prod", x=x)
    axis, whole = axes_of("prod", x, axis), axis is None
    with np.errstate(all="ignore"):
        y = as_array(np.prod(x, axis=axis, keepdims=True))
    return as_array(y if keepdims else y.squeeze(axis)).copy(), (x, y, axis, whole)


def prod_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx_i = dy · (the product of all others): y / x_i, or beside a zero what is before i times what is after.

    In the product of all of x, two zeros make that 0 beside an infinity too, as in PyTorch."""
    x, y, axis, whole = cache
    others = _all_others(x, axis)
    with np.errstate(all="ignore"):
        zeros = (x == 0).sum(axis=axis, keepdims=True)
        slope = np.where(zeros > 0, others, y / x)
        return (as_array(dy.reshape(y.shape) * np.where(zeros > (1 if whole else x.size), 0, slope)),)


def _all_others(x, axis):
    """For every number, the product of all others over the axes."""
    kept = [a for a in range(x.ndim) if a not in axis]
    order = [*kept, *axis]
    shape = [x.shape[a] for a in kept]
    flat = x.transpose(order).reshape(*shape, math.prod(x.shape[a] for a in axis))  # the axes multiplied over, as one
    before, after = np.ones_like(flat), np.ones_like(flat)
    with np.errstate(all="ignore"):
        if flat.shape[-1] > 1:
            before[..., 1:] = np.cumprod(flat[..., :-1], axis=-1)
            after[..., :-1] = np.cumprod(flat[..., :0:-1], axis=-1)[..., ::-1]
        others = before * after
    back = [order.index(a) for a in range(x.ndim)]
    return others.reshape([x.shape[a] for a in order]).transpose(back)


def logsumexp_forward(x: Array, axis: Axes = None, keepdims: bool = False) -> tuple[Array, Any]:
    """y = log Σ exp(x) over `axis`.   ->  y, cache

    With m the largest, log Σ exp(x) = m + log Σ exp(x - m), where no exponential overflows and one is 1."""
    check_arrays("logsumexp", x=x)
    axis = axes_of("logsumexp", x, axis)
    if 0 in [x.shape[a] for a in axis]:  # the logarithm of an empty sum
        m = np.zeros_like(x, shape=[1 if a in axis else n for a, n in enumerate(x.shape)])
    else:
        m = x.max(axis=axis, keepdims=True)
        m = np.where(np.isinf(m), np.zeros_like(m), m)  # ∞ - ∞ would be nan
    with np.errstate(all="ignore"):
        y = m + np.log(np.exp(x - m).sum(axis=axis, keepdims=True))
    return as_array(y if keepdims else y.squeeze(axis)).copy(), (x, y)


def logsumexp_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · exp(x - y), the softmax of x."""
    x, y = cache
    with np.errstate(all="ignore"):
        return (as_array(dy.reshape(y.shape) * np.exp(x - y)),)


def norm_forward(x: Array, p: float = 2, axis: Axes = None, keepdims: bool = False) -> tuple[Array, Any]:
    """y = (Σ |x|ᵖ)^(1/p) over `axis`, for a number p above 0.   ->  y, cache. Raises OptionError.

    float16 is added up in float32, where squares do not overflow."""
    check_arrays("norm", x=x)
    if not is_number(p) or not 0 < p < math.inf:
        raise OptionError(f"norm: p must be a number above 0, got {p!r}")
    axis = axes_of("norm", x, axis)
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    with np.errstate(over="ignore"):
        if p == 1:
            y = np.abs(wide).sum(axis=axis, keepdims=True)
        elif p == 2:
            y = np.sqrt((wide * wide).sum(axis=axis, keepdims=True))
        else:
            y = (np.abs(wide) ** p).sum(axis=axis, keepdims=True) ** (1 / p)
        y = as_array(y).astype(x.dtype)
    return as_array(y if keepdims else y.squeeze(axis)).copy(), (x, y, p)


def norm_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · sign(x) · (|x| / y)^(p-1), for p = 2 simply dy · x / y; 0 where the norm is, for p = 1 at nan too."""
    x, y, p = cache
    dy = dy.reshape(y.shape)
    with np.errstate(all="ignore"):
        if p == 1:
            return (as_array(dy * np.where(x == x, np.sign(x), np.zeros_like(x))),)
        share = x / y if p == 2 else np.sign(x) * (np.abs(x) / y) ** (p - 1)
        flat = y == 0 if p >= 1 else x == 0  # where the slope is taken as 0
        return (np.where(flat, np.zeros_like(share), dy * share),)
