"""What may stand beside a tensor in arithmetic, and with which kind of numbers the result comes out.

The rules are PyTorch's (see `result_type`): a Python number takes the dtype of the tensor, integers beside floats
become floats, and whole numbers divided or met by a fraction become float32.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..arrays import check_is_array, from_numbers, is_array, looks_like_an_array
from ..device import device_of, several_gpus, use
from ..dtypes import common_dtype, default_dtype
from ..errors import DeviceError, DtypeError, OptionError, ShapeError, TinyVisionError
from ..tape import Op, Variable
from ..types import Array
from .conversion import cast

# What NumPy's functions mean where an array stands beside a tensor.
OPERATORS = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.true_divide: operator.truediv,
    np.matmul: operator.matmul,
    np.equal: operator.eq,
    np.not_equal: operator.ne,
    np.less: operator.lt,
    np.less_equal: operator.le,
    np.greater: operator.gt,
    np.greater_equal: operator.ge,
}

_FLOAT32 = np.dtype(np.float32)
KINDS = {"b": 0, "i": 1, "u": 1, "f": 2}  # truth values, whole numbers, floats: the higher kind wins


def by_numpy(function: Callable[..., Any], inputs: Sequence[Any], out: Sequence[Any], options: dict[str, Any]) -> Any:
    """What a function of NumPy's makes of the tensors' numbers; NotImplemented where it is to write into a tensor.

    Raises GraphError for a tensor that requires a gradient, DeviceError for one that is not on the CPU."""
    if any(isinstance(place, Variable) for place in out):
        return NotImplemented
    arrays = [np.asarray(value) if isinstance(value, Variable) else value for value in inputs]
    return function(*arrays, **options, **({"out": out} if out else {}))


def shape_together(what: str, *tensors: Any) -> Any:
    """The shape that tensors make together. Raises ShapeError."""
    try:
        return np.broadcast_shapes(*(t.shape for t in tensors))
    except ValueError:
        given = ", ".join(str(tuple(t.shape)) for t in tensors)
        raise ShapeError(f"{what}: the shapes {given} do not broadcast") from None


def fits(shape: Sequence[int], place: Sequence[int]) -> bool:
    """Whether numbers of `shape` can be repeated to fill `place` exactly."""
    try:
        return np.broadcast_shapes(tuple(shape), tuple(place)) == tuple(place)
    except ValueError:
        return False


def is_operand(value: Any, what: str) -> bool:
    """Whether arithmetic with a tensor makes sense for `value`: tensors, arrays and numbers.

    Raises DtypeError for an array of another library, of which Python's own answer would say too little."""
    if isinstance(value, (Variable, bool, int, float, np.ndarray)) or is_array(value):
        return True
    if looks_like_an_array(value):
        check_is_array(what, "the operand", value)
    if isinstance(value, complex):
        raise DtypeError(f"{what}: there are no complex numbers here, got {value}; keep real and imaginary parts apart")
    return False


def as_operand(value: Any, like: Array, what: str) -> Array:
    """An operand as an array on the device of `like`.

    A number takes the dtype of `like`, as do integers beside floats; a float beside integers is a float32."""
    value = value.array if isinstance(value, Variable) else value
    if several_gpus():
        use(device_of(like))
    if isinstance(value, (bool, int, float, np.generic)):
        is_float = isinstance(value, (float, np.floating))
        kind = np.float32 if is_float and like.dtype.kind != "f" else like.dtype
        if like.dtype == bool and not is_float:
            kind = bool if isinstance(value, (bool, np.bool_)) else np.int64
        return _number(value, np.dtype(kind), like, what)
    if not hasattr(value, "dtype"):
        value = from_numbers(what, value, like)
        value = value.astype(np.float32) if value.dtype == np.float64 else value
    check_is_array(what, "the operand", value)
    if device_of(value) != device_of(like):
        raise DeviceError(
            f"{what}: one is on {device_of(like)}, the other on {device_of(value)}; move it with .to(...)"
        )
    if value.dtype.kind != "f" and like.dtype.kind == "f":
        return value.astype(like.dtype)
    return value


def result_type(*values: Any) -> np.dtype:
    """The dtype in which tensors, arrays and Python's numbers meet, as in PyTorch.

    Tensors with axes decide; a tensor without axes, and after those a number, counts only if it is of a higher kind:
    a float beside whole numbers, whole numbers beside truth values."""
    ranks: list[list[np.dtype]] = [[], [], []]
    for value in values:
        value = value.array if isinstance(value, Variable) else value
        if isinstance(value, (bool, int, float, np.generic)):
            ranks[2].append(_dtype_of_number(value))
        else:
            ranks[0 if value.ndim else 1].append(value.dtype)
    found = [functools.reduce(common_dtype, rank) for rank in ranks if rank]
    result = found[0]
    for kind in found[1:]:
        if KINDS[kind.kind] > KINDS[result.kind]:
            result = kind
    return result


def together(*values: Any) -> tuple[Any, ...]:
    """The values, tensors among them in the dtype in which all meet: there a product of some still has room."""
    kind = result_type(*values)
    return tuple(cast(v, kind) if isinstance(v, Variable) and v.array.dtype != kind else v for v in values)


def scaled(what: str, x: Any, other: Any, alpha: float) -> Any:
    """alpha · other, to be added to x or taken from it. Raises OptionError for a fraction of whole numbers."""
    if alpha == 1 or not is_operand(other, what):
        return other
    kind = result_type(x, other)
    alpha = factor(f"{what}: alpha", alpha, kind)
    other = together(x, other)[1]
    return other & alpha if kind.kind == "b" else other * alpha


def factor(what: str, value: float, kind: np.dtype) -> float:
    """What numbers of this dtype are multiplied by, so that they keep it: truth values by one, whole numbers by a whole
    one. Raises OptionError for a fraction, which PyTorch refuses too or silently takes for the whole number below."""
    if kind.kind == "f":
        return value
    if not float(value).is_integer():
        raise OptionError(f"{what}={value} is no whole number, but the tensors hold whole numbers")
    return bool(value) if kind.kind == "b" else int(value)


def _dtype_of_number(value):
    if isinstance(value, (bool, np.bool_)):
        return np.dtype(bool)
    return np.dtype(np.int64) if isinstance(value, (int, np.integer)) else default_dtype()


def binary(op: Op, ufunc: Callable[..., Any], a: Any, b: Any) -> Any:
    """a and b through the op if they meet in a float, else through the ufunc, which also takes integers."""
    if isinstance(a, Variable) and isinstance(b, Variable) and a.array.dtype is b.array.dtype is _FLOAT32:
        return op(a, b)  # what it nearly always is, and needs no rules
    if not (is_operand(a, op.__name__) and is_operand(b, op.__name__)):
        return NotImplemented
    kind = result_type(a, b)
    if kind.kind != "f" and ufunc is np.true_divide:
        kind = default_dtype()
    one = a if isinstance(a, Variable) else b
    if kind.kind != "f":
        left, right = (_as(kind, v, one.array, op.__name__, on_the_tape=False) for v in (a, b))
        return one.like(plain(ufunc, left, right))
    left, right = (_as(kind, v, one.array, op.__name__) for v in (a, b))
    return op(left, right)


def _as(kind, value, like, what, on_the_tape=True):
    """An operand of this dtype, on the device of `like`: a Variable, if gradients flow through it, or an array."""
    if several_gpus():
        use(device_of(like))
    if isinstance(value, Variable):
        if on_the_tape:
            return value if value.array.dtype == kind else cast(value, kind)
        value = value.array
    if isinstance(value, (bool, int, float, np.generic)):
        return _number(value, kind, like, what)
    check_is_array(what, "the operand", value)
    if device_of(value) != device_of(like):
        raise DeviceError(
            f"{what}: one is on {device_of(like)}, the other on {device_of(value)}; move it with .to(...)"
        )
    return value if value.dtype == kind else value.astype(kind)


def _number(value, kind, like, what):
    """A number in this dtype. A whole number beyond its range comes round at the other end, as in PyTorch."""
    if kind.kind not in "iu":
        if isinstance(like, np.ndarray):
            return np.asarray(value, dtype=kind)
        return np.full_like(like, value, dtype=kind, shape=(1,)).reshape(())  # asarray would copy it from the host
    try:
        return np.asarray(value, np.int64, like=like).astype(kind)
    except OverflowError:
        raise DtypeError(f"{what}: {value} does not fit into int64") from None


def plain(ufunc: Callable[..., Any], left: Array, right: Array) -> Array:
    """A ufunc on operands of one dtype, as an array. Raises ShapeError, DtypeError."""
    try:
        return np.asarray(ufunc(left, right), like=left)
    except TinyVisionError:
        raise
    except ValueError as error:
        raise ShapeError(f"{ufunc.__name__}: {tuple(left.shape)} and {tuple(right.shape)}: {error}") from None
    except TypeError as error:
        raise DtypeError(f"{ufunc.__name__}: {left.dtype} and {right.dtype}: {error}") from None


def compare(ufunc: Callable[..., Any], a: Any, b: Any) -> Any:
    """Truth values (or bits) that are not recorded; with what is no number, Python's own answer."""
    if not is_operand(b, ufunc.__name__):
        return NotImplemented
    kind = result_type(a, b)
    left, right = (_as(kind, v, a.array, ufunc.__name__, on_the_tape=False) for v in (a, b))
    return a.like(plain(ufunc, left, right))


def promoted(tensors: Sequence[Any]) -> list[Any]:
    """All tensors as the dtype in which their numbers meet."""
    kind = functools.reduce(common_dtype, [t.array.dtype for t in tensors])
    return [t.to(kind) for t in tensors]
