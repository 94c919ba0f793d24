"""What layers in the middle of a network put out: torchvision's `create_feature_extractor`, by the names of layers.

    features = create_feature_extractor(resnet18(), {"layer2": "fine", "layer4": "coarse"})
    features(images)["coarse"]

A network is watched while it runs. So what a layer puts out can be asked for, and what a line of a forward pass
computes between two layers has no name here."""

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from threading import get_ident
from typing import Any

from .. import nn
from ..errors import OptionError
from ..nn.hooks import RemovableHook
from ..tensors.tensor import Tensor

__all__ = ["IntermediateLayerGetter", "create_feature_extractor", "get_graph_node_names"]

_SHOWN = 40  # so many names can be looked through in a message


class _Complete(BaseException):
    """All that was asked for has been seen; what comes later in the network need not run."""


def create_feature_extractor(
    model: nn.Module,
    return_nodes: Iterable[str] | Mapping[str, str] | None = None,
    train_return_nodes: Iterable[str] | Mapping[str, str] | None = None,
    eval_return_nodes: Iterable[str] | Mapping[str, str] | None = None,
    tracer_kwargs: Mapping[str, Any] | None = None,
    suppress_diff_warning: bool = False,
    concrete_args: Mapping[str, Any] | None = None,
) -> Any:
    """A network like `model`, with the same layers, that gives a dict of what some of them put out, in the order in
    which they ran; behind the last of these it stops.

    return_nodes                            names of layers, or {name of a layer: key in the dict}: "layer3",
                                            "layer1.0.conv2". A layer that runs more than once in a pass goes by its
                                            first run; "layer1.0.relu_1" is its second, "relu_2" its third
    train_return_nodes, eval_return_nodes   others for training and for evaluation, in place of return_nodes

    All layers of `model` stay among its parameters, those that no longer run as well. A network is not traced:
    tracer_kwargs and concrete_args are refused, and there is no warning to suppress. Raises OptionError."""
    if tracer_kwargs or concrete_args:
        raise OptionError(
            "create_feature_extractor: a network is watched, not traced; leave out tracer_kwargs and concrete_args"
        )
    if (return_nodes is None) == (train_return_nodes is None) or (train_return_nodes is None) != (
        eval_return_nodes is None
    ):
        raise OptionError(
            "create_feature_extractor: name return_nodes, or else train_return_nodes and eval_return_nodes"
        )
    if return_nodes is not None:
        train_return_nodes = eval_return_nodes = return_nodes
    wanted = {mode: _keys(model, nodes) for mode, nodes in ((True, train_return_nodes), (False, eval_return_nodes))}
    extractor = copy.copy(model)  # with the same layers and parameters, in a dict of its own
    vars(extractor).pop("_hook_lists", None)
    network: Any = type(model)
    extractor.__class__ = _extracting(getattr(network, "_network", network))
    vars(extractor)["_wanted_outputs"] = wanted
    return extractor


def get_graph_node_names(
    model: nn.Module,
    tracer_kwargs: Mapping[str, Any] | None = None,
    suppress_diff_warning: bool = False,
    concrete_args: Mapping[str, Any] | None = None,
) -> tuple[list[str], list[str]]:
    """Names for `create_feature_extractor`, in training and in evaluation: of all layers that hold no others, in the
    order in which they stand in the network. PyTorch's list has the functions between them as well."""
    names = [name for name, module in model.named_modules() if name and not any(module.children())]
    return names, list(names)


class IntermediateLayerGetter(nn.ModuleDict):
    """The children of `model` up to the last one that is wanted, called one after the other: x -> {key: output}.

    return_layers   {name of a child: key}. Only for networks that call their children in the order in which they were
                    added, each once, as ResNets do up to `layer4`. Raises OptionError"""

    def __init__(self, model: nn.Module, return_layers: Mapping[str, str]) -> None:
        children = dict(model.named_children())
        unknown = [name for name in return_layers if name not in children]
        if unknown:
            raise OptionError(
                f"IntermediateLayerGetter: return_layers has {unknown[0]!r}; there are {_listed(children)}"
            )
        last = max((list(children).index(name) for name in return_layers), default=-1)
        super().__init__(list(children.items())[: last + 1])
        self.return_layers = {str(name): str(key) for name, key in return_layers.items()}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """What the wanted children put out, in order."""
        outputs = {}
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                outputs[self.return_layers[name]] = x
        return outputs


@cache
def _extracting(network: Any) -> Any:
    """The class of networks of this class that give what some of their layers put out."""

    def forward(self: Any, *inputs: Any, **options: Any) -> dict[str, Any]:
        return _watched(self, lambda: network.forward(self, *inputs, **options))

    def again(self: Any) -> Any:  # this class has no name under which it could be found
        return _empty, (network,), dict(vars(self))

    said = {"forward": forward, "__reduce__": again, "_network": network, "__doc__": create_feature_extractor.__doc__}
    return type(network.__name__ + "Features", (network,), said)


def _empty(network: Any) -> Any:
    """An extractor that is still to be filled: what copies and pickles begin with."""
    kind = _extracting(network)
    return kind.__new__(kind)


def _watched(extractor: Any, run: Callable[[], Any]) -> dict[str, Any]:
    """{key: output} of the layers that are wanted, from a forward pass that ends with the last of them."""
    wanted, layers = extractor._wanted_outputs[extractor.training], _layers(extractor)
    waiting, hooks = dict(wanted), []
    outputs: dict[str, Any] = {}
    for name in {name for name, _ in wanted}:
        hooks.append(_noting(layers[name], name, waiting, outputs))
    try:
        run()
    except _Complete:
        return outputs
    finally:
        for hook in hooks:
            hook.remove()
    if not waiting:  # a network that catches whatever ends it
        return outputs
    (name, turn), key = next(iter(waiting.items()))
    turns = "did not run" if not turn else f"did not run {turn + 1} times"
    raise OptionError(f"create_feature_extractor: {name} {turns} in this forward pass, so there is nothing for {key!r}")


def _noting(layer: nn.Module, name: str, waiting: dict[tuple[str, int], str], outputs: dict[str, Any]) -> RemovableHook:
    """A hook that takes what `layer` puts out to its key; the last one that is waited for ends the forward pass.

    It is for the pass of this thread: the layers may be at work for others meanwhile."""
    turn, own = -1, get_ident()

    def note(module: Any, inputs: Any, output: Any) -> None:
        nonlocal turn
        if get_ident() != own:
            return
        turn += 1
        if (name, turn) in waiting:
            outputs[waiting.pop((name, turn))] = output
            if not waiting:
                raise _Complete

    return layer.register_forward_hook(note)


def _keys(model, nodes):
    """{(name of a layer, how often it has run before): key} of what was asked for. Raises OptionError."""
    layers, keys = _layers(model), {}
    for node, key in nodes.items() if isinstance(nodes, Mapping) else ((node, node) for node in nodes):
        again = re.fullmatch(r"(.+)_(\d+)", str(node))
        if node in layers:
            keys[node, 0] = str(key)
        elif again and again[1] in layers:
            keys[again[1], int(again[2])] = str(key)
        else:
            raise OptionError(
                f"create_feature_extractor: {type(model).__name__} has no layer {node!r}; what is computed "
                f"between layers has no name here; there are {_listed(layers)}"
            )
    if not keys:
        raise OptionError("create_feature_extractor: name at least one layer")
    return keys


def _layers(model):
    return {name: module for name, module in model.named_modules(remove_duplicate=False) if name}


def _listed(names):
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
