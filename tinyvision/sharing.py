"""Memory that several values share: views of one another, and what a backward will need unchanged.

A value that is changed in place counts up `changes`, a list that it has in common with all its views. A call's record
notes the number of every input, and the backward looks whether it is still the same.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .arrays import holds, is_array, memory_of
from .errors import GraphError


class Origin(NamedTuple):
    """Where a view comes from: the value that has the memory, and the ops that lead from there to the view."""

    base: Any
    steps: tuple[tuple[Any, dict[str, Any]], ...]
    writable: bool  # while recording: not if it was taken under no_grad(), or as one of several (by unbind, chunk)
    version: int = 0  # how often the memory had been changed when the view was taken


class Watch:
    """What a value was when an op was called on it: enough to see later whether its memory has been changed.

    derives   whether the op keeps for its backward something else than PyTorch's does
    through_view   whether PyTorch's keeps a view of the value, which what is assigned to its `.data` does not reach"""

    __slots__ = ("changes", "derives", "memory", "shape", "through_view", "uncounted", "version", "which")

    def __init__(self, which: str, value: Any, derives: bool = False, through_view: bool = False) -> None:
        array, changes = value.array, value.changes
        self.which, self.shape, self.changes, self.version = which, array.shape, changes, changes[0]
        while (base := getattr(array, "base", None)) is not None:  # `memory_of`: every input of every op comes by here
            array = base
        self.memory = id(array)  # of what owns it
        self.derives, self.through_view = derives, through_view or value.origin is not None
        self.uncounted = (_behind(changes), changes[2]) if len(changes) > 1 else (0, 0)

    def check(self, op: str, kept: Any, cache: Any) -> Any:
        """What the backward is to reckon with: what the op has `kept`, or the `cache` that another watch made of it,
        with what was assigned to the value's `.data` in its place, as PyTorch has it.

        Raises GraphError if the value was changed in place since, and the op keeps its memory; or if it was changed
        through `.data`, which nobody counts, and the op keeps what was computed from it before."""
        changes = self.changes
        if changes[0] != self.version and holds(kept, self.memory):
            raise GraphError(
                f"{op}: {self.which} of shape {self.shape} was changed in place after the call; "
                f"call backward() before changing it (before optimizer.step(), for instance), or change a clone()"
            )
        if len(changes) == 1:
            return cache
        written, replaced = _behind(changes) != self.uncounted[0], changes[2] != self.uncounted[1]
        if not (written or replaced) or not (self.derives or holds(kept)):
            return cache
        if written and (self.derives or not holds(kept, self.memory)):
            raise self._stale(op)
        if not replaced or self.through_view:
            return cache
        if self.derives or not holds(kept, self.memory):
            raise self._stale(op)
        for gone, array in changes[3]:
            if (old := gone()) is not None:
                cache = self._renewed(op, cache, old, array)
        return cache

    def _renewed(self, op, part, old, array):
        """A part of a cache with `array` where it had `old`, maybe in another shape. Raises GraphError."""
        if type(part) in (tuple, list):
            return type(part)([self._renewed(op, p, old, array) for p in part])
        if part is array or not holds(part, id(memory_of(old))):
            return part
        alike = is_array(part) and part.size == old.size and part.flags.c_contiguous and old.flags.c_contiguous
        if old.shape != array.shape or old.dtype != array.dtype or not (part is old or alike):
            raise self._stale(op)
        return array.reshape(part.shape)

    def _stale(self, op):
        return GraphError(
            f"{op}: {self.which} of shape {self.shape} was changed through .data after the call, of which the backward "
            f"would know nothing, or not all; call backward() before changing it, or change a clone()"
        )


class Reads:
    """What a backward reckons with: the arrays that may not change between the call and it.

    gradients   for every input, which inputs its gradient is computed from, where that is not all of what the cache
                keeps: a factor's from the other factor
    derives     whether the cache has other things than PyTorch's: then changes through `.data`, which nobody counts,
                are refused, those of the result as well
    through_views   the inputs of which PyTorch's has a view, which `.data = y` does not reach"""

    def __init__(
        self,
        gradients: Sequence[Sequence[int]] | None = None,
        derives: bool = False,
        through_views: Sequence[int] = (),
    ) -> None:
        self.gradients, self.derives, self.through_views = gradients, derives, through_views
        self._known: dict[Any, tuple[int, ...]] = {}  # looked up, as there are few and every call asks

    def watch(self, inputs: Sequence[Any], needs: tuple[bool, ...], cache: Any = (), result: Any = None) -> list[Watch]:
        """A watch for every input that the wanted gradients are computed from, and for the result, if forward has kept
        it for the backward (as relu does), or PyTorch's may have."""
        derives, through_views = self.derives, self.through_views
        read: Sequence[int] = range(len(inputs))
        if self.gradients is not None:
            known = self._known.get(needs)
            read = self._read(needs) if known is None else known
        values = [(i, inputs[i]) for i in read]
        watches = [Watch("an input", x, derives, i in through_views) for i, x in values if hasattr(x, "changes")]
        if result is not None:
            array, kept = result.array, derives
            for part in cache if type(cache) is tuple else (cache,):
                if part is array:
                    kept = True
            if kept:
                watches.append(Watch("its result", result, derives, True))
        return watches

    def _read(self, needs):
        wanted = {j for sources, need in zip(self.gradients, needs, strict=False) if need for j in sources}
        return self._known.setdefault(needs, tuple(wanted))


EVERYTHING = Reads()


def note_derived(result: Any, *read: Any) -> Any:
    """The result again, of several ops where PyTorch has one: which of the numbers of `read` and of the result it keeps
    for the backward is another matter, so that changes of theirs through `.data` are refused."""
    if result.record is not None:
        result.record.watched += [Watch("an input", v, derives=True) for v in read if hasattr(v, "changes")]
        result.record.watched.append(Watch("its result", result, derives=True, through_view=True))
    return result


def uncounted(value: Any) -> list[Any]:
    """The count of what is written through a value's `.data`, for that to share.

    From when it is first asked for, a value's `changes` are [its own count, this one, how often another array was put
    in the place of its own by `.data = ...`, those arrays with what they replaced]."""
    changes = value.changes
    if len(changes) == 1:
        changes += [[0], 0, []]
    return changes[1]


def _behind(changes):
    """How often memory was written to through `.data`, or the `.data` of that, and so on."""
    written = 0
    while len(changes) > 1:
        changes = changes[1]
        written += changes[0]
    return written


def note_replaced(value: Any, array: Any) -> None:
    """Remember, for calls that have kept what the value holds now, that `array` takes its place."""
    uncounted(value)
    value.changes[2] += 1
    forget_replaced(value)
    value.changes[3].append((weakref.ref(value.array), array))


def forget_replaced(value: Any) -> None:
    """Let go of what took the place of arrays that nobody has any more."""
    if len(value.changes) > 1:
        known = value.changes[3]
        known[:] = [(gone, new) for gone, new in known if gone() is not None]


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
