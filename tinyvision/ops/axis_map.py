"""Linear maps along one axis in which every output reads few inputs: resizing, padding by reflection, even windows.

    y[i] = Σ over the entries (i, j, w) of w · x[j]

An `AxisMap` is the list of those entries. The map of the gradients is the transposed one, (j, i, w): the same list with
its first two columns exchanged. So a forward and its backward are one function, `along`, called with a map and with
its transpose. The entries are dealt out into "taps", of which each reads at most one input for every output: a
tap is one gather, and no sum ever depends on the order in which threads come.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .. import blocks
from ..device import device_of
from ..types import Array


class AxisMap:
    """y[outputs[k]] += weights[k] · x[inputs[k]] for all k; without weights they are all 1."""

    def __init__(
        self,
        outputs: np.ndarray,
        inputs: np.ndarray,
        weights: np.ndarray | None,
        output_size: int,
        input_size: int,
    ) -> None:
        self.outputs, self.inputs, self.weights = outputs, inputs, weights
        self.output_size, self.input_size = output_size, input_size
        self._elsewhere: dict[Any, list[tuple[Any, Array, Array | None]]] = {}  # `taps`, by device and dtype

    @functools.cached_property
    def transposed(self) -> AxisMap:
        """The map that carries gradients back: every input gets what its outputs say, as often as they read it."""
        return AxisMap(self.inputs, self.outputs, self.weights, self.input_size, self.output_size)

    @functools.cached_property
    def taps(self) -> list[tuple[Any, np.ndarray, np.ndarray | None]]:
        """(outputs, inputs, weights) of every tap, in which no output comes twice; outputs is a slice where it can."""
        order = np.argsort(self.outputs, kind="stable")
        outputs, inputs = self.outputs[order], self.inputs[order]
        first = np.searchsorted(outputs, outputs, side="left")
        rank = np.arange(len(outputs)) - first  # how many entries of the same output came before
        taps = []
        for tap in range(int(rank.max(initial=-1)) + 1):
            here = rank == tap
            weights = None if self.weights is None else self.weights[order][here]
            taps.append((_as_slice(outputs[here]), inputs[here], weights))
        return taps

    def beside(self, x: Array) -> list[tuple[Any, Array, Array | None]]:
        """`taps`, their numbers on the device of x and the weights in its precision; moved to a GPU once, so that a
        step that is repeated there brings nothing along."""
        if isinstance(x, np.ndarray):
            return [(places, inputs, _beside(weights, x)) for places, inputs, weights in self.taps]
        key = device_of(x), np.dtype(x.dtype)
        if key not in self._elsewhere:
            self._elsewhere[key] = [
                (places, np.asarray(inputs, like=x), _beside(weights, x)) for places, inputs, weights in self.taps
            ]
        return self._elsewhere[key]


def _beside(weights, x):
    return None if weights is None else np.asarray(weights, dtype=x.dtype, like=x)


def _as_slice(places):
    """Ascending places without a gap as a slice, which reads and writes faster; others as they are."""
    whole = len(places) and places[-1] - places[0] == len(places) - 1
    return slice(int(places[0]), int(places[-1]) + 1) if whole else places


def along(x: Array, axis: int, axis_map: AxisMap) -> Array:
    """The map applied to one axis of x; the order of the axes in memory stays.   (..., I, ...)  ->  (..., O, ...)"""
    order = sorted(range(x.ndim), key=lambda a: -abs(x.strides[a]))  # how the axes lie in memory
    at = order.index(axis)
    seen = x.transpose(order)
    shape = (-1,) + (1,) * (x.ndim - 1 - at)  # weights meet axis `at`
    taps = [(p, inputs, None if w is None else w.reshape(shape)) for p, inputs, w in axis_map.beside(x)]
    y = np.empty_like(x, shape=[axis_map.output_size if a == axis else x.shape[a] for a in order], order="C")
    filled = bool(taps) and len(axis_map.taps[0][1]) == axis_map.output_size  # the first tap writes every output

    def work(rows):
        some, out = seen[rows] if at else seen, y[rows] if at else y
        if not filled:
            out[...] = 0
        for k, (places, inputs, weights) in enumerate(taps):
            part = some.take(inputs, axis=at)
            if weights is not None:
                part *= weights
            place = (slice(None),) * at + (places,)
            if k == 0:
                out[place] = part
            else:
                out[place] += part

    if at:
        blocks.over_rows(work, y, seen)
    else:
        work(slice(None))
    back = [order.index(a) for a in range(x.ndim)]
    return y.transpose(back)
