"""What can be asked of a tensor: how it lies in memory, what it is, and what it is not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import address_of, check_is_array
from ..device import device_of
from ..errors import DtypeError, ShapeError
from ..tape import Variable
from .operands import shape_together

if TYPE_CHECKING:
    from .tensor import Tensor


def stride(x: Tensor, dim: int | None = None) -> Any:
    """How many numbers on in memory the next one along each axis is, or along one axis. Raises ShapeError for a view
    of nothing, of which NumPy does not say where it would be."""
    _check_is_somewhere("stride", x)
    steps = [step // x.array.itemsize for step in x.array.strides]
    if 0 in x.shape and 0 in steps:  # NumPy's of nothing; PyTorch's are as if there were one of it
        steps = [math.prod(n or 1 for n in x.shape[axis + 1 :]) for axis in range(x.ndim)]
    for axis in reversed(range(x.ndim)):  # NumPy's 0 of an axis that `None` made; PyTorch's is what lies behind it
        if x.shape[axis] == 1 and not steps[axis]:
            steps[axis] = x.shape[axis + 1] * steps[axis + 1] if axis + 1 < x.ndim else 1
    if dim is None:
        return tuple(steps)
    if not -x.ndim <= dim < x.ndim:
        raise ShapeError(f"stride: axis {dim} does not exist in {x.shape}")
    return steps[dim]


def isclose(x: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Where |x - other| <= atol + rtol · |other|. Raises DtypeError for two dtypes, as PyTorch does."""
    if x.dtype != other.dtype:
        raise DtypeError(f"isclose: one is {x.dtype}, the other {other.dtype}; convert one with .to(...)")
    shape_together("isclose", x, other)
    a, b = x.array, other.array
    if a.dtype.kind == "b":  # which have no difference
        return x.like(a == b)
    with np.errstate(invalid="ignore"):
        close = (a == b) | (np.isfinite(b) & (np.abs(a - b) <= atol + rtol * np.abs(b)))
    return x.like(close | ((a != a) & (b != b)) if equal_nan else close)


def allclose(x: Tensor, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether |x - other| <= atol + rtol · |other| everywhere. Raises DtypeError for two dtypes."""
    return bool(isclose(x, other, rtol, atol, equal_nan).array.all())


def element_size(x: Tensor) -> int:
    """How many bytes one number takes."""
    return int(x.array.itemsize)


def data_ptr(x: Tensor) -> int:
    """The address of the first number, for comparing where tensors live; 0 if there is none."""
    return address_of(x.array) if x.array.size else 0


def storage_offset(x: Tensor) -> int:
    """How many numbers of the memory that x looks at lie before its first. Raises ShapeError for a view of nothing."""
    _check_is_somewhere("storage_offset", x)
    base = x.array
    while getattr(base, "base", None) is not None and hasattr(base.base, "dtype"):
        base = base.base
    return (address_of(x.array) - address_of(base)) // element_size(x)


def _check_is_somewhere(what, x):
    if 0 in x.shape and getattr(x.array, "base", None) is not None:
        raise ShapeError(f"{what}: {x.shape} holds no numbers, so this view of another tensor is nowhere in it")


def get_device(x: Tensor) -> int:
    """The number of the GPU that it lives on, -1 on the CPU."""
    place = device_of(x.array)
    return (place.index or 0) if place.type == "cuda" else -1


def numel(x: Tensor) -> int:
    """How many numbers it holds."""
    return int(x.array.size)


def ndimension(x: Tensor) -> int:
    """How many axes it has."""
    return int(x.array.ndim)


def is_floating_point(x: Tensor) -> bool:
    """Whether it holds floating-point numbers."""
    return x.dtype.kind == "f"


def is_complex(x: Tensor) -> bool:
    """False: there are no complex numbers here."""
    return False


def is_signed(x: Tensor) -> bool:
    """Whether its dtype has negative numbers."""
    return x.dtype.kind in "if"


def is_same_size(x: Tensor, other: Tensor) -> bool:
    """Whether both have one shape."""
    return x.shape == other.shape


def equal(x: Tensor, other: Any) -> bool:
    """True if both have one shape and the same numbers. Raises DtypeError if `other` is no tensor, array or number."""
    numbers = other.array if isinstance(other, Variable) else other
    if not isinstance(numbers, (bool, int, float)):
        check_is_array("equal", "other", numbers)
    return x.shape == np.shape(numbers) and bool((x.array == numbers).all())


def itself(x: Tensor) -> Tensor:
    """x: nothing has to be done for this here."""
    return x


def contains(x: Tensor, value: Any) -> bool:
    """Whether any number of x equals `value`."""
    return bool((x.detach() == value).any())
