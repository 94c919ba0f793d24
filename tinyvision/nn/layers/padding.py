"""Padding as layers: `ZeroPad2d` and its like. The name says the kind and how many axes."""

from typing import Any, ClassVar

from ...errors import OptionError
from ...ops.checks import is_integer
from .. import functional
from .declared import Declared

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d",
    "ReplicationPad3d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class _Pad(Declared):
    padding: Any  # one number for every side, or one for each
    axes: ClassVar[int]

    def __post_init__(self) -> None:
        count = 2 * self.axes
        sides = tuple(self.padding) if isinstance(self.padding, (tuple, list)) else (self.padding,) * count
        if len(sides) != count or not all(is_integer(n) for n in sides):
            name = type(self).__name__
            raise OptionError(f"{name}: padding must be one integer or {count} of them, got {self.padding!r}")
        self.padding = sides


class _Filled(_Pad, function=functional.pad):
    padding: Any
    value: float = 0.0

    def options(self) -> dict[str, Any]:
        """As the function calls them."""
        return {"pad": self.padding, "value": self.value}

    def extra_repr(self) -> str:
        """The padding and the value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_Filled):
    """A border of `value` at both ends.   padding (left, right)"""

    axes = 1


class ConstantPad2d(_Filled):
    """A border of `value` around an image.   padding (left, right, top, bottom)"""

    axes = 2


class ConstantPad3d(_Filled):
    """A border of `value` around a volume."""

    axes = 3


class _Bordered(_Pad, function=functional.pad):
    padding: Any
    mode: ClassVar[str] = "constant"

    def options(self) -> dict[str, Any]:
        """As the function calls them."""
        return {"pad": self.padding, "mode": self.mode}

    def extra_repr(self) -> str:
        """The padding."""
        return f"{self.padding}"


class ZeroPad1d(_Bordered):
    """A border of zeros at both ends.   padding (left, right)"""

    axes = 1


class ZeroPad2d(_Bordered):
    """A border of zeros around an image.   padding (left, right, top, bottom)"""

    axes = 2


class ZeroPad3d(_Bordered):
    """A border of zeros around a volume."""

    axes = 3


class ReflectionPad1d(_Bordered):
    """A border that mirrors what is inside.   padding (left, right)"""

    axes, mode = 1, "reflect"


class ReflectionPad2d(_Bordered):
    """A border that mirrors the image.   padding (left, right, top, bottom)"""

    axes, mode = 2, "reflect"


class ReflectionPad3d(_Bordered):
    """A border that mirrors the volume."""

    axes, mode = 3, "reflect"


class ReplicationPad1d(_Bordered):
    """A border that repeats the first and the last number.   padding (left, right)"""

    axes, mode = 1, "replicate"


class ReplicationPad2d(_Bordered):
    """A border that repeats the outermost pixels.   padding (left, right, top, bottom)"""

    axes, mode = 2, "replicate"


class ReplicationPad3d(_Bordered):
    """A border that repeats the outermost numbers."""

    axes, mode = 3, "replicate"


class CircularPad1d(_Bordered):
    """A border that goes on at the other end.   padding (left, right)"""

    axes, mode = 1, "circular"


class CircularPad2d(_Bordered):
    """A border that goes on at the other side.   padding (left, right, top, bottom)"""

    axes, mode = 2, "circular"


class CircularPad3d(_Bordered):
    """A border that goes on at the other side of a volume."""

    axes, mode = 3, "circular"
