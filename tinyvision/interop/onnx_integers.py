"""What ONNX's nodes make of whole numbers: NumPy arrays in, one of the same kind out, as ONNX Runtime computes it.

What a reduction or a power takes out of the range of its kind becomes the last number in it, and a fraction is cut off
toward zero. Sums and products are exact: ONNX Runtime 1.32 adds in float64 and rounds beyond 2**53, 1.23 wraps around.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, cut off toward zero, where NumPy's // goes to the next smaller number."""
    quotient = a // b
    return quotient + ((quotient * b != a) & ((a < 0) != (b < 0)))


def rectified(x: np.ndarray) -> np.ndarray:
    """The larger one of x and 0."""
    return np.maximum(x, x.dtype.type(0))


def clipped(x: np.ndarray, low: Any, high: Any) -> np.ndarray:
    """x between two numbers of its own kind, each of which may be None; a float would not hold the largest ones."""
    x = x if low is None else np.maximum(x, np.asarray(low).astype(x.dtype))
    return x if high is None else np.minimum(x, np.asarray(high).astype(x.dtype))


def to_power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a to the power b in the kind of a, whatever the kind of b."""
    with np.errstate(all="ignore"):
        rough = np.power(a.astype(np.float64), b)
        whole = b.dtype.kind in "iu"
        exact = np.where(b < 0, np.trunc(rough).astype(a.dtype), np.power(a, np.maximum(b, 0))) if whole else rough
    return _in_range(exact, rough, a.dtype)


def _in_range(exact, rough, dtype):
    """`exact` in the wanted kind, but the last number of that kind where `rough`, the same in float64, is beyond it."""
    last = np.iinfo(dtype)
    with np.errstate(invalid="ignore"):  # what is beyond is not taken
        y = np.asarray(exact).astype(dtype)
    y = np.where(rough >= float(last.max), dtype.type(last.max), y)
    return np.where(rough <= float(last.min), dtype.type(last.min), y)


def _added(of_each, total=np.sum):
    """A reduction, once modulo 2^bits, which is exact where the result fits, and once in float64, to see if it does."""

    def reduce(x, **axes):
        exact = total(of_each(x), dtype=x.dtype, **axes)
        return _in_range(exact, total(of_each(x.astype(np.float64)), **axes), x.dtype)

    return reduce


def _mean(x, **axes):
    total = np.sum(x, dtype=np.float64, **axes)
    mean = total / max(x.size // max(total.size, 1), 1)
    return _in_range(mean, mean, x.dtype)


def _length(x, **axes):
    length = np.sqrt(np.sum(np.square(x, dtype=np.float64), **axes))
    return _in_range(length, length, x.dtype)


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceMax": np.max,
    "ReduceMin": np.min,
    "ReduceSum": _added(lambda x: x),
    "ReduceProd": _added(lambda x: x, np.prod),
    "ReduceL1": _added(np.abs),
    "ReduceSumSquare": _added(np.square),
    "ReduceMean": _mean,
    "ReduceL2": _length,
}
