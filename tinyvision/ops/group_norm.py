"""Normalisation of each image on its own: over groups of channels (Wu and He, 2018), or over the last axes (Ba, Kiros
and Hinton, 2016). Instance norm is group norm with one channel to a group.

Both standardise the rows of a matrix (M, L), x̂ = (x - mean) / σ with σ = sqrt(var + eps) of the row itself, and differ
in what a row is and in how weight and bias meet x̂. The gradient of a row is that of batch-norm's column (tutorial 13):
dx = (dx̂ - mean(dx̂) - x̂ · mean(dx̂·x̂)) / σ.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import blocks
from ..errors import OptionError
from ..types import Array, Gradients, Needs
from .checks import check_arrays, is_integer, shape_error


def group_norm_forward(
    x: Array, weight: Array | None = None, bias: Array | None = None, groups: int = 1, eps: float = 1e-5
) -> tuple[Array, Any]:
    """y = weight · (x - mean) / sqrt(var + eps) + bias, with the mean and variance of each image's groups of channels.

    x (N, C, ...), weight (C,) or None, bias (C,) or None  ->  y like x, cache. The variance is the biased one.
    Raises ShapeError, OptionError, DtypeError, DeviceError."""
    check_arrays("group_norm", x=x, weight=weight, bias=bias)
    axes = "(N, C, ...)"
    if x.ndim < 2 or 0 in x.shape[1:]:
        raise shape_error("group_norm", "x must be (N, C, ...) with something to normalise", x=(axes, x))
    N, C = x.shape[:2]
    if not is_integer(groups) or groups < 1 or C % groups:
        raise OptionError(f"group_norm: groups must divide the {C} channels, got {groups!r}")
    for name, v in (("weight", weight), ("bias", bias)):
        if v is not None and tuple(v.shape) != (C,):
            problem = f"{name} must have one number for each of {C} channels"
            raise shape_error("group_norm", problem, x=(axes, x), **{name: ("(C,)", v)})
    rows = x.reshape(N * groups, math.prod(x.shape[1:]) // groups)
    normed, inverse = _standardised(rows, eps)
    normed = normed.reshape(x.shape)
    y = normed.copy() if weight is None else normed * _to_channels(weight, x.ndim)
    if bias is not None:
        y += _to_channels(bias, x.ndim)
    return y, (normed, inverse, weight, bias is not None, groups)


def group_norm_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """dy like x  ->  dx like x, dweight (C,) = Σ dy·x̂, dbias (C,) = Σ dy, over all axes but the channels."""
    normed, inverse, weight, has_bias, groups = cache
    needs = (*needs, False, False)[:3]
    others = (0, *range(2, dy.ndim))
    dx = None
    if needs[0]:
        through = dy if weight is None else dy * _to_channels(weight, dy.ndim)
        shape = (inverse.shape[0], math.prod(dy.shape[1:]) // groups)
        dx = _through_rows(through.reshape(shape), normed.reshape(shape), inverse).reshape(dy.shape)
    dweight = (dy * normed).sum(axis=others) if needs[1] and weight is not None else None
    return dx, dweight, dy.sum(axis=others) if needs[2] and has_bias else None


def layer_norm_forward(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    shape: Sequence[int] | None = None,
    eps: float = 1e-5,
) -> tuple[Array, Any]:
    """y = weight · (x - mean) / sqrt(var + eps) + bias, with the mean and variance over the last axes, of `shape`.

    x (..., *shape), weight and bias of that shape, or None  ->  y like x, cache. The variance is the biased one.
    Without a shape, it is the last axis alone. Raises ShapeError, DtypeError, DeviceError."""
    check_arrays("layer_norm", x=x, weight=weight, bias=bias)
    shape = tuple(x.shape[-1:] if shape is None else shape)
    if not shape or 0 in shape or tuple(x.shape[x.ndim - len(shape) :]) != shape:
        raise shape_error("layer_norm", f"the last axes of x should be {shape}", x=("(...)", x))
    for name, v in (("weight", weight), ("bias", bias)):
        if v is not None and tuple(v.shape) != shape:
            raise shape_error("layer_norm", f"{name} should be {shape}", x=("(...)", x), **{name: ("(...)", v)})
    normed, inverse = _standardised(x.reshape(x.size // math.prod(shape), math.prod(shape)), eps)
    normed = normed.reshape(x.shape)
    y = normed.copy() if weight is None else normed * weight
    if bias is not None:
        y += bias
    return y, (normed, inverse, weight, bias is not None, shape)


def layer_norm_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """dy like x  ->  dx like x, dweight = Σ dy·x̂ and dbias = Σ dy over all axes that are not normalised."""
    normed, inverse, weight, has_bias, shape = cache
    needs = (*needs, False, False)[:3]
    others = tuple(range(dy.ndim - len(shape)))
    dx = None
    if needs[0]:
        through = dy if weight is None else dy * weight
        rows = (inverse.shape[0], math.prod(shape))
        dx = _through_rows(through.reshape(rows), normed.reshape(rows), inverse).reshape(dy.shape)
    dweight = (dy * normed).sum(axis=others).reshape(shape) if needs[1] and weight is not None else None
    return dx, dweight, dy.sum(axis=others).reshape(shape) if needs[2] and has_bias else None


def _to_channels(vector, rank):
    return vector.reshape((-1,) + (1,) * (rank - 2))


def _standardised(rows, eps):
    """(x̂ (M, L), 1 / σ (M, 1)) of rows (M, L). float16 is normalised in float32, where squares do not overflow."""
    wide = np.float32 if rows.dtype == np.float16 else rows.dtype
    normed, inverse = np.empty_like(rows, order="C"), np.empty_like(rows, wide, shape=(rows.shape[0], 1), order="C")

    def work(some):
        block = rows[some].astype(wide, copy=False)
        out = normed[some] if wide == rows.dtype else np.empty_like(block)
        centred = np.subtract(block, block.mean(axis=1, keepdims=True), out=out)
        variance = (centred * centred).mean(axis=1, keepdims=True)
        inverse[some] = 1 / np.sqrt(variance + eps)
        centred *= inverse[some]
        if wide != rows.dtype:
            normed[some] = centred

    blocks.over_rows(work, rows, normed)
    return normed, inverse


def _through_rows(dnormed, normed, inverse):
    """dx of rows (M, L), given dx̂, x̂ and 1 / σ, in whose dtype it is computed."""
    dx, wide = np.empty_like(normed, order="C"), inverse.dtype

    def work(some):
        upstream, block = (a[some].astype(wide, copy=False) for a in (dnormed, normed))
        share = (upstream * block).mean(axis=1, keepdims=True)
        out = np.multiply(block, -share, out=dx[some] if wide == dx.dtype else np.empty_like(block))
        out += upstream
        out -= upstream.mean(axis=1, keepdims=True)
        out *= inverse[some]
        if wide != dx.dtype:
            dx[some] = out

    blocks.over_rows(work, dnormed, normed, dx)
    return dx
