"""Functions of each number by itself, and of two tensors number by number: the calculus is that of `ops`.

A function that gives fractions takes whole numbers too, as floats of the default dtype; one that rounds leaves them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import is_array
from ..dtypes import default_dtype
from ..errors import DtypeError, GraphError, OptionError
from ..ops.checks import is_integer
from ..ops.shape import broadcast_of
from ..sharing import note_derived
from ..tape import Op, Variable, differentiable
from ..types import Array
from . import taped
from .arguments import numbers_first
from .conversion import fitted
from .operands import as_operand, binary, compare, factor, is_operand, result_type, scaled, shape_together, together

if TYPE_CHECKING:
    from .tensor import Tensor

Unary = Callable[["Tensor"], "Tensor"]
Binary = Callable[["Tensor", Any], "Tensor"]


def operators(function: Binary, turned_round: Binary | None = None) -> tuple[Binary, Binary]:
    """`x % y` and `y % x` of their functions: Python's operators leave what is no number to the other side. Where no
    function is turned round, y becomes a tensor first."""

    def tensor_first(x: Tensor, other: Any) -> Tensor:
        return function(x.like(as_operand(other, x.array, function.__name__)), x)

    def of(function):
        def operator(x: Tensor, other: Any) -> Tensor:
            return function(x, other) if is_operand(other, function.__name__) else NotImplemented

        return operator

    return of(function), of(turned_round or tensor_first)


def _of_numbers(name, x, other):
    """Both again, or a DtypeError for what arithmetic makes no sense of."""
    for value in (x, other):
        if not is_operand(value, name):
            raise DtypeError(f"{name}: expected a tensor, an array or a number, got {type(value).__name__}")
    return x, other


def floating(x: Tensor) -> Tensor:
    """x itself, or whole numbers as floats."""
    return x if x.dtype.kind == "f" else x.to(default_dtype())


def _of_floats(name: str, op: Op, does: str, **options: Any) -> Unary:
    def function(x: Tensor) -> Tensor:
        y = op(floating(x), **options)
        return note_derived(y, x) if options else y  # a power, whose result PyTorch has kept

    function.__name__ = function.__qualname__ = name
    function.__doc__ = does
    return function


sin = _of_floats("sin", taped.sin, "The sine of each number, in radians as in all that follow.")
cos = _of_floats("cos", taped.cos, "The cosine of each number.")
tan = _of_floats("tan", taped.tan, "The tangent of each number.")
asin = _of_floats("asin", taped.asin, "The angle from -π/2 to π/2 whose sine each number is; nan beyond -1 and 1.")
acos = _of_floats("acos", taped.acos, "The angle from 0 to π whose cosine each number is; nan beyond -1 and 1.")
atan = _of_floats("atan", taped.atan, "The angle from -π/2 to π/2 whose tangent each number is.")
sinh = _of_floats("sinh", taped.sinh, "The hyperbolic sine of each number.")
cosh = _of_floats("cosh", taped.cosh, "The hyperbolic cosine of each number.")
tanh = _of_floats("tanh", taped.tanh, "The hyperbolic tangent of each number.")
asinh = _of_floats("asinh", taped.asinh, "The number whose sinh each number is.")
acosh = _of_floats("acosh", taped.acosh, "The number from 0 on whose cosh each number is; nan below 1.")
atanh = _of_floats("atanh", taped.atanh, "The number whose tanh each number is; nan beyond -1 and 1.")
exp = _of_floats("exp", taped.exp, "e to the power of each number.")
expm1 = _of_floats("expm1", taped.expm1, "e to the power of each number, minus 1; exact for small numbers too.")
log = _of_floats("log", taped.log, "The natural logarithm of each number.")
log1p = _of_floats("log1p", taped.log1p, "log(1 + x), exact for small numbers too.")
log2 = _of_floats("log2", taped.log2, "The logarithm of each number to base 2.")
log10 = _of_floats("log10", taped.log10, "The logarithm of each number to base 10.")
erf = _of_floats("erf", taped.erf, "The error function of each number.")
erfinv = _of_floats("erfinv", taped.erfinv, "The number whose erf each number is; infinite at -1 and 1, nan beyond.")
sqrt = _of_floats("sqrt", taped.power, "The square root of each number.", exponent=0.5)
rsqrt = _of_floats("rsqrt", taped.rsqrt, "1 / √x.")
reciprocal = _of_floats("reciprocal", taped.power, "1 / x.", exponent=-1)
sigmoid = _of_floats("sigmoid", taped.sigmoid, "1 / (1 + exp(-x)).")


def exp2(x: Tensor) -> Tensor:
    """2 to the power of each number."""
    return 2.0 ** floating(x)


def logit(x: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), which sigmoid undoes; with eps, numbers are first moved into [eps, 1 - eps]."""
    return taped.logit(floating(x), eps=eps)


def deg2rad(x: Tensor) -> Tensor:
    """Degrees as radians."""
    return floating(x) * (math.pi / 180)


def rad2deg(x: Tensor) -> Tensor:
    """Radians as degrees."""
    return floating(x) * (180 / math.pi)


# -- steps


def _step(name: str, does: str) -> Unary:
    def function(x: Tensor) -> Tensor:
        return taped.steps(x, kind=name) if x.dtype.kind == "f" else x.clone()

    function.__name__ = function.__qualname__ = name
    function.__doc__ = does + " The slope is 0 everywhere."
    return function


floor = _step("floor", "Each number rounded down.")
ceil = _step("ceil", "Each number rounded up.")
trunc = _step("trunc", "Each number rounded towards 0.")
_round = _step("round", "Each number rounded to the nearest.")


def round(x: Tensor, *, decimals: int = 0) -> Tensor:
    """Each number rounded to the nearest, halves to the even neighbour; `decimals` digits after the point are kept."""
    if not is_integer(decimals):
        raise OptionError(f"round: decimals must be an integer, got {decimals!r}")
    if not decimals or x.dtype.kind != "f":
        return _round(x)
    scale = 10.0 ** abs(int(decimals))
    return _round(x * scale) / scale if decimals > 0 else _round(x / scale) * scale


def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1 for each number. The slope is 0 everywhere."""
    if x.dtype.kind == "f":
        return taped.steps(x, kind="sign")
    return x.clone() if x.dtype == bool else x.like(np.sign(x.array))


def frac(x: Tensor) -> Tensor:
    """What is left of each number without its whole part."""
    return x - trunc(x)


def magnitude(x: Tensor) -> Tensor:
    """|x|; the slope at 0 is 0."""
    return taped.abs(x) if x.dtype.kind == "f" else x.like(np.abs(x.array))


def neg(x: Tensor) -> Tensor:
    """-x"""
    return -x


def positive(x: Tensor) -> Tensor:
    """x itself."""
    return x


def square(x: Tensor) -> Tensor:
    """x²"""
    return power(x.long() if x.dtype.kind == "b" else x, 2)


# -- two tensors


def add(x: Tensor, other: Any, *older: Any, alpha: float = 1) -> Tensor:
    """x + alpha · other, in older scripts add(alpha, other)"""
    if older:
        alpha, other = numbers_first("add", 1, 1, (other, *older))
    return x + scaled("add", x, other, alpha)


def sub(x: Tensor, other: Any, *older: Any, alpha: float = 1) -> Tensor:
    """x - alpha · other, in older scripts sub(alpha, other)"""
    if older:
        alpha, other = numbers_first("sub", 1, 1, (other, *older))
    return x - scaled("sub", x, other, alpha)


def rsub(x: Tensor, other: Any, *, alpha: float = 1) -> Tensor:
    """other - alpha · x"""
    return other - scaled("rsub", other, x, alpha)


def mul(x: Tensor, other: Any) -> Tensor:
    """x · other"""
    return x * other


def div(x: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """x / other, rounded down with rounding_mode="floor", towards 0 with "trunc": then it is flat, its gradient 0.

    Raises OptionError."""
    if rounding_mode is None:
        return x / other
    if rounding_mode not in ("floor", "trunc"):
        raise OptionError(f'div: rounding_mode must be None, "floor" or "trunc", got {rounding_mode!r}')
    if x.dtype.kind != "f" and not _is_fraction(other):
        quotient = floor_divide(x, other)
        return quotient if rounding_mode == "floor" else quotient + ((quotient < 0) & (quotient * other != x))
    with np.errstate(all="ignore"):
        round_down = rounded_down if rounding_mode == "floor" else rounded_to_0
        return binary(round_down, whole_quotient, *_of_numbers("div", x, other))


def _is_fraction(value):
    return isinstance(value, float) or getattr(getattr(value, "dtype", None), "kind", "") == "f"


def power(x: Tensor, exponent: Any) -> Tensor:
    """x ** exponent, a number or a tensor. Raises DtypeError for whole numbers to a negative whole power."""
    if isinstance(exponent, Variable) or is_array(exponent):
        return binary(taped.power_of, whole_power, x, exponent)
    if not isinstance(exponent, (int, float)):
        raise DtypeError(f"pow: the exponent must be a number or a tensor, got {type(exponent).__name__}")
    if isinstance(exponent, bool):
        return x.logical_or(not exponent) if x.dtype.kind == "b" else power(x, int(exponent))
    if x.dtype == np.float16 and abs(exponent) == 0.5:  # of which PyTorch takes no root
        return taped.power_of(x, np.asarray(exponent, x.dtype, like=x.array))
    if x.dtype.kind == "f" or not is_integer(exponent):
        return taped.power(floating(x), exponent=exponent)
    if exponent < 0:
        raise DtypeError(f"**: whole numbers to the power {exponent} are no whole numbers; use .float()")
    return compare(whole_power, x, exponent)


def reversed_power(x: Tensor, base: Any) -> Tensor:
    """base ** x"""
    return binary(taped.power_of, whole_power, *_of_numbers("pow", base, x))


def whole_power(base: Array, exponent: Array) -> Array:
    """Whole numbers to whole powers; to negative ones, rounded towards 0."""
    if exponent.dtype.kind == "u":
        return np.power(base, exponent)
    y = np.power(base, np.maximum(exponent, 0))
    sign = np.where(base == 1, 1, np.where(base == -1, 1 - 2 * (exponent % 2), 0))
    return np.where(exponent < 0, sign, y).astype(y.dtype)


def floor_divide(x: Tensor, other: Any) -> Tensor:
    """x // other, rounded down. It is flat between its steps, and like PyTorch's, its backward refuses to say so."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return binary(_floor_divide, whole_quotient, *_of_numbers("floor_divide", x, other))


def _floor_divide_forward(a, b):
    broadcast_of("floor_divide", a, b)
    return whole_quotient(a, b), None


def _floor_divide_backward(dy, cache, needs):
    raise GraphError("floor_divide: whole quotients have no gradient; use .detach(), or x / other")


_floor_divide = differentiable(_floor_divide_forward, _floor_divide_backward)


def _rounded_quotient(quotient: Callable[[Array, Array], Array]) -> Op:
    def divided_forward(a, b):
        broadcast_of("div", a, b)
        return quotient(a, b), (a, b)

    def divided_backward(dy, cache, needs):
        return tuple(np.zeros_like(operand) for operand in cache)

    return differentiable(divided_forward, divided_backward)


rounded_down = _rounded_quotient(np.floor_divide)
rounded_to_0 = _rounded_quotient(lambda a, b: np.trunc(a / b))


def whole_quotient(a: Array, b: Array) -> Array:
    """a // b, for whole numbers too, where b must not be 0."""
    return np.floor_divide(a, _divisor(b))


def whole_remainder(a: Array, b: Array) -> Array:
    """a % b, for whole numbers too, where b must not be 0."""
    return np.remainder(a, _divisor(b))


def whole_fmod(a: Array, b: Array) -> Array:
    """What a / b leaves, with the sign of a, for whole numbers too, where b must not be 0."""
    return np.fmod(a, _divisor(b))


def _divisor(b):
    if b.dtype.kind != "f" and bool((b == 0).any()):
        raise OptionError("whole numbers cannot be divided by 0; use .float()")
    return b


def _of_two(name: str, op: Op, ufunc: Callable[..., Any], does: str) -> Binary:
    def function(x: Tensor, other: Any) -> Tensor:
        with np.errstate(divide="ignore", invalid="ignore"):
            return binary(op, ufunc, *_of_numbers(name, x, other))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = does
    return function


maximum = _of_two("maximum", taped.maximum, np.maximum, "The larger of two, or nan; ties share the gradient.")
minimum = _of_two("minimum", taped.minimum, np.minimum, "The smaller of two, or nan; ties share the gradient.")
remainder = _of_two(
    "remainder", taped.remainder, whole_remainder, "What division leaves, with the sign of other: x % other."
)
fmod = _of_two("fmod", taped.fmod, whole_fmod, "What division leaves, with the sign of x.")
_atan2 = _of_two("atan2", taped.atan2, np.arctan2, "The angle of the point (other, x).")
hypot = _of_two("hypot", taped.hypot, np.hypot, "√(x² + other²), which does not overflow on the way.")
logaddexp = _of_two("logaddexp", taped.logaddexp, np.logaddexp, "log(exp(x) + exp(other)), likewise.")


def atan2(x: Tensor, other: Any) -> Tensor:
    """The angle from -π to π of the point (other, x), seen from the origin."""
    kind = result_type(x, other)
    return _atan2(x.to(kind) if kind.kind == "f" else floating(x), other)


def lerp(x: Tensor, end: Any, weight: Any) -> Tensor:
    """x + weight · (end - x), counted from the nearer end: x where the weight is 0, exactly end where it is 1."""
    if isinstance(weight, (int, float)):
        step = end - x
        return x + step * weight if abs(weight) < 0.5 else end - step * (1 - weight)
    near = abs(as_operand(weight, x.array, "lerp")) < 0.5
    read = [v for v in (x, end, weight) if isinstance(v, Variable)]
    end = end if isinstance(end, Variable) else as_operand(end, x.array, "lerp")
    y = taped.where(x, end, condition=near) + (end - x) * taped.where(weight, weight - 1, condition=near)
    return note_derived(y, *read)


def addcmul(x: Tensor, tensor1: Any, tensor2: Any, *older: Any, value: float = 1) -> Tensor:
    """x + value · tensor1 · tensor2, in older scripts addcmul(value, tensor1, tensor2)"""
    if older:
        value, tensor1, tensor2 = numbers_first("addcmul", 1, 2, (tensor1, tensor2, *older))
    value = factor("addcmul: value", value, result_type(x, tensor1, tensor2))
    _, tensor1, tensor2 = together(x, tensor1, tensor2)
    return x + (tensor1 * tensor2 if value == 1 else tensor1 * tensor2 * value)


def addcdiv(x: Tensor, tensor1: Any, tensor2: Any, *older: Any, value: float = 1) -> Tensor:
    """x + value · tensor1 / tensor2, in older scripts addcdiv(value, tensor1, tensor2)"""
    if older:
        value, tensor1, tensor2 = numbers_first("addcdiv", 1, 2, (tensor1, tensor2, *older))
    _, tensor1, tensor2 = together(x, tensor1, tensor2)
    return x + (tensor1 / tensor2 if value == 1 else tensor1 / tensor2 * value)


def clamp(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Every number moved to the nearest from min to max, numbers or tensors; gradients pass where nothing was moved."""
    if min is None and max is None:
        raise OptionError("clamp: give min, max or both")
    if isinstance(min, Variable) or isinstance(max, Variable):
        y = x if min is None else _bound(x, min, np.greater_equal, maximum)
        return y if max is None else _bound(y, max, np.less_equal, minimum)
    if x.dtype.kind != "f":
        if _is_fraction(min) or _is_fraction(max):
            return clamp(floating(x), min, max)
        if x.dtype.kind == "u" and ((min or 0) < 0 or (max or 0) < 0):
            raise OptionError(f"clamp: {x.dtype} has no negative numbers to be moved to, got {min} to {max}")
        kind = result_type(x, *(v for v in (min, max) if v is not None))
        limits = (v if v is None else fitted("clamp", np.array(v), kind).item() for v in (min, max))
        return x.like(np.clip(x.array.astype(kind), *limits))
    return taped.clamp(x, low=-np.inf if min is None else min, high=np.inf if max is None else max)


def _bound(x, limit, inside, pick):
    """x up to a limit, which gets the gradient where it stands in; x itself gets it at a tie."""
    if not isinstance(limit, Variable):
        limit = x.like(np.full_like(x.array, limit, shape=()))
    kind = result_type(x, limit)
    if kind.kind != "f":
        return pick(x, limit)
    shape_together("clamp", x, limit)
    x, limit = x.to(kind), limit.to(kind)
    # nan stays nan, and like PyTorch's, its gradient goes nowhere.
    held = note_derived(taped.where(x, limit, condition=inside(x.array, limit.array)), x, limit)
    return held.masked_fill((x.detach() != x.detach()) | (limit.detach() != limit.detach()), math.nan)


def clamp_min(x: Tensor, min: Any) -> Tensor:
    """Every number below min moved up to it."""
    return clamp(x, min)


def clamp_max(x: Tensor, max: Any) -> Tensor:
    """Every number above max moved down to it."""
    return clamp(x, None, max)


def nan_to_num(x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """nan and the infinities replaced, by default by 0 and the largest and smallest number of the dtype."""
    if x.dtype.kind != "f":
        return x.clone()
    info, y = np.finfo(x.dtype), x
    for found, value in (
        (isnan(x), nan),
        (x == math.inf, float(info.max) if posinf is None else posinf),
        (x == -math.inf, float(info.min) if neginf is None else neginf),
    ):
        y = y.masked_fill(found, value)
    return y


# -- truth values, which are not recorded


def isnan(x: Tensor) -> Tensor:
    """Where a number is nan."""
    return x != x


def isinf(x: Tensor) -> Tensor:
    """Where a number is infinite."""
    return magnitude(x.detach()) == math.inf


def isfinite(x: Tensor) -> Tensor:
    """Where a number is neither infinite nor nan."""
    return x.like(np.isfinite(x.array))


def isposinf(x: Tensor) -> Tensor:
    """Where a number is +∞."""
    return x == math.inf


def isneginf(x: Tensor) -> Tensor:
    """Where a number is -∞."""
    return x == -math.inf


def signbit(x: Tensor) -> Tensor:
    """Where a number is negative, -0.0 as well."""
    return x.like(np.signbit(x.array))


def _logical(name: str, ufunc: Callable[..., Any], does: str) -> Binary:
    def function(x: Tensor, other: Any) -> Tensor:
        return compare(ufunc, *_of_numbers(name, x, other))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = does
    return function


eq = _logical("eq", np.equal, "Where both are equal.")
ne = _logical("ne", np.not_equal, "Where the two differ.")
lt = _logical("lt", np.less, "Where x is less than other.")
le = _logical("le", np.less_equal, "Where x is at most other.")
gt = _logical("gt", np.greater, "Where x is greater than other.")
ge = _logical("ge", np.greater_equal, "Where x is at least other.")
logical_and = _logical("logical_and", np.logical_and, "Where neither is zero.")
logical_or = _logical("logical_or", np.logical_or, "Where one of them is not zero.")
logical_xor = _logical("logical_xor", np.logical_xor, "Where exactly one of them is zero.")
bitwise_and = _logical("bitwise_and", np.bitwise_and, "The bits that both have: x & other.")
bitwise_or = _logical("bitwise_or", np.bitwise_or, "The bits that one of them has: x | other.")
bitwise_xor = _logical("bitwise_xor", np.bitwise_xor, "The bits that exactly one of them has: x ^ other.")
bitwise_left_shift = _logical(
    "bitwise_left_shift", np.left_shift, "x · 2^other, bits beyond the dtype lost: x << other."
)
bitwise_right_shift = _logical("bitwise_right_shift", np.right_shift, "⌊x / 2^other⌋: x >> other.")


def logical_not(x: Tensor) -> Tensor:
    """Where a number is zero."""
    return x == 0


def bitwise_not(x: Tensor) -> Tensor:
    """All bits the other way round: ~x."""
    return ~x
