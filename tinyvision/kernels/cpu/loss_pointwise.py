"""Losses of numbers one by one, one pass each way; nothing is kept but what they compare."""

import numpy as np

from ...arrays import lie_alike
from ...ops import loss_pointwise
from ...ops.checks import is_number
from ...types import Array
from .. import DropIn
from .activation import HALF, ONE, ZERO, exp_of_less, laid_out, packed
from .activation_families import log1p_exp
from .compiled import loop
from .lines import done_in_parts, flat

SMOOTH_L1, HUBER, LOGITS = range(3)


@loop("void(f4[::1], f4[::1], f4[::1], i8, f4, i8, i8)", "y")
def compared(x: Array, target: Array, y: Array, kind: int, near: float, begin: int, end: int) -> None:
    """y = the loss of this kind of x and target, from begin to end; near: beta of smooth l1, delta of Huber."""
    x, target, y = x[begin:end], target[begin:end], y[begin:end]
    if kind == SMOOTH_L1:
        share = HALF / near if near > ZERO else ZERO
        for i in range(x.size):
            d = abs(x[i] - target[i])
            y[i] = d * d * share if d < near else d - HALF * near
    elif kind == HUBER:
        for i in range(x.size):
            d = abs(x[i] - target[i])
            y[i] = d * d * HALF if d < near else near * (d - HALF * near)
    else:
        for i in range(x.size):
            y[i] = (ONE - target[i]) * x[i] + log1p_exp(-x[i])


@loop("void(f4[::1], f4[::1], f4[::1], f4[::1], i8, f4, i8, i8)", "dx")
def slope_of_compared(
    dy: Array, x: Array, target: Array, dx: Array, kind: int, near: float, begin: int, end: int
) -> None:
    """dx = dy times the loss's slope at x, from begin to end, for `near` as in `compared`."""
    dy, x, target, dx = dy[begin:end], x[begin:end], target[begin:end], dx[begin:end]
    if kind == SMOOTH_L1:
        for i in range(dx.size):
            d = x[i] - target[i]
            sign = ONE if d > ZERO else -ONE if d < ZERO else ZERO
            dx[i] = dy[i] * sign if (abs(d) >= near) | (near == ZERO) else dy[i] * (d / near)
    elif kind == HUBER:
        for i in range(dx.size):
            d = x[i] - target[i]
            least = -near if d < -near else d
            dx[i] = dy[i] * (near if least > near else least)
    else:
        for i in range(dx.size):
            e = exp_of_less(-abs(x[i]))
            above, below = ONE / (ONE + e), e / (ONE + e)  # σ(|x|) and σ(-|x|)
            p, q = (above, below) if x[i] > ZERO else (below, above)
            dx[i] = dy[i] * ((ONE - target[i]) * p - target[i] * q)


def _pair(name, kind, near_of=lambda: 1.0, applies=lambda: True):
    """The drop-in for the op of this name. near_of(options of the op) -> what the loops take for `near`."""

    def forward(x, target, *none, **options):
        y, how = np.empty_like(x), (kind, np.float32(near_of(**options)))
        done_in_parts(compared, x.size, x.nbytes, flat(x), flat(target), flat(y), *how)
        return y, (x, target, how)

    def backward(dy, cache, needs=(True, True)):
        x, target, how = cache
        dy, dx = laid_out(dy, x), np.empty_like(x)
        done_in_parts(slope_of_compared, x.size, x.nbytes, flat(dy), flat(x), flat(target), flat(dx), *how)
        dtarget = None if not needs[1] else -x * dy if kind == LOGITS else -dx
        found = dx if needs[0] else None, dtarget
        return (*found, None) if kind == LOGITS else found

    def both_apply(x, target, pos_weight=None, **options):
        alike = pos_weight is None and x.shape == target.shape and lie_alike(x, target)
        return alike and x.size > 0 and packed(x) and applies(**options)

    op = getattr(loss_pointwise, f"{name}_forward"), getattr(loss_pointwise, f"{name}_backward")
    return DropIn("loss", op, forward, backward, both_apply)


DROP_INS = (
    _pair("smooth_l1", SMOOTH_L1, lambda beta=1.0: beta, lambda beta=1.0: is_number(beta) and beta >= 0),
    _pair("huber", HUBER, lambda delta=1.0: delta, lambda delta=1.0: is_number(delta) and delta > 0),
    _pair("bce_with_logits", LOGITS),
)
