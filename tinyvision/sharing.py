"""Memory that several values share: views of one another, and what a backward will need unchanged.

A value that is changed in place counts up `changes`, a list of one number that it has in common with all its views. A
call's record notes the number of every input, and the backward looks whether it is still the same.
"""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import numpy as np

from .arrays import holds, memory_of
from .errors import GraphError


class Origin(NamedTuple):
    """Where a view comes from: the value that has the memory, and the ops that lead from there to the view."""

    base: Any
    steps: tuple[tuple[Any, dict[str, Any]], ...]
    writable: bool  # while recording: not if it was taken under no_grad(), or as one of several (by unbind, chunk)
    version: int = 0  # how often the memory had been changed when the view was taken


class Watch:
    """What a value was when an op was called on it: enough to see later whether its memory has been changed."""

    __slots__ = ("changes", "memory", "shape", "version", "which")

    def __init__(self, which: str, value: Any) -> None:
        array = value.array
        self.which, self.shape, self.changes, self.version = which, array.shape, value.changes, value.changes[0]
        self.memory = id(memory_of(array))  # of what owns it

    def check(self, op: str, cache: Any) -> None:
        """Raise GraphError if the value was changed in place since, and the op's cache keeps its memory."""
        if self.changes[0] != self.version and holds(cache, self.memory):
            raise GraphError(
                f"{op}: {self.which} of shape {self.shape} was changed in place after the call; "
                f"call backward() before changing it (before optimizer.step(), for instance), or change a clone()"
            )


def note_view(view: Any, x: Any, step: tuple[Any, dict[str, Any]], writable: bool) -> None:
    """If `view` looks at the memory of x, the two share the count of its changes, and the base knows of the view."""
    if view.array.size:
        shared = np.may_share_memory(view.array, x.array)
    else:
        shared = memory_of(view.array) is memory_of(x.array)
    if not shared:
        return  # a copy, as of chosen places or of another order in memory
    base, steps, base_writable, _ = x.origin or (x, (), True, 0)
    view.changes = x.changes
    view._requires_grad = x.requires_grad and (view.record is not None or base.requires_grad)
    view.origin = Origin(base, (*steps, step), base_writable and writable, view.changes[0])
    if base.views is None:
        base.views = weakref.WeakValueDictionary()
    base.views[id(view)] = view
