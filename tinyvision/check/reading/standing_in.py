"""What stands in for the parts of other people's libraries that their layers and functions ask for."""

from typing import Any

from . import words


class Keeper:
    """The `ctx` of forward(ctx, x) and backward(ctx, dy): it keeps what one is given, and hands it to the other.

    Libraries call the two by many names; a name that begins with "save" is the one that keeps."""

    def __init__(self) -> None:
        self._kept: tuple = ()

    def __getattr__(self, name: str) -> Any:  # for what forward has not set by itself
        plain = words.plain(name)
        if name.startswith("_"):
            raise AttributeError(name)
        if any(word in plain for word in ("saved", "stored", "data", "values", "kept")):
            return self._kept
        if plain.startswith(("save", "store", "keep")):
            return self._keep
        if plain == "needsinputgrad":
            return (True,) * 8
        raise AttributeError(name)

    def _keep(self, *values: Any) -> None:
        self._kept = values


class NoActivation:
    """An activation that changes nothing, as a function, a class to be called, or an object with a forward."""

    def __call__(self, *given: Any, **how: Any) -> Any:
        """What was given, or the derivative where that is asked for; itself, where a class is called for an object."""
        if any(value is True for value in how.values()):
            return self.derivative(*given)
        return given[0] if given else self

    forward = activate = __call__

    def backward(self, *given: Any) -> Any:
        """The derivative is 1: an upstream passes, which stands last."""
        return given[-1] if given else 1.0

    def derivative(self, *given: Any) -> Any:
        """1 everywhere."""
        return given[0] * 0 + 1.0 if given else 1.0

    prime = gradient = grad = derivative


class Upstream:
    """Stands in for a loss that a layer keeps inside: on the way back it hands over one upstream gradient."""

    def __init__(self, dy: Any) -> None:
        self.dy, self.asked = dy, False

    def __getattr__(self, name: str) -> Any:
        if words.method([name], words.BACKWARDS) is None:
            raise AttributeError(name)
        return self._handed

    def _handed(self, *given: Any, **how: Any) -> Any:
        self.asked = True
        return self.dy
