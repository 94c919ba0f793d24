"""Matrices (M, C) whose rows are pixels, and a vector (C,) that meets every row: biases, scales, sums over the batch.

NumPy sets out anew for every row of such an operation, which for 32 or 64 channels takes longer than the row itself.
So several pixels make one row, and as many copies of the vector meet it.
"""

import math

import numpy as np

from .. import blocks
from ..types import Array

# Rows longer than this many pixels would gain nothing more.
MOST_PIXELS = 64


def widened(rows: Array, *vectors: Array) -> tuple[Array, ...]:
    """rows (M, C) seen as (M/r, r·C), and copies of the vectors (C,) as (r·C,). On a GPU, and for odd M, r = 1."""
    M, C = rows.shape
    r = math.gcd(M, MOST_PIXELS) if blocks.on_cpu(rows) and rows.flags.c_contiguous and rows.size else 1
    return rows.reshape(-1, r * C) if r > 1 else rows, *(repeated(v, r) for v in vectors)


def repeated(vector: Array, times: int) -> Array:
    """vector (C,) as (times·C,)"""
    return np.tile(vector, times) if times > 1 else vector


def each_row(operation: np.ufunc, rows: Array, vector: Array) -> None:
    """rows (..., C) = operation(rows, vector), in place, with vector (C,) for every row."""
    if blocks.on_cpu(rows) and rows.flags.c_contiguous:
        rows, vector = widened(rows.reshape(-1, len(vector)), vector)
    operation(rows, vector, out=rows)


def column_sums(rows: Array, columns: int | None = None) -> Array:
    """Σ over the rows of (M, C)  ->  (C,). Of `widened` rows, `columns` = C says where the pixels begin.

    On a CPU as a product with a vector of ones, which BLAS reads at the speed of memory. On a GPU as a sum, since a
    product may round its factors to 10 bits there (`precision("tf32")`); in parts, or a few columns would occupy a few
    of its cores."""
    if blocks.on_cpu(rows):
        sums = np.ones_like(rows, shape=len(rows)) @ rows
        return sums if columns in (None, len(sums)) else sums.reshape(-1, columns).sum(axis=0)
    M, C = rows.shape
    parts = min(256, M // 64)
    if parts < 2:
        return rows.sum(axis=0)
    whole = M - M % parts
    sums = rows[:whole].reshape(parts, M // parts, C).sum(axis=1).sum(axis=0)
    return sums if whole == M else sums + rows[whole:].sum(axis=0)
