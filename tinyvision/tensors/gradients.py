"""Gradients that are asked for by name: those of several tensors, and those for some inputs alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import tape
from ..arrays import full_name
from ..errors import GraphError, OptionError, ShapeError
from ..grad_mode import enable_grad, no_grad
from ..walks import tell_ready
from . import second_order
from .hooks import keep_gradient


def several(value: Any) -> list[Any]:
    """What may be one or several, also those of a generator, as a list."""
    return list(value) if isinstance(value, Iterable) and not hasattr(value, "shape") else [value]


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Fill `.grad` of the leaves behind one or several tensors; `grad_tensors` start them where they are no numbers.

    With `inputs`, only theirs, those of what is no leaf among them; with `create_graph`, gradients have a history.
    grad_variables is the old name of grad_tensors. Raises GraphError, ShapeError."""
    if grad_variables is not None:
        warnings.warn("backward: grad_variables is the old name of grad_tensors", FutureWarning, stacklevel=2)
        grad_tensors = grad_variables
    tensors = several(tensors)
    given = [None] * len(tensors) if grad_tensors is None else several(grad_tensors)
    if len(given) != len(tensors):
        raise ShapeError(f"backward: {len(given)} gradients are given for {len(tensors)} tensors")
    if inputs is None and create_graph:
        second_order.backward(list(zip(tensors, given, strict=True)), retain_graph is None or bool(retain_graph))
        return
    if inputs is None:
        _joined(tensors, given).backward(retain_graph=bool(retain_graph))
        return
    inputs = list({id(x): x for x in several(inputs)}.values())
    if not inputs:
        raise GraphError("backward: inputs is empty; without it, the gradients of all leaves are filled")
    for x in inputs:
        if isinstance(x, tape.Variable) and x.record is not None:
            keep_gradient(x)  # the walk itself then fills it, now and later, as in PyTorch
    found = grad(tensors, inputs, given, retain_graph, create_graph, allow_unused=True)
    for x, gradient in zip(inputs, found, strict=True):
        if x.record is not None or gradient is None:
            continue
        if x.grad is None:
            x.grad = gradient
        elif create_graph:
            with enable_grad():
                x.grad = x.grad + gradient
        else:
            with no_grad():
                x.grad += gradient
        tell_ready(x)


def _joined(tensors, gradients):
    """One number whose gradients are those of all tensors from their own starts: Σ tensor · gradient."""
    total = None
    with enable_grad():  # a gradient may be asked for under no_grad(), of what was recorded before
        for x, gradient in zip(tensors, gradients, strict=True):
            part = _started(x, gradient)
            total = part if total is None else total + part.to(total.dtype)
    return total


def _started(x, gradient):
    start = tape.upstream_of(x, gradient)
    return x.reshape(()) if gradient is None else _weighted(x, start)


# Not a product and a sum: 0 · ∞ in the value is of no concern, only the gradient is.
_weighted = tape.differentiable(
    lambda x, gradient: (np.zeros_like(x, shape=()), gradient),
    lambda dy, gradient, needs=(True, False): (dy * gradient, None),
)
_weighted.__name__ = "backward"


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of `outputs` (their sum, if they are several) for each of `inputs`; nobody's `.grad` is touched.

    With `create_graph` they have a history, and can be gone back through; retain_graph is then True unless it is given.
    Raises GraphError for an input that the outputs do not depend on, unless allow_unused."""
    if is_grads_batched or not only_inputs:
        raise OptionError("grad: is_grads_batched and only_inputs=False are not supported")
    wanted, outputs = several(inputs), several(outputs)
    for x in wanted:
        if not isinstance(x, tape.Variable):
            raise GraphError(f"grad: inputs must be tensors, got {full_name(x)}")
        if not x.requires_grad:
            raise GraphError("grad: one of the inputs does not require a gradient")
    given = [None] * len(outputs) if grad_outputs is None else several(grad_outputs)
    spent = any(record.backward is None for output in outputs for record in _records(output))
    if create_graph:
        found = _recorded_gradients(outputs, given, wanted, retain_graph is None or bool(retain_graph))
    else:
        found = _gradients(_joined(outputs, given), wanted, bool(retain_graph))
    if materialize_grads:
        return tuple(x.like(np.zeros_like(x.array)) if g is None else g for x, g in zip(wanted, found, strict=True))
    if spent and any(g is None for g in found):
        raise GraphError(
            "grad: the graph behind the outputs has already been used and freed; run the forward pass again, or call "
            "backward(retain_graph=True) the first time"
        )
    if not allow_unused and any(g is None for g in found):
        raise GraphError(
            "grad: the outputs do not depend on one of the inputs; with allow_unused=True its gradient is None"
        )
    return tuple(found)


def _gradients(output, wanted, retain_graph):
    """The gradients for `wanted`, None where there is none; every `.grad` is afterwards what it was before."""
    ways = _ways_to(wanted, output)
    leaves = {id(x): x for x in wanted if x.record is None}
    kept = {key: (x.grad, x.ready) for key, x in leaves.items()}
    caught: dict[int, Any] = {}

    def catch(record):
        def hook(gradient):
            caught[id(record)] = output.like(gradient.copy())

        # As in PyTorch: before the hooks of the value where the walk goes on behind it, else behind them.
        goes_on = any(id(source) in ways for source in record.inputs)
        record.hooks.insert(0 if goes_on else len(record.hooks), hook)
        return record, hook

    hooks = [catch(x.record) for x in wanted if x.record is not None]
    try:
        for x in leaves.values():
            x.grad = x.ready = None
        tape.backward(output, None, retain_graph, ways)
        return [x.grad if x.record is None else caught.get(id(x.record)) for x in wanted]
    finally:
        for key, x in leaves.items():
            x.grad, x.ready = kept[key]
        for record, hook in hooks:
            record.hooks.remove(hook)


def _recorded_gradients(outputs, given, wanted, retain_graph):
    """`_gradients` with a history, of several outputs and what they start from."""
    ways = _ways_to(wanted, *outputs)
    met = second_order.gradients(list(zip(outputs, given, strict=True)), retain_graph, ways)
    return [met.get(id(x.record or x), (None, None))[1] for x in wanted]


def _ways_to(wanted, *outputs):
    """The ids of the leaves and records through which `outputs` depend on the values `wanted`."""
    ways = {id(x.record or x) for x in wanted}
    behind = {record.number: record for output in outputs for record in _records(output)}
    for _, record in sorted(behind.items()):  # what a record needs comes before it
        if any(id(source) in ways for source in record.inputs):
            ways.add(id(record))
    return ways


def _records(output):
    """All records behind a value."""
    waiting = [output.record] if output.record else []
    seen = {id(record): record for record in waiting}
    while waiting:
        for source in waiting.pop().inputs:
            if isinstance(source, tape.Record) and id(source) not in seen:
                seen[id(source)] = source
                waiting.append(source)
    return seen.values()
