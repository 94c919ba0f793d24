"""The ops that move numbers about, as nodes of ONNX. Entered into the table of `onnx_nodes`."""

from __future__ import annotations

import numpy as np

from ..errors import ExportError
from .listening import BATCH, GROWING, index_parts
from .onnx_nodes import writes

_END = 2**62  # of a slice to the end of an axis


@writes("reshape")
def _reshape(graph, call, x):
    return graph.node("Reshape", [x, graph.integers(_open_shape(call))])


@writes("flatten")
def _flatten(graph, call, x):
    return graph.node("Reshape", [x, graph.integers(_open_shape(call))])


def _open_shape(call):
    """The shape of a result in which 0 keeps a size, and -1 is the one that follows from the others."""
    before, after = call.shapes[0], list(call.shape)
    if after and before and after[0] == before[0] == BATCH:
        after[0] = 0
    after = [-1 if size in (BATCH, GROWING) else size for size in after]
    if after.count(-1) > 1:
        raise ExportError(f"the shape {call.shape} leaves two sizes to the batch")
    return after


@writes("transpose")
def _transpose(graph, call, x):
    axes = call.options.get("axes")
    rank = len(call.shapes[0])
    return graph.node("Transpose", [x], perm=[int(a) % rank for a in (axes or range(rank - 1, -1, -1))])


@writes("concatenate")
def _concatenate(graph, call, *arrays):
    return graph.node("Concat", arrays, axis=int(call.options.get("axis", 0)))


@writes("index")
def _index(graph, call, x):
    """An index as one Slice, the axes that come and go, and a Gather for an array of places."""
    parts = index_parts(call.options["index"], len(call.shapes[0]))
    slices: list[tuple[int, int, int, int]] = []
    dropped, added, gathered, axis, place = [], [], [], 0, 0
    for part in parts:
        if part is None:
            added.append(place)
            place += 1
            continue
        if isinstance(part, slice):
            if part != slice(None):
                start, stop = part.start or 0, _END if part.stop is None else part.stop
                slices.append((start, stop, axis, 1 if part.step is None else part.step))
        elif isinstance(part, int):
            slices.append((part, part + 1 if part != -1 else _END, axis, 1))
            dropped.append(axis)
        else:
            gathered.append((place, part))
        axis, place = axis + 1, place + (0 if isinstance(part, int) else np.ndim(part) or 1)
    if gathered and (len(gathered) > 1 or dropped):
        raise ExportError("an index of several arrays, or of an array and numbers, has no node here; take them in turn")
    y = _sliced(graph, x, slices) if slices else x
    if dropped:
        y = graph.node("Squeeze", [y, graph.integers(dropped)])
    for at, places in gathered:
        before = sum(1 for k in added if k < at)
        y = graph.node("Gather", [y, graph.constant(places)], axis=at - before)
    return graph.node("Unsqueeze", [y, graph.integers(added)]) if added else y


def _sliced(graph, x, slices):
    """Slice by (start, end, axis, step) for some axes."""
    return graph.node("Slice", [x, *(graph.integers(column) for column in zip(*slices, strict=True))])


@writes("flip")
def _flip(graph, call, x):
    return _sliced(graph, x, [(-1, -_END, int(axis), -1) for axis in call.options["axis"]])


@writes("roll")
def _roll(graph, call, x):
    for shift, axis in zip(call.options["shifts"], call.options["axis"], strict=True):
        if call.shapes[0][axis] in (BATCH, GROWING):
            raise ExportError("it moves images to the places of others in a batch, whose size is not known")
        start = -shift % call.shapes[0][axis]
        parts = [_sliced(graph, x, [(a, b, int(axis), 1)]) for a, b in ((start, _END), (0, start))]
        x = graph.node("Concat", parts, axis=int(axis)) if start else x
    return x


@writes("expand")
def _expand(graph, call, x):
    """Repeated by Expand, in which a 1 keeps a size: that of the batch is kept so, or asked of the model's input."""
    before = (1,) * (len(call.shape) - len(call.shapes[0])) + tuple(call.shapes[0])
    if GROWING in call.shape:
        raise ExportError("it repeats to a multiple of the batch")
    wanted = [1 if n == m else m for n, m in zip(before, call.shape, strict=True)]
    if BATCH not in wanted:
        return graph.node("Expand", [x, graph.integers(wanted)])
    sizes = [graph.batch() if n == BATCH else graph.integers([n]) for n in wanted]
    return graph.node("Expand", [x, graph.node("Concat", sizes, axis=0) if len(sizes) > 1 else sizes[0]])


@writes("where")
def _where(graph, call, a, b):
    return graph.node("Where", [graph.constant(call.options["condition"]), a, b])


@writes("pad")
def _pad(graph, call, x):
    padding, rank = list(call.options["padding"]), len(call.shapes[0])
    before, after = [0] * rank, [0] * rank
    for k in range(len(padding) // 2):  # the last axis first
        before[rank - 1 - k], after[rank - 1 - k] = padding[2 * k], padding[2 * k + 1]
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    mode = modes[call.options.get("mode", "constant")]
    inputs = [x, graph.integers([*before, *after])]
    if mode == "constant":
        inputs.append(graph.numbers(call.options.get("value", 0.0)))
    return graph.node("Pad", inputs, mode=mode)


@writes("repeat")
def _repeat(graph, call, x):
    repeats = next(iter(call.options.values()))
    return graph.node("Tile", [x, graph.integers([int(n) for n in repeats])])
