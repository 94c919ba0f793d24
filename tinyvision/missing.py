"""Names that a module of PyTorch has and ours has not: what is said when somebody asks for one."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_LISTED = 60  # so many names can be looked through in a message


def missing(module: str, here: Iterable[str], reasons: Mapping[str, str]) -> Callable[[str], Any]:
    """A `__getattr__` for a module: it raises AttributeError, which says why a name is not there, or what is.

    module   as PyTorch calls it: "torchvision.ops"
    here     the names that are there
    reasons  for names that are not"""
    names = sorted(here)

    def __getattr__(name: str) -> Any:
        if name in reasons:
            raise AttributeError(f"{module} has no {name} here: {reasons[name]}")
        near = difflib.get_close_matches(name, names, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        listed = f"; there are {', '.join(names)}" if len(names) <= _LISTED else ""
        raise AttributeError(f"{module} has no {name} here{listed}{hint}")

    return __getattr__
