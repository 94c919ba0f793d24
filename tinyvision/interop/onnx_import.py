"""An ONNX file as a Module: its initializers become Parameters, its nodes are computed by the ops on the tape.

So it predicts, trains, is checked and is exported again like any other network. The file is only read: nothing in it is
run, and arrays outside of it are read only from the file's own folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError, ShapeError, WeightsError
from ..nn.module import Buffer, Module, Parameter
from ..tape import Variable
from ..tensors.tensor import Tensor
from . import onnx_shapes  # noqa: F401  enters its readers into the table
from .onnx_export import package
from .onnx_ops import READERS, plain

LARGEST = 4 << 30  # bytes of all initializers together
MOST_NODES = 100_000


def from_onnx(path: str | os.PathLike[str]) -> OnnxModel:
    """The network in an ONNX file, as a Module that takes the graph's inputs in order.

    Floating-point initializers are Parameters under their names in the file, `a.b.weight` that of a module in a module;
    the running statistics of batch-norms are buffers. Like any new module it is in training mode: call `eval()` before
    it predicts. Raises FileError if there is no such file, WeightsError if it is no ONNX model, if it is damaged, or if
    it has nodes that are not known here (all are listed)."""
    onnx = package()
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileError(f"{path}: there is no such file")
    try:
        proto = onnx.load(os.fspath(path), load_external_data=False)
    except Exception as error:  # the parser's own kinds of error, of which it has many
        raise WeightsError(f"{path.name}: not an ONNX model ({str(error).splitlines()[0][:120]})") from None
    try:
        return OnnxModel(_checked(onnx, proto, path))
    except WeightsError as error:
        raise WeightsError(f"{path.name}: {error}") from None


class OnnxModel(Module):
    """A graph of ONNX nodes; see `from_onnx`.

    input_names, output_names  what the graph calls its inputs and outputs, in order
    metadata                   the words that were kept with the model"""

    def __init__(self, proto: Any) -> None:
        super().__init__()
        graph = proto.graph
        arrays = _initializers(graph)
        self.input_names = tuple(i.name for i in graph.input if i.name not in arrays)
        self.output_names = tuple(o.name for o in graph.output)
        self.metadata = {entry.key: entry.value for entry in proto.metadata_props}
        self._nodes = [_Node(node) for node in graph.node]
        # Single numbers (the 3 of `x + 3`) and integers belong to the graph; what is larger was learnt.
        self._fixed = {name: a for name, a in arrays.items() if a.dtype.kind != "f" or a.size <= 1}
        statistics = {name for node in self._nodes if node.kind == "BatchNormalization" for name in node.inputs[3:5]}
        self._places: dict[str, tuple[Module, str]] = {}
        for name, array in arrays.items():
            if name not in self._fixed:
                self._place(name, Buffer(Tensor(array)) if name in statistics else Parameter(Tensor(array)))
        last_use = {name: k for k, node in enumerate(self._nodes) for name in node.inputs}
        self._done_with = [[n for n in node.inputs if last_use[n] == k] for k, node in enumerate(self._nodes)]

    def _place(self, name, tensor):
        """Under its dotted name: `layer1.0.weight` is the weight of a module 0 in a module layer1."""
        *parts, last = (part or "_" for part in name.replace("/", ".").split("."))
        home: Module = self
        for part in parts:
            inner = getattr(home, part, None)
            if inner is None:
                inner = Module()
                setattr(home, part, inner)
            elif not isinstance(inner, Module):
                raise WeightsError(f"the initializer {name!r} lies inside of another one")
            home = inner
        while hasattr(home, last):
            last += "_"
        setattr(home, last, tensor)
        self._places[name] = home, last

    def forward(self, *inputs: Any) -> Any:
        """The graph's outputs for its inputs, a tuple if there are several. Raises ShapeError for their number."""
        if len(inputs) != len(self.input_names):
            raise ShapeError(
                f"this graph takes {len(self.input_names)} inputs ({', '.join(self.input_names)}), got {len(inputs)}"
            )
        known: dict[str, Any] = {"": None, **self._fixed}
        known.update({name: getattr(home, last) for name, (home, last) in self._places.items()})
        for name, x in zip(self.input_names, inputs, strict=True):
            known[name] = x if isinstance(x, Variable) else Tensor(x)
        for node, done in zip(self._nodes, self._done_with, strict=True):
            results = READERS[node.kind](node, *(known[name] for name in node.inputs), training=self.training)
            results = results if isinstance(results, tuple) else (results,)
            known.update(zip(node.outputs, results, strict=False))
            for name in done:  # what nobody needs any more is not kept: a graph may be long
                if name not in self._places and name not in self.output_names and name:
                    known.pop(name, None)
        outputs = tuple(known[name] for name in self.output_names)
        outputs = tuple(o if isinstance(o, Variable) else Tensor(plain(o)) for o in outputs)
        return outputs if len(outputs) > 1 else outputs[0]

    def extra_repr(self) -> str:
        """How many nodes of which kinds."""
        return f"{len(self._nodes)} nodes, inputs {', '.join(self.input_names)}"


class _Node:
    """A node of the graph: its kind, the names around it, and its attributes as Python's values."""

    def __init__(self, node: Any) -> None:
        self.kind, self.name = node.op_type, node.name or node.op_type
        self.inputs, self.outputs = list(node.input), list(node.output)
        self.options = {a.name: _attribute(a) for a in node.attribute}

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute, or what stands for it where it is missing."""
        return self.options.get(name, default)


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
    if graph.sparse_initializer or proto.functions:
        raise WeightsError("sparse initializers and functions of the model's own are not known here")
    total = sum(_bytes_of(tensor) for tensor in graph.initializer)
    if total > LARGEST:
        raise WeightsError(f"initializers of {total:,} bytes, more than {LARGEST:,}")
    for tensor in graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _read_external(onnx, tensor, path.parent)
    kinds = [n.op_type if n.domain in ("", "ai.onnx") else f"{n.domain}.{n.op_type}" for n in graph.node]
    names = [*kinds, *(n.name for n in graph.node), *(text for n in graph.node for text in (*n.input, *n.output))]
    names += [t.name for t in (*graph.initializer, *graph.input, *graph.output)]
    if not all(isinstance(name, str) for name in names):  # what is no UTF-8 comes as bytes
        raise WeightsError("names that are no text")
    unknown = sorted({kind for kind in kinds if kind not in READERS})
    if unknown:
        raise WeightsError(f"nodes that are not known here: {', '.join(unknown)}")
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
    with place.open("rb") as file:
        file.seek(offset)
        tensor.raw_data = file.read(length)
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]
