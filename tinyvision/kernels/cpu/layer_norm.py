"""Layer normalisation: two passes over each row while it is in the cache, sums in float64 (see `norm`)."""

import math
from typing import Any

import numpy as np

from ...ops import group_norm as ops_group_norm
from ...types import Array, Gradients, Needs
from .. import DropIn
from .compiled import loop, part
from .lines import NO_VECTOR, done_in_parts, sums_in_parts

LANES = 32  # sums side by side: one alone would wait for each of its additions


@part
def two_sums(a: Array, b: Array, lanes: Array) -> tuple[float, float]:
    """Σ a and Σ a · b of vectors; lanes (2, LANES) is scratch memory."""
    whole = a.size // LANES * LANES
    lanes[...] = 0
    for i in range(0, whole, LANES):
        p, q = a[i : i + LANES], b[i : i + LANES]
        for k in range(LANES):
            lanes[0, k] += np.float64(p[k])
            lanes[1, k] += np.float64(p[k]) * np.float64(q[k])
    total, product = 0.0, 0.0
    for i in range(whole, a.size):
        total += np.float64(a[i])
        product += np.float64(a[i]) * np.float64(b[i])
    for k in range(LANES):
        total += lanes[0, k]
        product += lanes[1, k]
    return total, product


@loop("void(f4[:,::1], f4[::1], f4[::1], f8, f4[:,::1], f4[:,::1], i8, i8)", "statistics y")
def standardised(
    x: Array, weight: Array, bias: Array, eps: float, statistics: Array, y: Array, begin: int, end: int
) -> None:
    """y = weight · (x - mean) / sqrt(var + eps) + bias for rows begin ... end of x (M, L); empty vectors are none.

    statistics (M, 2): each row's mean and 1 / sqrt(var + eps)."""
    L, lanes = x.shape[1], np.empty((2, LANES))
    for m in range(begin, end):
        row, out = x[m], y[m]
        total, square = two_sums(row, row, lanes)
        var = square / L - (total / L) * (total / L)
        if var < 0:
            var = 0.0
        mean, inverse = np.float32(total / L), np.float32(1 / np.sqrt(var + eps))
        statistics[m, 0], statistics[m, 1] = mean, inverse
        for i in range(L):
            out[i] = (row[i] - mean) * inverse
        if weight.size:
            for i in range(L):
                out[i] *= weight[i]
        if bias.size:
            for i in range(L):
                out[i] += bias[i]


@loop("void(f4[:,::1], f4[:,::1], f4[::1], f4[:,::1], f4[:,::1], f8[:,:,::1], i8, i8, i8)", "dx sums")
def gradients(
    dy: Array, x: Array, weight: Array, statistics: Array, dx: Array, sums: Array, begin: int, end: int, piece: int
) -> None:
    """dx = (dx̂ - mean(dx̂) - x̂ · mean(dx̂ · x̂)) / σ, with dx̂ = weight · dy, for rows begin ... end, unless dx is empty;
    sums[piece] (2, L) = Σ dy · x̂ and Σ dy over these rows."""
    L, own, lanes = x.shape[1], sums[piece], np.empty((2, LANES))
    standard, through = np.empty(L, np.float32), np.empty(L, np.float32)  # x̂ and dx̂
    own[...] = 0
    for m in range(begin, end):
        row, upstream, mean, inverse = x[m], dy[m], statistics[m, 0], statistics[m, 1]
        for i in range(L):
            standard[i] = (row[i] - mean) * inverse
            own[0, i] += np.float64(upstream[i] * standard[i])
            own[1, i] += np.float64(upstream[i])
        if not dx.size:
            continue
        if weight.size:
            for i in range(L):
                through[i] = weight[i] * upstream[i]
        else:
            for i in range(L):
                through[i] = upstream[i]
        direct, share = two_sums(through, standard, lanes)
        out, level, tilt = dx[m], np.float32(direct / L), np.float32(share / L)
        for i in range(L):
            out[i] = (through[i] - level - standard[i] * tilt) * inverse


def layer_norm_forward(
    x: Array, weight: Array | None = None, bias: Array | None = None, shape: Any = None, eps: float = 1e-5
) -> tuple[Array, Any]:
    """As `ops.layer_norm_forward`."""
    rows = _rows(x, x.shape[-1:] if shape is None else shape)
    y, statistics = np.empty_like(rows), np.empty((len(rows), 2), np.float32)
    vectors = _vector(weight), _vector(bias)
    done_in_parts(standardised, len(rows), rows.nbytes, rows, *vectors, float(eps), statistics, y)
    return y.reshape(x.shape), (x, weight, None if bias is None else bias.shape, statistics, rows.shape[1])


def layer_norm_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """As `ops.layer_norm_backward`."""
    x, weight, bias_shape, statistics, length = cache
    needs, shape = (*needs, False, False)[:3], (len(statistics), length)
    rows, drows = (np.ascontiguousarray(a, np.float32).reshape(shape) for a in (x, dy))
    dx = np.empty_like(rows if needs[0] else rows[:0])
    arguments = drows, rows, _vector(weight), statistics, dx
    dweight, dbias = sums_in_parts(gradients, len(rows), 3 * rows.nbytes, (2, length), *arguments)
    return (
        dx.reshape(x.shape) if needs[0] else None,
        dweight.astype(np.float32).reshape(weight.shape) if needs[1] and weight is not None else None,
        dbias.astype(np.float32).reshape(bias_shape) if needs[2] and bias_shape is not None else None,
    )


def _rows(x, shape):
    """x as (M, L), a row for everything that is normalised together."""
    return np.ascontiguousarray(x).reshape(-1, math.prod(shape))


def _vector(v):
    return NO_VECTOR if v is None else np.ascontiguousarray(v).reshape(-1)


def _applies(x, weight=None, bias=None, shape=None, eps=1e-5):
    """Whether the last axes of x, of which there is something, are those of `shape` and of the vectors."""
    shape = tuple(x.shape[-1:] if shape is None else shape)
    if not shape or not x.size or tuple(x.shape[x.ndim - len(shape) :]) != shape:
        return False
    return all(v is None or tuple(v.shape) == shape for v in (weight, bias))


DROP_INS = (
    DropIn(
        "layer_norm",
        (ops_group_norm.layer_norm_forward, ops_group_norm.layer_norm_backward),
        layer_norm_forward,
        layer_norm_backward,
        _applies,
    ),
)
