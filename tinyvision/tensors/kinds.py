"""PyTorch's older names for kinds of numbers: `x.type(torch.LongTensor)`, `x.half()`.

What these names make when they are called, `torch.FloatTensor([1, 2])`, is in `float_tensor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import held
from ..device import device_of
from ..dtypes import NO_BFLOAT16
from ..errors import DtypeError, OptionError
from ..types import Array, DType
from .arguments import new_shape
from .size import Size

if TYPE_CHECKING:
    from .tensor import Tensor

NAMES = {
    "FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16", "ByteTensor": "uint8",
    "CharTensor": "int8", "ShortTensor": "int16", "IntTensor": "int32", "LongTensor": "int64", "BoolTensor": "bool",
}  # fmt: skip


def described(what: str) -> tuple[np.dtype, str]:
    """The dtype and the kind of device that "torch.FloatTensor" or "torch.cuda.LongTensor" names. Raises DtypeError."""
    _, _, name = what.rpartition(".")
    if name not in NAMES:
        raise DtypeError(f"type: {what!r} names no kind of tensor here; there are {', '.join(NAMES)}")
    return np.dtype(NAMES[name]), "cuda" if ".cuda." in what else "cpu"


def numbers(arguments: tuple[Any, ...], dtype: DType, what: str) -> Array:
    """The array that `FloatTensor(...)` makes: of sizes (zeros here), or of numbers in lists or an array; an array that
    has this dtype already is the very one, as in PyTorch."""
    if len(arguments) == 1 and not isinstance(arguments[0], (int, float, np.integer, str, Size)):
        array = held(_plain(arguments[0]))
        if array.dtype.kind not in "biuf":
            raise DtypeError(f"{what}: expected numbers, got {array.dtype}")
        return array.astype(dtype, copy=False)
    if not all(isinstance(n, (int, np.integer, Size)) and not isinstance(n, bool) for n in arguments):
        raise OptionError(f"{what}: expected sizes, or numbers in one list or array, got {arguments}")
    return np.zeros(new_shape(arguments or (0,)), dtype)


def _plain(value):
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value.array if hasattr(value, "array") else value


def type(x: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """x as another kind of numbers, or (without one) the name of the kind that it is: "torch.FloatTensor"."""
    if dtype is None:
        return name_of(x)
    if isinstance(dtype, str) and dtype.endswith("Tensor"):
        kind, place = described(dtype)
        return x.to(kind, device=place if place != device_of(x.array).type else None)
    kind = getattr(dtype, "of_dtype", dtype)
    return x.to(kind, device=getattr(dtype, "of_device", None))


def name_of(x: Tensor) -> str:
    """The name of its kind: "torch.FloatTensor", "torch.cuda.LongTensor"."""
    place = "cuda." if device_of(x.array).type == "cuda" else ""
    return next(
        (f"torch.{place}{name}" for name, kind in NAMES.items() if x.dtype == kind), f"torch.{place}{x.dtype.name}"
    )


def type_as(x: Tensor, other: Tensor) -> Tensor:
    """x as the kind of numbers that `other` holds, on its device."""
    return x.to(other)


def half(x: Tensor, memory_format: Any = None) -> Tensor:
    """As float16."""
    return x.to(np.float16, memory_format=memory_format)


def short(x: Tensor, memory_format: Any = None) -> Tensor:
    """As int16."""
    return x.to(np.int16, memory_format=memory_format)


def byte(x: Tensor, memory_format: Any = None) -> Tensor:
    """As uint8."""
    return x.to(np.uint8, memory_format=memory_format)


def char(x: Tensor, memory_format: Any = None) -> Tensor:
    """As int8."""
    return x.to(np.int8, memory_format=memory_format)


def bfloat16(x: Tensor, memory_format: Any = None) -> Tensor:
    """Refused: NumPy has no bfloat16. Raises DtypeError."""
    raise DtypeError(NO_BFLOAT16)
