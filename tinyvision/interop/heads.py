"""The head of a network from a file: the last linear layer, or 1x1 convolution, before the scores of the classes.

It is looked for backwards from the output. What may stand between, such as a softmax or a reshape, tells classes no
further apart than the head has; anything else behind the last layer with weights makes it no head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from ..errors import OptionError
from ..nn.layers.convolution import Conv2d
from ..nn.layers.linear import Linear
from ..nn.module import Module
from .graph import GraphModel
from .keras_import import KerasModel

# Kinds of nodes behind a head, in ONNX and in TensorFlow Lite; an addition is one only where it adds the head's bias.
_BEHIND = {
    "Softmax", "LogSoftmax", "Sigmoid", "Identity", "Dropout", "Flatten", "Reshape", "Squeeze", "Cast",
    "SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "RESHAPE", "SQUEEZE", "CAST",
}  # fmt: skip
# Keras's layers behind a head.
_BEHIND_IN_KERAS = {"Activation", "Softmax", "Flatten", "Reshape", "Dropout", "ActivityRegularization", "Identity"}
_MEANS = {"GlobalAveragePool", "ReduceMean", "AveragePool", "MEAN", "AVERAGE_POOL_2D"}
_ADDITIONS = {"Add", "ADD"}
_LINEAR = {"Gemm", "MatMul", "FULLY_CONNECTED"}
_CONVOLUTIONS = {"Conv", "CONV_2D"}
_ACTIVATIONS = {"linear", "softmax", "log_softmax", "sigmoid"}


@dataclass(frozen=True)
class Head:
    """The layer that was taken off.

    name    what the file calls it;  kind   and its kind
    pooled  whether the places of a picture were averaged behind it, so that they may be averaged before it"""

    name: str
    kind: str
    pooled: bool


def without_head(model: Module) -> tuple[Module, Head]:
    """(the network up to the input of its head, the head) of what one of the readers has read.

    Of a graph a new network is made, a Keras model is changed itself. Raises OptionError where no head is found."""
    if isinstance(model, GraphModel):
        return _of_graph(model)
    if isinstance(model, KerasModel):
        return model, _of_keras(model)
    raise OptionError(f"a {type(model).__name__} is no network from a file")


def _none(why: str) -> NoReturn:
    raise OptionError(f"no head is found that a new one could replace: {why}")


def _of_graph(model: GraphModel) -> tuple[Module, Head]:
    graph, pooled = model.anatomy(), False
    if len(graph.outputs) != 1:
        _none(f"the network has {len(graph.outputs)} outputs")
    makers = {value: node for node in graph.nodes for value in node.outputs}
    alive = set(graph.inputs)
    for each in graph.nodes:
        if alive.intersection(each.inputs):
            alive.update(each.outputs)
    value = graph.outputs[0]
    while True:
        node = makers.pop(value, None)  # once: a file may say that a node makes what it is given
        if node is None or value not in alive:
            _none("its output is made by no layer")
        given = [v for v in node.inputs if v in alive]
        if node.kind in _LINEAR | _CONVOLUTIONS:
            if len(given) == 1 and given[0] == node.inputs[0] and not _activated(node):
                _require_1x1(node, graph.weights, makers)
                return model.up_to(given[0]), Head(node.name, node.kind, pooled)
            _none(f"{node.name[:60]} ({node.kind}) is not linear in one input")
        adds = node.kind in _ADDITIONS and len(given) == 1 and not _activated(node)
        if not given or not (adds or node.kind in _BEHIND | _MEANS):
            _none(f"behind the last layer with weights stands {node.name[:60]} ({node.kind})")
        pooled, value = pooled or node.kind in _MEANS, given[0]


def _activated(node: Any) -> bool:
    """Whether a node of TensorFlow Lite's goes through a function at its end."""
    return bool(node.get("FusedActivationFunction"))


def _require_1x1(node: Any, weights: dict[Any, Any], makers: dict[Any, Any]) -> None:
    if node.kind not in _CONVOLUTIONS:
        return
    value = node.inputs[1]
    while value not in weights and value in makers:  # half precision is made single by a node
        value = makers[value].inputs[0]
    shape = tuple(weights[value].shape) if value in weights else ()
    if shape[2:] != (1, 1):
        _none(f"the last layer {node.name[:60]} is a convolution {shape}, and no 1x1 convolution")


def _of_keras(model: KerasModel) -> Head:
    """Cut a Keras model before its head."""
    if len(model.output_names) != 1:
        _none(f"the network has {len(model.output_names)} outputs")
    pooled, value = False, model.ends[0]
    while True:
        found = model.maker(value)
        if found is None:
            _none("its output is made by no layer")
        name, layer, before, uses = found
        if isinstance(layer, KerasModel) and uses == 1:
            head = _of_keras(layer)
            model.end_at(value)
            return Head(head.name, head.kind, pooled or head.pooled)
        kind = getattr(layer, "kind", type(layer).__name__.strip("_"))
        after = getattr(getattr(layer, "after", None), "name", "linear")
        if before is None:
            _none(f"behind the last layer with weights stands {name} ({kind})")
        if isinstance(layer, (Linear, Conv2d)):
            if after not in _ACTIVATIONS or uses != 1:
                _none(f"the last layer {name} ({kind}) is followed by {after}")
            if isinstance(layer, Conv2d) and (tuple(layer.kernel_size) != (1, 1) or layer.groups != 1):
                _none(f"the last layer {name} is no 1x1 convolution")
            model.end_at(before)
            return Head(name, kind, pooled)
        means = kind.startswith("GlobalA")
        if not (means or kind in _BEHIND_IN_KERAS) or after not in _ACTIVATIONS:
            _none(f"behind the last layer with weights stands {name} ({after if after != 'linear' else kind})")
        pooled, value = pooled or means, before
