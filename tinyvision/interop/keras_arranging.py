"""The ops that move numbers about, as layers of Keras. Entered into the table of `keras_writers`."""

from __future__ import annotations

import numpy as np

from ..errors import ExportError
from .keras_writers import without, writes
from .listening import index_parts


@writes("reshape", "flatten")
def _reshape(graph, call, x):
    return graph.reshaped(x, call.shape)


@writes("transpose")
def _transpose(graph, call, x):
    """Nothing happens to the numbers; our axes have other names from here on."""
    rank = len(x.shape)
    axes = [int(a) % rank for a in (call.options.get("axes") or range(rank - 1, -1, -1))]
    return x._replace(order=tuple(axes.index(a) for a in x.order), shape=tuple(call.shape))


@writes("index")
def _index(graph, call, x):
    index = index_parts(call.options["index"], len(x.shape))
    places = {axis: part for axis, part in enumerate(index) if isinstance(part, np.ndarray)}
    if any(part is None for part in index) or any(part.ndim != 1 for part in places.values()):
        raise ExportError("an index of new axes, or of an array with several axes, is not in Keras here; use reshape")
    if len(places) > 1 or (places and any(isinstance(part, int) for part in index)):
        raise ExportError("an index of several arrays, or of an array and numbers, is not in Keras here; take them in "
                          "turn")  # fmt: skip
    index = [slice(None) if axis in places else part for axis, part in enumerate(index)]
    if 0 in places or index[0] != slice(None):
        raise ExportError("it takes some of the batch, which a Keras model cannot say")
    tensor = x.tensor
    if any(part != slice(None) for part in index):
        tensor = graph.named(graph.applied(tensor.__getitem__, tuple(index[axis] for axis in x.order)))
    for axis, part in places.items():
        found = [int(n) % x.shape[axis] for n in part]  # not all of Keras's backends count from the end
        tensor = graph.named(graph.applied(graph.keras.ops.take, tensor, found, axis=x.order.index(axis)))
    dropped = {axis for axis, part in enumerate(index) if not isinstance(part, slice)}
    return x._replace(tensor=tensor, order=without(x.order, dropped), shape=tuple(call.shape))


@writes("repeat")
def _repeat(graph, call, x):
    repeats = [int(n) for n in next(iter(call.options.values()))]
    if len(repeats) != len(x.shape) or repeats[0] != 1:
        raise ExportError("it repeats the batch, which a Keras model cannot say")
    return graph.operation("tile", x, call.shape, tuple(repeats[axis] for axis in x.order))


@writes("expand")
def _expand(graph, call, x):
    if len(call.shape) != len(x.shape) or call.shape[0] != x.shape[0]:
        raise ExportError("it repeats along the batch, or along a new axis, which is not in Keras here")
    repeats = [1 if n == m else m for n, m in zip(x.shape, call.shape, strict=True)]
    return graph.operation("tile", x, call.shape, tuple(repeats[axis] for axis in x.order))


@writes("flip")
def _flip(graph, call, x):
    axes = [int(axis) % len(x.shape) for axis in np.atleast_1d(call.options["axis"])]
    if 0 in axes:
        raise ExportError("it turns the batch round, which a Keras model cannot say")
    return graph.operation("flip", x, call.shape, axis=tuple(x.order.index(axis) for axis in axes))
