"""Kinds of numbers by PyTorch's names, their limits, and which float is meant where none is named.

A dtype here is NumPy's own: `x.dtype == torch.float32`, `np.float32` and `"float32"` all say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import DtypeError, OptionError
from .types import DType

dtype = np.dtype
float16, float32, float64 = (np.dtype(name) for name in ("float16", "float32", "float64"))
int8, int16, int32, int64 = (np.dtype(name) for name in ("int8", "int16", "int32", "int64"))
uint8, uint16, uint32, uint64 = (np.dtype(name) for name in ("uint8", "uint16", "uint32", "uint64"))
boolean = np.dtype(bool)
half, float_, double = float16, float32, float64


class _BFloat16:
    """`torch.bfloat16`: a name for `autocast`. Whoever wants it as a dtype of NumPy's is told that there is none."""

    def __repr__(self) -> str:
        return "bfloat16"

    def __reduce__(self) -> str:  # a copy, and what a pickle gives back, is this very one
        return "bfloat16"

    @property
    def dtype(self) -> np.dtype:
        raise DtypeError(NO_BFLOAT16)


NO_BFLOAT16 = (
    "bfloat16: NumPy has no such numbers; stay with float32 and round the factors of products instead: "
    'tinyvision.precision("bf16"), or autocast with dtype=torch.bfloat16'
)
bfloat16 = _BFloat16()
short, int_, long = int16, int32, int64

_default = float32


def as_dtype(value: DType) -> np.dtype:
    """The dtype that `value` means. Raises DtypeError for what means none, and for numbers that are not here."""
    if value is bfloat16:
        raise DtypeError(NO_BFLOAT16)
    try:
        found = np.dtype(value) if value is not None else None
    except TypeError:
        found = None
    if found is None:
        raise DtypeError(f"expected a dtype such as torch.float32 or 'int64', or a device, got {value!r}")
    if found.kind not in "biuf":
        raise DtypeError(f"there are no tensors of {found}: floats, whole numbers and truth values are what there is")
    return found


def get_default_dtype() -> np.dtype:
    """The dtype that Python's floats, and functions that make fractions of whole numbers, give: float32 at first."""
    return _default


def set_default_dtype(d: DType) -> None:
    """Another float for where no dtype is named. Raises OptionError for what is no float."""
    global _default
    kind = np.dtype(d)
    if kind.kind != "f":
        raise OptionError(f"set_default_dtype: only a floating-point dtype can be the default, got {kind}")
    _default = kind


@dataclass(frozen=True)
class finfo:
    """The limits of a floating-point dtype: `finfo(torch.float32).eps`. Without one, of the default dtype."""

    bits: int
    eps: float
    max: float
    min: float
    tiny: float
    smallest_normal: float
    resolution: float
    dtype: str

    def __init__(self, type: DType | None = None) -> None:
        kind = np.dtype(_default if type is None else type)
        if kind.kind != "f":
            raise DtypeError(f"finfo: {kind} is no floating-point dtype; use iinfo")
        found = np.finfo(kind)
        limits = {name: float(getattr(found, name)) for name in ("eps", "max", "min", "tiny", "resolution")}
        for name, value in {
            **limits,
            "smallest_normal": limits["tiny"],
            "bits": found.bits,
            "dtype": kind.name,
        }.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class iinfo:
    """The limits of a dtype of whole numbers: `iinfo(torch.int64).max`."""

    bits: int
    max: int
    min: int
    dtype: str

    def __init__(self, type: DType) -> None:
        kind = np.dtype(type)
        if kind.kind not in "iu":
            raise DtypeError(f"iinfo: {kind} is no dtype of whole numbers; use finfo")
        found = np.iinfo(kind)
        for name, value in {
            "bits": found.bits,
            "max": int(found.max),
            "min": int(found.min),
            "dtype": kind.name,
        }.items():
            object.__setattr__(self, name, value)


def is_floating_point(x: Any) -> bool:
    """True for a tensor, or a dtype, of floating-point numbers."""
    return np.dtype(getattr(x, "dtype", x)).kind == "f"


def can_cast(from_: DType, to: DType) -> bool:
    """Whether an operation may turn one kind of numbers into another: truth values, whole numbers, floats, upwards."""
    ranks = {"b": 0, "u": 1, "i": 1, "f": 2}
    return ranks[np.dtype(from_).kind] <= ranks[np.dtype(to).kind]


def promote_types(one: DType, other: DType) -> np.dtype:
    """The dtype in which numbers of two dtypes meet: a float beside whole numbers stays as it is."""
    one, other = np.dtype(one), np.dtype(other)
    floats = [kind for kind in (one, other) if kind.kind == "f"]
    return floats[0] if len(floats) == 1 else np.promote_types(one, other)
