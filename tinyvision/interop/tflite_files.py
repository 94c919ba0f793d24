"""A TensorFlow Lite file: its nodes, its values and the arrays in it, read and checked before anything is computed.

The flat buffer is taken apart by the package `tflite` (`pip install "tinyvision[tflite]"`); every offset in such a file
may point anywhere, so what it gives is checked here: how many, how large, and in which order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import FileError, OptionError, WeightsError
from ..formats.refused import Refused
from .graph import Node
from .tflite_sparse import dense

LARGEST = 2 << 30  # bytes of a file; its offsets cannot reach further
MOST_NODES = 100_000
MOST_ARGUMENTS = 1_000_000  # of all nodes together
SHARED = 16  # how often the arrays may repeat the bytes of the file

_DTYPES = {
    "FLOAT32": np.float32, "FLOAT16": np.float16, "FLOAT64": np.float64,
    "INT32": np.int32, "INT64": np.int64, "BOOL": np.bool_,
}  # fmt: skip

_WINDOWS = "Padding StrideH StrideW FusedActivationFunction"
# kind of node -> (the table of its options in the file, those that are read)
_OPTIONS = {
    "ADD": ("AddOptions", "FusedActivationFunction"),
    "SUB": ("SubOptions", "FusedActivationFunction"),
    "MUL": ("MulOptions", "FusedActivationFunction"),
    "DIV": ("DivOptions", "FusedActivationFunction"),
    "CONV_2D": ("Conv2DOptions", f"{_WINDOWS} DilationHFactor DilationWFactor"),
    "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", f"{_WINDOWS} DilationHFactor DilationWFactor"),
    "TRANSPOSE_CONV": ("TransposeConvOptions", _WINDOWS),
    "AVERAGE_POOL_2D": ("Pool2DOptions", f"{_WINDOWS} FilterHeight FilterWidth"),
    "MAX_POOL_2D": ("Pool2DOptions", f"{_WINDOWS} FilterHeight FilterWidth"),
    "FULLY_CONNECTED": ("FullyConnectedOptions", "FusedActivationFunction WeightsFormat KeepNumDims"),
    "BATCH_MATMUL": ("BatchMatMulOptions", "AdjX AdjY"),
    "CONCATENATION": ("ConcatenationOptions", "Axis FusedActivationFunction"),
    "RESHAPE": ("ReshapeOptions", "NewShapeAsNumpy"),
    "SQUEEZE": ("SqueezeOptions", "SqueezeDimsAsNumpy"),
    "STRIDED_SLICE": ("StridedSliceOptions", "BeginMask EndMask EllipsisMask NewAxisMask ShrinkAxisMask Offset"),
    "SPLIT": ("SplitOptions", "NumSplits"),
    "SPLIT_V": ("SplitVOptions", "NumSplits"),
    "PACK": ("PackOptions", "Axis"),
    "UNPACK": ("UnpackOptions", "Axis Num"),
    "GATHER": ("GatherOptions", "Axis BatchDims"),
    "MEAN": ("ReducerOptions", "KeepDims"),
    "SUM": ("ReducerOptions", "KeepDims"),
    "REDUCE_MAX": ("ReducerOptions", "KeepDims"),
    "REDUCE_MIN": ("ReducerOptions", "KeepDims"),
    "REDUCE_PROD": ("ReducerOptions", "KeepDims"),
    "SOFTMAX": ("SoftmaxOptions", "Beta"),
    "L2_NORMALIZATION": ("L2NormOptions", "FusedActivationFunction"),
    "LEAKY_RELU": ("LeakyReluOptions", "Alpha"),
    "GELU": ("GeluOptions", "Approximate"),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", "AlignCorners HalfPixelCenters"),
    "RESIZE_NEAREST_NEIGHBOR": ("ResizeNearestNeighborOptions", "AlignCorners HalfPixelCenters"),
    "MIRROR_PAD": ("MirrorPadOptions", "Mode"),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", "BlockSize"),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", "BlockSize"),
}


class Place(NamedTuple):
    """A value of the graph: its name, its shape as the file has it (channels last), and its dtype there."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass
class Graph:
    """What a file holds. Values are numbers, -1 stands for an argument that is not given."""

    nodes: list[Node]
    places: list[Place]
    arrays: dict[int, np.ndarray]
    inputs: list[int]
    outputs: list[int]
    description: str


def package() -> Any:
    """The package tflite. Raises OptionError, with the remedy, if it is not installed."""
    try:
        import tflite
    except ImportError:
        raise OptionError(
            "TensorFlow Lite's files are read by the package tflite, which is not installed: "
            "pip install 'tinyvision[tflite]'"
        ) from None
    return tflite


def read(path: Path, known: frozenset[str]) -> Graph:
    """The graph in a file whose nodes are all of `known` kinds. Raises FileError, WeightsError, OptionError."""
    tflite = package()
    if not path.is_file():
        raise FileError(f"{path}: there is no such file")
    size = path.stat().st_size
    if size > LARGEST:
        raise WeightsError(f"{size:,} bytes, more than a TensorFlow Lite file can have")
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise WeightsError("not a TensorFlow Lite model (no TFL3 in it)")
    try:
        return _graph(tflite, tflite.Model.GetRootAs(data, 0), size, known)
    except (WeightsError, Refused) as error:
        raise WeightsError(str(error)) from None
    except Exception as error:  # an offset that leads astray ends in one of many kinds of error
        raise WeightsError(
            f"the file is damaged ({str(error).splitlines()[0][:100] if str(error) else error!r})"
        ) from None


def _graph(tflite, model, size, known):
    if model.SubgraphsLength() < 1:
        raise WeightsError("a model without a graph")
    graph = model.Subgraphs(0)
    kinds = list(_kinds(tflite, model, graph))
    if graph.TensorsLength() * 4 > size:
        raise WeightsError(f"{graph.TensorsLength():,} values, more than the file can hold")
    places = [_place(tflite, graph.Tensors(k)) for k in range(graph.TensorsLength())]
    nodes = list(_nodes(tflite, graph, kinds, places))
    inputs, outputs = (_numbers(graph, what, len(places)) for what in ("Inputs", "Outputs"))
    if not nodes or not outputs:
        raise WeightsError("a model without nodes or without outputs")
    _require_no_integers(nodes, places)
    unknown = sorted(set(kinds) - known)
    if unknown:
        raise WeightsError(f"nodes that are not known here: {', '.join(unknown)[:400]}")
    arrays = _arrays(model, graph, places, size)
    _check_order(nodes, inputs, outputs, arrays, places)
    nodes, same = _folded(nodes, arrays, size)
    outputs = [same.get(number, number) for number in outputs]
    return Graph(nodes, places, arrays, inputs, outputs, _text(model.Description()))


def _text(value):
    return (value or b"").decode("utf-8", "replace")


def _kinds(tflite, model, graph) -> Iterator[str]:
    """The kind of every node; those of somebody's own come as CUSTOM and their name."""
    names = {number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}
    if graph.OperatorsLength() > MOST_NODES:
        raise WeightsError(f"a graph of {graph.OperatorsLength():,} nodes")
    for k in range(graph.OperatorsLength()):
        number = graph.Operators(k).OpcodeIndex()
        if not 0 <= number < model.OperatorCodesLength():
            raise WeightsError(f"node {k} is of a kind that the file does not name")
        code = model.OperatorCodes(number)
        # Files of the first years have room for 127 kinds; since then the larger of the two fields counts.
        kind = names.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "")
        yield f"CUSTOM {_text(code.CustomCode())[:60]}" if kind == "CUSTOM" else kind or "a kind without a name"


def _place(tflite, tensor):
    names = {number: name for name, number in vars(tflite.TensorType).items() if isinstance(number, int)}
    name = _text(tensor.Name())
    if tensor.ShapeLength() > 8:
        raise WeightsError(f"the value {name[:60]!r} has {tensor.ShapeLength()} axes")
    shape = tuple(tensor.Shape(k) for k in range(tensor.ShapeLength()))
    if any(n < 0 for n in shape):
        raise WeightsError(f"the value {name[:60]!r} has an axis of size {min(shape)}")
    return Place(name, shape, names.get(tensor.Type(), "unknown"))


def _numbers(owner, what, count):
    """The values that a node, or the graph, takes or gives."""
    length = getattr(owner, f"{what}Length")()
    if length > MOST_ARGUMENTS:
        raise WeightsError(f"{length:,} {what.lower()} of one node")
    numbers = [getattr(owner, what)(k) for k in range(length)]
    if any(not -1 <= n < count for n in numbers):
        raise WeightsError(f"{what.lower()} that the file does not hold")
    return numbers


def _nodes(tflite, graph, kinds, places) -> Iterator[Node]:
    arguments = 0
    for k, kind in enumerate(kinds):
        operator = graph.Operators(k)
        inputs, outputs = (_numbers(operator, what, len(places)) for what in ("Inputs", "Outputs"))
        arguments += len(inputs) + len(outputs)
        if arguments > MOST_ARGUMENTS:
            raise WeightsError(f"nodes with more than {MOST_ARGUMENTS:,} arguments together")
        if not outputs or min(outputs) < 0:
            raise WeightsError(f"a node ({kind}) that makes nothing")
        options = _options(tflite, operator, kind)
        # What the file says of the shapes tells which sizes are the batch's, where numbers alone would not.
        options["shapes"] = [places[n].shape if n >= 0 else () for n in inputs]
        options["dtype"] = places[outputs[0]].dtype
        yield Node(kind, f"{kind} {places[outputs[0]].name[:60]!r}", inputs, outputs, options)


def _options(tflite, operator, kind):
    if kind.startswith("CUSTOM"):
        if operator.CustomOptionsLength() > 1 << 16:
            raise WeightsError(f"options of {operator.CustomOptionsLength():,} bytes ({kind})")
        return {"bytes": bytes(operator.CustomOptions(k) for k in range(operator.CustomOptionsLength()))}
    if kind not in _OPTIONS:
        return {}
    table, fields = _OPTIONS[kind]
    given, found = getattr(tflite, table)(), operator.BuiltinOptions()
    if found is None:
        return {}
    if operator.BuiltinOptionsType() != getattr(tflite.BuiltinOptions, table):
        raise WeightsError(f"a node ({kind}) with the options of another kind")
    given.Init(found.Bytes, found.Pos)
    return {name: getattr(given, name)() for name in fields.split()}


def _require_no_integers(nodes, places):
    """Integers stand for shapes and places here; those that stand for numbers of a network are refused."""
    for node in nodes:
        for number in (*node.inputs, *node.outputs):
            if number >= 0 and places[number].dtype not in _DTYPES:
                dtype, name = places[number].dtype, places[number].name
                raise WeightsError(
                    f"{node.name}: the value {name[:60]!r} is {dtype.lower()}: quantised networks are not known here; "
                    f"convert the network without quantisation, or with weights of float16"
                )


def _arrays(model, graph, places, size):
    """The arrays in the file, in its own order of axes; all sizes are checked before the first is made."""
    found = {}
    total = 0
    for k, place in enumerate(places):
        tensor = graph.Tensors(k)
        if not 0 <= tensor.Buffer() < model.BuffersLength():
            raise WeightsError(f"the value {place.name[:60]!r} lies in no part of the file")
        buffer = model.Buffers(tensor.Buffer())
        if buffer.Offset() > 1:
            raise WeightsError("arrays behind the end of the model, as in files of more than 2 GB, are not known here")
        if tensor.Buffer() == 0 or buffer.DataLength() == 0 or place.dtype not in _DTYPES:
            continue
        if tensor.IsVariable():
            raise WeightsError(f"the value {place.name[:60]!r} is a variable, which a network here has not")
        found[k] = tensor, buffer
        total += _bytes(place)
        if total > SHARED * size:
            raise WeightsError(f"arrays of {total:,} bytes in a file of {size:,}")
    return {k: _array(tensor, buffer, places[k]) for k, (tensor, buffer) in found.items()}


def _bytes(place):
    count = np.dtype(_DTYPES[place.dtype]).itemsize
    for n in place.shape:
        count *= n
    return count


def _array(tensor, buffer, place):
    numbers = np.frombuffer(buffer.DataAsNumpy(), _DTYPES[place.dtype])
    if tensor.Sparsity() is not None:
        return dense(tensor.Sparsity(), numbers, place.shape, place.name)
    if numbers.nbytes != _bytes(place):
        raise WeightsError(f"the array {place.name[:60]!r} has {len(numbers):,} numbers for the shape {place.shape}")
    return numbers.reshape(place.shape).copy()


def _check_order(nodes, inputs, outputs, arrays, places):
    known = {-1, *arrays, *inputs}
    for node in nodes:
        late = [n for n in node.inputs if n not in known]
        if late:
            raise WeightsError(f"{node.name} needs {places[late[0]].name[:60]!r}, which nothing before it makes")
        known.update(node.outputs)
    lost = [n for n in outputs if n not in known or n < 0]
    if lost:
        raise WeightsError(f"the output {places[lost[0]].name[:60]!r} is made by no node")
    if min(inputs, default=0) < 0:
        raise WeightsError("an input without a value")


def _folded(nodes, arrays, size):
    """(the nodes without those that only say how an array is kept, in float16 or sparse; {their results: the values
    that these are}). However many make numbers of one array, they are one array, and a Parameter of it is one."""
    left, same, made, total = [], {}, {}, 0
    for node in nodes:
        node.inputs = [same.get(number, number) for number in node.inputs]
        if node.kind not in ("DEQUANTIZE", "DENSIFY") or not node.inputs or node.inputs[0] not in arrays:
            left.append(node)
            continue
        number, result = node.inputs[0], node.outputs[0]
        array = arrays[number]
        if node.kind == "DENSIFY" or array.dtype == np.float32:
            same[result] = number  # the arrays are whole, and of their dtype, since they were read
        elif number in made:
            same[result] = made[number]
        else:
            total += array.size * 4
            if total > SHARED * size:
                raise WeightsError(f"arrays that become {total:,} bytes of float32 in a file of {size:,}")
            arrays[result], made[number] = array.astype(np.float32), result
    return left, same
