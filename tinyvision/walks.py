"""Taking part in a backward: who waits for a gradient, and what is to be done at the end.

The tape walks its records from the newest to the oldest. A leaf that is used by several of them has its whole gradient
only after the last; who wants to work with it while the walk goes on says so with `when_ready`, and a leaf's hooks want
to see it before it is added to `.grad`. To know which use is the last, a walk counts them before it begins, if anybody
waits at all.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_awaited: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()  # leaves, by their ids


class _Walks(threading.local):
    """Of the walks that this thread is in, the innermost last: what is to be done when each is over, and how often it
    is still to use the leaves that are awaited, by their ids."""

    def __init__(self) -> None:
        self.endings: list[list[Callable[[], object]]] = []
        self.uses: list[dict[int, int]] = []


_walks = _Walks()


@contextmanager
def walk_from(record: Any) -> Iterator[dict[int, int]]:
    """A `with` block for the walk that begins at a record; it is given the uses that are to come, to be counted down.

    What was asked for `at_the_end` is done when the block has ended, if it has ended well."""
    _walks.endings.append([])
    _walks.uses.append(_uses_behind(record) if _awaited else {})
    try:
        yield _walks.uses[-1]
    finally:
        endings = _walks.endings.pop()
        _walks.uses.pop()
    for ending in endings:
        ending()


def at_the_end(ending: Callable[[], object]) -> bool:
    """In a backward or a hook: call `ending()` once, when this walk is over and every leaf has its gradient.

    Returns whether this walk hears of it for the first time."""
    first = ending not in _walks.endings[-1]
    if first:
        _walks.endings[-1].append(ending)
    return first


def when_ready(leaf: Any, hook: Callable[[Any], object]) -> Callable[[], None]:
    """From now on, call `hook(leaf)` in every walk as soon as the leaf, a Variable, has been used for the last time.

    Its `.grad` is whole then, and the walk goes on behind it. Call what is returned to take the hook away."""
    leaf.ready = [*(leaf.ready or ()), hook]
    _awaited[id(leaf)] = leaf

    def take_away() -> None:
        leaf.ready = [other for other in leaf.ready or () if other is not hook]
        if not leaf.ready:
            _awaited.pop(id(leaf), None)

    return take_away


def await_hooked(leaf: Any) -> None:
    """From now on, walks know when they have used a leaf that has hooks for the last time."""
    _awaited[id(leaf)] = leaf


def is_to_come(leaf: Any) -> bool:
    """In a backward or a hook: whether this walk is still to use a leaf that somebody awaits."""
    return bool(_walks.uses and _walks.uses[-1].get(id(leaf)))


def _uses_behind(record: Any) -> dict[int, int]:
    """How often each awaited leaf is an input of the records behind `record`, itself included."""
    uses: dict[int, int] = {}
    ahead, seen = [record], {record.number}
    while ahead:
        for source in ahead.pop().inputs:
            if hasattr(source, "inputs"):
                if source.number not in seen:
                    seen.add(source.number)
                    ahead.append(source)
            elif source is not None and (source.ready or source.hooks):
                uses[id(source)] = uses.get(id(source), 0) + 1
    return uses


def is_last(uses: dict[int, int], leaf: Any) -> bool:
    """The walk has used a leaf: whether that was the last time, of a leaf that somebody waits for."""
    if id(leaf) not in uses:
        return False
    uses[id(leaf)] -= 1
    return not uses[id(leaf)]


def tell_the_rest(uses: dict[int, int]) -> None:
    """The walk is over: some leaves were not come to as often as was counted, where a backward gave nothing back."""
    for leaf in [_awaited[key] for key, left in uses.items() if left and key in _awaited]:
        tell_ready(leaf)


def tell_ready(leaf: Any) -> None:
    """The gradient of a leaf is whole."""
    for hook in leaf.ready or ():
        hook(leaf)
