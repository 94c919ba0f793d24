"""Batch normalisation: one pass for the statistics, one to normalise, two back; sums are taken in float64.

A product of two float32 numbers is exact in float64, and E[x²] - E[x]² loses there no more than the numbers themselves
have lost by being float32."""

import math
import sys
from typing import Any

import numpy as np

from ...ops import norm
from ...types import Array, Gradients, Needs
from .. import stand_ins
from .compiled import loop
from .lines import done_in_parts, first, last, sums_in_parts, together

NO_TOP = np.float32(np.nan)  # nothing is equal to it, or more


@loop("void(f4[:,::1], f8[:,:,::1], i8, i8, i8)", "sums")
def moments(x: Array, sums: Array, begin: int, end: int, piece: int) -> None:
    """sums[piece] (2, C) = Σ x and Σ x² over rows begin ... end."""
    C, own = x.shape[1], sums[piece]
    for c in range(C):
        own[0, c] = 0
        own[1, c] = 0
    whole = begin + (end - begin) // 4 * 4
    for m in range(begin, whole, 4):
        for c in range(C):
            p, q = np.float64(x[m, c]), np.float64(x[m + 1, c])
            r, s = np.float64(x[m + 2, c]), np.float64(x[m + 3, c])
            own[0, c] += (p + q) + (r + s)
            own[1, c] += (p * p + q * q) + (r * r + s * s)
    for m in range(whole, end):
        for c in range(C):
            p = np.float64(x[m, c])
            own[0, c] += p
            own[1, c] += p * p


@loop("void(f4[:,::1], f4[:,::1], b1, f4[::1], f4[::1], f4[::1], f4[:,::1], b1, f4, i8, i8)", "y")
def normalized(
    x: Array,
    skip: Array,
    skips: bool,
    mean: Array,
    scale: Array,
    bias: Array,
    y: Array,
    relu: bool,
    top: float,
    begin: int,
    end: int,
) -> None:
    """y = (x - mean) · scale + bias (+ skip, then at least 0 and at most top) for rows begin ... end."""
    C = x.shape[1]
    for m in range(begin, end):
        for c in range(C):
            y[m, c] = (x[m, c] - mean[c]) * scale[c] + bias[c]
        if skips:
            for c in range(C):
                y[m, c] += skip[m, c]
        if relu:
            for c in range(C):
                value = y[m, c]
                if value <= 0:
                    value = np.float32(0)
                if value >= top:
                    value = top
                y[m, c] = value


@loop("void(f4[:,::1], f4[:,::1], b1, f4, f4[:,::1], f4[::1], f8[:,:,::1], i8, i8, i8)", "sums")
def gradient_sums(
    dy: Array, y: Array, relu: bool, top: float, x: Array, mean: Array, sums: Array, begin: int, end: int, piece: int
) -> None:
    """sums[piece] (2, C) = Σ dy and Σ dy · (x - mean) over rows begin ... end; with relu, of dy where y is
    neither 0 nor top."""
    C, own = x.shape[1], sums[piece]
    for c in range(C):
        own[0, c] = 0
        own[1, c] = 0
    for m in range(begin, end):
        if relu:
            for c in range(C):
                g = np.float64(dy[m, c]) if y[m, c] != 0 and y[m, c] != top else 0.0
                own[0, c] += g
                own[1, c] += g * (np.float64(x[m, c]) - np.float64(mean[c]))
        else:
            for c in range(C):
                g = np.float64(dy[m, c])
                own[0, c] += g
                own[1, c] += g * (np.float64(x[m, c]) - np.float64(mean[c]))


@loop("void(f4[:,::1], f4[:,::1], b1, f4, f4[:,::1], f4[::1], f4[:,::1], f4[:,::1], f4[:,::1], b1, i8, i8)", "dx dskip")
def applied(
    dy: Array,
    y: Array,
    relu: bool,
    top: float,
    x: Array,
    mean: Array,
    factors: Array,
    dx: Array,
    dskip: Array,
    skips: bool,
    begin: int,
    end: int,
) -> None:
    """dx = scale · dy + slope · (x - mean) + shift for rows begin ... end, and dskip = dy; with relu, dy where y is
    neither 0 nor top.

    factors (3, C) are scale, slope, shift."""
    C = x.shape[1]
    for m in range(begin, end):
        for c in range(C):
            g = dy[m, c]
            if relu and (y[m, c] == 0 or y[m, c] == top):
                g = np.float32(0)
            dx[m, c] = (x[m, c] - mean[c]) * factors[1, c] + factors[2, c] + g * factors[0, c]
        if skips:
            for c in range(C):
                dskip[m, c] = dy[m, c] if y[m, c] != 0 and y[m, c] != top else np.float32(0)


def batch_moments(x: Array) -> tuple[Array, Array]:
    """As `ops.norm.batch_moments`."""
    rows, k = _rows(last(x))
    sums = sums_in_parts(moments, len(rows), rows.nbytes, (2, rows.shape[1]), rows)
    mean, squares = _by_channels(sums, k) / (len(rows) * k)
    return mean.astype(np.float32), np.maximum(squares - mean * mean, 0).astype(np.float32)


def running_moments(
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    counter: Array | None = None,
    momentum: float = 0.1,
) -> tuple[Array, Array]:
    """As `ops.norm.running_moments`."""
    moments = batch_moments(x)
    norm.take_up(x.size // x.shape[1], moments, running_mean, running_var, momentum)
    if counter is not None:
        counter += 1
    return moments


def batchnorm_train_forward(
    x: Array, weight: Array, bias: Array, eps: float = 1e-5, moments: tuple[Array, Array] | None = None
) -> tuple[Array, Any]:
    """As `ops.batchnorm_train_forward`."""
    mean, var = batch_moments(x) if moments is None else moments
    return _normalized(x, None, weight, bias, mean, var, eps, relu=False), (x, weight, mean, var, eps)


def batchnorm_train_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """As `ops.batchnorm_train_backward`."""
    return _gradients(dy, None, cache, needs)[:3]


def batchnorm_frozen_forward(
    x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float = 1e-5
) -> tuple[Array, Any]:
    """As `ops.batchnorm_frozen_forward`."""
    return _normalized(x, None, weight, bias, mean, var, eps, relu=False), (x, weight, mean, var, eps)


def batchnorm_relu_forward(
    x: Array,
    weight: Array,
    bias: Array,
    skip: Array | None = None,
    eps: float = 1e-5,
    moments: tuple[Array, Array] | None = None,
    top: float = math.inf,
) -> tuple[Array, Any]:
    """As `ops.batchnorm_relu_forward`."""
    mean, var = batch_moments(x) if moments is None else moments
    y = _normalized(x, skip, weight, bias, mean, var, eps, relu=True, top=top)
    return y, (y, top, skip is not None, (x, weight, mean, var, eps))


def batchnorm_relu_backward(dy: Array, cache: Any, needs: Needs = (True, True, True, True)) -> Gradients:
    """As `ops.batchnorm_relu_backward`."""
    y, top, has_skip, inner = cache
    gradients = _gradients(dy, y, inner, needs, has_skip and len(needs) > 3 and needs[3], top)
    return gradients[: len(needs)]


def _vector(v):
    return np.ascontiguousarray(v, dtype=np.float32)


def _rows(image):
    """(N, ..., C) as (rows, k·C), and k, the pixels of a row."""
    C = image.shape[-1]
    k = together(image.size // C, C)
    return image.reshape(-1, k * C), k


def _along_a_row(vectors, k):
    """(..., C) for each of the k pixels of a row: (..., k·C)"""
    return vectors if k == 1 else np.tile(vectors, k)


def _by_channels(sums, k):
    """Sums (2, k·C) of rows of k pixels  ->  (2, C)"""
    return sums.reshape(2, k, -1).sum(axis=1)


def _normalized(x, skip, weight, bias, mean, var, eps, relu, top=math.inf):
    image = last(x)
    (rows, k), y = _rows(image), np.empty_like(image)
    scale, out = weight / np.sqrt(var + np.float32(eps)), y.reshape(rows.shape)
    vectors = [_along_a_row(_vector(v), k) for v in (mean, scale, bias)]
    added = rows if skip is None else last(skip).reshape(rows.shape)
    done_in_parts(
        normalized,
        len(rows),
        rows.nbytes,
        rows,
        added,
        skip is not None,
        *vectors,
        out,
        relu,
        NO_TOP if top == math.inf else np.float32(top),
    )
    return first(y)


def _gradients(dy, y, cache, needs, wants_skip=False, top=math.inf):
    """(dx, dweight, dbias, dskip), of which dx and dskip only if needed; y, if given, is the output of a ReLU."""
    x, weight, mean, var, eps = cache
    image, relu = last(x), y is not None
    rows, k = _rows(image)
    drows = last(dy).reshape(rows.shape)
    out = last(y).reshape(rows.shape) if relu else drows
    inverse = 1 / np.sqrt(var.astype(np.float64) + eps)
    arguments = drows, out, relu, NO_TOP if top == math.inf else np.float32(top), rows, _along_a_row(_vector(mean), k)
    sums = sums_in_parts(gradient_sums, len(rows), 2 * rows.nbytes, (2, rows.shape[1]), *arguments)
    dbias, dweight = _by_channels(sums, k) * [np.ones_like(inverse), inverse]
    dx, dskip = np.empty_like(image), np.empty_like(image if wants_skip else image[:0])
    if needs[0] or wants_skip:
        scale = weight * inverse
        M = len(rows) * k
        slope, shift = -scale * inverse * dweight / M, -scale * dbias / M
        factors = _along_a_row(np.array([scale, slope, shift], np.float32), k)
        results = dx.reshape(rows.shape), dskip.reshape(-1, rows.shape[1]), wants_skip
        done_in_parts(applied, len(rows), 3 * rows.nbytes, *arguments, factors, *results)
    vectors = [v.astype(np.float32) if need else None for v, need in zip((dweight, dbias), needs[1:3], strict=True)]
    return first(dx) if needs[0] else None, *vectors, first(dskip) if wants_skip else None


def _applies(x, *vectors, eps=1e-5, moments=None):
    """Whether x is (N, C, ...) with at least 2 rows, and every vector is (C,)."""
    if x.ndim < 2 or x.size < 1 or x.size // x.shape[1] < 2:
        return False
    return all(tuple(v.shape) == (x.shape[1],) for v in vectors)


def _applies_with_skip(x, weight, bias, skip=None, eps=1e-5, moments=None, top=math.inf):
    return _applies(x, weight, bias) and (skip is None or tuple(skip.shape) == tuple(x.shape))


def _applies_to_running(x, running_mean, running_var, counter=None, momentum=0.1):
    return _applies(x, *(v for v in (running_mean, running_var) if v is not None))


DROP_INS = stand_ins(
    "batchnorm",
    norm,
    sys.modules[__name__],
    {
        "batch_moments": _applies,
        "batchnorm_train": _applies,
        "batchnorm_frozen": _applies,
        "batchnorm_relu": _applies_with_skip,
        "running_moments": _applies_to_running,
    },
)
