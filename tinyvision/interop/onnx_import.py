"""An ONNX file as a Module: its initializers become Parameters, its nodes are computed by the ops on the tape.

So it predicts, trains, is checked and is exported again like any other network. The file is only read: nothing in it is
run, and arrays outside of it are read only from the file's own folder.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..errors import FileError, OptionError, WeightsError
from ..folders import user_path
from ..nn.module import Buffer, Parameter
from ..tensors.tensor import Tensor
from . import onnx_places, onnx_resize, onnx_shapes  # noqa: F401  they enter their readers into the table
from .graph import GraphModel, Node
from .node_roles import ONNX
from .onnx_export import package
from .onnx_ops import READERS

LARGEST = 4 << 30  # bytes of all initializers together
MOST_NODES = 100_000
OPSETS = range(7, 26)


def from_onnx(path: str | os.PathLike[str]) -> OnnxModel:
    """The network in an ONNX file, as a Module that takes the graph's inputs in order.

    Floating-point initializers are Parameters under their names in the file, `a.b.weight` that of a module in a module;
    the running statistics of batch-norms are buffers. Like any new module it is in training mode: call `eval()` before
    it predicts. Raises FileError if there is no such file, WeightsError if it is no ONNX model, if it is damaged, or if
    it has nodes that are not known here (all are listed)."""
    onnx = package()
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(f"from_onnx: expected a path, got {type(path).__name__}")
    path = user_path(path)
    if not path.is_file():
        raise FileError(f"{path}: there is no such file")
    try:
        proto = onnx.load(os.fspath(path), load_external_data=False)
    except Exception as error:  # the parser's own kinds of error, of which it has many
        raise WeightsError(f"{path.name}: not an ONNX model ({str(error).splitlines()[0][:120]})") from None
    outside = any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _arrays(proto.graph))
    try:
        model = OnnxModel(_checked(onnx, proto, path))
    except WeightsError as error:
        raise WeightsError(f"{path.name}: {error}") from None
    model.arrays_outside = outside
    return model


# Nodes whose arguments behind the first are learnt.
_LEARNT = (
    "Conv",
    "ConvTranspose",
    "Gemm",
    "BatchNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "PRelu",
)

# Nodes whose arguments behind the first are settings, and nothing that is learnt.
_SETTINGS = ("Clip", "Dropout", "Expand", "Pad", "Resize", "Tile", "Upsample")


class OnnxModel(GraphModel):
    """A graph of ONNX nodes; see `from_onnx`.

    input_names, output_names  what the graph calls its inputs and outputs, in order
    input_shapes               what the file says of the inputs, without the batch; None where any size will do
    metadata                   the words that were kept with the model
    arrays_outside             whether arrays of it lie in other files"""

    readers = READERS
    describing = ONNX
    whole_numbers_are_arrays = True
    arrays_outside = False

    def __init__(self, proto: Any) -> None:
        graph = proto.graph
        arrays = _initializers(graph)
        opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
        nodes = [
            Node(n.op_type, n.name or n.op_type, list(n.input), list(n.output), {"opset": opset, **_attributes(n)})
            for n in graph.node
        ]
        nodes = _with_weights(nodes, arrays)
        # Single numbers (the 3 of `x + 3`) and integers belong to the graph; what is larger was learnt, and so was the
        # one number that a layer of one channel has.
        layers = {name for node in nodes if node.kind in _LEARNT for name in node.inputs[1:]}
        used = {name for node in nodes for name in (node.inputs[:1] if node.kind in _SETTINGS else node.inputs)}
        fixed = {
            name: array
            for name, array in arrays.items()
            if array.dtype.kind != "f" or (array.size <= 1 and name not in layers) or name not in used
        }
        statistics = {name for node in nodes if node.kind == "BatchNormalization" for name in node.inputs[3:5]}
        learnt = {
            name: Buffer(Tensor.of(a)) if name in statistics else Parameter(Tensor.of(a))
            for name, a in arrays.items()
            if name not in fixed
        }
        inputs = [i.name for i in graph.input if i.name not in arrays]
        super().__init__(nodes, inputs, [o.name for o in graph.output], {"": None, **fixed}, learnt)
        self.input_shapes = tuple(_sides(i) for i in graph.input if i.name not in arrays)
        self.metadata = {entry.key: entry.value for entry in proto.metadata_props}


def _sides(described):
    """The sizes after the batch, None where the file leaves them open."""
    shape = described.type.tensor_type.shape
    return tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in shape.dim[1:])


def _with_weights(nodes, arrays):
    """The nodes without those that hold weights, whose arrays are put among the initializers.

    Some exporters (Paddle's) have no initializers, and write every array as a node. Where there are any, or where no
    layer's weight is such a node, constants are what they say."""
    constants = {
        node.outputs[0]: node.options["value"]
        for node in nodes
        if node.kind == "Constant"
        and node.outputs
        and getattr(node.options.get("value"), "dtype", np.dtype(int)).kind == "f"
    }
    learnt = {name for node in nodes if node.kind in _LEARNT for name in node.inputs[1:]}
    if not learnt & constants.keys() or any(array.dtype.kind == "f" for array in arrays.values()):
        return nodes
    arrays.update(constants)
    return [node for node in nodes if node.kind != "Constant" or node.outputs[0] not in constants]


def _attributes(node):
    return {a.name: _attribute(a) for a in node.attribute}


def _attribute(attribute):
    onnx = package()
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        return _array(value)
    return list(value) if hasattr(value, "__iter__") else value


def _initializers(graph):
    return {tensor.name: _array(tensor) for tensor in graph.initializer}


def _array(tensor):
    onnx = package()
    try:
        return np.array(onnx.numpy_helper.to_array(tensor))
    except Exception as error:
        reason = str(error).splitlines()[0][:100]
        raise WeightsError(f"the array {tensor.name[:60]!r} is damaged ({reason})") from None


def _checked(onnx, proto, path):
    """The model, after all that a file can lie about: sizes, places of arrays, order of nodes, unknown nodes."""
    graph = proto.graph
    if len(graph.node) > MOST_NODES:
        raise WeightsError(f"a graph of {len(graph.node):,} nodes")
    if not graph.node or not graph.output:
        raise WeightsError("a model without nodes or without outputs")
    opset = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), None)
    if opset not in OPSETS:
        raise WeightsError(
            f"it is of opset {opset}, and the nodes of {OPSETS[0]} to {OPSETS[-1]} are known here; export it with 20"
        )
    if graph.sparse_initializer or proto.functions:
        raise WeightsError("sparse initializers and functions of the model's own are not known here")
    arrays = list(_arrays(graph))
    total = sum(_bytes_of(tensor) for tensor in arrays)
    if total > LARGEST:
        raise WeightsError(f"initializers of {total:,} bytes, more than {LARGEST:,}")
    for tensor in arrays:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _read_external(onnx, tensor, path.parent)
    kinds = [n.op_type if n.domain in ("", "ai.onnx") else f"{n.domain}.{n.op_type}" for n in graph.node]
    names = [*kinds, *(n.name for n in graph.node), *(text for n in graph.node for text in (*n.input, *n.output))]
    names += [t.name for t in (*graph.initializer, *graph.input, *graph.output)]
    if not all(isinstance(name, str) for name in names):  # what is no UTF-8 comes as bytes
        raise WeightsError("names that are no text")
    unknown = sorted({kind for kind in kinds if kind not in READERS})
    if unknown:
        quantised = any("Quantize" in kind or "QLinear" in kind or kind.endswith("Integer") for kind in unknown)
        remedy = (
            "; the network is quantised: take the file that it was made of, with float weights" if quantised else ""
        )
        raise WeightsError(f"nodes that are not known here: {', '.join(unknown)}{remedy}")
    known = {"", *(t.name for t in graph.initializer), *(i.name for i in graph.input)}
    for node in graph.node:
        late = [name for name in node.input if name not in known]
        if late:
            raise WeightsError(
                f"the node {node.name or node.op_type!r} needs {late[0][:60]!r}, which nothing before it makes"
            )
        known.update(node.output)
    lost = [o.name for o in graph.output if o.name not in known]
    if lost:
        raise WeightsError(f"the output {lost[0][:60]!r} is made by no node")
    return proto


def _arrays(graph):
    """Every array of a graph: its initializers, and those in its nodes, such as the value of a Constant."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _bytes_of(tensor):
    count = 1
    for size in tensor.dims:
        if size < 0:
            raise WeightsError(f"the array {tensor.name[:60]!r} has an axis of size {size}")
        count *= size
    return count * 4


def _read_external(onnx, tensor, folder):
    """Arrays beside the file: only from its own folder, whatever the file says, and not more than there is."""
    said = {entry.key: entry.value for entry in tensor.external_data}
    place = (folder / said.get("location", "")).resolve()
    if not place.is_relative_to(folder.resolve()) or not place.is_file():
        raise WeightsError(
            f"the array {tensor.name[:60]!r} is said to lie in {said.get('location', '')[:80]!r}, "
            f"which is no file beside the model"
        )
    try:
        offset, length = int(said.get("offset", 0)), int(said.get("length", -1))
    except ValueError:
        raise WeightsError(f"the array {tensor.name[:60]!r} has no proper place in its file") from None
    length = place.stat().st_size - offset if length < 0 else length
    if offset < 0 or offset + length > place.stat().st_size:
        raise WeightsError(f"the array {tensor.name[:60]!r} reaches beyond the end of {place.name}")
    if length > 2 * _bytes_of(tensor):  # numbers of at most eight bytes
        raise WeightsError(f"the array {tensor.name[:60]!r} is said to have {length:,} bytes, too many for its sizes")
    with place.open("rb") as file:
        file.seek(offset)
        tensor.raw_data = file.read(length)
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]
