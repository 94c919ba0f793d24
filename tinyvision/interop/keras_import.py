"""A Keras model as a Module: `.keras`, `.h5`, or TensorFlow.js's `model.json`.

Its layers become modules under their names in Keras, their arrays Parameters, so it predicts, trains, is checked and is
exported like any other network. The file is only read: a Lambda layer, which is Python code, is refused by name.
"""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from ..errors import OptionError, ShapeError, TinyVisionError, WeightsError
from ..folders import user_path
from ..formats.refused import Refused
from ..nn.module import Module
from ..ops.checks import is_integer, is_number
from ..tape import Variable
from ..tensors.tensor import Tensor
from . import keras_functions, keras_operations  # noqa: F401  they enter their layers into the table
from .chains import Step, plan, together
from .keras_files import DEEPEST, read
from .keras_layers import LAYERS, Options

MOST_LAYERS = 10_000
_MODELS = ("Functional", "Model", "Sequential")


def from_keras(path: str | os.PathLike[str]) -> KerasModel:
    """The network in a file of Keras's (1 to 3) or TensorFlow.js's, as a Module.

    It takes and gives pictures as (N, C, H, W), the order of this package; `x.permute(0, 3, 1, 2)` makes it of Keras's.
    Like any new module it is in training mode: call `eval()` before it predicts. Layers that were not trainable are
    frozen. In training the running variance of a batch-norm is the unbiased one, as
    everywhere here, where Keras takes the biased one.

    Raises FileError if there is no such file, WeightsError if it is damaged, or has layers that are not known here (all
    are listed)."""
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(f"from_keras: expected a path, got {type(path).__name__}")
    path = user_path(path)
    try:
        saved = read(path)
        major = re.match("[0-9]{1,4}", saved.version)
        version = int(major[0]) if major else 2
        _check_layers(saved.config)
        return KerasModel(saved.config, saved.arrays, version)
    except (WeightsError, Refused) as error:
        prefix = "" if str(error).startswith(f"{path.name}: ") else f"{path.name}: "
        raise WeightsError(f"{prefix}{error}") from None


def _layer(kind: str, options: Options, arrays: Any) -> Module:
    """A layer of ours for one of Keras's. Raises WeightsError, also where ours refuses what the file makes of it."""
    try:
        return LAYERS[kind](options, arrays)
    except WeightsError:
        raise
    except TinyVisionError as error:
        raise options.refuse(str(error).splitlines()[0][:150]) from None


class _Node(NamedTuple):
    """One use of a layer."""

    key: tuple[str, int]  # the layer's name, and which use of it this is
    module: str
    arguments: Any  # lists, numbers, and _Value where another node's result goes


class _Value(NamedTuple):
    """The result of a node, or one of its results."""

    key: tuple[str, int]
    part: int


class KerasModel(Module):
    """A graph of Keras's layers; see `from_keras`.

    input_names, output_names  the layers that stand at the ends, in order
    input_shapes               what the file says of the inputs, (C, H, W) or (K,), None where any size will do"""

    def __init__(self, config: dict[str, Any], arrays: Any, version: int, depth: int = 0) -> None:
        super().__init__()
        if depth > DEEPEST:
            raise WeightsError("models inside of models without end")
        inner = config.get("config")
        # Keras 1 and 2.0 kept a Sequential's layers as a plain list.
        described = inner if isinstance(inner, dict) else {"layers": inner}
        rows = described.get("layers")
        if not isinstance(rows, list) or not rows or len(rows) > MOST_LAYERS:
            raise WeightsError("a model without layers")
        self._nodes: list[_Node] = []
        self._modules_of: dict[str, str] = {}
        self._build(rows, arrays, version, depth)
        chain = config.get("class_name") == "Sequential"
        inputs, nodes = _chain(rows) if chain else _graph(rows, described)
        if chain:
            outputs = [_Value(nodes[-1][0], 0)] if nodes else [_Value(inputs[0], 0)]
        else:
            outputs = [_Value(*_place(ref)) for ref in _references(described.get("output_layers"))]
        self._inputs, self._outputs = inputs, outputs
        self._arrange(nodes)
        self.input_names = tuple(name for name, _ in inputs)
        self.input_shapes = _input_shapes(rows, self.input_names)
        self.output_names = tuple(value.key[0] for value in outputs)

    def _arrange(self, nodes):
        """Put the nodes in order, and those that are computed together in one part."""
        self._nodes = _in_order(self._inputs, nodes, self._outputs, self._modules_of)
        steps = [
            Step(
                tuple((v.key, v.part) for v in _values(node.arguments)),
                ((node.key, 0),),
                getattr(getattr(self, node.module), "role", None),
            )
            for node in self._nodes
        ]
        self._parts = plan(steps, [(key, 0) for key in self._inputs], [(v.key, v.part) for v in self._outputs])

    def _build(self, rows, arrays, version, depth):
        turns: dict[str, int] = {}
        for row in rows:
            kind, options = _kind(row), row["config"]
            options, name = options if isinstance(options, dict) else {}, _name(row)
            turn = turns[kind] = turns.get(kind, -1) + 1
            if kind == "InputLayer":
                continue
            if kind in _MODELS:
                module: Module = KerasModel(row, arrays.inside(name, kind, turn), version, depth + 1)
            else:
                module = _layer(kind, Options(kind, {**options, "name": name}, version), arrays.of(name, kind, turn))
            if options.get("trainable") is False:
                module.freeze()
            attribute = name.replace(".", "_").replace("/", "_")
            while hasattr(self, attribute):
                attribute += "_"
            setattr(self, attribute, module)
            self._modules_of[name] = attribute

    def forward(self, *inputs: Any) -> Any:
        """The outputs for the inputs, pictures as (N, C, H, W); a tuple if there are several. Raises ShapeError."""
        if len(inputs) != len(self._inputs):
            raise ShapeError(f"this model takes {len(self._inputs)} inputs, got {len(inputs)}")
        known: dict[tuple[str, int], Any] = {
            key: x if isinstance(x, Variable) else Tensor.of(x) for key, x in zip(self._inputs, inputs, strict=True)
        }
        for part in self._parts:
            result = None if part.conv is None else self._together(part, known)
            if result is not None:
                known[part.result[0]] = result
                continue
            for node in (self._nodes[k] for k in part.steps):
                named = {k: v for a in node.arguments if isinstance(a, dict) for k, v in a.items()}
                given = [a for a in node.arguments if not isinstance(a, dict)]
                known[node.key] = getattr(self, node.module)(*_filled(given, known), **named)
        outputs = tuple(_filled(self._outputs, known))
        return outputs if len(outputs) > 1 else outputs[0]

    def _together(self, part, known):
        layers = {k: getattr(self, self._nodes[k].module) for k in part.steps}
        return together(
            part,
            list(layers.values()),
            lambda value: _filled([_Value(*value)], known)[0],
            layers[part.conv].convolution,
            lambda: layers[part.norm].in_evaluation(),
        )

    @property
    def ends(self) -> list[Any]:
        """The values that come out, as `maker` takes them."""
        return list(self._outputs)

    def maker(self, value: Any) -> tuple[str, Module, Any, int] | None:
        """(the layer's name in Keras, the layer, the value that it is given or None if that is not one, how often it is
        used) of the layer that makes a value; None for an input."""
        found = [node for node in self._nodes if node.key == value.key]
        if not found:
            return None
        (node,) = found
        single = node.arguments[0] if len(node.arguments) == 1 else None
        uses = sum(other.module == node.module for other in self._nodes)
        return node.key[0], getattr(self, node.module), single if isinstance(single, _Value) else None, uses

    def end_at(self, value: Any) -> None:
        """Make a value of the graph its only output; layers that are no longer needed are let go."""
        self._outputs = [value]
        self._arrange([(node.key, node.arguments) for node in self._nodes])
        kept = {node.module for node in self._nodes}
        for name in set(self._modules_of.values()) - kept:
            delattr(self, name)
        self._modules_of = {name: module for name, module in self._modules_of.items() if module in kept}
        self.output_names = (value.key[0],)


def _input_shapes(rows, names):
    """From the InputLayers, or in a Sequential without one from its first layer, where it says so."""
    shapes = {}
    for row in (r for r in rows if r["class_name"] == "InputLayer" or r is rows[0]):
        options = row["config"] if isinstance(row["config"], dict) else {}
        shape = options.get("batch_shape") or options.get("batch_input_shape")
        if isinstance(shape, list) and len(shape) > 1:
            _, *sides = shape
            order = sides[2:] + sides[:2] if len(sides) == 3 else sides
            shapes[_name(row)] = tuple(order)
    if names == ("input",) and "input" not in shapes:
        return tuple(shapes.values())[:1] or (None,)
    return tuple(shapes.get(name) for name in names)


def _filled(arguments, known):
    filled = []
    for a in arguments:
        if isinstance(a, _Value):
            result = known[a.key]
            filled.append(result[a.part] if isinstance(result, tuple) else result)
        else:
            filled.append(_filled(a, known) if isinstance(a, list) else a)
    return filled


def _name(row):
    """A layer's name, which lies beside its options or among them."""
    options = row["config"] if isinstance(row["config"], dict) else {}
    return str(row.get("name") or options.get("name") or row["class_name"])


def _kind(row):
    """What the table calls a layer: its class; of a function of keras.ops, whose class may have a layer's name, that
    with `ops.` before it."""
    kind, module = row["class_name"], row.get("module")
    return f"ops.{kind}" if isinstance(module, str) and re.match(r"keras\.(src\.)?ops\b", module) else kind


def _check_layers(config):
    """Everything that is not known here, at once; and the shape of the description itself."""
    unknown, code, left = set(), [], [(config, 0)]
    while left:
        row, depth = left.pop()
        kind = row.get("class_name") if isinstance(row, dict) else None
        if not isinstance(kind, str) or "config" not in row or depth > DEEPEST:
            raise WeightsError("a layer that is not described as it should be")
        if kind in _MODELS:
            inner = row["config"]
            layers = inner.get("layers") if isinstance(inner, dict) else inner
            if not isinstance(layers, list) or len(layers) + len(left) > MOST_LAYERS:
                raise WeightsError("a model without layers, or with too many")
            left += [(child, depth + 1) for child in layers]
        elif kind in ("Lambda", "TFOpLambda"):
            code.append(_name(row))
        elif _kind(row) not in LAYERS and kind != "InputLayer":
            unknown.add(_kind(row))
    if code:
        raise WeightsError(
            f"Lambda layers hold code, which is never run: {', '.join(sorted(code))[:200]}; put layers in their place"
        )
    if unknown:
        raise WeightsError(f"layers that are not known here: {', '.join(sorted(unknown))[:400]}")


def _chain(rows):
    """(inputs, [(key, arguments)]) of layers one after the other."""
    start = ("input", 0)
    nodes, before = [], start
    for k, row in enumerate(rows):
        name = _name(row)
        if row["class_name"] == "InputLayer":
            if k:
                raise WeightsError("an InputLayer in the middle of a Sequential")
            continue
        nodes.append(((name, 0), [_Value(before, 0)]))
        before = (name, 0)
    return [start], nodes


def _graph(rows, described):
    """(inputs, [(key, arguments)]) of a graph: every use of a layer is a node."""
    inputs = [_place(ref)[0] for ref in _references(described.get("input_layers"))]
    nodes = []
    for row in rows:
        if row["class_name"] == "InputLayer":
            continue
        uses = row.get("inbound_nodes")
        if not isinstance(uses, list):
            raise WeightsError("a layer of a graph that does not say where it stands")
        function = _kind(row).startswith("ops.")
        nodes += [((_name(row), k), _arguments(use, function)) for k, use in enumerate(uses)]
    return inputs, nodes


def _arguments(use, function):
    """What a node is called with: {"args": ..., "kwargs": ...} in Keras 3, [[layer, node, tensor, {}], ...] before.

    function  whether it is one of keras.ops, which are called with places and with numbers by name, the last here"""
    if isinstance(use, dict):
        options = use.get("kwargs") or {}
        named = {k: v for k, v in options.items() if v is not None and k not in ("mask", "training")}
        if named and not (function and all(map(is_number, named.values()))):
            raise WeightsError(f"a layer that is called with options: {', '.join(sorted(options))[:100]}")
        return [*(_argument(a, function) for a in use.get("args") or []), *([named] if named else [])]
    values = [_Value(*_place(ref)) for ref in _references(use)]
    return values if len(values) == 1 else [values]


def _argument(a, function):
    if isinstance(a, list):
        return [_argument(b, function) for b in a]
    if function and isinstance(a, dict) and a.get("class_name") == "__slice__" and isinstance(a.get("config"), dict):
        ends = [a["config"].get(name) for name in ("start", "stop", "step")]
        if all(n is None or is_integer(n) for n in ends):
            return slice(*ends)
    if isinstance(a, dict) and a.get("class_name") == "__keras_tensor__":
        return _Value(*_place((a.get("config") or {}).get("keras_history")))
    if isinstance(a, (int, float)) and not isinstance(a, bool):
        return a
    raise WeightsError("a layer that is called with what is neither a tensor nor a number")


def _references(value):
    """[name, 0, 0], or a list (of lists) of such, as a list."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list) or not value or not all(isinstance(v, (list, tuple)) for v in value):
        raise WeightsError("a graph that does not say how its layers hang together")
    return [ref for v in value for ref in ([v] if v and isinstance(v[0], str) else _references(v))]


def _place(ref):
    """((layer, use), index of the result)."""
    try:
        name, use, index = ref[:3]
        return (str(name), int(use)), int(index)
    except (TypeError, ValueError):
        raise WeightsError("a graph that does not say how its layers hang together") from None


def _in_order(inputs, nodes, outputs, modules):
    """The nodes that the outputs need, each after those that it needs. Raises WeightsError for a circle."""
    arguments = dict(nodes)
    done, order, waiting = dict.fromkeys(inputs), [], [(value.key, False) for value in reversed(outputs)]
    opened: set[tuple[str, int]] = set()
    while waiting:
        key, whole = waiting.pop()
        if key in done:
            continue
        if key not in arguments or key[0] not in modules:
            raise WeightsError(f"the graph has no layer {key[0][:60]!r} where it needs one")
        if whole:
            done[key] = None
            order.append(_Node(key, modules[key[0]], arguments[key]))
            continue
        if key in opened:
            raise WeightsError(f"the layer {key[0][:60]!r} needs its own result")
        opened.add(key)
        waiting.append((key, True))
        waiting += [(value.key, False) for value in _values(arguments[key])]
    return order


def _values(arguments):
    for a in arguments:
        if isinstance(a, _Value):
            yield a
        elif isinstance(a, list):
            yield from _values(a)
