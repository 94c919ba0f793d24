"""The places in a layer where arrays lie: weights and gradients in attributes, dictionaries, lists and parameters."""

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..place import is_array
from . import words

DEPTH = 3  # a weight lies in the layer, in a dictionary of the layer, or in a parameter in that dictionary
STATISTICS = ("running", "moving", "mean", "var", "ave", "std", "mu", "sigma", "velocity", "momentum", "cache", "grad")


@dataclass
class Slot:
    """A place in a layer where an array of numbers lies: the way to it, its holder and the key there."""

    path: tuple
    holder: Any
    key: Any

    @property
    def array(self) -> np.ndarray:
        """The array that lies there now."""
        return vars(self.holder)[self.key] if isinstance(self.key, _Attribute) else self.holder[self.key]

    def stayed(self, before: dict[tuple, tuple[np.ndarray, np.ndarray]]) -> bool:
        """True if the same array lies there as `before`, by paths, with the numbers of its copy."""
        held = before.get(self.path)
        return held is not None and held[0] is self.array and np.array_equal(*held)

    def put(self, value: np.ndarray) -> None:
        """Put another array there; in place where that is not allowed."""
        try:
            if isinstance(self.key, _Attribute):
                setattr(self.holder, str(self.key), value)
            else:
                self.holder[self.key] = value
        except (AttributeError, TypeError):
            self.array[...] = value


class _Attribute(str):
    """The name of an attribute, as against a key of a dictionary."""


def slots(thing: Any, path: tuple = (), seen: set | None = None) -> list[Slot]:
    """Every array of floating-point numbers in a layer, shallow ones first."""
    seen = set() if seen is None else seen
    if len(path) > DEPTH or id(thing) in seen:
        return []
    seen.add(id(thing))
    if isinstance(thing, dict):
        items = list(thing.items())
    elif isinstance(thing, list):
        items = list(enumerate(thing))
    elif hasattr(thing, "__dict__") and not callable_or_module(thing, path):
        items = [(_Attribute(k), v) for k, v in vars(thing).items()]
    else:
        return []
    found = [Slot((*path, k), thing, k) for k, v in items if is_array(v) and v.ndim and _of_numbers(k, v)]
    for key, value in items:
        if not is_array(value):
            found += slots(value, (*path, key), seen)
    return sorted(found, key=lambda s: len(s.path))


def _of_numbers(key, array):
    """True for an array of floats, and for a bias that begins with integers: np.full(n, 0)."""
    return array.dtype.kind == "f" or (array.dtype.kind == "i" and isinstance(key, str) and words.is_role(key, "bias"))


def callable_or_module(thing: Any, path: tuple) -> bool:
    """True for functions, classes and modules, in which no weights are looked for; a layer may be callable."""
    return bool(path) and (inspect.isroutine(thing) or inspect.isclass(thing) or inspect.ismodule(thing))


def is_statistic(path: tuple) -> bool:
    """True for running means, velocities and such, and for gradients."""
    last = words.plain(str(path[-1]))
    return any(word in last for word in STATISTICS) or (len(last) > 1 and last[0] == "d")


def is_called(path: tuple, role: str) -> bool:
    """True if the way to an array reads as a parameter of that role, and not as its gradient."""
    return is_named(path, role) and not words.gradient_of(path, role) and not is_statistic(path)


def is_named(path: tuple, role: str) -> bool:
    """True if the last name on the way to an array, or the one before a "value", is one of the role's."""
    names = [p for p in path if isinstance(p, str)]
    if not names:
        return False
    last = names[-1]
    if len(names) > 1 and words.plain(last) in words.VALUES and words.is_role(names[-2], role):
        return True
    return words.is_role(last.lstrip("_"), role)


def spelled(path: tuple) -> str:
    """The way to an array as one would write it: self.grads['W']."""
    return "self" + "".join(f".{p}" if isinstance(p, _Attribute) else f"[{p!r}]" for p in path)
