"""What a rule is told of a call: its inputs and its result, as tensors that go on where the graph goes on."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import GraphError
from ...tape import Op, Record, Variable, used_up
from ...tape import read as array_of
from ...types import Array, Shape

if TYPE_CHECKING:
    from ..tensor import Tensor

Rule = Callable[["Tensor", "Call"], Sequence[Any]]

RULES: dict[Any, Rule] = {}  # by the op
AGAIN: dict[Any, Callable[..., Array]] = {}  # how to compute (cache, *arrays) where the op itself would not do


def rule(*ops: Op) -> Callable[[Rule], Rule]:
    """Register a function `(dy, call) -> gradients of the inputs`, all of them tensors, for these ops."""

    def registered(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(ops, function))
        return function

    return registered


class Values:
    """The tensors that stand in a graph's nodes. A record does not hold its result: if nobody has it any more, it is
    computed once more, from the inputs."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self._tensors: dict[int, Any] = {}  # by the number of the record
        self._arrays: dict[int, Array] = {}  # those that had to be computed

    def constant(self, array: Any) -> Any:
        """A tensor without a history for what was no tensor, or asks for no gradient; None for None."""
        array = array() if isinstance(array, weakref.ref) else array
        return None if array is None else self._like.like(array)

    def of(self, source: Record | Variable) -> Any:
        """The leaf itself, or the tensor that a record has made."""
        if isinstance(source, Variable):
            return source
        if source.number not in self._tensors:
            array = self._known(source)
            tensor = self._like.like(self._computed(source) if array is None else array, True, source)
            if array is not None:
                tensor.changes = source.call[4]
            self._tensors[source.number] = tensor
        return self._tensors[source.number]

    def _known(self, record):
        if record.number in self._arrays:
            return None
        if not record.call:
            kept_by(record)
            raise GraphError(f"create_graph=True: what {record.name} gave is not known any more; use a .clone()")
        *_, result, changes, count = record.call
        return result() if changes[0] == count else None

    def _computed(self, record):
        """The result of a record by its op, called on what is known, or computed like this: no recursion, as a graph
        may be deep."""
        waiting = [record]
        while waiting:
            record = waiting[-1]
            if record.number not in self._arrays:
                rest = [r for r in record.inputs if isinstance(r, Record) and self._array(r) is None]
                if rest:
                    waiting += rest
                    continue
                self._arrays[record.number] = self._again(record)
            waiting.pop()
        return self._arrays[record.number]

    def _array(self, record):
        return self._arrays[record.number] if record.number in self._arrays else self._known(record)

    def _again(self, record):
        cache = kept_by(record)
        op, options, known, *_ = record.call
        arrays = []
        for source, one in zip(record.inputs, known, strict=True):
            if isinstance(source, Record):
                arrays.append(self._array(source))
            elif source is not None:
                arrays.append(array_of(unchanged(record, source, one)))
            else:
                arrays.append(one() if isinstance(one, weakref.ref) else one)
                if arrays[-1] is None and one is not None:
                    raise GraphError(
                        f"create_graph=True: the result of {record.name} is needed, and one of what it was computed "
                        f"from is gone; keep that constant under a name until the backward"
                    )
        return again(op, options, cache, arrays)


def again(op: Any, options: dict[str, Any], cache: Any, arrays: Sequence[Any]) -> Array:
    """What the op gives for these arrays."""
    if op in AGAIN:
        return AGAIN[op](cache, *arrays)
    if not hasattr(op, "forward"):
        raise GraphError(f"create_graph=True: what {op.__name__} gave is not known any more; keep it under a name")
    return op(*arrays, **options)


def kept_by(record: Record) -> Any:
    """The cache that the backward of a call is to reckon with. Raises GraphError if it has been used up, or if what it
    reckons with was changed in place."""
    if record.backward is None:
        raise used_up(record)
    cache = record.cache
    for one in record.watched:
        cache = one.check(record.name, record.cache, cache)
    return cache


def unchanged(record: Record, leaf: Variable, count: int) -> Variable:
    """The leaf itself. Raises GraphError if it has been changed in place since the call."""
    if leaf.changes[0] != count:
        raise GraphError(
            f"{record.name}: an input of shape {leaf.shape} was changed in place after the call; "
            f"call backward() before changing it (before optimizer.step(), for instance), or change a clone()"
        )
    return leaf


class Call:
    """One call of an op: `input(i)` and `output` are tensors, `needs` the inputs whose gradients are wanted."""

    __slots__ = ("_known", "_values", "cache", "needs", "op", "options", "record")

    def __init__(self, record: Record, cache: Any, needs: tuple[bool, ...], values: Values) -> None:
        self.record, self.cache, self.needs, self._values = record, cache, needs, values
        self.op, self.options, self._known = record.call[:3]

    @property
    def output(self) -> Any:
        """The result of the call."""
        return self._values.of(self.record)

    def input(self, i: int) -> Any:
        """An input, None where none was given."""
        source = self.record.inputs[i] if i < len(self.record.inputs) else None
        if isinstance(source, Variable):
            return unchanged(self.record, source, self._known[i])
        if source is not None:
            return self._values.of(source)
        return self._values.constant(self._known[i]) if i < len(self._known) else None

    @property
    def inputs(self) -> list[Any]:
        """All inputs."""
        return [self.input(i) for i in range(len(self._known))]

    @property
    def constants(self) -> list[Any]:
        """The arrays of those inputs that ask for no gradient, None for the others."""
        known = [one() if isinstance(one, weakref.ref) else one for one in self._known]
        return [None if need else one for one, need in zip(known, self.record.needs, strict=True)]

    def shape(self, i: int) -> Shape:
        """The shape of an input whose gradient is wanted."""
        source: Any = self.record.inputs[i]
        return tuple(array_of(source).shape if isinstance(source, Variable) else source.output_shape)

    def each(self, *gradients: Callable[[], Any]) -> list[Any]:
        """Those gradients that are wanted, for which the functions are called, and None for the others."""
        return [gradient() if need else None for gradient, need in zip(gradients, self.needs, strict=False)]

    def back(self, i: int) -> Callable[[Array], Array]:
        """The op's own backward, of arrays, as a function of dy alone that gives the gradient of input i."""
        backward: Any = self.record.backward
        cache, needs = self.cache, tuple(j == i for j in range(len(self.needs)))
        return lambda dy: backward(dy, cache, needs)[i]
