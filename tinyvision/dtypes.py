"""Kinds of numbers by PyTorch's names, their limits, and which float is meant where none is named.

A tensor's is a `dtype` of this file, an array's one of NumPy's. Each is equal to the other, and does where the other is
asked for: `x.dtype == torch.float32`, `np.float32` and `"float32"` all say the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import DtypeError, OptionError
from .types import DType


class dtype:
    """A kind of numbers, of which there is one object each: `x.dtype is torch.float32`, `x.dtype.is_floating_point`.

    NumPy takes it for its own, `np.zeros(3, x.dtype)`; that one is `x.dtype.dtype`. `dtype("float32")` is the one that
    a name, or a dtype of NumPy's, means. `torch.bfloat16` is a name for `autocast`: NumPy is told that there is none.

    name      "float32"
    kind      NumPy's letter: "f" for floats, "i" and "u" for whole numbers, "b" for truth values
    itemsize  bytes of a number"""

    __slots__ = ("_own", "itemsize", "kind", "name")
    __module__ = "tinyvision"  # its public name, and where pickle looks for torch.float32
    _own: Any
    name: str
    kind: str
    itemsize: int

    def __new__(cls, kind: DType) -> Any:
        return kind if isinstance(kind, dtype) else KINDS[np.dtype(kind)]

    @property
    def dtype(self) -> np.dtype:
        """NumPy's. Raises DtypeError for bfloat16."""
        if self._own is None:
            raise DtypeError(NO_BFLOAT16)
        return self._own

    __numpy_dtype__ = dtype  # what NumPy asks for since 2.4, and may one day ask for alone

    @property
    def is_floating_point(self) -> bool:
        """Whether these are floats."""
        return self.kind == "f"

    @property
    def is_complex(self) -> bool:
        """Whether these are complex numbers, which no tensor holds."""
        return self.kind == "c"

    @property
    def is_signed(self) -> bool:
        """Whether there are negative ones."""
        return self.kind in "ifc"

    def __eq__(self, other: object) -> Any:
        if self is other or other is None or isinstance(other, dtype):  # NumPy takes None for float64
            return self is other
        return self._own == other

    def __hash__(self) -> int:
        return hash(self._own)

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> Any:  # a copy, and what a pickle gives back, is this very one
        is_named = self is bfloat16 or (self._own.isnative and self.name in _NAMES)
        return self.name if is_named else (dtype, (self._own,))


def _made(own, name, kind, itemsize):
    made = object.__new__(dtype)
    made._own, made.name, made.kind, made.itemsize = own, name, kind, itemsize
    return made


class _Kinds(dict):
    """{NumPy's dtype: ours}, made when it is first asked for."""

    def __missing__(self, own):
        return self.setdefault(own, _made(own, own.name, own.kind, own.itemsize))


KINDS = _Kinds()
_NAMES = (
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool",
)  # fmt: skip
float16, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64, boolean = map(dtype, _NAMES)
bfloat16 = _made(None, "bfloat16", "f", 2)
NO_BFLOAT16 = (
    "bfloat16: NumPy has no such numbers; stay with float32 and round the factors of products instead: "
    'tinyvision.precision("bf16"), or autocast with dtype=torch.bfloat16'
)
half, float_, double = float16, float32, float64
short, int_, long = int16, int32, int64

_default: np.dtype = np.dtype(np.float32)


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


def default_dtype() -> np.dtype:
    """`get_default_dtype()` as the dtype of an array."""
    return _default


def get_default_dtype() -> dtype:
    """The dtype that Python's floats, and functions that make fractions of whole numbers, give: float32 at first."""
    return dtype(_default)


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


def common_dtype(one: np.dtype, other: np.dtype) -> np.dtype:
    """`promote_types` of arrays' dtypes."""
    floats = [kind for kind in (one, other) if kind.kind == "f"]
    return floats[0] if len(floats) == 1 else np.promote_types(one, other)


def promote_types(one: DType, other: DType) -> dtype:
    """The dtype in which numbers of two dtypes meet: a float beside whole numbers stays as it is."""
    return dtype(common_dtype(np.dtype(one), np.dtype(other)))
