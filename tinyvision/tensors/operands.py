"""What may stand beside a tensor in arithmetic, and with which kind of numbers the result comes out.

The rules are PyTorch's where they are simple: a Python number takes the dtype of the tensor, integers beside floats
become floats, and whole numbers divided or met by a fraction become float32. Two floating-point precisions do not mix.
"""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..arrays import check_is_array, from_numbers, is_array, looks_like_an_array
from ..device import device_of, several_gpus, use
from ..dtypes import promote_types
from ..errors import DeviceError, DtypeError, ShapeError, TinyVisionError
from ..tape import Op, Variable
from ..types import Array

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
        try:
            return np.asarray(value, dtype=kind, like=like)
        except OverflowError:
            raise DtypeError(f"{what}: {value} does not fit into {like.dtype}") from None
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


def binary(op: Op, ufunc: Callable[..., Any], a: Any, b: Any) -> Any:
    """a and b through the op if both are (or become) floats, else through the ufunc, which also takes integers."""
    if not (is_operand(a, op.__name__) and is_operand(b, op.__name__)):
        return NotImplemented
    arrays = [v.array if isinstance(v, Variable) else v for v in (a, b)]
    patterns = [v for v in arrays if hasattr(v, "dtype") and not isinstance(v, np.generic)]
    pattern = next((v for v in patterns if v.dtype.kind == "f"), patterns[0])
    left, right = (as_operand(v, pattern, op.__name__) for v in arrays)
    one = a if isinstance(a, Variable) else b
    if left.dtype.kind != "f" or right.dtype.kind != "f":
        return one.like(plain(ufunc, left, right))
    left, right = (v if isinstance(v, Variable) and v.requires_grad else x for v, x in ((a, left), (b, right)))
    y = op(left, right)
    return y if isinstance(y, Variable) else one.like(y)


def plain(ufunc: Callable[..., Any], left: Array, right: Array) -> Array:
    """A ufunc on operands that are not all floats, as an array; float64 only where one of them was."""
    try:
        y = np.asarray(ufunc(left, right), like=left)
    except TinyVisionError:
        raise
    except ValueError as error:
        raise ShapeError(f"{ufunc.__name__}: {tuple(left.shape)} and {tuple(right.shape)}: {error}") from None
    except TypeError as error:
        raise DtypeError(f"{ufunc.__name__}: {left.dtype} and {right.dtype}: {error}") from None
    narrow = y.dtype == np.float64 and np.float64 not in (left.dtype, right.dtype)
    return y.astype(np.float32) if narrow else y


def compare(ufunc: Callable[..., Any], a: Any, b: Any) -> Any:
    """Truth values (or bits) that are not recorded; with what is no number, Python's own answer."""
    if not is_operand(b, ufunc.__name__):
        return NotImplemented
    return a.like(plain(ufunc, a.array, as_operand(b, a.array, ufunc.__name__)))


def promoted(tensors: Sequence[Any]) -> list[Any]:
    """All tensors as the dtype in which their numbers meet."""
    kind = functools.reduce(promote_types, [t.dtype for t in tensors])
    return [t.to(kind) for t in tensors]
