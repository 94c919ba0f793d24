"""A model as a Keras file: what one forward pass called, op by op, as layers of a Functional model of Keras's own.

The file is `model.save`'s, so Keras reloads it without this package, on any of its backends, and TensorFlow's converter
makes a TensorFlow Lite file of it. Keras's pictures have their channels last. So every value here remembers in which
order its axes lie in Keras (`Laid.order`): a transposition is a note and no layer, and what needs another order, such
as Flatten between a convolution and a linear layer, gets a Permute in front.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..atomic import atomic_write
from ..errors import ExportError, OptionError
from ..nn.module import Module
from . import keras_arranging  # noqa: F401  enters its writers into the table
from .keras_writers import WRITERS
from .listening import BATCH, Call, Constant, Stored, Value, check_example, listen_to

BACKENDS = {"tensorflow": "tensorflow", "torch": "torch", "jax": "jax"}  # Keras's name -> the package


class Laid(NamedTuple):
    """A value of the network in Keras.

    order  which of our axes each of Keras's is; (0, 2, 3, 1) for pictures with their channels last
    shape  in our order, with BATCH for the batch"""

    tensor: Any
    order: tuple[int, ...]
    shape: tuple[int, ...]


def export_keras(
    model: Module, example: Any, path: str | os.PathLike[str], input_name: str = "input", output_name: str = "output"
) -> None:
    """Write `model` in evaluation mode as a Keras model that takes batches of any size, pictures as (N, H, W, C).

    example   an input (N, ...) of the shape that the model takes; its numbers do not matter

    Layers keep their names. Raises ExportError, naming all ops that Keras has no layer for with the layers they are in,
    and if the package keras, or a backend for it, is missing; OptionError for what is no model, or no float32."""
    if not isinstance(model, Module):
        raise OptionError(f"export: expected a model, got {type(model).__name__}")
    check_example(example)
    kinds = {np.dtype(p.dtype).name for p in model.parameters()} | {np.dtype(example.dtype).name}
    if kinds != {"float32"}:
        raise OptionError(f"export: Keras models are written in float32, got {', '.join(sorted(kinds))}; model.float()")
    keras = package()
    heard = listen_to(model, example)
    graph = Graph(keras, heard.stored)
    shape = (BATCH, *example.shape[1:])
    order = channels_last(len(shape))
    given = keras.Input([shape[axis] for axis in order[1:]], dtype="float32", name=input_name)
    values: dict[Value, Any] = {Value(0): Laid(given, order, shape)}
    refused = []
    for call in heard.calls:
        try:
            values[call.result] = graph.write(call, values)
        except ExportError as error:
            refused.append(f"{call.op} in {call.layer or 'the model itself'}: {error}")
    if refused:
        raise ExportError(
            "export: these ops cannot be written for Keras:\n    " + "\n    ".join(dict.fromkeys(refused))
        )
    outputs = []
    for number, value in enumerate(heard.outputs):
        if isinstance(values[value], np.ndarray):
            raise ExportError(
                f"export: output {number} of the model is the same whatever its input, which a Keras model cannot say"
            )
        name = output_name if len(heard.outputs) == 1 else f"{output_name}_{number}"
        laid = graph.ordered(values[value], channels_last(len(values[value].shape)))
        outputs.append(keras.layers.Identity(name=graph.unused(name))(laid.tensor))
    made = keras.Model(given, outputs if len(outputs) > 1 else outputs[0], name="tinyvision")
    graph.fill()
    with tempfile.TemporaryDirectory() as folder:
        made.save(Path(folder, "model.keras"))
        data = Path(folder, "model.keras").read_bytes()
    with atomic_write(Path(path)) as file:
        file.write(data)


def channels_last(rank: int) -> tuple[int, ...]:
    """The order of the axes of a value at the ends of a Keras model."""
    return (0, 2, 3, 1) if rank == 4 else tuple(range(rank))


def package() -> Any:
    """The package keras on a backend that is there. Raises ExportError with the remedy."""
    if "keras" not in sys.modules and "KERAS_BACKEND" not in os.environ:
        there = [name for name, module in BACKENDS.items() if importlib.util.find_spec(module)]
        # Keras chooses its backend when it is imported, TensorFlow unless told otherwise, and fails where it is absent.
        if there:
            os.environ["KERAS_BACKEND"] = there[0]
            try:
                return _imported()
            finally:
                del os.environ["KERAS_BACKEND"]
    return _imported()


def _imported():
    try:
        keras = importlib.import_module("keras")
        importlib.import_module("h5py")
    except ImportError as error:
        raise ExportError(
            f"Keras files are written by the package keras on a backend ({error}): pip install keras, and tensorflow, "
            f"torch or jax"
        ) from None
    if keras.__version__.startswith("2."):
        raise ExportError(f"Keras 3 is needed, this is {keras.__version__}: pip install --upgrade keras")
    return keras


class Graph:
    """Keras's layers of a model that is being built. Raises ExportError where Keras has none."""

    def __init__(self, keras: Any, stored: dict[str, np.ndarray]) -> None:
        self.keras, self.stored = keras, stored
        self.name = ""
        self.names: set[str] = set()
        self.arrays: list[tuple[Any, list[np.ndarray]]] = []
        self.shared: dict[Any, Any] = {}

    def write(self, call: Call, values: dict[Value, Any]) -> Any:
        """The value that a call makes; an array if it is the same whatever the input."""
        if call.fixed is not None:
            return call.fixed
        if call.op not in WRITERS:
            raise ExportError("Keras has no layer for it here")
        arguments: list[Any] = []
        for source in call.arguments:
            if isinstance(source, Value):
                if source not in values:
                    raise ExportError("it needs the result of one that cannot be written")
                arguments.append(values[source])
            elif isinstance(source, Stored):
                arguments.append(self.stored[source.name])
            else:
                arguments.append(source.array if isinstance(source, Constant) else None)
        while arguments and arguments[-1] is None:
            arguments.pop()
        self.name = call.layer or call.op
        if call.result.number and -2 in (*call.shape, *(n for shape in call.shapes for n in shape or ())):
            raise ExportError("it makes one axis of the batch and another, which a Keras model cannot say")
        return WRITERS[call.op](self, call, *arguments)

    # -- layers

    def layer(self, kind: str, laid: Laid | list[Laid], shape: Any, arrays: Any = (), **options: Any) -> Laid:
        """Apply a layer of Keras's; its arrays are put in at the end. The order of the axes stays.

        A module that is called again, with the same options, is one layer in Keras, too."""
        key = (kind, repr(options), *(id(a) for a in arrays)) if arrays else None
        layer = self.shared.get(key) if key else None
        if layer is None:
            layer = getattr(self.keras.layers, kind)(name=self.unused(self.name), **options)
            if key:
                self.shared[key] = layer
                self.arrays.append((layer, list(arrays)))
        if isinstance(laid, Laid):
            return Laid(self.applied(layer, laid.tensor), laid.order, tuple(shape))
        return Laid(self.applied(layer, [one.tensor for one in laid]), laid[0].order, tuple(shape))

    def operation(self, name: str, laid: Laid, shape: Any, *others: Any, **options: Any) -> Laid:
        """Apply one of `keras.ops`, where there is no layer; Keras keeps these in its files as well."""
        tensor = self.named(self.applied(getattr(self.keras.ops, name), laid.tensor, *others, **options))
        return Laid(tensor, laid.order, tuple(shape))

    def named(self, tensor: Any) -> Any:
        """What an operation has made; it gets a name like a layer's, which Keras's own count would not keep apart."""
        tensor._keras_history.operation.name = self.unused(self.name)
        return tensor

    def applied(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What Keras makes of it; what Keras refuses, is refused here."""
        try:
            return function(*arguments, **options)
        except (ValueError, TypeError, NotImplementedError) as error:
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise ExportError(f"Keras refuses it ({reason})") from None

    def is_relu(self, laid: Laid) -> bool:
        """Whether a ReLU has made the value, so that nothing in it is below 0."""
        return isinstance(laid.tensor._keras_history.operation, self.keras.layers.ReLU)

    def fill(self) -> None:
        """Put the arrays into the layers, each in Keras's order of its own."""
        for layer, arrays in self.arrays:
            layer.set_weights(arrays)

    def unused(self, wanted: str) -> str:
        """A name that no layer has yet."""
        wanted = wanted.replace("/", "_").replace(".", "_")  # on PyTorch's backend a name has no dot
        name, number = wanted, 1
        while name in self.names:
            number += 1
            name = f"{wanted}_{number}"
        self.names.add(name)
        return name

    # -- the order of the axes

    def ordered(self, laid: Laid, order: Sequence[int]) -> Laid:
        """The value with its axes in this order in Keras: by a Permute, if they are not."""
        order = tuple(order)
        if order == laid.order:
            return laid
        if order[0] != 0 or laid.order[0] != 0:
            raise ExportError("it moves the batch, which a Keras model cannot say")
        places = [laid.order.index(axis) for axis in order]
        moved = self.layer("Permute", laid, laid.shape, dims=tuple(places[1:]))
        return Laid(moved.tensor, order, laid.shape)

    def plain(self, laid: Laid) -> Laid:
        """The value with its axes in our order."""
        return self.ordered(laid, range(len(laid.shape)))

    def pictures(self, laid: Laid) -> Laid:
        """The value as pictures with their channels last."""
        if len(laid.shape) != 4:
            raise ExportError(f"it is known for pictures, not for shape {laid.shape}")
        return self.ordered(laid, channels_last(4))

    def last(self, laid: Laid, axis: int) -> Laid:
        """The value with this axis last; the others stay in the order that they have."""
        axis %= len(laid.shape)
        if laid.order[-1] == axis:
            return laid
        return self.ordered(laid, (*(a for a in laid.order if a != axis), axis))

    def reshaped(self, laid: Laid, shape: Sequence[int]) -> Laid:
        """Another shape in our order of numbers. Axes of size 1 may lie anywhere, they do not change that order."""
        real = [axis for axis in laid.order if laid.shape[axis] != 1]
        laid = laid if real == sorted(real) else self.plain(laid)
        if shape[0] != BATCH or laid.shape[0] != BATCH or laid.order[0] != 0:
            raise ExportError(f"the shape {tuple(shape)} does not begin with the batch")
        if len(shape) == 2:
            made = self.layer("Flatten", laid, shape)
        else:
            made = self.layer("Reshape", laid, shape, target_shape=tuple(shape[1:]))
        return Laid(made.tensor, tuple(range(len(shape))), tuple(shape))

    def along(self, laid: Laid, axis: int, matrix: np.ndarray) -> Laid:
        """Every row along an axis times a fixed matrix (size, count)."""
        axis, laid = axis % len(laid.shape), self.last(laid, axis)
        shape = [matrix.shape[1] if a == axis else n for a, n in enumerate(laid.shape)]
        options = {"units": matrix.shape[1], "use_bias": False, "trainable": False}
        return self.layer("Dense", laid, shape, [np.asarray(matrix, np.float32)], **options)
