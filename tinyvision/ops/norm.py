"""Batch normalisation (Ioffe and Szegedy, 2015): with the batch's statistics, with those of a batch that lies on
several processes, and with frozen ones.

x is (N, C) or (N, C, ...); every channel is normalised over all other axes. Inside, x is a matrix (M, C) whose rows are
pixels: channels-last memory *is* that matrix. M = N·H·W counts the numbers that share a mean.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import blocks
from ..errors import DtypeError, ShapeError
from ..types import Array, Gradients, Needs
from .activation import keep
from .channels import column_sums, repeated, widened
from .checks import check_arrays, describe, shape_error


def _alone(array):
    return array[None]


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


def running_moments(
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    counter: Array | None = None,
    momentum: float = 0.1,
) -> tuple[Array, Array]:
    """`batch_moments(x)`, which a layer's running averages take up, in place; its counter of batches (1,) goes up by 1.

    Unlike an op, it writes: averages that are new arrays in every step would be none of the layer's."""
    moments = batch_moments(x)
    take_up(x.size // x.shape[1], moments, running_mean, running_var, momentum)
    if counter is not None:
        counter += 1
    return moments


def take_up(
    count: int, moments: tuple[Array, Array], running_mean: Array | None, running_var: Array | None, momentum: float
) -> None:
    """running ← (1 - momentum)·running + momentum·new, in place, for the mean and the unbiased variance of `count`
    numbers per channel."""
    mean, var = moments
    for running, new in ((running_mean, mean), (running_var, var * (count / (count - 1)))):
        if running is not None:
            running *= 1 - momentum
            running += momentum * new


def batchnorm_train_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """dy like x  ->  dx like x, dweight (C,), dbias (C,)

    With x̂ = (x - mean) / σ:  dbias = Σ dy,  dweight = Σ dy·x̂,  dx = weight/σ · (dy - (dbias + x̂·dweight) / M).
    The two subtracted terms are what dy loses by moving the mean and the variance (tutorial 13)."""
    drows = _rows(dy)
    return _backward(drows, _sums(drows, _rows(cache[0]), cache[2]), cache, needs)


def _backward(drows, sums, cache, needs, count=None):
    """The rest of `batchnorm_train_backward`, once Σ dy and Σ dy·(x - mean) over all `count` rows are known."""
    x, weight, mean, var, eps = cache
    rows, inverse = _rows(x), 1 / np.sqrt(var + eps)
    dbias, dweight = sums[0], sums[1] * inverse
    if not needs[0]:
        return None, dweight if needs[1] else None, dbias if needs[2] else None
    scale, M = weight * inverse, len(rows) if count is None else count
    slope, shift = -scale * inverse * dweight / M, -scale * dbias / M
    dx = np.empty_like(rows)
    wide, mean, scale, slope, shift = widened(rows, mean, scale, slope, shift)
    wide_dy, wide_dx = drows.reshape(wide.shape), dx.reshape(wide.shape)

    def work(some):  # dx = scale·dy + slope·(x - mean) + shift, five passes over a block in the cache
        out = np.subtract(wide[some], mean, out=wide_dx[some])
        out *= slope
        out += shift
        term = blocks.scratch("norm", out.shape, out)
        out += np.multiply(wide_dy[some], scale, out=term)

    blocks.over_rows(work, wide, wide_dy, wide_dx)
    return _like(dx, x), dweight if needs[1] else None, dbias if needs[2] else None


def batchnorm_relu_forward(
    x: Array,
    weight: Array,
    bias: Array,
    skip: Array | None = None,
    eps: float = 1e-5,
    moments: tuple[Array, Array] | None = None,
    top: float = math.inf,
) -> tuple[Array, Any]:
    """y = min(relu(batchnorm_train(x) + skip), top), in one walk through memory: the end of a residual block, or with a
    top of 6 a ReLU6.

    x (N, C, ...), weight (C,), bias (C,), skip like x or None  ->  y like x, cache. The arguments are those of
    `batchnorm_train_forward`. Raises ShapeError, DtypeError, DeviceError."""
    _check("batchnorm_relu", x, weight=weight, bias=bias)
    check_arrays("batchnorm_relu", x=x, skip=skip)
    if skip is not None and tuple(skip.shape) != tuple(x.shape):
        raise shape_error("batchnorm_relu", "x and skip differ", x=("(N, C, ...)", x), skip=("(N, C, ...)", skip))
    mean, var = batch_moments(x) if moments is None else moments
    y = _scaled(_rows(x), mean, weight / np.sqrt(var + eps), bias, None if skip is None else _rows(skip), top)
    y = _like(y, x)
    return y, (y, top, skip is not None, (x, weight, mean, var, eps))


def batchnorm_relu_backward(dy: Array, cache: Any, needs: Needs = (True, True, True, True)) -> Gradients:
    """dy like x  ->  dx like x, dweight (C,), dbias (C,), dskip like x

    dskip = dy where 0 < y < top, and the rest follows from it as in `batchnorm_train_backward`."""
    y, top, has_skip, norm_cache = cache
    out = _rows(y)
    drows = np.empty_like(out)
    sums = _sums(drows, _rows(norm_cache[0]), norm_cache[2], relu=(_rows(dy), out), top=top)
    gradients = _backward(drows, sums, norm_cache, needs[:3])
    return (*gradients, _like(drows, y) if has_skip and needs[3] else None) if len(needs) > 3 else gradients


def batchnorm_frozen_forward(
    x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float = 1e-5
) -> tuple[Array, Any]:
    """y = weight · (x - mean) / sqrt(var + eps) + bias, with a given mean (C,) and variance (C,).

    x (N, C, ...), weight (C,), bias (C,)  ->  y like x, cache"""
    _check("batchnorm_frozen", x, weight=weight, bias=bias, mean=mean, var=var)
    y = _scaled(_rows(x), mean, weight / np.sqrt(var + eps), bias)
    return _like(y, x), (x, weight, mean, var, eps)


def folded(
    weight: Array, bias: Array, mean: Array, var: Array, shift: Array | None = None, eps: float = 1e-5
) -> tuple[Array, Array]:
    """(scale, shift) of a frozen batch-norm, as vectors (C,): scale · x + shift = batchnorm_frozen(x + given shift).

    That is what the convolution before it can do to its sums."""
    scale = weight / (var + eps) ** 0.5
    return scale, bias - (mean if shift is None else mean - shift) * scale


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
        blocks.over_rows(lambda some: np.multiply(drows[some], scale, out=dx_rows[some]), drows, dx_rows)
        dx = _like(dx_rows, x)
    return dx, dweight if needs[1] else None, dbias if needs[2] else None, None, None


def sync_batchnorm_forward(
    x: Array,
    weight: Array,
    bias: Array,
    eps: float = 1e-5,
    gather: Callable[[Array], Array] = _alone,
    counted: bool = True,
    moments: tuple[int, Array, Array] | None = None,
) -> tuple[Array, Any]:
    """batchnorm_train of a batch whose rows lie on several processes, all of which call this.

    x (N, C, ...), this process's rows, may be none; weight (C,), bias (C,)  ->  y like x, cache. `gather(a)` gives the
    arrays of all processes as (P, *a.shape). Rows that are not `counted` are normalised and no more. `moments` hands in
    `gathered_moments(x, gather, counted)`. Raises ShapeError, DtypeError, DeviceError."""
    _check("sync_batchnorm", x, weight=weight, bias=bias)
    count, mean, var = gathered_moments(x, gather, counted) if moments is None else moments
    y = _scaled(_rows(x), mean, weight / np.sqrt(var + eps), bias)
    return _like(y, x), (x, weight, mean, var, eps, count, gather, counted)


def gathered_moments(
    x: Array, gather: Callable[[Array], Array] = _alone, counted: bool = True
) -> tuple[int, Array, Array]:
    """(numbers per channel, mean, biased variance) of x (N, C, ...) on all processes together: one exchange.

    Each process sends its own count, mean and Σ(x - mean)²; they are joined in the order of processes, so that all get
    the same bits. Raises ShapeError if there are fewer than two numbers per channel in all, and DtypeError."""
    check_arrays("sync_batchnorm", x=x)
    if x.ndim < 2 or not x.shape[1]:
        raise ShapeError(f"sync_batchnorm: x must be (N, C) or (N, C, H, W), got {tuple(x.shape)}")
    if x.dtype.itemsize < 4:
        raise DtypeError(f"sync_batchnorm: sums over a batch overflow in {x.dtype}; train in float32")
    C = x.shape[1]
    own = np.zeros_like(x, shape=2 * C + 1, dtype=np.float64)
    if counted and x.size:
        own[0] = x.size // C
        own[1 : C + 1], own[C + 1 :] = _mean_and_variance(_rows(x))
        own[C + 1 :] *= own[0]
    count, mean, squares = _joined((int(row[0]), row[1 : C + 1], row[C + 1 :]) for row in gather(own))
    if count < 2:
        raise shape_error("sync_batchnorm", "one number per channel has no variance", x=("(N, C, ...)", x))
    return count, mean.astype(x.dtype), (squares / count).astype(x.dtype)


def sync_batchnorm_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """dy like x  ->  dx like x, dweight (C,), dbias (C,)

    As `batchnorm_train_backward`, with M, Σ dy and Σ dy·(x - mean) over the rows of all processes: one exchange.
    dweight and dbias are this process's part: like every other weight's, they are added up by whoever trains. All dy
    must belong to one loss: the mean over all rows, not that over a process's own."""
    x, _, mean, var, eps, count, gather, counted = cache
    drows = _rows(dy)
    own = _sums(drows, _rows(x), mean)
    dx = None
    if needs[0]:
        sums = gather(np.concatenate(own)).sum(axis=0).reshape(2, -1)
        dx = _backward(drows, sums, cache[:5], (True, False, False), count)[0] if counted else np.zeros_like(x)
    dweight = own[1] / np.sqrt(var + eps) if needs[1] else None
    return dx, dweight, own[0] if needs[2] else None


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
    return last.reshape(math.prod(last.shape[:-1]), x.shape[1])  # -1 would not be found among 0 numbers


def _like(rows, x):
    """A matrix (M, C) back in the shape of x (N, C, ...), with the channels last in memory."""
    return rows.reshape(x.shape[0], *x.shape[2:], x.shape[1]).transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def _scaled(rows, mean, scale, bias, skip=None, top=None):
    """scale · (rows - mean) + bias (+ skip), and with a top not less than 0 and not more than that"""
    y = np.empty_like(rows)
    wide, mean, scale, bias = widened(rows, mean, scale, bias)
    wide_y, skip = y.reshape(wide.shape), None if skip is None else skip.reshape(wide.shape)

    def work(some):
        out = np.subtract(wide[some], mean, out=wide_y[some])
        out *= scale
        out += bias
        if skip is not None:
            out += skip[some]
        if top is not None:
            np.clip(out, 0, top, out=out)

    blocks.over_rows(work, wide, wide_y)
    return y


def _mean_and_variance(rows):
    """Mean and biased variance of every column of rows (M, C), from one walk through memory.

    Each block has its own mean and sum of squares around it; two blocks are joined by the rule of Chan, Golub and
    LeVeque (1979), which stays exact where E[x²] - E[x]² would cancel."""
    (wide,), C = widened(rows), rows.shape[1]

    def work(some):
        block = wide[some]
        count, pixels = block.size // C, block.shape[1] // C
        mean = column_sums(block, C) / count
        centred = np.subtract(block, repeated(mean, pixels), out=blocks.scratch("norm", block.shape, block))
        missed = column_sums(centred, C) / count  # what a sum of large numbers in float32 has rounded away
        missed = np.where(np.isfinite(mean), missed, np.zeros_like(missed))  # ∞ is the mean, where ∞ - ∞ is nothing
        squares = column_sums(np.multiply(centred, centred, out=centred), C) - missed * missed * count
        return count, mean + missed, squares

    count, mean, squares = _joined(blocks.over_rows(work, wide))
    return mean, squares / count


def _joined(parts):
    """(count, mean, Σ(x - mean)²) of several parts together."""
    count, mean, squares = 0, 0, 0
    for n, block_mean, block_squares in parts:
        if not n:
            continue
        delta = block_mean - mean
        mean = mean * (count / (count + n)) + block_mean * (n / (count + n))  # ∞ stays ∞
        squares = squares + block_squares + delta * delta * (count * n / (count + n))
        count += n
    return count, mean, squares


def _sums(drows, rows, mean, relu=None, top=math.inf):
    """(Σ dy, Σ dy·(x - mean)) over the rows. With relu = (upstream, y), dy is first written: upstream where y is
    neither 0 nor top."""
    C, zero = len(mean), np.zeros_like(mean)
    wide, mean = widened(rows, mean)
    wide_dy, *relu = (a.reshape(wide.shape) for a in (drows, *(relu or ())))

    def work(some):
        dy = wide_dy[some]
        if relu:
            y = relu[1][some]
            keep(relu[0][some], y != 0 if top == math.inf else (y != 0) & (y != top), out=dy)
        block = np.subtract(wide[some], mean, out=blocks.scratch("norm", dy.shape, dy))
        return column_sums(dy, C), column_sums(np.multiply(block, dy, out=block), C)

    parts = blocks.over_rows(work, wide_dy, wide)
    return sum((a for a, _ in parts), zero), sum((b for _, b in parts), zero)
