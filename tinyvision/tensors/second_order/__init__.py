"""Gradients that have gradients: `create_graph=True`, for gradient penalties, MAML and products with a Hessian.

The backward is itself made of ops that have backwards. The tape's own walk hands arrays from record to record; this one
hands tensors, and for each record calls the op's rule, which is its backward written with ops of the tape:

    mul:  da = dy · b,  db = dy · a          exp:  dx = dy · y          conv2d:  dx = conv_transpose2d(dy, weight)

So what the rules compute stands on the tape, linked to the values of the first graph, and can be gone back through as
often as one likes. Who does not ask for it pays nothing: a record only remembers how it came about.
"""

from __future__ import annotations

import functools
import heapq
import warnings
from typing import Any

from ...arrays import holds
from ...errors import GraphError
from ...grad_mode import enable_grad
from ...tape import Variable, lost_view, upstream_of
from ...walks import tell_ready, walk_from
from . import elementwise, layers, losses, reductions  # noqa: F401  whose rules are registered as they are imported
from .calls import RULES, Call, Values, kept_by
from .linear import of_first

__all__ = ["backward", "gradients"]


def backward(roots: Any, retain_graph: bool) -> None:
    """Add to `.grad` of every leaf behind the roots, pairs of a tensor and the gradient to start with (or None).

    A gradient that is added has a history, which leads back to the leaf: a circle, of which there is one warning."""
    _warn_of_circles()
    with enable_grad():
        for leaf, gradient in gradients(roots, retain_graph).values():
            if isinstance(leaf, Variable) and leaf.requires_grad:
                if leaf.origin is not None and leaf.origin.base.requires_grad:
                    raise lost_view(leaf)
                leaf._grad = gradient.clone() if leaf._grad is None else leaf._grad + gradient
                tell_ready(leaf)


@functools.cache  # so that it is said once
def _warn_of_circles():
    warnings.warn(
        "backward: with create_graph=True, a leaf and its .grad refer to each other, and keep their memory until .grad "
        "is set to None; autograd.grad(..., create_graph=True) gives gradients without that circle",
        UserWarning,
        stacklevel=4,
    )


def gradients(roots: Any, retain_graph: bool, only: set[int] | None = None) -> dict[int, tuple[Any, Any]]:
    """(the record or leaf, its gradient as a tensor with a history), by the ids of all that were met on the way."""
    met: dict[int, tuple[Any, Any]] = {}
    queue: list[tuple[int, Any]] = []

    def add(source, gradient):
        if id(source) in met:
            gradient = met[id(source)][1] + gradient
        elif not isinstance(source, Variable):
            heapq.heappush(queue, (-source.number, source))
        met[id(source)] = source, gradient

    with enable_grad():
        for root, gradient in roots:
            add(root.record or root, _start(root, gradient))
        if queue:
            with walk_from(queue[0][1]):
                values = Values(roots[0][0])
                while queue:
                    _, record = heapq.heappop(queue)
                    dy = _after_hooks(record.hooks, met[id(record)][1])
                    if not _step(record, dy, values, only, add):
                        met[id(record)] = record, dy  # where the way ends, hooks come first, as in PyTorch
                    if not retain_graph and holds(record.cache):
                        record.cache, record.inputs, record.backward, record.call = None, (), None, ()
        for key, (source, gradient) in met.items():
            if isinstance(source, Variable):
                met[key] = source, _after_hooks(source.hooks or (), gradient)
    return met


def _start(root, gradient):
    if not root.requires_grad:
        raise GraphError(
            "backward(): this value does not depend on anything that requires a gradient; "
            "was it computed under no_grad(), or are all parameters frozen?"
        )
    array = upstream_of(root, gradient)
    return gradient if isinstance(gradient, Variable) and gradient.array is array else root.like(array)


def _step(record, dy, values, only, add):
    needs = record.needs
    if only is not None:
        needs = tuple([need and id(s) in only for s, need in zip(record.inputs, needs, strict=False)])
    if not any(needs):
        return False
    cache = kept_by(record)
    rule = _rule_of(record)
    found = rule(dy, Call(record, cache, needs, values))
    for source, need, gradient in zip(record.inputs, needs, found, strict=False):
        if need and gradient is not None:
            add(source, gradient)
    return True


def _rule_of(record):
    if record.call:
        op = record.call[0]
        if rule := getattr(op, "rule", None) or RULES.get(op):
            return rule
        if op.linear:
            return of_first
    raise GraphError(
        f"create_graph=True: the gradient of {record.name} has no gradient here; leave it out of what is "
        f"differentiated twice, or put it together from other functions"
    )


def _after_hooks(hooks, gradient):
    """What hooks make of a gradient: those that take a tensor see it with its history. Those of modules take arrays."""
    for hook in hooks:
        of_tensor = getattr(hook, "of_tensor", None)
        changed = of_tensor(gradient) if of_tensor else hook(gradient.array)
        if changed is None or changed is gradient.array:
            continue
        if not isinstance(changed, Variable):
            raise GraphError(
                "create_graph=True: a module's backward hook has replaced a gradient by one without a history; use "
                "register_hook of a tensor"
            )
        gradient = changed
    return gradient
