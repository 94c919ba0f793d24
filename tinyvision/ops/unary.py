"""Functions of one number, applied to each: the value, and beside it the slope that the chain rule multiplies dy by.

Outside of a function's domain the value is nan, at a pole it is infinite, and the slopes follow: no warning is given,
as a training loop would print it again and again.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import OptionError
from ..types import Array, Gradients, Needs
from .checks import as_array, check_arrays

# How a number becomes a whole one, or its sign: the functions that are flat between their steps.
STEPS: dict[str, Callable[[Array], Array]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.rint,  # halves go to the even neighbour
    "sign": lambda x: np.where(x == x, np.sign(x), np.zeros_like(x)),  # where NumPy says nan, PyTorch says 0
}


def _value(op, function, x):
    check_arrays(op, x=x)
    with np.errstate(all="ignore"):
        return as_array(function(x))


def _chain(dy, slope):
    """dy · slope, where the slope is a function, so that its poles are silent too."""
    with np.errstate(all="ignore"):
        return (as_array(dy * slope()),)


def _over(dy, denominator):
    """dy / denominator: where that is so small that its reciprocal is infinite, 0 / denominator is still 0."""
    with np.errstate(all="ignore"):
        return (as_array(dy / denominator),)


def steps_forward(x: Array, kind: str) -> tuple[Array, Any]:
    """y = x rounded as `kind` says ("floor", "ceil", "trunc", "round"), or its "sign".   ->  y, cache

    Raises OptionError."""
    if kind not in STEPS:
        raise OptionError(f"steps: kind must be one of {', '.join(STEPS)}, got {kind!r}")
    return _value("steps", STEPS[kind], x), None


def steps_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = 0: flat between the steps, and taken as flat at them too."""
    return (np.zeros_like(dy),)


def abs_forward(x: Array) -> tuple[Array, Any]:
    """y = |x|.   ->  y, cache"""
    return _value("abs", np.abs, x), x


def abs_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · sign(x): the slope at 0, and at nan, is taken as 0."""
    return _chain(dy, lambda: STEPS["sign"](cache))


def expm1_forward(x: Array) -> tuple[Array, Any]:
    """y = exp(x) - 1, exact for small x too.   ->  y, cache"""
    y = _value("expm1", np.expm1, x)
    return y, y


def expm1_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · exp(x) = dy · (y + 1)"""
    return _chain(dy, lambda: cache + 1)


def log1p_forward(x: Array) -> tuple[Array, Any]:
    """y = log(1 + x), exact for small x too.   ->  y, cache"""
    return _value("log1p", np.log1p, x), x


def log1p_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy / (1 + x)"""
    return _chain(dy, lambda: 1 / (1 + cache))


def log2_forward(x: Array) -> tuple[Array, Any]:
    """y = the logarithm of x to base 2.   ->  y, cache"""
    return _value("log2", np.log2, x), x


def log2_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy / (x · ln 2)"""
    return _over(dy, cache * math.log(2))


def log10_forward(x: Array) -> tuple[Array, Any]:
    """y = the logarithm of x to base 10.   ->  y, cache"""
    return _value("log10", np.log10, x), x


def log10_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy / (x · ln 10)"""
    return _over(dy, cache * math.log(10))


def logit_forward(x: Array, eps: float | None = None) -> tuple[Array, Any]:
    """y = log(x / (1 - x)), which the sigmoid undoes; with eps, x is first moved into [eps, 1 - eps].   ->  y, cache"""

    def formula(x):
        x = x if eps is None else np.clip(x, eps, 1 - eps)
        return np.log(x / (1 - x))

    return _value("logit", formula, x), (x, eps)


def logit_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy / (x · (1 - x)); beyond 0 and 1 it is nan, or with eps 0 where x was moved."""
    x, eps = cache
    with np.errstate(all="ignore"):
        moved = (x < (eps or 0)) | (x > 1 - (eps or 0))
        beyond = np.full_like(x, np.nan if eps is None else 0)
        slope = dy / ((x + 0) * (1 - x))  # -0 counts as 0
        return (as_array(np.where(moved, beyond, slope)),)


def rsqrt_forward(x: Array) -> tuple[Array, Any]:
    """y = 1 / √x.   ->  y, cache"""
    y = _value("rsqrt", lambda x: 1 / np.sqrt(x), x)
    return y, y


def rsqrt_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = -dy · y³ / 2"""
    return _chain(dy, lambda: cache * cache * cache * -0.5)


def sin_forward(x: Array) -> tuple[Array, Any]:
    """y = sin(x), x in radians, as in all that follow.   ->  y, cache"""
    return _value("sin", np.sin, x), x


def sin_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · cos(x)"""
    return _chain(dy, lambda: np.cos(cache))


def cos_forward(x: Array) -> tuple[Array, Any]:
    """y = cos(x).   ->  y, cache"""
    return _value("cos", np.cos, x), x


def cos_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = -dy · sin(x)"""
    return _chain(dy, lambda: -np.sin(cache))


def tan_forward(x: Array) -> tuple[Array, Any]:
    """y = tan(x).   ->  y, cache"""
    y = _value("tan", np.tan, x)
    return y, y


def tan_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · (1 + y²)"""
    return _chain(dy, lambda: 1 + cache * cache)


def asin_forward(x: Array) -> tuple[Array, Any]:
    """y = the angle from -π/2 to π/2 whose sine is x.   ->  y, cache"""
    return _value("asin", np.arcsin, x), x


def asin_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy / √(1 - x²)"""
    return _chain(dy, lambda: 1 / np.sqrt(1 - cache * cache))


def acos_forward(x: Array) -> tuple[Array, Any]:
    """y = the angle from 0 to π whose cosine is x.   ->  y, cache"""
    return _value("acos", np.arccos, x), x


def acos_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = -dy / √(1 - x²)"""
    return _chain(dy, lambda: -1 / np.sqrt(1 - cache * cache))


def atan_forward(x: Array) -> tuple[Array, Any]:
    """y = the angle from -π/2 to π/2 whose tangent is x.   ->  y, cache"""
    return _value("atan", np.arctan, x), x


def atan_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy / (1 + x²)"""
    return _chain(dy, lambda: 1 / (1 + cache * cache))


def sinh_forward(x: Array) -> tuple[Array, Any]:
    """y = (exp(x) - exp(-x)) / 2.   ->  y, cache"""
    return _value("sinh", np.sinh, x), x


def sinh_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · cosh(x)"""
    return _chain(dy, lambda: np.cosh(cache))


def cosh_forward(x: Array) -> tuple[Array, Any]:
    """y = (exp(x) + exp(-x)) / 2.   ->  y, cache"""
    return _value("cosh", np.cosh, x), x


def cosh_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · sinh(x)"""
    return _chain(dy, lambda: np.sinh(cache))


def asinh_forward(x: Array) -> tuple[Array, Any]:
    """y = the number whose sinh is x.   ->  y, cache"""
    return _value("asinh", np.arcsinh, x), x


def asinh_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy / √(x² + 1)"""
    return _chain(dy, lambda: 1 / np.sqrt(cache * cache + 1))


def acosh_forward(x: Array) -> tuple[Array, Any]:
    """y = the number from 0 on whose cosh is x.   ->  y, cache"""
    return _value("acosh", np.arccosh, x), x


def acosh_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy / √(x² - 1)"""
    return _chain(dy, lambda: 1 / np.sqrt(cache * cache - 1))


def atanh_forward(x: Array) -> tuple[Array, Any]:
    """y = the number whose tanh is x.   ->  y, cache"""
    return _value("atanh", np.arctanh, x), x


def atanh_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy / (1 - x²)"""
    return _chain(dy, lambda: 1 / (1 - cache * cache))
