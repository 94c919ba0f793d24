"""Smooth non-linearities. σ(x) = 1 / (1 + exp(-x)) is the sigmoid; every slope is written with what is cheap to have.

All are computed so that nothing overflows: exp only ever meets numbers that are not positive.
"""

import math
from typing import Any

import numpy as np

from ..blocks import pointwise
from ..errors import OptionError
from ..types import Array, Gradients, Needs
from .activation import logistic
from .checks import check_arrays
from .erf import erf


def elu_forward(x: Array, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> tuple[Array, Any]:
    """y = scale · x where x > 0, else scale · alpha · (exp(input_scale · x) - 1).   ->  y, cache

    ELU (Clevert et al., 2015) has scale 1; SELU (Klambauer et al., 2017) a scale and an alpha that keep mean 0 and
    variance 1; CELU (Barron, 2017) input_scale 1 / alpha, so that the slope has no jump."""
    check_arrays("elu", x=x)

    def formula(x):
        return np.where(
            x > 0, x * scale, np.expm1(np.where(x > 0, np.zeros_like(x), x) * input_scale) * (scale * alpha)
        )

    return pointwise(formula, x), (x, alpha, scale, input_scale)


def elu_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = scale · dy where x > 0, else scale · alpha · input_scale · exp(input_scale · x) · dy."""
    x, alpha, scale, input_scale = cache

    def slope(dy, x):
        left = np.exp(np.minimum(x, 0) * input_scale) * (scale * alpha * input_scale)
        return np.where(x <= 0, dy * left, dy * scale)

    return (pointwise(slope, dy, x),)


def softplus_forward(x: Array, beta: float = 1.0, threshold: float = 20.0) -> tuple[Array, Any]:
    """y = log(1 + exp(beta · x)) / beta; where beta · x is above the threshold, y = x.   ->  y, cache

    Raises OptionError for beta 0."""
    check_arrays("softplus", x=x)
    if beta == 0:
        raise OptionError("softplus: beta must not be 0")
    return pointwise(lambda x: np.where(x * beta > threshold, x, _log1p_exp(x * beta) / beta), x), (x, beta, threshold)


def softplus_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · σ(beta · x), or dy above the threshold."""
    x, beta, threshold = cache
    return (pointwise(lambda dy, x: np.where(x * beta > threshold, dy, dy * logistic(x * beta)), dy, x),)


def silu_forward(x: Array) -> tuple[Array, Any]:
    """y = x · σ(x) (Elfwing et al., 2017; also called swish).   ->  y, cache"""
    check_arrays("silu", x=x)
    return pointwise(lambda x: x * logistic(x), x), x


def silu_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · σ · (1 + x · (1 - σ)), with σ = σ(x)."""

    def slope(dy, x):
        s = logistic(x)
        return dy * (s * (1 + x * (1 - s)))

    return (pointwise(slope, dy, cache),)


def mish_forward(x: Array) -> tuple[Array, Any]:
    """y = x · tanh(log(1 + exp(x))) (Misra, 2019).   ->  y, cache"""
    check_arrays("mish", x=x)
    return pointwise(lambda x: x * np.tanh(_log1p_exp(x)), x), x


def mish_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · (t + x · σ(x) · (1 - t²)), with t = tanh(log(1 + exp(x)))."""

    def slope(dy, x):
        t = np.tanh(_log1p_exp(x))
        return dy * (t + x * logistic(x) * (1 - t * t))

    return (pointwise(slope, dy, cache),)


# tanh's argument in the approximation of GELU: C · (x + CUBE · x³)
C, CUBE = math.sqrt(2 / math.pi), 0.044715


def gelu_forward(x: Array, approximate: str = "none") -> tuple[Array, Any]:
    """y = x · Φ(x), Φ the normal distribution's share below x (Hendrycks and Gimpel, 2016).   ->  y, cache

    approximate="tanh" takes (1 + tanh(√(2/π) · (x + 0.044715 x³))) / 2 for Φ. Raises OptionError."""
    check_arrays("gelu", x=x)
    if approximate not in ("none", "tanh"):
        raise OptionError(f'gelu: approximate must be "none" or "tanh", got {approximate!r}')
    share = _normal_share if approximate == "none" else _nearly_normal_share
    return pointwise(lambda x: x * share(x), x), (x, approximate)


def gelu_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy · (Φ(x) + x · Φ'(x)), where Φ'(x) = exp(-x²/2) / √(2π), or the slope of the approximation."""
    x, approximate = cache

    def exact(dy, x):
        return dy * (_normal_share(x) + x * np.exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi)))

    def nearly(dy, x):
        share = _nearly_normal_share(x)  # s, and the slope of (1 + tanh u) / 2 is 2 s (1 - s) u'
        near = np.minimum(np.abs(x), 30)  # further out 2 s (1 - s) is 0, and in float16 the square would be infinite
        return dy * (share + x * (2 * share * (1 - share)) * (C * (1 + 3 * CUBE * near * near)))

    return (pointwise(exact if approximate == "none" else nearly, dy, x),)


def _normal_share(x):
    return 0.5 * (1 + erf(x * math.sqrt(0.5)))


def _nearly_normal_share(x):
    return 0.5 * (1 + np.tanh(C * (x + CUBE * x * x * x)))


def _log1p_exp(x):
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))"""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
