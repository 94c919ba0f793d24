"""Functions of each number by itself, and of two tensors number by number: the slopes of `ops`, as tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ops.activation_smooth import CUBE, C
from .. import taped
from .calls import RULES, rule
from .linear import sum_to

# dx = dy · slope(x), by the input where that is what the op itself keeps, or by the result.
BY_INPUT: dict[Any, Callable[[Any], Any]] = {
    taped.log: lambda x: 1 / x,
    taped.log1p: lambda x: 1 / (1 + x),
    taped.log2: lambda x: 1 / (x * math.log(2)),
    taped.log10: lambda x: 1 / (x * math.log(10)),
    taped.sin: lambda x: x.cos(),
    taped.cos: lambda x: -x.sin(),
    taped.asin: lambda x: (1 - x * x).rsqrt(),
    taped.acos: lambda x: -(1 - x * x).rsqrt(),
    taped.atan: lambda x: 1 / (1 + x * x),
    taped.sinh: lambda x: x.cosh(),
    taped.cosh: lambda x: x.sinh(),
    taped.asinh: lambda x: (x * x + 1).rsqrt(),
    taped.acosh: lambda x: (x * x - 1).rsqrt(),
    taped.atanh: lambda x: 1 / (1 - x * x),
    taped.erf: lambda x: (x * x * -1).exp() * (2 / math.sqrt(math.pi)),
}
BY_RESULT: dict[Any, Callable[[Any], Any]] = {
    taped.exp: lambda y: y,
    taped.expm1: lambda y: y + 1,
    taped.rsqrt: lambda y: y * y * y * -0.5,
    taped.tan: lambda y: 1 + y * y,
    taped.erfinv: lambda y: (y * y).exp() * (math.sqrt(math.pi) / 2),
    taped.sigmoid: lambda y: y * (1 - y),
    taped.tanh: lambda y: 1 - y * y,
}


def _by_input(slope):
    return lambda dy, call: [dy * slope(call.input(0))]


def _by_result(slope):
    return lambda dy, call: [dy * slope(call.output)]


RULES.update({op: _by_input(slope) for op, slope in BY_INPUT.items()})
RULES.update({op: _by_result(slope) for op, slope in BY_RESULT.items()})


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where the condition, an array, holds, else b; one of them may be a number."""
    like = a if hasattr(a, "array") else b
    a, b = (v if hasattr(v, "array") else like.like(np.full_like(like.array, v)) for v in (a, b))
    return taped.where(a, b, condition=condition)


@rule(taped.mul)
def _mul(dy, call):
    return call.each(
        lambda: sum_to(dy * call.input(1), call.shape(0)), lambda: sum_to(dy * call.input(0), call.shape(1))
    )


@rule(taped.div)
def _div(dy, call):
    def of_divisor():
        a, b = call.inputs
        return sum_to(-dy * (a / b / b), call.shape(1))

    return call.each(lambda: sum_to(dy / call.input(1), call.shape(0)), of_divisor)


@rule(taped.power)
def _power(dy, call):
    exponent = call.options["exponent"]
    if not exponent:
        return [dy * 0]
    return [dy * (exponent * call.input(0) ** (exponent - 1))]


@rule(taped.power_of)
def _power_of(dy, call):
    base, exponent = call.inputs

    def of_base():
        slope = exponent * base ** (exponent - 1)
        return sum_to(dy * where(exponent.array == 0, slope * 0, slope), call.shape(0))

    def of_exponent():
        zero = np.logical_and(base.array == 0, exponent.array >= 0)
        positive = where(base.array == 0, base * 0 + 1, base)  # whose logarithm is finite where it is not wanted
        slope = call.output * positive.log()
        return sum_to(dy * where(zero, slope * 0, slope), call.shape(1))

    return call.each(of_base, of_exponent)


def _shared(dy, call, of_first):
    """dy times the shares of two operands, which are steps: all to the one that won, half of it to each of a tie."""
    a, b = (x.array for x in call.inputs)
    share = np.where(a == b, 0.5, of_first(a, b)).astype(dy.array.dtype)
    share = dy.like(np.where((a != a) | (b != b), 1, share).astype(share.dtype))
    rest = dy.like(np.where((a != a) | (b != b), 1, 1 - share.array).astype(share.array.dtype))
    return call.each(lambda: sum_to(dy * share, call.shape(0)), lambda: sum_to(dy * rest, call.shape(1)))


@rule(taped.maximum)
def _maximum(dy, call):
    return _shared(dy, call, lambda a, b: a > b)


@rule(taped.minimum)
def _minimum(dy, call):
    return _shared(dy, call, lambda a, b: a < b)


@rule(taped.atan2)
def _atan2(dy, call):
    y, x = call.inputs
    square = x * x + y * y
    return call.each(lambda: sum_to(dy * x / square, call.shape(0)), lambda: sum_to(-dy * y / square, call.shape(1)))


@rule(taped.hypot)
def _hypot(dy, call):
    share = dy / call.output
    return call.each(
        lambda: sum_to(share * call.input(0), call.shape(0)), lambda: sum_to(share * call.input(1), call.shape(1))
    )


@rule(taped.logaddexp)
def _logaddexp(dy, call):
    a, b = call.inputs
    return call.each(
        lambda: sum_to(dy * (a - b).sigmoid(), call.shape(0)), lambda: sum_to(dy * (b - a).sigmoid(), call.shape(1))
    )


@rule(taped.remainder, taped.fmod)
def _remainder(dy, call):
    def of_divisor():
        a, b = (x.array for x in call.inputs)
        whole = np.floor_divide(a, b) if call.op is taped.remainder else np.trunc(a / b)
        return sum_to(-dy * dy.like(whole), call.shape(1))

    return call.each(lambda: sum_to(dy, call.shape(0)), of_divisor)


@rule(taped.logit)
def _logit(dy, call):
    x, eps = call.input(0), call.options.get("eps")
    dx = dy / (x * (1 - x))
    return [dx if eps is None else where((x.array < eps) | (x.array > 1 - eps), dx * 0, dx)]


# -- activations with a curve


@rule(taped.silu)
def _silu(dy, call):
    x = call.input(0)
    s = x.sigmoid()
    return [dy * (s * (1 + x * (1 - s)))]


@rule(taped.softplus)
def _softplus(dy, call):
    x, beta, threshold = call.input(0), call.options.get("beta", 1.0), call.options.get("threshold", 20.0)
    return [where(x.array * beta > threshold, dy, dy * (x * beta).sigmoid())]


@rule(taped.mish)
def _mish(dy, call):
    x = call.input(0)
    t = taped.softplus(x).tanh()
    return [dy * (t + x * x.sigmoid() * (1 - t * t))]


@rule(taped.gelu)
def _gelu(dy, call):
    x = call.input(0)
    if call.options.get("approximate", "none") == "none":
        return [dy * (0.5 * (1 + (x * math.sqrt(0.5)).erf()) + x * (x * x * -0.5).exp() / math.sqrt(2 * math.pi))]
    t = (C * (x + CUBE * x * x * x)).tanh()
    return [dy * (0.5 * (1 + t) + 0.5 * C * x * (1 - t * t) * (1 + 3 * CUBE * x * x))]


@rule(taped.elu)
def _elu(dy, call):
    alpha, scale, input_scale = (call.options.get(name, 1.0) for name in ("alpha", "scale", "input_scale"))
    x = call.input(0)
    left = (x.clamp(max=0) * input_scale).exp() * (scale * alpha * input_scale)
    return [where(x.array <= 0, dy * left, dy * scale)]


@rule(taped.hardswish)
def _hardswish(dy, call):
    x = call.input(0)
    return [where(x.array <= -3, dy * 0, where(x.array < 3, dy * (x / 3 + 0.5), dy))]


@rule(taped.prelu)
def _prelu(dy, call):
    x, weight = call.inputs
    along = weight.reshape((-1,) + (1,) * (x.ndim - 2)) if x.ndim > 1 else weight.reshape((1,) * x.ndim)
    above = x.array > 0
    return call.each(
        lambda: where(above, dy, dy * along),
        lambda: sum_to(where(above, dy * 0, dy * x), (1, *along.shape) if x.ndim > 1 else along.shape).reshape(-1),
    )
