"""Functions of two arrays that broadcast against each other, beside the four of arithmetic in `shape`."""

from typing import Any

import numpy as np

from ..types import Array, Gradients, Needs
from .checks import as_array
from .shape import broadcast_of, sum_to


def _value(op, ufunc, a, b):
    broadcast_of(op, a, b)
    with np.errstate(all="ignore"):
        return as_array(ufunc(a, b)), (a, b)


def _gradients(dy, cache, needs, slopes):
    """dy times each slope, summed where an operand was repeated; a slope is a function, called only if it is needed."""
    with np.errstate(all="ignore"):
        return tuple(
            sum_to(dy * slope(), x.shape) if need else None for x, need, slope in zip(cache, needs, slopes, strict=True)
        )


def maximum_forward(a: Array, b: Array) -> tuple[Array, Any]:
    """y = the larger of a and b; nan where one of them is.   ->  y, cache"""
    return _value("maximum", np.maximum, a, b)


def maximum_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dy goes to the larger one, half of it to each of two equal ones, all of it to both beside a nan."""
    a, b = cache
    return _gradients(dy, cache, needs, (lambda: _share(a < b, a == b, dy), lambda: _share(a > b, a == b, dy)))


def minimum_forward(a: Array, b: Array) -> tuple[Array, Any]:
    """y = the smaller of a and b; nan where one of them is.   ->  y, cache"""
    return _value("minimum", np.minimum, a, b)


def minimum_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dy goes to the smaller one, half of it to each of two equal ones, all of it to both beside a nan."""
    a, b = cache
    return _gradients(dy, cache, needs, (lambda: _share(a > b, a == b, dy), lambda: _share(a < b, a == b, dy)))


def _share(lost, tied, dy):
    """What an operand gets of each gradient: nothing where it lost, half where it tied."""
    return 1 - lost.astype(dy.dtype) - tied.astype(dy.dtype) * 0.5


def power_forward(base: Array, exponent: Array) -> tuple[Array, Any]:
    """y = base ** exponent, where both are arrays.   ->  y, cache"""
    y, _ = _value("power", _power, base, exponent)
    return y, (base, exponent, y)


def _power(base, exponent):
    """base ** exponent, where NumPy takes a root for a single 1/2: but pow(-∞, 1/2) is ∞ and pow(-0.0, 1/2) 0.0."""
    y = np.power(base, exponent)
    is_root = isinstance(exponent, np.ndarray) and exponent.size == 1 and exponent.item() == 0.5
    return np.where(base == -np.inf, np.inf, y + 0.0) if is_root else y


def power_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dbase = dy · exponent · base ** (exponent - 1), dexponent = dy · y · log(base)

    Where the exponent is 0 nothing depends on the base, and where 0 is raised to 0 or more nothing on the exponent."""
    base, exponent, y = cache

    def of_base():
        return np.where(exponent == 0, np.zeros_like(y), exponent * base ** (exponent - 1))

    def of_exponent():
        return np.where((base == 0) & (exponent >= 0), np.zeros_like(y), y * np.log(base))

    return _gradients(dy, (base, exponent), needs, (of_base, of_exponent))


def atan2_forward(y: Array, x: Array) -> tuple[Array, Any]:
    """The angle from -π to π of the point (x, y), seen from the origin.   ->  angle, cache"""
    return _value("atan2", np.arctan2, y, x)


def atan2_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """d of the first = dy · x / (x² + y²), d of the second = -dy · y / (x² + y²); both 0 at the origin."""
    y, x = cache

    def over_square(along):
        square = x * x + y * y
        return np.where(square == 0, np.zeros_like(square), along / square)

    return _gradients(dy, cache, needs, (lambda: over_square(x), lambda: over_square(-y)))


def hypot_forward(a: Array, b: Array) -> tuple[Array, Any]:
    """y = √(a² + b²), which does not overflow on the way.   ->  y, cache"""
    y, _ = _value("hypot", np.hypot, a, b)
    return y, (a, b, y)


def hypot_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """da = dy · a / y, db = dy · b / y"""
    a, b, y = cache
    return _gradients(dy, (a, b), needs, (lambda: a / y, lambda: b / y))


def logaddexp_forward(a: Array, b: Array) -> tuple[Array, Any]:
    """y = log(exp(a) + exp(b)), which does not overflow on the way.   ->  y, cache"""
    return _value("logaddexp", np.logaddexp, a, b)


def logaddexp_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """da = dy / (1 + exp(b - a)), the share of exp(a) in the sum; db = dy / (1 + exp(a - b))"""
    a, b = cache
    return _gradients(dy, cache, needs, (lambda: 1 / (1 + np.exp(b - a)), lambda: 1 / (1 + np.exp(a - b))))


def remainder_forward(a: Array, b: Array) -> tuple[Array, Any]:
    """y = a - b · floor(a / b): what is left, with the sign of b, as Python's `%` has it.   ->  y, cache"""
    y, cache = _value("remainder", np.remainder, a, b)
    return np.where(y == 0, np.copysign(y, a), y), cache  # nothing left of -0.0 or -2.0 is -0.0, as in PyTorch


def remainder_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """da = dy, db = -dy · floor(a / b)"""
    a, b = cache
    return _gradients(dy, cache, needs, (lambda: np.ones_like(dy), lambda: -np.floor_divide(a, b)))


def fmod_forward(a: Array, b: Array) -> tuple[Array, Any]:
    """y = a - b · trunc(a / b): what is left, with the sign of a, as in C.   ->  y, cache"""
    return _value("fmod", np.fmod, a, b)


def fmod_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """da = dy, db = -dy · trunc(a / b)"""
    a, b = cache
    return _gradients(dy, cache, needs, (lambda: np.ones_like(dy), lambda: -np.trunc(a / b)))
