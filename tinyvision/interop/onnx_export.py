"""A model as an ONNX file: what one forward pass called, op by op, as a graph."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..atomic import atomic_write
from ..errors import ExportError, OptionError
from ..nn.module import Module
from ..printable import printable
from . import onnx_arranging  # noqa: F401  enters its writers into the table
from .listening import BATCH, GROWING, Constant, Pass, Stored, Value, listen_to
from .onnx_nodes import WRITERS

OPSET = 20


def export_onnx(
    model: Module,
    example: Any,
    path: str | os.PathLike[str],
    input_name: str = "input",
    output_name: str = "output",
    metadata: dict[str, str] | None = None,
) -> None:
    """Write `model` in evaluation mode as an ONNX file (opset 20) that takes batches of any size.

    example   an input (N, ...) of the shape and dtype that the model takes; its numbers do not matter
    metadata  words to keep with the model, such as its classes

    Parameters keep their names. Raises ExportError, naming all ops that cannot be exported with their layers, and
    OptionError for what is no model; without the package `onnx` an ExportError says how to get it."""
    if not isinstance(model, Module):
        raise OptionError(f"export: expected a model, got {type(model).__name__}")
    onnx = package()
    heard = listen_to(model, example)
    graph = _Graph(onnx, input_name)
    names = {Value(0): input_name}
    for name, array in heard.stored.items():
        graph.initializer(name, array)
    refused = []
    for call in heard.calls:
        arguments = [graph.place(a, names) for a in call.arguments]
        while arguments and arguments[-1] is None:
            arguments.pop()
        try:
            writer = WRITERS.get(call.op)
            if writer is None:
                raise ExportError("it has no nodes here")
            graph.layer, graph.dtype = call.layer, call.dtype
            names[call.result] = writer(graph, call, *arguments)
        except ExportError as error:
            refused.append(f"{call.op} in {call.layer or 'the model itself'}: {error}")
            names[call.result] = "refused"
    if refused:
        raise ExportError("export: these ops cannot be written as ONNX:\n    " + "\n    ".join(dict.fromkeys(refused)))
    proto = graph.model(heard, names, input_name, output_name, np.dtype(example.dtype), tuple(example.shape))
    onnx.helper.set_model_props(proto, {"producer": f"tinyvision {__version__}", **(metadata or {})})
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        kinds = sorted({call.dtype.name for call in heard.calls} | {np.dtype(example.dtype).name})
        raise ExportError(
            f"export: ONNX does not know one of these ops for the dtypes in the model ({', '.join(kinds)}); "
            f"model.float() and an example of float32 have all of them. It says: {printable(error, 200)}"
        ) from None
    with atomic_write(Path(path)) as file:
        file.write(proto.SerializeToString())


def package() -> Any:
    """The package onnx. Raises ExportError, with the remedy, if it is not installed."""
    try:
        import onnx
    except ImportError:
        raise ExportError(
            "ONNX files are written by the package onnx, which is not installed: pip install 'tinyvision[onnx]'"
        ) from None
    return onnx


class _Graph:
    """Nodes and initializers of a graph that is being built; every name is given once."""

    def __init__(self, onnx: Any, input_name: str) -> None:
        self.onnx, self.input_name = onnx, input_name
        self.layer, self.dtype = "", np.dtype(np.float32)
        self.nodes: list[Any] = []
        self.initializers: dict[str, np.ndarray] = {}
        self.used: set[str] = set()
        self.taken: set[str] = set()
        self.shared: dict[tuple[Any, ...], str] = {}

    def node(self, kind: str, inputs: Any, **attributes: Any) -> str:
        """Add a node; returns the name of its result."""
        attributes = {k: list(v) if isinstance(v, tuple) else v for k, v in attributes.items()}
        name = self._unused(f"{self.layer}/{kind}" if self.layer else kind)
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        self.used.update(inputs)
        return name

    def constant(self, array: Any) -> str:
        """The name of a fixed array; equal ones are kept once."""
        array = np.asarray(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.shared:
            name = self.shared[key] = self._unused("constant")
            value = self.onnx.numpy_helper.from_array(array, name)  # no initializer: those are what training changes
            self.nodes.append(self.onnx.helper.make_node("Constant", [], [name], name=name, value=value))
        return self.shared[key]

    def numbers(self, values: Any) -> str:
        """The name of fixed numbers, in the dtype of what is being made."""
        array = np.asarray(values, self.dtype)
        if self.dtype.kind != "f" and not np.array_equal(array, values):
            raise ExportError(f"it needs {np.ravel(values)[:4].tolist()} beside numbers of {self.dtype.name}")
        return self.constant(array)

    def cast(self, name: str, dtype: Any) -> str:
        """The name of a value in another dtype."""
        return self.node("Cast", [name], to=self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def batch(self) -> str:
        """The name of how many images there are."""
        return self.node("Shape", [self.input_name], start=0, end=1)

    def integers(self, values: Any) -> str:
        """The name of a fixed row of integers."""
        return self.constant(np.array(list(values), np.int64))

    def initializer(self, name: str, array: np.ndarray) -> None:
        """Keep an array under its name."""
        self.initializers[name] = np.ascontiguousarray(array).reshape(array.shape)  # a number stays a number
        self.taken.add(name)

    def place(self, source: Value | Stored | Constant | None, names: dict[Value, str]) -> str | None:
        """The name under which an argument stands in the graph."""
        if isinstance(source, Value):
            return names[source]
        if isinstance(source, Stored):
            return source.name
        return None if source is None else self.constant(source.array)

    def model(
        self, heard: Pass, names: dict[Value, str], input_name: str, output_name: str, dtype: Any, shape: Any
    ) -> Any:
        """The finished model: inputs and outputs with an open batch, and the initializers that some node reads."""
        helper, numpy_helper = self.onnx.helper, self.onnx.numpy_helper
        shapes = {Value(0): (BATCH, *shape[1:]), **{call.result: call.shape for call in heard.calls}}
        dtypes = {Value(0): dtype, **{call.result: call.dtype for call in heard.calls}}
        outputs = []
        for number, value in enumerate(heard.outputs):
            name = output_name if len(heard.outputs) == 1 else f"{output_name}_{number}"
            self.nodes.append(helper.make_node("Identity", [names[value]], [name], name=name))
            self.used.add(names[value])
            outputs.append(_described(helper, name, dtypes[value], shapes[value]))
        inputs = [_described(helper, input_name, dtype, shapes[Value(0)])]
        kept = [numpy_helper.from_array(a, name) for name, a in self.initializers.items() if name in self.used]
        graph = helper.make_graph(self.nodes, "tinyvision", inputs, outputs, kept)
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=9, producer_name="tinyvision")

    def _unused(self, wanted):
        name, number = wanted, 1
        while name in self.taken:
            number += 1
            name = f"{wanted}_{number}"
        self.taken.add(name)
        return name


def _described(helper, name, dtype, shape):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    named = {BATCH: "batch", GROWING: None}
    return helper.make_tensor_value_info(name, kind, [named.get(size, size) for size in shape])
