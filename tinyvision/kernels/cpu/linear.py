"""The fully connected layer, whose three products read their factors where they lie, with the sums in registers (see
`registers`):

    y = x weightᵀ + bias        dx = dy weight        dweight = dyᵀ x

BLAS copies its factors into an order of its own before it multiplies. For a batch of images that copy of the weight
takes as long as the product, and two threads that call BLAS wait for the interpreter between their calls. Many rows
are worth the copy: they stay with BLAS. A few are less a product than a walk through the weight.
"""

import math
from typing import Any

import numpy as np

from ... import blocks
from ...ops import linear as ops_linear
from ...types import Array, Gradients, Needs
from .. import DropIn
from . import crew
from .channels import column_sums
from .compiled import Loop, loop
from .lines import hands
from .registers import FOUR, LANES, ROWS, RUN, WIDTH, added_up, along, nothing, outer, put

DEPTH = 1 << 10  # numbers of RUN rows of the weight that stay in the first cache while all rows of x meet them
MANY_ROWS = 1 << 8  # from here on BLAS is the quicker (measured)
NO_BIAS = np.empty(0, np.float32)


@loop("void(f4[:, ::1], f4[:, ::1], f4[::1], f4[:, ::1], i8, i8)", "y")
def answered(x: Array, weight: Array, bias: Array, y: Array, begin: int, end: int) -> None:
    """y (N, O) = x (N, I) weightᵀ + bias, for the outputs of runs begin ... end; an empty bias is none."""
    (N, I), O = x.shape, len(weight)
    rows, kernels, tile = x.reshape(x.size), weight.reshape(weight.size), np.empty(FOUR * RUN, np.float32)
    whole = I // LANES * LANES
    together, apart = (FOUR, I) if N >= FOUR else (1, 0)  # of fewer rows each is taken by itself, as all four
    for o in range(begin * RUN, min(end * RUN, O)):
        for n in range(N):
            y[n, o] = bias[o] if bias.size else 0
            for i in range(whole, I):
                y[n, o] += x[n, i] * weight[o, i]
    for first in range(0, whole, DEPTH):
        last = min(first + DEPTH, whole)
        for run in range(begin, end):
            o = min(run * RUN, O - RUN)  # the last run goes back
            for some in range(0, N, together):
                n, total = min(some, N - together), nothing()
                for i in range(first, last, LANES):
                    total = along(total, kernels, o * I + i, I, rows, n * I + i, apart)
                added_up(total, tile)
                for r in range(run * RUN - o, RUN):
                    for s in range(some - n, together):
                        y[n + s, o + r] += tile[r * FOUR + s]


@loop("void(f4[::1], i8, i8, f4[:, ::1], f4[:, ::1], i8, i8)", "y")
def multiplied(a: Array, step: int, apart: int, b: Array, y: Array, begin: int, end: int) -> None:
    """y (M, I) = a (M, K) b (K, I), blocks begin ... end of its columns, where a[m, k] is a[m · step + k · apart]."""
    (M, I), K = y.shape, len(b)
    factors, results = b.reshape(b.size), y.reshape(y.size)
    for block in range(begin, end):
        i = min(block * WIDTH, I - WIDTH)  # the last block goes back
        for m in range(0, M, ROWS):
            p, q, total = min(m, M - RUN), min(m + RUN, M - RUN), nothing()
            for k in range(K):
                total = outer(total, a, p * step + k * apart, q * step + k * apart, step, factors, k * I + i)
            put(total, results, p * I + i, q * I + i, I)


@loop("void(f4[:, ::1], f4[:, ::1], f4[:, ::1], i8, i8)", "dx")
def walked(dy: Array, weight: Array, dx: Array, begin: int, end: int) -> None:
    """dx (N, I) = dy (N, O) weight, of fewer rows than a run, in blocks begin ... end of its columns."""
    (N, O), I = dy.shape, weight.shape[1]
    first, last = begin * WIDTH, min(end * WIDTH, I)
    for n in range(N):
        sums = dx[n, first:last]
        sums[:] = 0
        for o in range(O):
            row, number = weight[o, first:last], dy[n, o]
            for i in range(sums.size):
                sums[i] += number * row[i]


def linear_forward(x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, Any]:
    """As `ops.linear_forward`."""
    rows, O = x.reshape(-1, x.shape[-1]), len(weight)
    y = np.empty((len(rows), O), np.float32)
    answer(rows, weight, bias, y)
    return y.reshape(*x.shape[:-1], O), (x, weight, bias is not None)


def answer(rows: Array, weight: Array, bias: Array | None, y: Array) -> None:
    """y (N, O) = rows (N, I) weightᵀ + bias."""
    vector = NO_BIAS if bias is None else np.ascontiguousarray(bias)
    _shared_out(answered, math.ceil(len(weight) / RUN), len(rows) * weight.size, rows, weight, vector, y)


def linear_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """As `ops.linear_backward`."""
    x, weight, has_bias = cache
    (O, I), rows, dx, dweight = weight.shape, x.reshape(-1, x.shape[-1]), None, None
    drows = np.ascontiguousarray(dy, np.float32).reshape(-1, O)
    if needs[0]:
        dx = np.empty((len(rows), I), np.float32)
        image_gradient(drows, weight, dx)
        dx = dx.reshape(x.shape)
    if needs[1]:
        dweight = weight_gradient(rows, drows)
    if not has_bias:
        return dx, dweight
    return dx, dweight, column_sums(drows) if needs[2] else None


def image_gradient(drows: Array, weight: Array, dx: Array) -> None:
    """dx (N, I) = drows (N, O) weight."""
    count, work, (O, I) = len(drows), len(drows) * weight.size, weight.shape
    if count < RUN:
        _shared_out(walked, math.ceil(I / WIDTH), work, drows, weight, dx)
    else:
        _shared_out(multiplied, math.ceil(I / WIDTH), work, drows.reshape(-1), O, 1, weight, dx)


def weight_gradient(rows: Array, drows: Array) -> Array:
    """drowsᵀ rows: rows (N, I), drows (N, O)  ->  dweight (O, I)"""
    (N, I), O = rows.shape, drows.shape[1]
    dweight = np.empty((O, I), np.float32)
    _shared_out(multiplied, math.ceil(I / WIDTH), N * O * I, drows.reshape(-1), 1, O, rows, dweight)
    return dweight


def _shared_out(work: Loop, count: int, products: int, *arguments: Any) -> None:
    """work(*arguments, begin, end) for parts of range(count): two of them or more, as the last goes back into the one
    before it, where no other thread may write."""
    parts = max(1, min(hands(products), count // 2))
    crew.run(work, [(some.start, some.stop) for some in blocks.cut(count, parts)], *arguments)


def _applies(x, weight, bias=None):
    """Whether they fit each other, lie as the loops read them, and are not too many rows, nor too few outputs."""
    if weight.ndim != 2 or x.ndim < 1 or x.shape[-1] != weight.shape[1]:
        return False
    if bias is not None and tuple(bias.shape) != weight.shape[:1]:
        return False
    few = 1 <= math.prod(x.shape[:-1]) <= MANY_ROWS
    return bool(few and fits(*weight.shape) and x.flags.c_contiguous and weight.flags.c_contiguous)


def fits(outputs: int, inputs: int) -> bool:
    """Whether a weight (outputs, inputs) has the runs and blocks of which the loops take the last back."""
    return outputs >= RUN and inputs >= WIDTH


DROP_INS = (
    DropIn(
        "linear", (ops_linear.linear_forward, ops_linear.linear_backward), linear_forward, linear_backward, _applies
    ),
)
