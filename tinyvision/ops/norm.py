"""Batch normalisation (Ioffe and Szegedy, 2015), as two pairs: with the batch's statistics, and with frozen ones.

x is (N, C) or (N, C, ...); every channel is normalised over all other axes. Inside, x is a matrix (M, C) whose rows are
pixels: channels-last memory *is* that matrix. M = N·H·W counts the numbers that share a mean.
"""

from typing import Any

import numpy as np

from .. import parallel
from ..errors import DtypeError, ShapeError
from ..hints import Array, Gradients, Needs
from .activation import relu_backward
from .door import check_arrays, describe, shape_error
from .linear import column_sums


def batchnorm_train_forward(
    x: Array, weight: Array, bias: Array, eps: float = 1e-5, moments: tuple[Array, Array] | None = None
) -> tuple[Array, Any]:
    """y = weight · (x - mean) / sqrt(var + eps) + bias, with the batch's own mean and (biased) variance.

    x (N, C, ...), weight (C,), bias (C,)  ->  y like x, cache. `moments` hands in `batch_moments(x)` where they are
    known already: a layer that keeps running averages needs them too. Raises ShapeError, DtypeError, DeviceError."""
    _check("batchnorm_train", x, weight=weight, bias=bias)
    mean, var = batch_moments(x) if moments is None else moments
    y = _scaled(_rows(x), mean, weight / np.sqrt(var + eps), bias)
    return _like(y, x), (x, weight, mean, var, eps)


def batch_moments(x: Array) -> tuple[Array, Array]:
    """(mean, biased variance) of every channel of x (N, C, ...), each (C,).

    Raises ShapeError for a single number per channel, which has no variance, and DtypeError for float16."""
    check_arrays("batchnorm_train", x=x)
    if x.ndim < 2:
        raise ShapeError(f"batchnorm_train: x must be (N, C) or (N, C, H, W), got {tuple(x.shape)}")
    if x.dtype.itemsize < 4:
        raise DtypeError(
            f"batchnorm_train: sums over a batch overflow in {x.dtype}; train in float32 (x.float() and model.float())"
        )
    if x.size // max(x.shape[1], 1) < 2:
        problem = "one number per channel has no variance; use a larger batch, or model.eval()"
        raise shape_error("batchnorm_train", problem, x=("(N, C, ...)", x))
    return _mean_and_variance(_rows(x))


def batchnorm_train_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """dy like x  ->  dx like x, dweight (C,), dbias (C,)

    With x̂ = (x - mean) / σ:  dbias = Σ dy,  dweight = Σ dy·x̂,  dx = weight/σ · (dy - (dbias + x̂·dweight) / M).
    The two subtracted terms are what dy loses by moving the mean and the variance (tutorial 13)."""
    x, weight, mean, var, eps = cache
    rows, drows = _rows(x), _rows(dy)
    inverse = 1 / np.sqrt(var + eps)
    dbias, dweight = _sums(drows, rows, mean)
    dweight *= inverse
    if not needs[0]:
        return None, dweight if needs[1] else None, dbias if needs[2] else None
    scale, M = weight * inverse, len(rows)
    slope, shift = -scale * inverse * dweight / M, -scale * dbias / M
    dx = np.empty_like(rows)

    def work(some):  # dx = scale·dy + slope·(x - mean) + shift, three passes over a block in the cache
        out = np.subtract(rows[some], mean, out=dx[some])
        out *= slope
        out += shift
        term = parallel.scratch("norm", out.shape, out)
        out += np.multiply(drows[some], scale, out=term)

    parallel.over_rows(work, rows, drows, dx)
    return _like(dx, x), dweight if needs[1] else None, dbias if needs[2] else None


def batchnorm_relu_forward(
    x: Array, weight: Array, bias: Array, skip: Array | None = None, eps: float = 1e-5,
    moments: tuple[Array, Array] | None = None,
) -> tuple[Array, Any]:
    """y = relu(batchnorm_train(x) + skip), in one walk through memory: the end of a residual block.

    x (N, C, ...), weight (C,), bias (C,), skip like x or None  ->  y like x, cache. The arguments are those of
    `batchnorm_train_forward`. Raises ShapeError, DtypeError, DeviceError."""
    _check("batchnorm_relu", x, weight=weight, bias=bias)
    if skip is not None and tuple(skip.shape) != tuple(x.shape):
        raise shape_error("batchnorm_relu", "x and skip differ", x=("(N, C, ...)", x), skip=("(N, C, ...)", skip))
    check_arrays("batchnorm_relu", x=x, skip=skip)
    mean, var = batch_moments(x) if moments is None else moments
    y = _scaled(_rows(x), mean, weight / np.sqrt(var + eps), bias, None if skip is None else _rows(skip), relu=True)
    y = _like(y, x)
    return y, (y, skip is not None, (x, weight, mean, var, eps))


def batchnorm_relu_backward(dy: Array, cache: Any, needs: Needs = (True, True, True, True)) -> Gradients:
    """dy like x  ->  dx like x, dweight (C,), dbias (C,), dskip like x

    dskip = dy where y > 0, and the rest follows from it as in `batchnorm_train_backward`."""
    y, has_skip, norm_cache = cache
    (dskip,) = relu_backward(dy, y)
    gradients = batchnorm_train_backward(dskip, norm_cache, needs[:3])
    return (*gradients, dskip if has_skip and needs[3] else None) if len(needs) > 3 else gradients


def batchnorm_frozen_forward(
    x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float = 1e-5
) -> tuple[Array, Any]:
    """y = weight · (x - mean) / sqrt(var + eps) + bias, with a given mean (C,) and variance (C,).

    x (N, C, ...), weight (C,), bias (C,)  ->  y like x, cache"""
    _check("batchnorm_frozen", x, weight=weight, bias=bias, mean=mean, var=var)
    y = _scaled(_rows(x), mean, weight / np.sqrt(var + eps), bias)
    return _like(y, x), (x, weight, mean, var, eps)


def batchnorm_frozen_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """dy like x  ->  dx like x, dweight (C,), dbias (C,): the statistics are constants, so dx = dy · weight / σ."""
    x, weight, mean, var, eps = cache
    inverse = 1 / np.sqrt(var + eps)
    drows = _rows(dy)
    dx = dweight = dbias = None
    if needs[1] or needs[2]:
        dbias, dweight = _sums(drows, _rows(x), mean)
        dweight *= inverse
    if needs[0]:
        scale, dx_rows = weight * inverse, np.empty_like(drows)
        parallel.over_rows(lambda some: np.multiply(drows[some], scale, out=dx_rows[some]), drows, dx_rows)
        dx = _like(dx_rows, x)
    return dx, dweight if needs[1] else None, dbias if needs[2] else None, None, None


def _check(op, x, **vectors):
    check_arrays(op, x=x, **vectors)
    if x.ndim < 2:
        raise ShapeError(f"{op}: x must be (N, C) or (N, C, H, W), got {tuple(x.shape)}")
    for name, v in vectors.items():
        if tuple(v.shape) != (x.shape[1],):
            shown = describe(x=("(N, C, ...)", x), **{name: ("(C,)", v)})
            raise ShapeError(f"{op}: x has {x.shape[1]} channels but {name} has {tuple(v.shape)}\n{shown}")


def _rows(x):
    """x (N, C, ...) as a matrix (M, C): a view if its memory is channels-last, else a copy."""
    last = x.transpose(0, *range(2, x.ndim), 1)
    if not last.flags.c_contiguous:
        last = last.copy()
    return last.reshape(-1, x.shape[1])


def _like(rows, x):
    """A matrix (M, C) back in the shape of x (N, C, ...), with the channels last in memory."""
    return rows.reshape(x.shape[0], *x.shape[2:], x.shape[1]).transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def _scaled(rows, mean, scale, bias, skip=None, relu=False):
    """scale · (rows - mean) + bias (+ skip, then max with 0)"""
    y = np.empty_like(rows)

    def work(some):
        out = np.subtract(rows[some], mean, out=y[some])
        out *= scale
        out += bias
        if skip is not None:
            out += skip[some]
        if relu:
            np.maximum(out, 0, out=out)

    parallel.over_rows(work, rows, y)
    return y


def _mean_and_variance(rows):
    """Mean and biased variance of every column of rows (M, C), from one walk through memory.

    Each block has its own mean and sum of squares around it; two blocks are joined by the rule of Chan, Golub and
    LeVeque (1979), which stays exact where E[x²] - E[x]² would cancel."""

    def work(some):
        block = rows[some]
        mean = column_sums(block) / len(block)
        centred = np.subtract(block, mean, out=parallel.scratch("norm", block.shape, block))
        missed = column_sums(centred) / len(block)  # what a sum of large numbers in float32 has rounded away
        squares = column_sums(np.multiply(centred, centred, out=centred)) - missed * missed * len(block)
        return len(block), mean + missed, squares

    count, mean, squares = 0, 0, 0
    for n, block_mean, block_squares in parallel.over_rows(work, rows):
        delta = block_mean - mean
        mean = mean + delta * (n / (count + n))
        squares = squares + block_squares + delta * delta * (count * n / (count + n))
        count += n
    return mean, squares / count


def _sums(drows, rows, mean):
    """(Σ dy, Σ dy·(x - mean)) over the rows"""

    def work(some):
        block = np.subtract(rows[some], mean, out=parallel.scratch("norm", rows[some].shape, rows))
        return column_sums(drows[some]), column_sums(np.multiply(block, drows[some], out=block))

    parts = parallel.over_rows(work, drows, rows)
    zero = np.zeros_like(mean)
    return sum((a for a, _ in parts), zero), sum((b for _, b in parts), zero)
