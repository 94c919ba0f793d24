"""Sparse arrays of TensorFlow Lite: only the numbers that are not 0 are in the file, with what says where they belong.

Every axis (and, for numbers kept in blocks, every axis of a block) is either walked whole, or its places are listed:
`segments[i] : segments[i + 1]` of `indices` are those under the i-th place of the axes before.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import WeightsError

_LISTED = 1  # an axis of which only some places are there


def dense(sparsity: Any, numbers: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """The whole array of this shape. Raises WeightsError for places that are outside of it."""
    order = [sparsity.TraversalOrder(k) for k in range(_few(sparsity.TraversalOrderLength(), name))]
    blocked = [sparsity.BlockMap(k) for k in range(_few(sparsity.BlockMapLength(), name))]
    rank, depth = len(shape), len(order)
    if sorted(order) != list(range(rank + len(blocked))) or sparsity.DimMetadataLength() != depth:
        raise WeightsError(f"the sparse array {name[:60]!r} does not say where its numbers belong")
    # For each axis in the order of walking: all places so far, one row each, in the order in which numbers follow.
    places = np.zeros((1, 0), np.int64)
    for level in range(depth):
        places = _deeper(sparsity.DimMetadata(level), places, math.prod(shape), name)
    if len(places) != len(numbers):
        raise WeightsError(f"the sparse array {name[:60]!r} has {len(numbers):,} numbers for {len(places):,} places")
    sizes = {axis: sparsity.DimMetadata(level).DenseSize() for level, axis in enumerate(order)}
    columns = {axis: places[:, level] for level, axis in enumerate(order)}
    index = [columns[axis] for axis in range(rank)]
    for k, axis in enumerate(blocked):
        if not 0 <= axis < rank:
            raise WeightsError(f"the sparse array {name[:60]!r} has blocks along an axis that it has not")
        index[axis] = index[axis] * sizes[rank + k] + columns[rank + k]
    if any(i.size and (i.min() < 0 or i.max() >= n) for i, n in zip(index, shape, strict=True)):
        raise WeightsError(f"the sparse array {name[:60]!r} has numbers outside of its shape {shape}")
    whole = np.zeros(shape, numbers.dtype)
    whole[tuple(index)] = numbers
    return whole


def _few(count, name):
    if count > 16:
        raise WeightsError(f"the sparse array {name[:60]!r} has {count:,} axes")
    return count


def _deeper(axis, places, most, name):
    """The places with one axis more; there cannot be more of them than the whole array has."""
    if axis.Format() != _LISTED:
        size = axis.DenseSize()
        if size < 0 or len(places) * size > most:
            raise WeightsError(f"the sparse array {name[:60]!r} has more places than its shape")
        here = np.tile(np.arange(size), len(places))
        return np.concatenate([np.repeat(places, size, axis=0), here[:, None]], axis=1)
    segments, indices = (_row(axis, what) for what in ("ArraySegments", "ArrayIndices"))
    lengths = np.diff(segments)
    if len(segments) != len(places) + 1 or lengths.min(initial=0) < 0 or segments[0] or segments[-1] != len(indices):
        raise WeightsError(f"the sparse array {name[:60]!r} does not say where its numbers belong")
    return np.concatenate([np.repeat(places, lengths, axis=0), indices[:, None]], axis=1)


def _row(axis, what):
    """A row of integers, which the file keeps in one of three widths."""
    import tflite

    table, kind = getattr(axis, what)(), getattr(axis, f"{what}Type")()
    widths = {number: name for name, number in vars(tflite.SparseIndexVector).items() if isinstance(number, int)}
    if table is None or widths.get(kind, "NONE") == "NONE":
        return np.zeros(0, np.int64)
    row = getattr(tflite, widths[kind])()
    row.Init(table.Bytes, table.Pos)
    return np.asarray(row.ValuesAsNumpy(), np.int64).reshape(-1)
