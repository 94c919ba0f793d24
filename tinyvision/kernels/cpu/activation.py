"""The non-linearities of convolutional networks, one pass each way: ReLU and ReLU6, and those with a curve in them."""

from typing import Any

import numpy as np

from ...arrays import lie_alike
from ...ops import activation, activation_piecewise, activation_smooth
from ...types import Array, Gradients, Needs
from .. import DropIn
from ..ways import ACTIVATIONS
from .compiled import instructions, llvm, loop, part
from .lines import done_in_parts, flat

HARDSWISH, SILU, HARDSIGMOID, SIGMOID = (ACTIVATIONS[name] for name in ("hardswish", "silu", "hardsigmoid", "sigmoid"))
PIECE = 1024  # numbers: 4 KiB, which stay in the first cache


@loop("void(f4[::1], f4[::1], f4, i8, i8)", "y")
def clipped(x: Array, y: Array, top: float, begin: int, end: int) -> None:
    """y = min(max(x, 0), top) from begin to end, NaN where x is NaN. A top of NaN is none."""
    x, y = x[begin:end], y[begin:end]  # of an index that begins at 0, the compiler knows that it is not negative
    for i in range(x.size):
        value = x[i]
        if value <= 0:
            value = np.float32(0)
        if value >= top:
            value = top
        y[i] = value


@loop("void(f4[::1], f4[::1], f4[::1], f4, i8, i8)", "dx")
def slope(dy: Array, y: Array, dx: Array, top: float, begin: int, end: int) -> None:
    """dx = dy where y is neither 0 nor top, else 0, from begin to end. A top of NaN is none."""
    dy, y, dx = dy[begin:end], y[begin:end], dx[begin:end]
    for i in range(y.size):
        dx[i] = dy[i] if y[i] != 0 and y[i] != top else np.float32(0)


# -- exp, in operations that a processor does on whole vectors

ZERO, HALF, ONE, THREE, SIX = (np.float32(value) for value in (0, 0.5, 1, 3, 6))
LEAST = np.float32(-104)  # exp of less is 0 in float32
LOG2E, LN2, LN2_REST = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
# A float32 from 2^23 on has no fraction: what is added to this one is rounded, and stands in its last bits.
WHOLE = np.float32(3 << 22)
SERIES = tuple(np.float32(1 / n) for n in (5040, 720, 120, 24, 6, 2, 1, 1))
C7, C6, C5, C4, C3, C2, C1, C0 = SERIES  # 1 / n!: on ± log(2) / 2 the rest of exp's series is below 1e-8


def _times_two_to_as_machine_code() -> Any:
    from numba import types
    from numba.extending import intrinsic

    def code(context, builder, signature, arguments):
        number, whole = arguments
        ir = llvm()
        n = builder.sub(builder.bitcast(whole, ir.IntType(32)), ir.IntType(32)(int(WHOLE.view(np.int32))))
        half = builder.ashr(n, n.type(1))  # in two steps, of which neither leaves the range of a float32's exponent
        for part_of_n in (half, builder.sub(n, half)):
            power = builder.shl(builder.add(part_of_n, n.type(127)), n.type(23))
            number = builder.fmul(number, builder.bitcast(power, ir.FloatType()))
        return number

    @intrinsic
    def times_two_to(typing, number, whole):
        return types.float32(types.float32, types.float32), code

    return times_two_to


@instructions(_times_two_to_as_machine_code)
def times_two_to(number: Any, whole: Any) -> Any:
    """number · 2^n for whole = WHOLE + n."""
    return np.float32(np.ldexp(number, int(np.nan_to_num(whole - WHOLE))))


@part
def exp_of_less(x: Any) -> Any:
    """exp(x) for x ≤ 0: with n the whole number next to x / log(2), 2^n · exp(x - n · log(2))."""
    if x <= LEAST:
        x = LEAST
    whole = x * LOG2E + WHOLE
    n = whole - WHOLE
    r = (x - n * LN2) - n * LN2_REST
    series = ((((((C7 * r + C6) * r + C5) * r + C4) * r + C3) * r + C2) * r + C1) * r + C0
    return times_two_to(series, whole)


@part
def logistic(x: Any) -> Any:
    """1 / (1 + exp(-x)), as `ops.activation.logistic` has it: nothing overflows, and what is small is right."""
    below = exp_of_less(-abs(x))
    above = ONE if x > ZERO else below
    return above / (ONE + below)


@part
def six_wide(x: Any) -> Any:
    """min(max(x + 3, 0), 6), NaN where x is NaN."""
    value = x + THREE
    if value <= ZERO:
        value = ZERO
    if value >= SIX:
        value = SIX
    return value


@part
def curved(y: Array, kind: int) -> None:
    """y (n,) = the activation of this kind of y."""
    if kind == HARDSWISH:
        for i in range(y.size):
            y[i] = y[i] * six_wide(y[i]) / SIX
    elif kind == SILU:
        for i in range(y.size):
            y[i] = y[i] * logistic(y[i])
    elif kind == HARDSIGMOID:
        for i in range(y.size):
            y[i] = six_wide(y[i]) / SIX
    else:
        for i in range(y.size):
            y[i] = logistic(y[i])


@loop("void(f4[:,:,:,::1], f4[::1], f4[::1], f4[:,:,:,::1], i8, i8, i8)", "y")
def finished(y: Array, scale: Array, shift: Array, skip: Array, activation: int, begin: int, end: int) -> None:
    """y = activation(scale · y + shift + skip) for lines begin ... end; what is empty is left out."""
    N, OH, OW, C = y.shape
    rows = y.reshape(N * OH, OW * C)
    for line in range(begin, end):
        n, i = line // OH, line % OH
        for j in range(OW):
            if scale.size:
                for c in range(C):
                    y[n, i, j, c] *= scale[c]
            if shift.size:
                for c in range(C):
                    y[n, i, j, c] += shift[c]
            if skip.size:
                for c in range(C):
                    y[n, i, j, c] += skip[n, i, j, c]
            if activation == 1 or activation == 2:
                for c in range(C):
                    if y[n, i, j, c] <= 0:
                        y[n, i, j, c] = 0
            if activation == 2:
                for c in range(C):
                    if y[n, i, j, c] >= 6:
                        y[n, i, j, c] = 6
        if activation > 2:
            curved(rows[line], activation)


@loop("void(f4[::1], f4[::1], i8, i8, i8)", "y")
def curve(x: Array, y: Array, kind: int, begin: int, end: int) -> None:
    """y = the activation of this kind of x, from begin to end."""
    for first in range(begin, end, PIECE):
        last = min(first + PIECE, end)
        some, out = x[first:last], y[first:last]
        for i in range(out.size):
            out[i] = some[i]
        curved(out, kind)


@loop("void(f4[::1], f4[::1], f4[::1], i8, i8, i8)", "dx")
def slope_of_curve(dy: Array, kept: Array, dx: Array, kind: int, begin: int, end: int) -> None:
    """dx = dy times the slope, from begin to end; kept is x, and of a sigmoid y."""
    dy, kept, dx = dy[begin:end], kept[begin:end], dx[begin:end]
    if kind == HARDSWISH:
        for i in range(dx.size):
            x = kept[i]
            inner = dy[i] * (x / THREE + HALF) if x < THREE else dy[i]
            dx[i] = ZERO if x <= -THREE else inner
    elif kind == SILU:
        for i in range(dx.size):
            s = logistic(kept[i])
            dx[i] = dy[i] * (s * (ONE + kept[i] * (ONE - s)))
    elif kind == HARDSIGMOID:
        for i in range(dx.size):
            x = kept[i]
            dx[i] = dy[i] / SIX if (x > -THREE) & (x < THREE) else ZERO
    else:
        for i in range(dx.size):
            dx[i] = dy[i] * ((ONE - kept[i]) * kept[i])


def relu_forward(x: Array) -> tuple[Array, Any]:
    """As `ops.relu_forward`."""
    return _forward(x, np.float32(np.nan))


def relu_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """As `ops.relu_backward`."""
    return _backward(dy, cache, np.float32(np.nan))


def relu6_forward(x: Array) -> tuple[Array, Any]:
    """As `ops.relu6_forward`."""
    return _forward(x, np.float32(6))


def relu6_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """As `ops.relu6_backward`."""
    return _backward(dy, cache, np.float32(6))


def _forward(x, top):
    y = np.empty_like(x)
    done_in_parts(clipped, x.size, x.nbytes, flat(x), flat(y), top)
    return y, y


def _backward(dy, y, top):
    dx = np.empty_like(y)
    done_in_parts(slope, y.size, y.nbytes, flat(laid_out(dy, y)), flat(y), flat(dx), top)
    return (dx,)


def laid_out(dy: Array, like: Array) -> Array:
    """dy with its numbers in the order in memory of `like`, and of its precision: what comes back from a view, or from
    an op of somebody's own, may lie otherwise."""
    if lie_alike(dy, like) and dy.dtype == like.dtype:
        return dy
    copy = np.empty_like(like)
    copy[...] = dy
    return copy


def _curved_pair(name, ops):
    """The drop-in for an op of this name in a module of ops."""
    kind, op = ACTIVATIONS[name], (getattr(ops, f"{name}_forward"), getattr(ops, f"{name}_backward"))

    def forward(x):
        y = np.empty_like(x)
        done_in_parts(curve, x.size, x.nbytes, flat(x), flat(y), kind)
        return y, y if kind == SIGMOID else x

    def backward(dy, cache, needs=(True,)):
        dx = np.empty_like(cache)
        done_in_parts(slope_of_curve, dx.size, dx.nbytes, flat(laid_out(dy, cache)), flat(cache), flat(dx), kind)
        return (dx,)

    return DropIn("activation", op, forward, backward, packed)


def packed(x: Array) -> bool:
    """Whether x fills its memory without gaps, and its parts are vectors."""
    order = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
    return bool(x.ndim and x.transpose(order).flags.c_contiguous)


DROP_INS = (
    DropIn("activation", (activation.relu_forward, activation.relu_backward), relu_forward, relu_backward, packed),
    DropIn("activation", (activation.relu6_forward, activation.relu6_backward), relu6_forward, relu6_backward, packed),
    _curved_pair("hardswish", activation_piecewise),
    _curved_pair("hardsigmoid", activation_piecewise),
    _curved_pair("silu", activation_smooth),
    _curved_pair("sigmoid", activation),
)
