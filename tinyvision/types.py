"""The names that type hints use throughout the package, and what counts as an integer and as a number."""

import numbers
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

# An array of NumPy's or of CuPy's. It is not `np.ndarray`, because the same lines run on both; and no protocol
# describes what the two share, so a type checker takes an array as it comes.
Array: TypeAlias = Any

Pair: TypeAlias = tuple[int, int]  # (height, width)
IntOrPair: TypeAlias = int | Pair  # one number stands for both
Shape: TypeAlias = tuple[int, ...]
Axes: TypeAlias = int | Sequence[int] | None  # one axis, several, or None for all


class HasDtype(Protocol):
    """What NumPy takes for a dtype because it has one, as `tinyvision.dtype` does."""

    @property
    def dtype(self) -> np.dtype:
        """NumPy's dtype."""
        ...


DType: TypeAlias = np.dtype | HasDtype | type | str  # np.float32, torch.float32, "float32"

Device: TypeAlias = Any  # PyTorch's names in torch.types, for hints: what `device=` takes,
Number: TypeAlias = int | float | bool  # one number,
_size: TypeAlias = Sequence[int]  # and a shape

Needs: TypeAlias = Sequence[bool]  # which inputs want a gradient
Gradients: TypeAlias = tuple[Array, ...]  # one for every input, None where there is none


def is_integer(value: Any) -> bool:
    """True for an integer that is not a bool, and for the tensor or array of no axes that holds one.

    Those are integers wherever Python counts, but not of Python's type: `int(value)` is, once this was asked."""
    if type(value) is int:
        return True
    if getattr(value, "ndim", None) == 0 and hasattr(value, "dtype"):
        return bool(value.dtype.kind in "iu")
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """True for a real number that is not a bool, infinities and NaN among them."""
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
