"""A TensorFlow Lite file as a Module: its arrays become Parameters, its nodes are computed by the ops on the tape.

So it predicts, trains, is checked and is exported like any other network. The file is only read: nothing in it is run.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..errors import OptionError, WeightsError
from ..folders import user_path
from ..nn.module import Parameter
from ..tensors.tensor import Tensor
from . import tflite_shapes  # noqa: F401  enters its readers into the table
from .graph import GraphModel
from .node_roles import TFLITE
from .tflite_files import Graph, read
from .tflite_ops import READERS


def from_tflite(path: str | os.PathLike[str]) -> TFLiteModel:
    """The network in a TensorFlow Lite file, as a Module. Its numbers are float32 or float16, the latter made float32.

    It takes and gives pictures as (N, C, H, W), the order of this package; `x.permute(0, 3, 1, 2)` makes it of
    TensorFlow's. A file is made for one picture at a time as a rule; here the batch is of any size. Like any new module
    it is in training mode: call `eval()` before it predicts.

    Raises FileError if there is no such file, WeightsError if it is damaged, quantised, or has nodes that are not known
    here (all are listed), OptionError if the package tflite is missing."""
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(f"from_tflite: expected a path, got {type(path).__name__}")
    path = user_path(path)
    try:
        return TFLiteModel(read(path, frozenset(READERS)))
    except WeightsError as error:
        raise WeightsError(f"{path.name}: {error}") from None


class TFLiteModel(GraphModel):
    """A graph of TensorFlow Lite's nodes; see `from_tflite`.

    input_names, output_names  what the graph calls its inputs and outputs, in order
    input_shapes               for which inputs the file was made, (C, H, W) or (K,), without the batch
    description                what the file says about itself"""

    readers = READERS
    describing = TFLITE

    def __init__(self, graph: Graph) -> None:
        fixed: dict[int, Any] = {-1: None}
        learnt = {}
        for number, roles in _roles(graph).items():
            array = _arranged(graph, number, graph.arrays[number], roles)
            if array.dtype.kind != "f":
                fixed[number] = array
            elif array.size <= 1 and not any(kind in _LEARNT and place for kind, place in roles):
                fixed[number] = Tensor.of(array)  # the 3 of `x + 3` belongs to the graph
            else:
                learnt[number] = Parameter(Tensor.of(array))
        titles = {number: place.name or f"value{number}" for number, place in enumerate(graph.places)}
        super().__init__(graph.nodes, graph.inputs, graph.outputs, fixed, learnt, titles)
        self.description = graph.description
        self.input_shapes = tuple(_sides(graph.places[number].shape) for number in graph.inputs)


# Nodes whose arguments behind the first are learnt, also where they are one number.
_LEARNT = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "PRELU")


def _roles(graph):
    """{array: {(kind of node, which of its arguments)}} for all arrays that are used."""
    roles: dict[int, set[tuple[str, int]]] = {number: set() for number in graph.outputs if number in graph.arrays}
    for node in graph.nodes:
        for place, number in enumerate(node.inputs):
            if number in graph.arrays:
                roles.setdefault(number, set()).add((node.kind, place))
    return roles


def _arranged(graph, number, array, roles):
    """An array in the order of this package: (N, C, H, W), and filters (O, I, KH, KW)."""
    array = array.astype(np.float32) if array.dtype == np.float16 else array
    if array.dtype.kind != "f" or array.ndim != 4:
        return array
    depthwise = ("DEPTHWISE_CONV_2D", 1)
    if depthwise not in roles:
        return np.ascontiguousarray(array.transpose(0, 3, 1, 2))
    if roles != {depthwise} or array.shape[0] != 1:
        name = graph.places[number].name
        raise WeightsError(f"the array {name[:60]!r} {array.shape} is no filter for every channel, or not only that")
    return np.ascontiguousarray(array.transpose(3, 0, 1, 2))  # (1, KH, KW, O) -> (O, 1, KH, KW)


def _sides(shape):
    _, *sides = shape or (1,)
    return tuple(sides[2:] + sides[:2] if len(sides) == 3 else sides)
