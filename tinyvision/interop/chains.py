"""Layers of a graph that are computed in one walk through memory, whichever file the graph was read from.

A network is mostly chains of  [zeros around x] -> convolution -> [batch-norm] -> [+ skip] -> [activation].  A reader
says of every step of its graph which `Role` it can have in such a chain, and `plan` finds the chains once, when the
graph is built. What lies between two links of a chain must be nobody else's: it has one consumer, and is no output.

    step        conv    norm    conv'   add     relu            the graph, in its order
    plan        [conv   norm    add     relu]   ...             a chain stands where its last link stood

Then, where nothing is recorded and nothing trains, `together` hands a chain to `nn.fusing.finished`, by which our own
networks are computed. Where somebody watches a layer through hooks, or the arrays do not fit together, it returns None,
and the links are called one after the other, as they would have been.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import TinyVisionError
from ..nn.fusing import Convolution, FrozenNorm, finished
from ..nn.module import Module
from ..tensors.tensor import Tensor

Borders = tuple[int, int, int, int]  # rows and columns of zeros: top, left, bottom, right

# x · gate(x), written as two steps, is an activation of its own.
_GATED = {"sigmoid": "silu", "hardsigmoid": "hardswish"}


class Role(NamedTuple):
    """What a step can be in a chain.

    kind        "pad", "conv", "norm", "add", "act" (an activation), "mul" (of two), or "same" (nothing in evaluation)
    activation  what an activation is called by `conv2d_inference`, or what stands at the end of a step of another kind
    borders     the zeros of a "pad"
    """

    kind: str
    activation: str | None = None
    borders: Borders = (0, 0, 0, 0)


class Describing(NamedTuple):
    """What is asked of the nodes of a format.

    roles        kind of node -> a function of the node and of the values that the file has for its arguments, None for
                 each that it has not;  ->  its role, or None
    convolution  (node, x, weight, bias=None)  ->  Convolution, or None where an array is none of a network's
    norm         (node, weight, bias, mean, var)  ->  FrozenNorm"""

    roles: Mapping[str, Callable[[Any, list[Any]], Role | None]]
    convolution: Callable[..., Convolution | None]
    norm: Callable[..., FrozenNorm]


class Step(NamedTuple):
    """A step of a graph: the values that it takes and makes, and its role, None for one that is never in a chain."""

    inputs: tuple[Hashable, ...]
    outputs: tuple[Hashable, ...]
    role: Role | None


class Part(NamedTuple):
    """Steps that are run together, by their numbers: one, or the links of a chain.

    conv, norm   which of them are the convolution and the batch-norm; conv is None where this is no chain
    image, skip  the values that go into the chain, and are added
    result       the value that comes out; borders: the zeros that a step in front of the convolution puts around x"""

    steps: tuple[int, ...]
    conv: int | None = None
    norm: int | None = None
    image: Hashable = None
    skip: Hashable = None
    activation: str | None = None
    borders: Borders = (0, 0, 0, 0)
    result: Hashable = None


def plan(steps: Sequence[Step], inputs: Sequence[Hashable], outputs: Sequence[Hashable]) -> list[Part]:
    """All steps in parts, in an order in which every value is made before it is needed."""
    graph = _Graph(steps, inputs, outputs)
    chains = [
        chain for k, step in enumerate(steps) if step.role and step.role.kind == "conv" for chain in graph.chain(k)
    ]
    inside = {k for chain in chains for k in chain.steps}
    parts = chains + [Part((k,)) for k in range(len(steps)) if k not in inside]
    return sorted(parts, key=lambda part: part.steps[-1])


class _Graph:
    """Who makes and who takes every value, and which steps have found their chain."""

    def __init__(self, steps, inputs, outputs):
        self.steps, self.taken = steps, set()
        self.makers = {value: k for k, step in enumerate(steps) for value in step.outputs}
        self.made = Counter(value for step in steps for value in step.outputs) + Counter(inputs)
        self.uses = Counter(value for step in steps for value in step.inputs) + Counter(outputs)
        self.takers: dict[Hashable, list[int]] = {}
        for k, step in enumerate(steps):
            for value in step.inputs:
                self.takers.setdefault(value, []).append(k)

    def chain(self, conv):
        """[the chain that begins with this convolution], or [] if it has none."""
        step = self.steps[conv]
        if not self._is_plain(conv):
            return []
        links, norm, skip, image, borders = [conv], None, None, step.inputs[0], (0, 0, 0, 0)
        before = self.makers.get(image)
        if before is not None and self._role(before) == "pad" and self.uses[image] == 1 and before not in self.taken:
            links, borders, image = [before, conv], self.steps[before].role.borders, self.steps[before].inputs[0]
        value, activation = step.outputs[0], step.role.activation
        while activation is None:
            gate = self._gate(value)
            if gate is not None:
                last, activation = gate[1], _GATED[self.steps[gate[0]].role.activation]
                links += gate
            else:
                last = self._only_taker(value)
                kind = None if last is None else self._role(last)
                if kind == "norm" and norm is None and skip is None and self.steps[last].inputs[0] == value:
                    norm = last
                elif kind == "add" and skip is None and len(self.steps[last].inputs) == 2:
                    skip = next(v for v in self.steps[last].inputs if v != value)
                    if not self.made[skip]:  # an array of the file's: a bias, most likely
                        skip = None
                        break
                elif kind not in ("same", "act"):
                    break
                links.append(last)
                activation = self.steps[last].role.activation
            value = self.steps[last].outputs[0]
        if len(links) == 1 and activation is None:
            return []
        self.taken.update(links)
        activation = None if activation == "linear" else activation
        return [Part(tuple(links), conv, norm, image, skip, activation, borders, value)]

    def _role(self, k):
        role = self.steps[k].role
        return role.kind if role is not None and self._is_plain(k) else None

    def _is_plain(self, k):
        """Whether a step takes something and makes one thing, and none of it is made twice, as a file may say."""
        step = self.steps[k]
        return (
            len(step.outputs) == 1
            and bool(step.inputs)
            and max(self.made[v] for v in (*step.inputs, *step.outputs)) == 1
        )

    def _only_taker(self, value):
        """The step that alone takes a value, unless it belongs to another chain."""
        takers = self.takers.get(value, [])
        return takers[0] if self.uses[value] == len(takers) == 1 and takers[0] not in self.taken else None

    def _gate(self, value):
        """[gate, product] of  value · gate(value),  where nobody else takes either; else None."""
        takers = self.takers.get(value, [])
        if self.uses[value] != 2 or len(set(takers)) != 2:
            return None
        for gate, product in (takers, takers[::-1]):
            if (
                self._role(gate) == "act"
                and self.steps[gate].role.activation in _GATED
                and self._role(product) == "mul"
            ):
                open_gate = self.steps[gate].outputs[0]
                if self._only_taker(open_gate) == product and not self.taken.intersection(takers):
                    return [gate, product]
        return None


def together(
    part: Part,
    layers: Sequence[Module],
    value_of: Callable[[Hashable], Any],
    convolution_of: Callable[[Any], tuple[Any, Convolution] | None],
    norm_of: Callable[[], FrozenNorm | None],
) -> Any:
    """The result of a chain in one walk, or None where its links have to be called.

    layers          the links
    value_of        the image and the skip path by their names in the graph
    convolution_of  image -> (what is convolved, the convolution) for the layer in the chain; None if it cannot say
    norm_of         the arrays of the batch-norm"""
    if any(module.training or module.has_hooks() for layer in layers for module in layer.modules()):
        return None
    x, skip = value_of(part.image), None if part.skip is None else value_of(part.skip)
    if not isinstance(x, Tensor) or x.ndim != 4 or not (skip is None or isinstance(skip, Tensor)):
        return None
    try:
        found = convolution_of(x)
        norm = None if part.norm is None else norm_of()
        if found is None or (part.norm is not None and norm is None):
            return None
        x, conv = found
        conv = _within(conv, part.borders)
        if conv is None or (skip is not None and not _adds(x, conv, skip)):
            return None
        return finished(x, conv, norm, part.activation, skip)
    except (TinyVisionError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError):
        return None  # a file may say anything: the layer will say what is wrong with it


def _within(conv, borders):
    """The convolution with these zeros around its image; None if there would be fewer below than above."""
    top, left, bottom, right = borders
    beyond = bottom - top + conv.beyond[0], right - left + conv.beyond[1]
    if min(*beyond, *borders) < 0:
        return None
    return conv._replace(padding=(conv.padding[0] + top, conv.padding[1] + left), beyond=beyond)


def _adds(x, conv, skip):
    """Whether the skip path has the shape of what the convolution gives, so that nothing is repeated."""
    size = [
        (n + 2 * p + b - d * (k - 1) - 1) // s + 1
        for n, p, b, d, k, s in zip(
            x.shape[2:], conv.padding, conv.beyond, conv.dilation, conv.weight.shape[2:], conv.stride, strict=True
        )
    ]
    return tuple(skip.shape) == (x.shape[0], conv.weight.shape[0], *size)
