"""Listening to a model: which ops one forward pass calls, on what, and in which layer.

A pass is heard twice, with batches of two sizes and other numbers in them. What is the same both times belongs to the
network; a size that is the batch's both times *is* the batch; and an array that differs, but that no op on the tape has
made, was computed beside the tape from the input: a graph that leaves that out would be wrong, so it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..device import to_numpy
from ..errors import ExportError, OptionError
from ..grad_mode import no_grad
from ..listening import listening
from ..nn.module import Module
from ..tape import Variable
from ..tensors.tensor import Tensor


class Value(NamedTuple):
    """What an op of the pass has made (number 0 is the model's input)."""

    number: int


class Stored(NamedTuple):
    """A parameter or a buffer, by its name in the model."""

    name: str


class Constant(NamedTuple):
    """An array that is the same whatever the input."""

    array: np.ndarray


class Stale(NamedTuple):
    """What was written over through another tensor, and why that matters."""

    reason: str


@dataclass
class Call:
    """One call of an op: its name, where its arguments come from, its options, the value it made, and the layer.

    shape  of the value; here, in `options` and in `shapes`, BATCH stands for the batch's size and GROWING for a
           multiple of it
    dtype  of the value;  fixed  the value itself, if it is the same whatever the input"""

    op: str
    arguments: list[Value | Stored | Constant | None]
    shapes: list[tuple[int, ...] | None]
    options: dict[str, Any]
    result: Value
    shape: tuple[int, ...]
    dtype: np.dtype
    layer: str
    fixed: np.ndarray | None


@dataclass
class Pass:
    """What was heard: all calls in order, and which value the model has returned."""

    calls: list[Call]
    outputs: list[Value]
    stored: dict[str, np.ndarray]


def listen_to(model: Module, example: Any) -> Pass:
    """All calls of one forward pass of `model` in evaluation mode, with the batch's size left open.

    example  an input (N, ...) of the right shape and dtype; its numbers do not matter

    Raises OptionError for an example that is no one input, ExportError for what depends on the input beside the tape,
    or on the size of the batch."""
    check_example(example)
    shape, dtype = tuple(example.shape), np.dtype(example.dtype)
    was_training = [m for m in model.modules() if m.training]
    model.eval()
    try:
        first, second = (_hear(model, _example((size, *shape[1:]), dtype, size)) for size in (_ONE, _OTHER))
    finally:
        for module in was_training:
            module.training = True
    if [c.op for c in first.calls] != [c.op for c in second.calls]:
        raise ExportError("export: the model calls other ops for another batch; a graph cannot say that")
    for one, other in zip(first.calls, second.calls, strict=True):
        _merge(one, other)
    return first


IN_TRAINING = ("dropout", "batchnorm_train", "batchnorm_relu")  # what acts so in evaluation is refused by the writers
BATCH, GROWING = -1, -2  # what stands for a size: that of the batch, and a multiple of it
_ONE, _OTHER = 2, 3  # sizes of the two batches


def check_example(example: Any) -> None:
    """Raise OptionError for an example that is no one input."""
    if hasattr(example, "dtype") and len(example.shape):
        return
    kind = "number" if hasattr(example, "dtype") else type(example).__name__
    count = f" of {len(example)}" if isinstance(example, (tuple, list)) else ""
    raise OptionError(f"export: a model is written with one input (N, ...), got a {kind}{count} as the example")


def _example(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)


def _hear(model, x):
    stored = {id(t.array): name for name, t in [*model.named_parameters(), *model.named_buffers()]}
    arrays = {name: t.array for name, t in [*model.named_parameters(), *model.named_buffers()]}
    image = Tensor.of(x)
    known, kept, calls, layers = {id(image.array): Value(0)}, [image], [], [""]

    def heard(op, arguments, options, result):
        if op in ("write", "overwrite"):
            _follow_write(op, arguments[-1], result, known, layers[-1])
            return
        sources = []
        for argument in arguments:
            array = argument.array if isinstance(argument, Variable) else argument
            kept.append(array)  # or its id could be another array's
            if array is None:
                sources.append(None)
            elif id(array) in known:
                sources.append(_fresh(known[id(array)], op, layers[-1]))
            elif id(array) in stored:
                sources.append(Stored(stored[id(array)]))
            else:
                sources.append(Constant(np.asarray(array)))
        shapes = [None if a is None else tuple(np.shape(a.array if isinstance(a, Variable) else a)) for a in arguments]
        value = Value(len(calls) + 1)
        known[id(result.array)] = value
        kept.append(result)
        moving = any(isinstance(s, Value) and (not s.number or calls[s.number - 1].fixed is None) for s in sources)
        fixed = None if moving else np.array(to_numpy(result))
        shape, dtype = tuple(result.shape), np.dtype(result.array.dtype)
        calls.append(Call(op, sources, shapes, dict(options), value, shape, dtype, layers[-1], fixed))

    def entering(name):
        return lambda module, inputs: layers.append(name)

    def leaving(module, inputs, output):
        layers.pop()

    handles = []
    for name, module in model.named_modules():
        # Hooks also keep layers from being computed together, so that each is heard by itself.
        handles += [module.register_forward_pre_hook(entering(name)), module.register_forward_hook(leaving)]
    try:
        with no_grad(), listening(heard):
            output = model(image)
    finally:
        for handle in handles:
            handle.remove()
    outputs = list(output) if isinstance(output, (tuple, list)) else [output]
    unheard = [o for o in outputs if not isinstance(o, Variable) or id(o.array) not in known]
    if unheard:
        raise ExportError(
            f"export: the model returned a {type(unheard[0]).__name__} that no op on the tape has made; it must return "
            f"a tensor, or a tuple of tensors, computed from its input"
        )
    return Pass(calls, [_fresh(known[id(o.array)], "the end", "") for o in outputs], arrays)


def _follow_write(op, value, written, known, layer):
    """A whole tensor changed in place is from now on what was written; whoever else looks at its memory must not be
    used any more. Parts of one are not followed."""
    value = value.array if isinstance(value, Variable) else value
    before, after = known.get(id(written.array)), known.get(id(value))
    if before == after:
        return  # the same numbers (dropout in evaluation), or the same whatever the input
    where = f"a value is changed in place in {layer or 'the model'}"
    if op == "overwrite":
        raise ExportError(f"export: {where}, a part of it (x[...] = ...), which a graph cannot say; use cat or where")
    base = written.origin.base if written.origin else written
    for other in (base, *(base.views or {}).values()):
        if other is not written and id(other.array) in known:
            known[id(other.array)] = Stale(where)
    if after is None:
        del known[id(written.array)]
    else:
        known[id(written.array)] = after


def _fresh(source, op, layer):
    if isinstance(source, Stale):
        raise ExportError(
            f"export: {source.reason}, and {op} in {layer or 'the model'} uses another look at the same memory, "
            f"which a graph does not have; use the form that is not in place"
        )
    return source


def _merge(one, other):
    """Mark in `one` what is the size of the batch, by comparing it with the same call for another batch."""
    where = f"{one.op} in {one.layer or 'the model'}"
    for source, twin in zip(one.arguments, other.arguments, strict=True):
        if type(source) is not type(twin):
            raise ExportError(f"export: {where}: an argument is {source} in one pass and {twin} in another")
        if isinstance(source, Constant) and not _equal(source.array, twin.array):
            raise ExportError(
                f"export: {where}: an argument {source.array.shape} was computed from the input, but not by an op on "
                f"the tape; the graph would leave that out. Write that step with ops that have gradients"
            )
    if one.fixed is not None and (other.fixed is None or not _equal(one.fixed, other.fixed)):
        one.fixed = None
    if one.op in IN_TRAINING:
        return
    one.shapes = [_open(a, b, where) for a, b in zip(one.shapes, other.shapes, strict=True)]
    one.shape = _open(one.shape, other.shape, where)
    one.options = {name: _open(value, other.options[name], where) for name, value in one.options.items()}


def _equal(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _open(a, b, where):
    """`a` with BATCH for every size that is the batch's, and GROWING for every one that grows with it."""
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)) and len(a) == len(b):
        return tuple(_open(x, y, where) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and _equal(a, b):
        return a
    if type(a) is type(b) and not isinstance(a, np.ndarray) and (a == b or a is b):
        return a
    if isinstance(a, int) and isinstance(b, int) and a * _OTHER == b * _ONE:
        return BATCH if a == _ONE else GROWING
    said = " and ".join(f"an array {v.shape}" if isinstance(v, np.ndarray) else repr(v) for v in (a, b))
    raise ExportError(f"export: {where}: an option depends on the input or on the batch ({said})")


def index_parts(index: Any, rank: int) -> list[Any]:
    """An index as a list of None, and of a slice, a number or an array of places for every axis."""
    parts = list(index) if isinstance(index, tuple) else [index]
    given = sum(part is not None and part is not Ellipsis for part in parts)
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    at = next(k for k, part in enumerate(parts) if part is Ellipsis)
    parts[at : at + 1] = [slice(None)] * (rank - given)
    found: list[Any] = []
    for part in parts:
        if isinstance(part, (bool, np.bool_)):
            raise ExportError("an index of one truth value has no place in a graph here; take slices")
        if part is None or isinstance(part, (int, slice)):
            found.append(part)
            continue
        places = np.asarray(part)
        if places.dtype == bool and places.ndim == 1:
            places = np.flatnonzero(places)
        if places.dtype.kind not in "iu":
            raise ExportError("an index of truth values over several axes has no place in a graph here; take slices")
        found.append(places.astype(np.int64))
    return found
