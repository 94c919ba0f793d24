"""The wider families of activations, one pass each way: GELU, Mish, ELU and softplus, of which NumPy makes up to fifty,
and the leaky, clipped and cut ones, of whose masks it makes arrays.

Those with a curve are made of exp(x) for x ≤ 0, which a processor does on whole vectors (see `activation`)."""

import math
from typing import Any

import numpy as np

from ...ops import activation_piecewise, activation_smooth
from ...ops.checks import is_number
from ...ops.erf import END, scaled_rest
from ...types import Array
from .. import DropIn
from .activation import (
    C1,
    C2,
    C3,
    C4,
    C5,
    C6,
    C7,
    HALF,
    LEAST,
    LN2,
    LN2_REST,
    LOG2E,
    ONE,
    WHOLE,
    ZERO,
    exp_of_less,
    laid_out,
    logistic,
    packed,
    times_two_to,
)
from .compiled import loop, part
from .lines import done_in_parts, flat

GELU, GELU_TANH, MISH, ELU, SOFTPLUS, LEAKY, HARDTANH, CLAMP, THRESHOLD = range(9)

TWO = np.float32(2)
# exp(z²) · erfc(z) = a polynomial in (z - 2) / (z + 2): of this degree, it is right to 5e-9 (see `ops.erf`).
E9, E8, E7, E6, E5, E4, E3, E2, E1, E0 = (np.float32(c) for c in scaled_rest(9))
FARTHEST, ROOT_HALF, DENSITY = np.float32(END), np.float32(math.sqrt(0.5)), np.float32(1 / math.sqrt(2 * math.pi))
C, CUBE = np.float32(activation_smooth.C), np.float32(activation_smooth.CUBE)
# log((1 + s) / (1 - s)) = 2 · (s + s³/3 + s⁵/5 + ...), and log(1 + e) is that of s = e / (2 + e), at most 1/3.
L17, L15, L13, L11, L9, L7, L5, L3 = (np.float32(2 / n) for n in (17, 15, 13, 11, 9, 7, 5, 3))


@part
def bell(x: Any) -> Any:
    """exp(-x² / 2)"""
    return exp_of_less(-(x * x) * HALF)


@part
def normal_share(x: Any, height: Any) -> Any:
    """The normal distribution's share below x, for height = bell(x)."""
    z = abs(x) * ROOT_HALF
    if z >= FARTHEST:
        z = FARTHEST
    t = (z - TWO) / (z + TWO)
    rest = ((((((((E9 * t + E8) * t + E7) * t + E6) * t + E5) * t + E4) * t + E3) * t + E2) * t + E1) * t + E0
    beyond = HALF * height * rest
    return ONE - beyond if x > ZERO else beyond


@part
def nearly_normal_share(x: Any) -> Any:
    """(1 + tanh(u)) / 2 = σ(2u), with u = √(2/π) · (x + 0.044715 x³)."""
    return logistic(TWO * (C * (x + CUBE * x * x * x)))


@part
def tanh_of_softplus(x: Any) -> Any:
    """tanh(log(1 + e^x)) = (e^2x + 2e^x) / (e^2x + 2e^x + 2), or both divided by e^2x."""
    e = exp_of_less(-abs(x))
    above, below = ONE + TWO * e, e * (e + TWO)
    return above / (above + TWO * e * e) if x > ZERO else below / (below + TWO)


@part
def expm1_of_less(x: Any) -> Any:
    """exp(x) - 1 for x ≤ 0, right where that is small: 2^n · (exp(r) - 1) + (2^n - 1)."""
    if x <= LEAST:
        x = LEAST
    whole = x * LOG2E + WHOLE
    n = whole - WHOLE
    r = (x - n * LN2) - n * LN2_REST
    series = ((((((C7 * r + C6) * r + C5) * r + C4) * r + C3) * r + C2) * r + C1) * r
    power = times_two_to(ONE, whole)
    return series * power + (power - ONE)


@part
def log1p_exp(x: Any) -> Any:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))"""
    e = exp_of_less(-abs(x))
    s = e / (TWO + e)
    q = s * s
    series = (((((((L17 * q + L15) * q + L13) * q + L11) * q + L9) * q + L7) * q + L5) * q + L3) * q + TWO
    return (x if x > ZERO else ZERO) + series * s


@loop("void(f4[::1], f4[::1], i8, f4, f4, f4, i8, i8)", "y")
def bent(x: Array, y: Array, kind: int, a: float, b: float, c: float, begin: int, end: int) -> None:
    """y = the activation of this kind of x, from begin to end.

    a, b, c: of ELU alpha · scale, scale, input_scale; of softplus beta and threshold; of the leaky one its slope; of
    those that clip the least and the most; of the cut one the threshold and the value."""
    x, y = x[begin:end], y[begin:end]
    if kind == GELU:
        for i in range(x.size):
            y[i] = x[i] * normal_share(x[i], bell(x[i]))
    elif kind == GELU_TANH:
        for i in range(x.size):
            y[i] = x[i] * nearly_normal_share(x[i])
    elif kind == MISH:
        for i in range(x.size):
            y[i] = x[i] * tanh_of_softplus(x[i])
    elif kind == ELU:
        for i in range(x.size):
            left = ZERO if x[i] > ZERO else x[i] * c
            y[i] = x[i] * b if x[i] > ZERO else expm1_of_less(left) * a
    elif kind == SOFTPLUS:
        for i in range(x.size):
            z = x[i] * a
            y[i] = x[i] if z > b else log1p_exp(z) / a
    elif kind == LEAKY:
        for i in range(x.size):
            y[i] = x[i] if x[i] > ZERO else x[i] * a
    elif kind == THRESHOLD:
        for i in range(x.size):
            y[i] = b if x[i] <= a else x[i]
    else:
        for i in range(x.size):
            least = a if x[i] < a else x[i]
            y[i] = b if least > b else least


@loop("void(f4[::1], f4[::1], f4[::1], i8, f4, f4, f4, i8, i8)", "dx")
def slope_of_bent(
    dy: Array, x: Array, dx: Array, kind: int, a: float, b: float, c: float, begin: int, end: int
) -> None:
    """dx = dy times the slope at x, from begin to end; a, b, c as in `bent`."""
    dy, x, dx = dy[begin:end], x[begin:end], dx[begin:end]
    if kind == GELU:
        for i in range(x.size):
            height = bell(x[i])
            dx[i] = dy[i] * (normal_share(x[i], height) + x[i] * height * DENSITY)
    elif kind == GELU_TANH:
        for i in range(x.size):
            s, inner = nearly_normal_share(x[i]), C * (ONE + np.float32(3) * CUBE * x[i] * x[i])
            dx[i] = dy[i] * (s + x[i] * (TWO * s * (ONE - s)) * inner)
    elif kind == MISH:
        for i in range(x.size):
            t = tanh_of_softplus(x[i])
            dx[i] = dy[i] * (t + x[i] * logistic(x[i]) * (ONE - t * t))
    elif kind == ELU:
        for i in range(x.size):
            left = x[i] * c if x[i] <= ZERO else ZERO
            dx[i] = dy[i] * (exp_of_less(left) * (a * c)) if x[i] <= ZERO else dy[i] * b
    elif kind == SOFTPLUS:
        for i in range(x.size):
            z = x[i] * a
            dx[i] = dy[i] if z > b else dy[i] * logistic(z)
    elif kind == LEAKY:
        for i in range(x.size):
            dx[i] = dy[i] if x[i] > ZERO else dy[i] * a
    elif kind == THRESHOLD:
        for i in range(x.size):
            dx[i] = ZERO if x[i] <= a else dy[i]
    elif kind == HARDTANH:
        for i in range(x.size):
            dx[i] = ZERO if (x[i] <= a) | (x[i] >= b) else dy[i]
    else:
        for i in range(x.size):
            dx[i] = dy[i] if (x[i] >= a) & (x[i] <= b) else ZERO


def _pair(ops, name, kind_of, applies=lambda **options: True):
    """The drop-in for the op of this name. kind_of(options of the op) -> the loops' kind, a, b, c."""

    def forward(x, *given, **options):
        y, how = np.empty_like(x), _as_numbers(*kind_of(*given, **options))
        done_in_parts(bent, x.size, x.nbytes, flat(x), flat(y), *how)
        return y, (x, how)

    def backward(dy, cache, needs=(True,)):
        x, how = cache
        dx = np.empty_like(x)
        done_in_parts(slope_of_bent, dx.size, dx.nbytes, flat(laid_out(dy, x)), flat(x), flat(dx), *how)
        return (dx,)

    op = getattr(ops, f"{name}_forward"), getattr(ops, f"{name}_backward")
    return DropIn("activation", op, forward, backward, lambda x, **options: packed(x) and applies(**options))


def _as_numbers(kind, a=0.0, b=0.0, c=0.0):
    with np.errstate(over="ignore"):  # 1e300 is infinite here
        return kind, np.float32(a), np.float32(b), np.float32(c)


def _gelu(approximate="none"):
    return (GELU if approximate == "none" else GELU_TANH,)


def _elu(alpha=1.0, scale=1.0, input_scale=1.0):
    return ELU, alpha * scale, scale, input_scale


DROP_INS = (
    _pair(activation_smooth, "gelu", _gelu, lambda approximate="none": approximate in ("none", "tanh")),
    _pair(activation_smooth, "mish", lambda: (MISH,)),
    _pair(activation_smooth, "elu", _elu, lambda input_scale=1.0, **others: input_scale >= 0),
    _pair(
        activation_smooth,
        "softplus",
        lambda beta=1.0, threshold=20.0: (SOFTPLUS, beta, threshold),
        lambda beta=1.0, **others: beta != 0,
    ),
    _pair(activation_piecewise, "leaky_relu", lambda negative_slope=0.01: (LEAKY, negative_slope)),
    _pair(
        activation_piecewise,
        "hardtanh",
        lambda min_val=-1.0, max_val=1.0: (HARDTANH, min_val, max_val),
        lambda min_val=-1.0, max_val=1.0: min_val <= max_val,
    ),
    _pair(
        activation_piecewise,
        "clamp",
        lambda low=-np.inf, high=np.inf: (CLAMP, low, high),
        lambda low=0, high=0: is_number(low) and is_number(high) and low == low and high == high,  # nan makes all nan
    ),
    _pair(activation_piecewise, "threshold", lambda threshold, value: (THRESHOLD, threshold, value)),
)
