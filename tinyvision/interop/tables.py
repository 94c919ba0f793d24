"""Tables from the names of layers, nodes and ops to what reads or writes them; each function enters itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def entering(table: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    """A decorator for a table: what stands below `@reads("Add", "Sub")` is in it by these names."""

    def named(*names):
        def enter(made):
            table.update(dict.fromkeys(names, made))
            return made

        return enter

    return named
