"""Who wants to hear of every op that Variables go through: an export, a summary, a map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_listeners: list[Callable[..., object]] = []


@contextmanager
def listening(heard: Callable[..., object]) -> Iterator[None]:
    """Inside the `with` block, `heard(name, arguments, options, result)` is called after every op on Variables."""
    _listeners.append(heard)
    try:
        yield
    finally:
        _listeners.remove(heard)


def announce(name: str, arguments: Sequence[Any], options: dict[str, Any], result: Any) -> None:
    """Tell those who are `listening` that `name` has made `result` out of `arguments`."""
    for heard in _listeners:
        heard(name, arguments, options, result)
