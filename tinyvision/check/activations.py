"""What an activation's wrong numbers are a function of: polynomials, and the functions that people know.

An activation works on each number alone, so yours is f(x), and its gradient dy times f(x) or f(y), for some f. If f is
one that has a name, on every probe and to the last digit, it is told.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import reference
from .evidence import Evidence, finite, same

# What dy is multiplied by in the right gradient of an activation.
SLOPES = {
    "sigmoid": "y(1 - y)",
    "tanh": "1 - y²",
    "softplus": "the sigmoid of x",
    "relu": "1 where x > 0",
    "leaky_relu": "1 where x > 0, else negative_slope",
    "elu": "1 where x > 0, else alpha·exp(x)",
    "silu": "s + x·s(1 - s), s the sigmoid of x",
    "gelu": "s + x·s', where y = x·s(x)",
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "the sigmoid of {}": reference.sigmoid,
    "the sigmoid's slope at {}": lambda v: reference.sigmoid(v) * (1 - reference.sigmoid(v)),
    "tanh({})": np.tanh,
    "1 - tanh({})²": lambda v: 1 - np.tanh(v) ** 2,
    "exp({})": np.exp,
    "exp(-{})": lambda v: np.exp(-v),
    "1 + exp({})": lambda v: 1 + np.exp(v),
    "log(1 + exp({}))": reference.softplus,
    "sinh({})": np.sinh,
    "cosh({})": np.cosh,
    "1/cosh({})": lambda v: 1 / np.cosh(v),
    "cosh({})²": lambda v: np.cosh(v) ** 2,
    "tan({})": np.tan,
    "arctan({})": np.arctan,
    "{}/(1 + |{}|)": lambda v: v / (1 + np.abs(v)),
    "{} clipped to -1 and 1": lambda v: np.clip(v, -1, 1),
    "{} clipped to 0 and 1": lambda v: np.clip(v, 0, 1),
    "max({}, 0)": lambda v: np.maximum(v, 0),
    "{}³": lambda v: v**3,
    "1 - {}³": lambda v: 1 - v**3,
    "the softmax of {} over its features": lambda v: np.exp(v) / np.exp(v).sum(1, keepdims=True),
}
ORDERS = 5  # a polynomial that is looked for has at most this many powers, the zeroth among them


def told(name: str, evidences: Sequence[Evidence]) -> tuple[str, str] | None:
    """(id, words) for an activation's y or dx that is a function with a name; None for any other."""
    usable = [e for e in evidences if finite(e)]
    if not usable or usable[0].probe.op not in SLOPES or name not in ("y", "dx"):
        return None
    for variable in ("x",) if name == "y" else ("y", "x", "dy"):
        function = _polynomial(name, usable, variable) or _known(name, usable, variable)
        if function:
            meant = f" y is the output, after {usable[0].probe.op}." if "y" in function.replace("dy", "") else ""
            if name == "y":
                return f"function:{function}", f"Your y is {function}."
            right = SLOPES[usable[0].probe.op]
            return f"slope:{function}", f"Your dx is dy times {function}; it is dy times {right}.{meant}"
    return None


def _value(e, variable):
    values = {"x": e.probe.inputs[0], "y": e.probe.y, "dy": e.probe.dy}
    return np.asarray(values[variable], dtype=np.float64)


def _known(name, usable, variable):
    for words, function in FUNCTIONS.items():
        with np.errstate(all="ignore"):
            right = [function(_value(e, variable)) * (1 if name == "y" else e.probe.dy) for e in usable]
        if all(same(e.yours, r, e.tolerance) for e, r in zip(usable, right, strict=True)):
            return words.replace("{}", variable)
    return None


def _polynomial(name, usable, variable):
    """The polynomial in words, if its factors are whole or half numbers, and the same on every probe."""
    found: set[Any] = set()
    for e in usable:
        v, dy = _value(e, variable), 1.0 if name == "y" else np.asarray(e.probe.dy)
        yours = e.yours.ravel().astype(np.float64)
        basis = np.stack([(dy * v**k).ravel() for k in range(ORDERS)], 1)
        solved, _, rank, _ = np.linalg.lstsq(basis, yours, rcond=1e-13)
        factors = np.round(2 * solved) / 2
        close = np.abs(basis @ factors - yours).max() <= e.tolerance * max(np.abs(yours).max(), 1e-300)
        found.add(tuple(factors.tolist()) if rank == ORDERS and len(yours) > 2 * ORDERS and close else None)
    if len(found) != 1 or None in found:
        return None
    text = ""
    for factor, power in zip(found.pop(), ("", *(variable + p for p in ("", "²", "³", "⁴"))), strict=True):
        if factor:
            size = f"{abs(factor):g}" if abs(factor) != 1 or not power else ""
            sign = (" - " if factor < 0 else " + ") if text else ("-" if factor < 0 else "")
            text += f"{sign}{size}{'·' if size and power else ''}{power}"
    return text
