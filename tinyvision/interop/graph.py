"""A graph of nodes as a Module: what the readers of ONNX and of TensorFlow Lite have in common."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from ..errors import ShapeError, TinyVisionError, WeightsError
from ..nn.module import Module
from ..tape import Variable
from ..tensors.tensor import Tensor
from .chains import Describing, Step, plan, together
from .onnx_ops import is_number, plain


@dataclass
class Node:
    """A node of a graph: its kind, its name for messages, the values around it, and its options."""

    kind: str
    name: str
    inputs: list[Any]
    outputs: list[Any]
    options: dict[str, Any]

    def get(self, name: str, default: Any = None) -> Any:
        """An option, or what stands for it where it is missing."""
        return self.options.get(name, default)


class NodeLayer(Module):
    """One node as a layer: hooks hear it, and messages name it. Its weights are the graph's, under their own names.

    kind  what the file calls such nodes"""

    def __init__(self, node: Node, reader: Callable[..., Any]) -> None:
        super().__init__()
        self.node, self.kind, self._reader = node, node.kind, reader
        self._asks = "training" in inspect.signature(reader).parameters

    @property
    def convolves(self) -> bool:
        """Whether it is a convolution, whose places are places of the picture."""
        return self.kind in ("Conv", "CONV_2D", "DEPTHWISE_CONV_2D")

    def forward(self, *arguments: Any) -> Any:
        """The node's results, a tuple if there are several. Raises WeightsError for a node that makes no sense."""
        try:
            return self._reader(self.node, *arguments, **({"training": self.training} if self._asks else {}))
        except MemoryError:
            raise WeightsError(f"{self.node.name[:60]}: there is not enough memory for its result") from None
        except TinyVisionError:
            raise
        except (
            ValueError,
            TypeError,
            LookupError,
            ArithmeticError,
            AttributeError,
        ) as error:  # a file may say anything
            raise WeightsError(
                f"{self.node.name[:60]}: what the file says of this node cannot be computed "
                f"({type(error).__name__}: {str(error)[:100]})"
            ) from error

    def extra_repr(self) -> str:
        """What the file calls it."""
        return self.node.name


class Anatomy(NamedTuple):
    """What a graph consists of: its nodes, the values that go in and come out, and the arrays that it has by value."""

    nodes: list[Node]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    weights: dict[Any, Any]


class GraphModel(Module):
    """Nodes, one after the other, each computed by the reader of its kind, and each a layer of `nodes`.

    readers                    kind of node -> what computes it: reader(node, *arguments), and training=... if it asks
    describing                 what the nodes can be in the chains that are computed together (see `chains`)
    input_names, output_names  what the graph calls its inputs and outputs, in order
    whole_numbers_are_arrays   whether readers get whole numbers that come in as they get those of the file

    Values are named by text or by number. `fixed` are those that are known and not learnt, `learnt` the Parameters and
    Buffers, and `titles` says what these are called where their names in the graph are numbers."""

    readers: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    describing: ClassVar[Describing]
    whole_numbers_are_arrays = False

    def __init__(
        self,
        nodes: Sequence[Node],
        inputs: Sequence[Hashable],
        outputs: Sequence[Hashable],
        fixed: dict[Any, Any],
        learnt: dict[Any, Any],
        titles: Mapping[Any, str] | None = None,
    ) -> None:
        super().__init__()
        titles = titles or {}
        self._nodes, self._fixed, self._titles = list(nodes), fixed, titles
        absent = {value for value, known in fixed.items() if known is None}
        for node in self._nodes:
            _require_arguments(node, self.readers[node.kind], [value not in absent for value in node.inputs])
        self._inputs, self._outputs = tuple(inputs), tuple(outputs)
        self.input_names = tuple(str(titles.get(value, value)) for value in inputs)
        self.output_names = tuple(str(titles.get(value, value)) for value in outputs)
        self._places: dict[Any, tuple[Module, str]] = {}
        for value, tensor in learnt.items():
            self._place(value, titles.get(value, value), tensor)
        self._layers = [NodeLayer(node, self.readers[node.kind]) for node in self._nodes]
        name = "nodes"
        while hasattr(self, name):
            name += "_"
        setattr(self, name, Module())
        for k, layer in enumerate(self._layers):
            setattr(getattr(self, name), f"{k}", layer)
        steps = [Step(tuple(node.inputs), tuple(node.outputs), self._role(node)) for node in self._nodes]
        self._parts = plan(steps, self._inputs, self._outputs)
        taken = [[value for k in part.steps for value in self._nodes[k].inputs] for part in self._parts]
        last_use = {value: k for k, values in enumerate(taken) for value in values}
        self._done_with = [[v for v in values if last_use[v] == k] for k, values in enumerate(taken)]

    def _role(self, node):
        role = self.describing.roles.get(node.kind)
        try:
            return None if role is None else role(node, [self._fixed.get(value) for value in node.inputs])
        except (ValueError, TypeError, LookupError, AttributeError):  # the node will say what is wrong with it
            return None

    def _place(self, value, name, tensor):
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
        self._places[value] = home, last

    def forward(self, *inputs: Any) -> Any:
        """The graph's outputs for its inputs, a tuple if there are several. Raises ShapeError for their number."""
        if len(inputs) != len(self._inputs):
            raise ShapeError(
                f"this graph takes {len(self._inputs)} inputs ({', '.join(self.input_names)}), got {len(inputs)}"
            )
        known = self._weights()
        for value, x in zip(self._inputs, inputs, strict=True):
            x = x if isinstance(x, Variable) else Tensor.of(x)
            known[value] = x.array if self.whole_numbers_are_arrays and not is_number(x) else x
        for part, done in zip(self._parts, self._done_with, strict=True):
            result = None if part.conv is None else self._together(part, known)
            if result is not None:
                known[part.result] = result
            else:
                self._one_by_one(part, known)
            for value in done:  # what nobody needs any more is not kept: a graph may be long
                if value not in self._places and value not in self._fixed and value not in self._outputs:
                    known.pop(value, None)
        self._require_made(known, self._outputs, "the graph's outputs")
        outputs = tuple(known[value] for value in self._outputs)
        outputs = tuple(o if isinstance(o, Variable) else Tensor.of(plain(o)) for o in outputs)
        return outputs if len(outputs) > 1 else outputs[0]

    def _one_by_one(self, part, known):
        for node, layer in ((self._nodes[k], self._layers[k]) for k in part.steps):
            self._require_made(known, node.inputs, node.name)
            results = layer(*(known[v] for v in node.inputs))
            results = results if isinstance(results, tuple) else (results,)
            known.update(zip(node.outputs, results, strict=False))

    def _together(self, part, known):
        def arguments(k):
            node = self._nodes[k]
            return node, [known[value] for value in node.inputs[1:]]

        def convolution_of(x):
            node, others = arguments(part.conv)
            conv = self.describing.convolution(node, x, *others)
            return None if conv is None else (x, conv)

        def norm_of():
            node, others = arguments(part.norm)
            return self.describing.norm(node, *others) if all(isinstance(v, Variable) for v in others) else None

        layers = [self._layers[k] for k in part.steps]
        return together(part, layers, known.get, convolution_of, norm_of)

    def anatomy(self) -> Anatomy:
        """For those who look into the graph."""
        return Anatomy(self._nodes, self._inputs, self._outputs, self._weights())

    def _weights(self):
        return {**self._fixed, **{value: getattr(home, last) for value, (home, last) in self._places.items()}}

    def up_to(self, value: Hashable) -> GraphModel:
        """The part of the graph that makes one of its values, as a network of its own with the same weights."""
        needed = {value}
        nodes: list[Node] = []
        for node in reversed(self._nodes):
            if needed.intersection(node.outputs):
                nodes.insert(0, node)
                needed.update(node.inputs)
        learnt = {v: getattr(home, last) for v, (home, last) in self._places.items() if v in needed}
        part = type(self).__new__(type(self))
        GraphModel.__init__(part, nodes, self._inputs, [value], self._fixed, learnt, self._titles)
        return part

    def _require_made(self, known, values, what):
        """A file may promise more results of a node than nodes of its kind have."""
        lost = [value for value in values if value not in known]
        if lost:
            name = str(self._titles.get(lost[0], lost[0]))
            raise WeightsError(f"{what}: {name[:60]!r} is no result of the node that is said to make it")

    def extra_repr(self) -> str:
        """How many nodes, and what goes in."""
        return f"{len(self._nodes)} nodes, inputs {', '.join(self.input_names)}"


def _require_arguments(node, reader, given):
    """Raise WeightsError unless a node has the arguments that its reader takes; given: for each, whether it is there.

    A reader is `reader(node, x, weight, bias=None)`: what has a default may be absent."""
    takes = [p for p in inspect.signature(reader).parameters.values() if p.name != "node"]
    places = [p for p in takes if p.kind is p.POSITIONAL_OR_KEYWORD]
    least, any_number = sum(p.default is p.empty for p in places), any(p.kind is p.VAR_POSITIONAL for p in takes)
    if len(given) < least or (len(given) > len(places) and not any_number):
        most = "or more" if any_number else f"to {len(places)}" if len(places) > least else ""
        takes_words = " ".join(filter(None, (str(least), most)))
        raise WeightsError(f"{node.name}: {len(given)} arguments, where a node of this kind has {takes_words}")
    absent = [k for k, there in enumerate(given) if not there and (k < least or k >= len(places))]
    if absent:
        raise WeightsError(f"{node.name}: its argument {absent[0] + 1} is absent, which a node of this kind needs")
