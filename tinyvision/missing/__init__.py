"""Names that a module of PyTorch has and ours has not: what is said when somebody asks for one."""

import sys
from collections.abc import Callable, Iterable, Mapping
from types import FrameType, MappingProxyType
from typing import Any

_LISTED = 60  # so many names can be looked through in a message
_NONE: Mapping[str, str] = MappingProxyType({})


class MissingName(AttributeError):
    """An attribute that is not there. Its sentence is made when it is read: hasattr() asks, and never reads it."""

    def __init__(self, room: str, name: str, here: Iterable[str] | type, reasons: Mapping[str, str] = _NONE) -> None:
        super().__init__(room, name, here, reasons)

    def __str__(self) -> str:
        return sentence(*self.args)


def missing(module: str, here: Iterable[str], reasons: Mapping[str, str] = _NONE) -> Callable[[str], Any]:
    """A `__getattr__` for a module: it raises AttributeError, which says why a name is not there, or what is; to
    `from module import name` it raises ImportError with the same sentence.

    module   as PyTorch calls it: "torchvision.ops"
    here     the names that are there
    reasons  for names that are not, besides those of `missing.reasons`"""

    def __getattr__(name: str) -> Any:
        if name == "__path__":
            return []  # PyTorch's room may have files where ours has none: Python asks `places` for them, not here
        if not name.startswith("__") and _is_import(sys._getframe(1)):
            raise ImportError(sentence(module, name, here, reasons), name=name)
        raise MissingName(module, name, here, reasons)

    return __getattr__


def sentence(room: str, name: str, here: Iterable[str] | type, reasons: Mapping[str, str] = _NONE) -> str:
    """What is said of a name: why it is not there, what there is instead, or else the name that it nearly is.

    here   the names that are there, or the class that has them"""
    import difflib  # only for a message: `import tinyvision` is to be quick

    from .module_paths import is_module
    from .reasons import UNBUILT, instead, reason

    why, other = reasons.get(name) or reason(room, name), instead(room, name)
    start = f"{room} has no {name} here"
    whole = is_module(room, name)  # a room for itself is no misspelt function
    if name in reasons or why != UNBUILT or other or whole:
        known = why if name in reasons or why != UNBUILT or whole else ""
        return start + (f": {known}" if known else "") + (f"; instead: {other}" if other else "")
    names = sorted(n for n in (dir(here) if isinstance(here, type) else here) if not n.startswith("_"))
    near = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    listed = f"; there are {', '.join(names)}" if names and len(names) <= _LISTED else ""
    return start + listed + hint


def _is_import(frame: FrameType | None) -> bool:
    """True if `from module import name` is what the frame is at. Python answers an AttributeError there with an
    ImportError of its own, which says nothing of the reason."""
    from opcode import opmap

    while frame is not None and frame.f_code.co_name == "__getattr__":  # a module's own, which passes the name on
        frame = frame.f_back
    if frame is None:
        return False
    return frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] == opmap["IMPORT_FROM"]
