"""Mistakes in the smooth activations: sigmoid, tanh and softplus."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import reference
from ..reference import sigmoid as _sigmoid
from ..reference import softplus as _softplus
from ..reference import tanh as _tanh
from .mistake import Bank

sigmoid, tanh, softplus = Bank("sigmoid"), Bank("tanh"), Bank("softplus")
BANKS = [sigmoid, tanh, softplus]


def _output(bank: Bank, name: str, says: str, *forms: Callable[..., Any]) -> None:
    """A mistake in y, each form of it a function of x."""
    wrong, *also = [lambda i, o, f=f: f(i[0]) for f in forms]
    bank.add("y", name, says, wrong, also=tuple(also))


def _slope(bank: Bank, name: str, says: str, *forms: Callable[..., Any]) -> None:
    """A mistake in dx, each form of it a function of x, the right y and dy."""
    value = getattr(reference, bank.op)
    wrong, *also = [lambda i, o, d, f=f: f(i[0], value(i[0]), d) for f in forms]
    bank.add("dx", name, says, wrong, also=tuple(also))


_output(sigmoid, "sign", "You wrote exp(x); it is 1 / (1 + exp(-x)).", lambda x: _sigmoid(-x))
_output(sigmoid, "minus", "You wrote 1 - exp(-x) below; it is 1 + exp(-x).", lambda x: 1 / (1 - np.exp(-x)))
_output(sigmoid, "one_missing", "The 1 below is missing: it is 1 / (1 + exp(-x)).", np.exp)
_output(
    sigmoid, "exp_above", "You wrote exp(x) / (1 + exp(-x)); it is exp(x) / (1 + exp(x)), or 1 / (1 + exp(-x)).",
    lambda x: np.exp(x) * _sigmoid(x),
)  # fmt: skip
_output(sigmoid, "denominator_only",
        "Yours is 1 + exp(-x): the brackets are missing, as in 1 / 1 + exp(-x), or the division is.",
        lambda x: 1 + np.exp(-x))  # fmt: skip
_output(sigmoid, "tanh", "You computed tanh; it is 1 / (1 + exp(-x)), between 0 and 1.", _tanh)
_output(sigmoid, "twice", "You applied the sigmoid twice.", lambda x: _sigmoid(_sigmoid(x)))
_output(sigmoid, "logarithm", "You returned the logarithm of the sigmoid.", lambda x: -_softplus(-x))
_output(sigmoid, "slope", "You returned y(1 - y), its derivative.", lambda x: _sigmoid(x) * (1 - _sigmoid(x)))
_output(sigmoid, "relu", "You computed a ReLU.", lambda x: np.maximum(x, 0))
_output(sigmoid, "step", "You rounded to 0 and 1.", lambda x: (x > 0) * 1.0)
_output(sigmoid, "hard", "You computed the hard sigmoid, straight lines.",
        lambda x: np.clip(x / 6 + 0.5, 0, 1), lambda x: np.clip(0.2 * x + 0.5, 0, 1))  # fmt: skip
_output(sigmoid, "softmax", "You divided by a sum over the features: that is a softmax.",
        lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
        lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True))  # fmt: skip
_output(sigmoid, "identity", "You changed nothing.", lambda x: x * 1.0)
_output(sigmoid, "swish", "You multiplied by x: that is SiLU, or swish.", lambda x: x * _sigmoid(x))

_slope(sigmoid, "x_for_y", "You wrote x(1 - x); it is y(1 - y), with y the output.", lambda x, y, d: d * x * (1 - x))
_slope(sigmoid, "sigmoid_of_y",
       "You applied the sigmoid to y, the output, once more: it is y(1 - y), or s(x)(1 - s(x)).",
       lambda x, y, d: d * _sigmoid(y) * (1 - _sigmoid(y)))  # fmt: skip
_slope(sigmoid, "sigmoid_of_y_once", "In y(1 - y) one y is the sigmoid of y: both are the output itself.",
       lambda x, y, d: d * y * (1 - _sigmoid(y)), lambda x, y, d: d * _sigmoid(y) * (1 - y))  # fmt: skip
_slope(sigmoid, "mixed", "In y(1 - y) one y is x: both are the output.",
       lambda x, y, d: d * y * (1 - x), lambda x, y, d: d * x * (1 - y))  # fmt: skip
_slope(sigmoid, "y_missing", "You wrote dy(1 - y): y is missing, or the square below: exp(-x) / (1 + exp(-x))².",
       lambda x, y, d: d * (1 - y))  # fmt: skip
_slope(sigmoid, "one_minus_missing", "You wrote dy·y: (1 - y) is missing.", lambda x, y, d: d * y)
_slope(sigmoid, "y_squared", "You wrote y², in place of y(1 - y).", lambda x, y, d: d * y * y)
_slope(sigmoid, "one_minus_y_squared", "You wrote (1 - y)², in place of y(1 - y).", lambda x, y, d: d * (1 - y) ** 2)
_slope(sigmoid, "square_inside", "You wrote y(1 - y²); it is y(1 - y).", lambda x, y, d: d * y * (1 - y * y))
_slope(sigmoid, "plus", "You wrote y(1 + y); it is y(1 - y).", lambda x, y, d: d * y * (1 + y))
_slope(sigmoid, "tanhs", "1 - y² is the slope of tanh; that of a sigmoid is y(1 - y).",
       lambda x, y, d: d * (1 - y * y))  # fmt: skip
_slope(sigmoid, "slope_of_slope", "You put y(1 - y) into p(1 - p) again.",
       lambda x, y, d: d * y * (1 - y) * (1 - y * (1 - y)))  # fmt: skip

_output(tanh, "sign", "The sign is wrong: it is (e^x - e^-x) / (e^x + e^-x).", lambda x: -_tanh(x))
_output(tanh, "sigmoid", "You computed a sigmoid; tanh lies between -1 and 1.", _sigmoid)
_output(tanh, "half_argument", "You computed 2·sigmoid(x) - 1; it is 2·sigmoid(2x) - 1.", lambda x: _tanh(x / 2))
_output(tanh, "sigmoid_not_stretched", "You computed sigmoid(2x); it is 2·sigmoid(2x) - 1.", lambda x: _sigmoid(2 * x))
_output(tanh, "upside_down", "You divided e^x + e^-x by e^x - e^-x; it is the other way round.",
        lambda x: 1 / _tanh(x))  # fmt: skip
_output(tanh, "not_divided", "You did not divide by e^x + e^-x.",
        lambda x: np.exp(x) - np.exp(-x), np.sinh)  # fmt: skip
_output(tanh, "tangent", "You computed tan, of an angle; it is tanh.", np.tan)
_output(tanh, "arctangent", "You computed arctan; it is tanh.", np.arctan)
_output(tanh, "softsign", "You computed x / (1 + |x|).", lambda x: x / (1 + np.abs(x)))
_output(tanh, "hard", "You clipped x to -1 and 1.", lambda x: np.clip(x, -1, 1))
_output(tanh, "twice", "You applied tanh twice.", lambda x: _tanh(_tanh(x)))
_output(tanh, "slope", "You returned 1 - y², its derivative.", lambda x: 1 - _tanh(x) ** 2)
_output(tanh, "relu", "You computed a ReLU.", lambda x: np.maximum(x, 0))
_output(tanh, "identity", "You changed nothing.", lambda x: x * 1.0)

_slope(tanh, "x_for_y", "You wrote 1 - x²; it is 1 - y², with y the output.", lambda x, y, d: d * (1 - x * x))
_slope(tanh, "tanh_of_y", "You applied tanh to y, the output, once more: it is 1 - y², or 1 - tanh(x)².",
       lambda x, y, d: d * (1 - _tanh(y) ** 2))  # fmt: skip
_slope(tanh, "square_missing", "You wrote 1 - y; it is 1 - y².", lambda x, y, d: d * (1 - y))
_slope(tanh, "square_of_all", "You wrote (1 - y)²; it is 1 - y².", lambda x, y, d: d * (1 - y) ** 2)
_slope(tanh, "sigmoids", "y(1 - y) is the slope of a sigmoid; that of tanh is 1 - y².", lambda x, y, d: d * y * (1 - y))
_slope(tanh, "y_squared", "You wrote y²; it is 1 - y².", lambda x, y, d: d * y * y)
_slope(tanh, "plus", "You wrote 1 + y²; it is 1 - y².", lambda x, y, d: d * (1 + y * y))
_slope(tanh, "power_three", "You wrote 1 - y³; it is 1 - y².", lambda x, y, d: d * (1 - y**3))
_slope(tanh, "doubled_square", "You wrote 1 - 2y, or 1 - 2y²; it is 1 - y².",
       lambda x, y, d: d * (1 - 2 * y), lambda x, y, d: d * (1 - 2 * y * y))  # fmt: skip
_slope(tanh, "not_squared", "1 / cosh(x) has to be squared: it is 1 / cosh²(x), or 1 - y².",
       lambda x, y, d: d / np.cosh(x))  # fmt: skip
_slope(tanh, "upside_down", "You multiplied by cosh²(x); divide by it: 1 - y² = 1 / cosh²(x).",
       lambda x, y, d: d * np.cosh(x) ** 2)  # fmt: skip

_output(softplus, "sign", "You wrote log(1 + exp(-x)); it is log(1 + exp(x)).", lambda x: _softplus(-x))
_output(softplus, "one_missing", "log(exp(x)) is x: the 1 is missing.", lambda x: x * 1.0)
_output(softplus, "logarithm_missing", "The logarithm is missing: it is log(1 + exp(x)).", lambda x: 1 + np.exp(x))
_output(softplus, "one_outside", "You wrote log(exp(x)) + 1; it is log(exp(x) + 1).", lambda x: x + 1)
_output(softplus, "base_two", "You used log2; softplus uses the natural logarithm.", lambda x: _softplus(x) / np.log(2))
_output(softplus, "base_ten", "You used log10; softplus uses the natural logarithm.",
        lambda x: _softplus(x) / np.log(10))  # fmt: skip
_output(softplus, "relu", "You computed a ReLU, of which softplus is the smooth form.", lambda x: np.maximum(x, 0))
_output(softplus, "slope", "You returned the sigmoid, its derivative.", _sigmoid)
_output(softplus, "log_sigmoid", "You returned log(sigmoid(x)); it is -log(sigmoid(-x)).", lambda x: -_softplus(-x))

_slope(
    softplus,
    "sign",
    "You wrote 1 / (1 + exp(x)): exp(x) above it is missing, or the minus of 1 / (1 + exp(-x)).",
    lambda x, y, d: d * _sigmoid(-x),
)
_slope(softplus, "sigmoid_of_y", "You took the sigmoid of y, the output; it is the sigmoid of x.",
       lambda x, y, d: d * _sigmoid(y))  # fmt: skip
_slope(softplus, "sigmoids_slope", "y(1 - y) is the slope of a sigmoid; that of softplus is the sigmoid itself.",
       lambda x, y, d: d * _sigmoid(x) * (1 - _sigmoid(x)), lambda x, y, d: d * y * (1 - y))  # fmt: skip
_slope(softplus, "exponential", "You wrote dy·exp(x): the division by 1 + exp(x) is missing.",
       lambda x, y, d: d * np.exp(x))  # fmt: skip
_slope(softplus, "tanhs", "That is the slope of tanh.", lambda x, y, d: d * (1 - _tanh(x) ** 2))


def everywhere(bank: Bank, right: Callable[..., Any], words: str, of: str) -> None:
    """The mistakes in dx that every activation has; `right(v, options)` is its slope, a function of x or of y."""
    value = {"x": lambda x, o: x, "y": lambda x, o: getattr(reference, bank.op)(x, **o)}
    output, inner = value["y"], value[of]

    def add(name, says, form):
        def wrong(i, o, d):
            return form(d, right(inner(i[0], o), o), i[0], output(i[0], o))

        bank.add("dx", name, says, wrong)

    add("dy_ignored", f"You never used dy: it is dy times {words}.", lambda d, r, x, y: r)
    add("identity", f"You passed dy through as it is; multiply it by {words}.", lambda d, r, x, y: d * 1.0)
    add("sign_of_all", "The sign is wrong.", lambda d, r, x, y: -d * r)
    add("zero", "It is all zero: the result was never stored.", lambda d, r, x, y: 0 * d)
    bank.add("dx", "of_dy", f"You put dy where {of} belongs: it is dy times {words}.", lambda i, o, d: right(d, o))
    add("multiplied_by_x", "You multiplied by x as well.", lambda d, r, x, y: d * x * r)
    add("multiplied_by_y", "You multiplied by y as well.", lambda d, r, x, y: d * y * r)
    add("divided_by_batch", "You divided by the batch size; it works on each element alone.",
        lambda d, r, x, y: d * r / len(d))  # fmt: skip
    add("relus", "You passed dy where x is positive: that is a ReLU's backward.", lambda d, r, x, y: d * (x > 0))
    add("doubled", "Yours is twice the right one.", lambda d, r, x, y: 2 * d * r)
    add("absolute", "You lost the sign of dy.", lambda d, r, x, y: np.abs(d) * r)
    add("slope_twice", f"You multiplied by {words} twice.", lambda d, r, x, y: d * r * r)
    add("summed_over_batch", "You summed over the batch; each image has its own gradient.",
        lambda d, r, x, y: np.broadcast_to((d * r).sum(0), d.shape))  # fmt: skip
    add("slope_of_last_only", "Only the last image has a gradient.",
        lambda d, r, x, y: np.concatenate([0 * d[:-1], (d * r)[-1:]]))  # fmt: skip


everywhere(sigmoid, lambda y, o: y * (1 - y), "y(1 - y)", "y")
everywhere(tanh, lambda y, o: 1 - y * y, "1 - y²", "y")
everywhere(softplus, lambda y, o: 1 - np.exp(-y), "the sigmoid of x", "y")
