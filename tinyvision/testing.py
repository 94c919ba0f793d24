"""PyTorch's `torch.testing.assert_close`: are two tensors, numbers, or nests of them the same but for rounding?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import DtypeError, OptionError, TinyVisionError
from .missing import missing
from .tensors.tensor import Tensor

__all__ = ["assert_close"]

# (rtol, atol) of what is to count as equal, PyTorch's; whole numbers and bools are to be the same
_TOLERANCES = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


class NotClose(TinyVisionError, AssertionError):
    """Two things that were to be equal, but for rounding, are not. The message says where, and by how much."""


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Nothing, if everywhere |actual - expected| ≤ atol + rtol · |expected|; infinities are equal to themselves.

    actual, expected   tensors, arrays, numbers, bools or None, or lists, tuples and dicts of them
    rtol, atol         both or neither. By the dtype, of two the larger: float16 1e-3 and 1e-5, float32 1.3e-6 and 1e-5,
                       float64 and Python's float 1e-7 and 1e-7; whole numbers 0
    equal_nan          NaN counts as equal to NaN
    check_dtype        dtypes, or the types of two numbers, are to be the same; check_device and check_stride likewise.
                       There is one layout, so check_layout finds nothing
    allow_subclasses   a Parameter may stand beside a Tensor
    msg                said in place of the message, or a function of the message that gives another

    Raises NotClose, an AssertionError; DtypeError where the two cannot be compared, OptionError."""
    if (rtol is None) != (atol is None):
        raise OptionError("assert_close: give both rtol and atol, or neither")
    if rtol is not None and atol is not None and not (rtol >= 0 and atol >= 0):
        raise OptionError(f"assert_close: rtol and atol are 0 or more, got {rtol} and {atol}")
    checks = {"device": check_device, "dtype": check_dtype, "stride": check_stride}
    for one, other, where in _pairs(actual, expected, ""):
        found = _difference(one, other, (rtol, atol), equal_nan, checks, allow_subclasses)
        if found:
            text = f"assert_close: {found}" + (f"\n    at item {where}" if where else "")
            raise NotClose(text if msg is None else msg(text) if callable(msg) else msg)


def _pairs(actual: Any, expected: Any, where: str) -> Iterator[tuple[Any, Any, str]]:
    """(one, other, "[0]['name']") of all that two nests hold at the same places. Raises NotClose."""
    if _is_list(actual) and _is_list(expected):
        if len(actual) != len(expected):
            raise NotClose(f"assert_close: {len(actual)} items{_at(where)}, and {len(expected)} were expected")
        for i, (one, other) in enumerate(zip(actual, expected, strict=True)):
            yield from _pairs(one, other, f"{where}[{i}]")
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        absent, new = [k for k in expected if k not in actual], [k for k in actual if k not in expected]
        if absent or new:
            raise NotClose(f"assert_close: keys differ{_at(where)}: missing {absent}, not expected {new}")
        for key in expected:
            yield from _pairs(actual[key], expected[key], f"{where}[{key!r}]")
    else:
        yield actual, expected, where


def _is_list(value):
    return isinstance(value, Sequence) and not isinstance(value, str)


def _at(where):
    return f" at item {where}" if where else ""


def _difference(actual, expected, tolerances, equal_nan, checks, subclasses):
    """What is to be said of two values, "" if they are close. Raises DtypeError."""
    if actual is None or expected is None:
        return "" if actual is expected else f"got {actual!r} where {expected!r} was expected"
    if isinstance(actual, (bool, np.bool_)) and isinstance(expected, (bool, np.bool_)):
        return "" if bool(actual) == bool(expected) else f"got {actual} where {expected} was expected"
    if _is_number(actual) and _is_number(expected):
        one, other = (v.item() if isinstance(v, np.number) else v for v in (actual, expected))
        if checks["dtype"] and type(one) is not type(other):
            return f"got a number of type {type(one).__name__} where {type(other).__name__} was expected"
        if any(isinstance(v, int) and abs(v) >= 2**63 for v in (one, other)):  # more than NumPy's integers hold
            apart, (rtol, atol) = abs(one - other), (allowed or 0 for allowed in tolerances)
            return "" if apart <= atol + rtol * abs(other) else f"got {one} where {other} was expected"
        return _apart(np.asarray(one), np.asarray(other), tolerances, equal_nan)
    related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
    ours = isinstance(actual, (Tensor, np.ndarray)) and (subclasses or type(actual) is type(expected))
    if not (related and ours):
        kinds = f"{type(actual).__name__} and {type(expected).__name__}"
        raise DtypeError(f"assert_close: {kinds} are not compared; make both tensors, both arrays or both numbers")
    return _unlike(actual, expected, checks) or _apart(_numbers(actual), _numbers(expected), tolerances, equal_nan)


def _is_number(value):
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _numbers(value):
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def _unlike(actual, expected, checks):
    """In what two tensors or two arrays differ besides their numbers, "" if in nothing."""
    facts = {"shape": (tuple(actual.shape), tuple(expected.shape))}
    tensors = isinstance(actual, Tensor)
    if checks["stride"]:
        facts["stride"] = (actual.stride(), expected.stride()) if tensors else (actual.strides, expected.strides)
    if checks["device"] and tensors:
        facts["device"] = (actual.device, expected.device)
    if checks["dtype"]:
        facts["dtype"] = (actual.dtype, expected.dtype)
    for name, (one, other) in facts.items():
        if one != other:
            return f"the {name} is {one} where {other} was expected"
    return ""


def _apart(actual, expected, tolerances, equal_nan):
    """How many numbers are not close, and the greatest differences, "" if all are close."""
    rtol, atol = tolerances
    if rtol is None:
        rtol, atol = (
            max(t) for t in zip(*(_TOLERANCES.get(v.dtype.name, (0.0, 0.0)) for v in (actual, expected)), strict=True)
        )
    kind = np.result_type(actual, expected)
    kind = kind if kind.kind == "f" else np.dtype(np.int64 if kind != np.uint64 else np.float64)
    close = actual == expected
    if equal_nan:
        close = close | ((actual != actual) & (expected != expected))
    actual, expected = actual.astype(kind), expected.astype(kind)
    with np.errstate(all="ignore"):
        apart = np.abs(actual - expected) if kind.kind == "f" else _between(actual, expected)
        if rtol or atol:
            close = close | (np.isfinite(apart) & (apart <= atol + np.abs(rtol * expected)))
        if np.all(close):
            return ""
        apart = np.where(close, 0, apart)
        relative = np.where(close, 0, apart / np.abs(expected))
    if not actual.shape:
        head = f"got {actual.item()} where {expected.item()} was expected"
    else:
        head = f"{np.sum(~close)} of {close.size} numbers differ"
    return "\n    ".join((head, _greatest("absolute", apart, atol), _greatest("relative", relative, rtol)))


def _between(actual, expected):
    """|actual - expected| of int64, as uint64, in which there is room for it: the lesser taken from the greater."""
    low, high = (np.asarray(f(actual, expected)).astype(np.uint64) for f in (np.minimum, np.maximum))
    return high - low


def _greatest(which, differences, allowed):
    index = tuple(int(i) for i in np.unravel_index(np.argmax(differences), differences.shape))
    at = f" at {index}" if index else ""
    return f"greatest {which} difference {differences[index].item():.6g}{at}, allowed {allowed:g}"


if not TYPE_CHECKING:
    __getattr__ = missing(
        "torch.testing",
        __all__,
        {
            "assert_allclose": "PyTorch gives it up; assert_close(..., check_dtype=False, equal_nan=True) is the same",
            "make_tensor": "draw with torch.randn or torch.randint",
        },
    )
