"""Mistakes in the ReLUs that are not 0 for negative numbers: leaky ReLU, ELU, SiLU and GELU."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import reference
from ..reference import gelu_share
from ..reference import sigmoid as _sigmoid
from .activations import everywhere
from .mistake import Bank

leaky_relu, elu, silu, gelu = Bank("leaky_relu"), Bank("elu"), Bank("silu"), Bank("gelu")
BANKS = [leaky_relu, elu, silu, gelu]


def _output(bank: Bank, name: str, says: str, *forms: Callable[..., Any]) -> None:
    """A mistake in y, each form of it a function of x and the op's option."""
    wrong, *also = [lambda i, o, f=f: f(i[0], *o.values()) for f in forms]
    bank.add("y", name, says, wrong, also=tuple(also))


def _slope(bank: Bank, name: str, says: str, *forms: Callable[..., Any]) -> None:
    """A mistake in dx, each form of it a function of dy, x and the op's option."""
    wrong, *also = [lambda i, o, d, f=f: f(d, i[0], *o.values()) for f in forms]
    bank.add("dx", name, says, wrong, also=tuple(also))


_output(leaky_relu, "relu", "Negative numbers became 0; multiply them by negative_slope.",
        lambda x, a: np.maximum(x, 0))  # fmt: skip
_output(leaky_relu, "slope_ignored", "You used a slope of your own; negative_slope is handed over.",
        lambda x, a: np.where(x > 0, x, 0.01 * x), lambda x, a: np.where(x > 0, x, 0.1 * x))  # fmt: skip
_output(leaky_relu, "inverted", "You multiplied the positive numbers by negative_slope; multiply the negative ones.",
        lambda x, a: np.where(x > 0, a * x, x))  # fmt: skip
_output(leaky_relu, "slope_alone", "You put negative_slope itself where x is negative; it is negative_slope·x.",
        lambda x, a: np.where(x > 0, x, a), lambda x, a: np.maximum(x, a))  # fmt: skip
_output(leaky_relu, "sign", "Negative numbers became positive: it is negative_slope·x there.",
        lambda x, a: np.where(x > 0, x, -a * x))  # fmt: skip
_output(leaky_relu, "everywhere", "You multiplied all numbers by negative_slope; the positive ones stay as they are.",
        lambda x, a: a * x)  # fmt: skip
_output(leaky_relu, "added", "You added negative_slope·x to the ReLU of all numbers; it belongs to the negative ones.",
        lambda x, a: np.maximum(x, 0) + a * x)  # fmt: skip
_output(leaky_relu, "derivative", "You returned its derivative, 1 or negative_slope.",
        lambda x, a: np.where(x > 0, 1.0, a))  # fmt: skip
_output(leaky_relu, "identity", "You changed nothing.", lambda x, a: x * 1.0)

_slope(leaky_relu, "slope_ignored", "You used a slope of your own; negative_slope is handed over.",
       lambda d, x, a: np.where(x > 0, d, 0.01 * d), lambda d, x, a: np.where(x > 0, d, 0.1 * d))  # fmt: skip
_slope(leaky_relu, "inverted", "You multiplied dy by negative_slope where x is positive; do so where it is negative.",
       lambda d, x, a: np.where(x > 0, a * d, d))  # fmt: skip
_slope(leaky_relu, "slope_alone", "Where x is negative you put negative_slope itself; it is negative_slope·dy.",
       lambda d, x, a: np.where(x > 0, d, a))  # fmt: skip
_slope(leaky_relu, "one_for_positive", "Where x is positive you put 1; it is dy.",
       lambda d, x, a: np.where(x > 0, 1.0, a * d))  # fmt: skip
_slope(leaky_relu, "sign_below", "The sign is wrong where x is negative.",
       lambda d, x, a: np.where(x > 0, d, -a * d))  # fmt: skip
_slope(leaky_relu, "mask_from_dy", "You took the mask from dy (dy > 0); take it from x.",
       lambda d, x, a: np.where(d > 0, d, a * d))  # fmt: skip
_slope(leaky_relu, "everywhere", "You multiplied all of dy by negative_slope; where x is positive it stays as it is.",
       lambda d, x, a: a * d)  # fmt: skip
_slope(leaky_relu, "applied_to_x", "Where x is negative you multiplied x by negative_slope; multiply dy.",
       lambda d, x, a: np.where(x > 0, d, a * x))  # fmt: skip
_slope(leaky_relu, "only_below", "dx is 0 where x is positive; there it is dy.",
       lambda d, x, a: np.where(x > 0, 0, a * d))  # fmt: skip

_output(elu, "relu", "Negative numbers became 0; they become alpha·(exp(x) - 1).", lambda x, a: np.maximum(x, 0))
_output(elu, "one_missing", "You wrote alpha·exp(x) below 0; it is alpha·(exp(x) - 1).",
        lambda x, a: np.where(x > 0, x, a * np.exp(x)))  # fmt: skip
_output(elu, "brackets", "You wrote alpha·exp(x) - 1; it is alpha·(exp(x) - 1).",
        lambda x, a: np.where(x > 0, x, a * np.exp(x) - 1))  # fmt: skip
_output(elu, "alpha_missing", "You left alpha out; it is alpha·(exp(x) - 1).",
        lambda x, a: np.where(x > 0, x, np.exp(x) - 1))  # fmt: skip
_output(elu, "sign", "You wrote alpha·(1 - exp(x)); it is alpha·(exp(x) - 1).",
        lambda x, a: np.where(x > 0, x, a * (1 - np.exp(x))))  # fmt: skip
_output(elu, "exponent_sign", "You wrote exp(-x) below 0; it is alpha·(exp(x) - 1).",
        lambda x, a: np.where(x > 0, x, a * (np.exp(-x) - 1)))  # fmt: skip
_output(elu, "leaky", "You multiplied negative numbers by alpha (a leaky ReLU); they become alpha·(exp(x) - 1).",
        lambda x, a: np.where(x > 0, x, a * x))  # fmt: skip
_output(elu, "inverted", "You did to the positive numbers what belongs to the negative ones.",
        lambda x, a: np.where(x > 0, a * (np.exp(x) - 1), x))  # fmt: skip
_output(elu, "everywhere", "You wrote alpha·(exp(x) - 1) for all numbers; the positive ones stay as they are.",
        lambda x, a: a * (np.exp(x) - 1))  # fmt: skip
_output(elu, "alpha_inside", "You wrote exp(alpha·x) - 1; it is alpha·(exp(x) - 1).",
        lambda x, a: np.where(x > 0, x, np.exp(a * x) - 1))  # fmt: skip
_output(elu, "identity", "You changed nothing.", lambda x, a: x * 1.0)

_slope(elu, "alpha_missing", "You left alpha out where x is negative; it is dy·alpha·exp(x).",
       lambda d, x, a: np.where(x > 0, d, d * np.exp(x)))  # fmt: skip
_slope(elu, "alpha_alone", "Where x is negative you wrote dy·alpha (a leaky ReLU); it is dy·alpha·exp(x).",
       lambda d, x, a: np.where(x > 0, d, a * d))  # fmt: skip
_slope(elu, "y_alone", "Where x is negative you wrote dy·y; it is dy·(y + alpha), which is dy·alpha·exp(x).",
       lambda d, x, a: np.where(x > 0, d, d * a * (np.exp(x) - 1)))  # fmt: skip
_slope(elu, "one_for_alpha", "Where x is negative you wrote dy·(y + 1); it is dy·(y + alpha).",
       lambda d, x, a: np.where(x > 0, d, d * (a * (np.exp(x) - 1) + 1)))  # fmt: skip
_slope(elu, "exp_of_y", "You took exp of y, the output; it is dy·alpha·exp(x).",
       lambda d, x, a: np.where(x > 0, d, d * a * np.exp(a * (np.exp(x) - 1))))  # fmt: skip
_slope(elu, "x_plus_alpha", "Where x is negative you wrote dy·(x + alpha); it is dy·(y + alpha), with y the output.",
       lambda d, x, a: np.where(x > 0, d, d * (x + a)))  # fmt: skip
_slope(elu, "exponent_sign", "You wrote exp(-x); it is dy·alpha·exp(x).",
       lambda d, x, a: np.where(x > 0, d, d * a * np.exp(-x)))  # fmt: skip
_slope(elu, "everywhere", "You wrote dy·alpha·exp(x) for all numbers; where x is positive it is dy.",
       lambda d, x, a: d * a * np.exp(x))  # fmt: skip
_slope(elu, "dy_missing_below", "dy is missing where x is negative: it is dy·alpha·exp(x).",
       lambda d, x, a: np.where(x > 0, d, a * np.exp(x)))  # fmt: skip
_slope(elu, "inverted", "Your mask is inverted: dy goes through where x is positive.",
       lambda d, x, a: np.where(x > 0, d * a * np.exp(x), d))  # fmt: skip
_slope(elu, "only_below", "dx is 0 where x is positive; there it is dy.",
       lambda d, x, a: np.where(x > 0, 0, d * a * np.exp(x)))  # fmt: skip

_output(silu, "sigmoid", "You returned the sigmoid; multiply it by x.", _sigmoid)
_output(silu, "sign", "You wrote x / (1 + exp(x)); it is x / (1 + exp(-x)).", lambda x: x * _sigmoid(-x))
_output(silu, "relu", "You computed a ReLU.", lambda x: np.maximum(x, 0))
_output(silu, "tanh", "You multiplied x by tanh(x); it is x times its sigmoid.", lambda x: x * np.tanh(x))
_output(silu, "gelu", "You wrote x·sigmoid(1.702 x), which is a GELU; it is x·sigmoid(x).",
        lambda x: x * _sigmoid(1.702 * x))  # fmt: skip
_output(silu, "mish", "You computed x·tanh(softplus(x)), which is Mish.",
        lambda x: x * np.tanh(np.log1p(np.exp(x))))  # fmt: skip
_output(silu, "slopes", "You multiplied x by the sigmoid's slope, s(1 - s).",
        lambda x: x * _sigmoid(x) * (1 - _sigmoid(x)))  # fmt: skip
_output(silu, "x_twice", "You multiplied by x twice.", lambda x: x * x * _sigmoid(x))
_output(silu, "identity", "You changed nothing.", lambda x: x * 1.0)

_slope(silu, "first_term", "You left out the second term of the product rule: dy·(s + x·s(1 - s)).",
       lambda d, x: d * _sigmoid(x))  # fmt: skip
_slope(silu, "second_term", "You left out the first term of the product rule: dy·(s + x·s(1 - s)).",
       lambda d, x: d * x * _sigmoid(x) * (1 - _sigmoid(x)))  # fmt: skip
_slope(silu, "sigmoids", "s(1 - s) is the slope of a sigmoid; that of x·s is s + x·s(1 - s).",
       lambda d, x: d * _sigmoid(x) * (1 - _sigmoid(x)))  # fmt: skip
_slope(silu, "x_missing", "In the second term x is missing: dy·(s + x·s(1 - s)).",
       lambda d, x: d * _sigmoid(x) * (2 - _sigmoid(x)))  # fmt: skip
_slope(silu, "minus", "The second term has the wrong sign: dy·(s + x·s(1 - s)).",
       lambda d, x: d * _sigmoid(x) * (1 - x * (1 - _sigmoid(x))))  # fmt: skip
_slope(silu, "plus", "You wrote 1 + s in the second term; it is x·s(1 - s).",
       lambda d, x: d * _sigmoid(x) * (1 + x * (1 + _sigmoid(x))))  # fmt: skip
_slope(silu, "s_missing", "In the second term s is missing: dy·(s + x·s(1 - s)).",
       lambda d, x: d * (_sigmoid(x) + x * (1 - _sigmoid(x))))  # fmt: skip
_slope(silu, "one_minus_missing", "In the second term 1 - s is missing: dy·(s + x·s(1 - s)).",
       lambda d, x: d * (_sigmoid(x) + x * _sigmoid(x)))  # fmt: skip
_slope(silu, "y_for_s", "You took y for the sigmoid: it is dy·(s + y(1 - s)), with s the sigmoid of x.",
       lambda d, x: d * (x * _sigmoid(x)) * (1 - x * _sigmoid(x)),
       lambda d, x: d * (_sigmoid(x) + x * _sigmoid(x) * (1 - x * _sigmoid(x))),
       lambda d, x: d * (x * _sigmoid(x) + x * _sigmoid(x) * (1 - _sigmoid(x))))  # fmt: skip
_slope(silu, "sigmoid_of_y", "You took the sigmoid of y, the output; take that of x.",
       lambda d, x: _of_silu(d, x, _sigmoid(x * _sigmoid(x))),
       lambda d, x: _of_silu(d, x * _sigmoid(x), _sigmoid(x * _sigmoid(x))))  # fmt: skip


def _of_silu(d, x, s):
    return d * (s + x * s * (1 - s))


def _terms(x, approximate):
    """GELU's (s, s'), g'(u), for y = x s and s = (1 + g(u)) / 2."""
    g, slope, _, inner = gelu_share(x, approximate)
    return (1 + g) / 2, slope * inner / 2, slope


_output(gelu, "share", "You returned the share s alone; y is x·s.", lambda x, a: _terms(x, a)[0])
_output(gelu, "half_missing", "The ½ is missing: it is ½·x·(1 + ...).", lambda x, a: 2 * x * _terms(x, a)[0])
_output(gelu, "one_missing", "The 1 is missing: it is ½·x·(1 + ...).", lambda x, a: x * (_terms(x, a)[0] - 0.5))
_output(gelu, "minus", "You wrote 1 - ...; it is ½·x·(1 + ...).", lambda x, a: x * (1 - _terms(x, a)[0]))
_output(gelu, "other_form", "You took the other form: approximate says whether it goes by erf or by tanh.",
        lambda x, a: reference.gelu(x, "none"), lambda x, a: reference.gelu(x, "tanh"))  # fmt: skip
_output(gelu, "not_divided", "The argument of erf is x/√2, that of tanh √(2/π)·(x + 0.044715 x³): a factor is missing.",
        lambda x, a: x * (1 + _g_of(x, a, 1.0)) / 2)  # fmt: skip
_output(gelu, "silu", "You computed x·sigmoid(x), which is SiLU.", lambda x, a: x * _sigmoid(x))
_output(gelu, "relu", "You computed a ReLU.", lambda x, a: np.maximum(x, 0))
_output(gelu, "identity", "You changed nothing.", lambda x, a: x * 1.0)


def _g_of(x, approximate, front):
    """g of an argument that has lost its factor."""
    u = gelu_share(x, approximate)[2] / (np.sqrt(0.5) if approximate == "none" else np.sqrt(2 / np.pi)) * front
    return gelu_share(u * np.sqrt(2.0), "none")[0] if approximate == "none" else np.tanh(u)


def _cube(x, approximate, three):
    """u' with another factor than 3 in it; that of erf has none."""
    return np.sqrt(0.5) if approximate == "none" else np.sqrt(2 / np.pi) * (1 + three * 0.044715 * x * x)


_slope(gelu, "first_term", "You left out the second term of the product rule: dy·(s + x·s').",
       lambda d, x, a: d * _terms(x, a)[0])  # fmt: skip
_slope(gelu, "second_term", "You left out the first term of the product rule: dy·(s + x·s').",
       lambda d, x, a: d * x * _terms(x, a)[1])  # fmt: skip
_slope(gelu, "derivative_of_share", "You returned dy·s', the slope of s alone; it is dy·(s + x·s').",
       lambda d, x, a: d * _terms(x, a)[1])  # fmt: skip
_slope(gelu, "x_missing", "In the second term x is missing: dy·(s + x·s').",
       lambda d, x, a: d * (_terms(x, a)[0] + _terms(x, a)[1]))  # fmt: skip
_slope(gelu, "minus", "The second term has the wrong sign: dy·(s + x·s').",
       lambda d, x, a: d * (_terms(x, a)[0] - x * _terms(x, a)[1]))  # fmt: skip
_slope(gelu, "half_missing", "The second term is twice what it should be: a ½ is missing.",
       lambda d, x, a: d * (_terms(x, a)[0] + 2 * x * _terms(x, a)[1]))  # fmt: skip
_slope(gelu, "chain_missing", "The inner derivative is missing: s' is ½·g'(u)·u', where s = ½·(1 + g(u)).",
       lambda d, x, a: d * (_terms(x, a)[0] + x * _terms(x, a)[2] / 2))  # fmt: skip
_slope(gelu, "cube", "The slope of x³ is 3x²: u' is √(2/π)·(1 + 3·0.044715 x²), and your 3 is missing.",
       lambda d, x, a: d * (_terms(x, a)[0] + x * _terms(x, a)[2] / 2 * _cube(x, a, 1)),
       lambda d, x, a: d * (_terms(x, a)[0] + x * _terms(x, a)[2] / 2 * _cube(x, a, 0)))  # fmt: skip
_slope(gelu, "silus", "That is the slope of SiLU, x·sigmoid(x).", lambda d, x, a: _of_silu(d, x, _sigmoid(x)))
_slope(gelu, "sigmoid_form", "That is the slope of x·sigmoid(1.702 x); your forward goes by another form.",
       lambda d, x, a: reference.gelu_backward((x,), {"approximate": "sigmoid"}, d)[0])  # fmt: skip
_slope(gelu, "other_form", "That is the slope of the other form, by erf or by tanh.",
       lambda d, x, a: reference.gelu_backward((x,), {"approximate": "none"}, d)[0],
       lambda d, x, a: reference.gelu_backward((x,), {"approximate": "tanh"}, d)[0])  # fmt: skip

everywhere(leaky_relu, lambda x, o: reference.leaky_relu_backward((x,), o, 1.0)[0], "1 or negative_slope", "x")
everywhere(elu, lambda x, o: reference.elu_backward((x,), o, 1.0)[0], "1 or alpha·exp(x)", "x")
everywhere(silu, lambda x, o: reference.silu_backward((x,), o, 1.0)[0], "s + x·s(1 - s)", "x")
everywhere(gelu, lambda x, o: reference.gelu_backward((x,), o, 1.0)[0], "s + x·s'", "x")
