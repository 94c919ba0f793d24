"""Keras's activations by name, as it has them: some names mean other functions in Keras 3 than before."""

from __future__ import annotations

from typing import Any

from ..nn import functional as F
from ..ops.checks import is_integer
from .chains import Role

_PLAIN = {
    "linear": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "elu": F.elu,
    "selu": F.selu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "silu": F.silu,
    "swish": F.silu,
    "gelu": F.gelu,
    "mish": F.mish,
    "exponential": lambda x: x.exp(),
    "hard_silu": F.hardswish,
    "hard_swish": F.hardswish,
    "hard_tanh": F.hardtanh,
}


class Activation:
    """A function with its numbers: a plain object, so that a model can be copied and kept."""

    def __init__(self, name: str = "linear", version: int = 3, **numbers: Any) -> None:
        self.name, self.version, self.numbers = name, version, numbers

    def __repr__(self) -> str:
        """The name."""
        return self.name

    def __call__(self, x: Any) -> Any:
        """x of any shape -> the same shape."""
        n = self.numbers
        if self.name in ("softmax", "log_softmax"):
            axis = n.get("axis", -1)
            function = F.softmax if self.name == "softmax" else F.log_softmax
            return function(x, dim=(0, 2, 3, 1)[axis % 4] if x.ndim == 4 else axis)
        if self.name == "hard_sigmoid" and self.version < 3:
            return (x * 0.2 + 0.5).clamp(0, 1)
        if self.name == "hard_sigmoid":
            return F.hardsigmoid(x)
        if self.name == "leaky_relu":
            return F.leaky_relu(x, n.get("slope", 0.2))
        if self.name == "relu" and n:
            return _relu(x, **n)
        if self.name == "elu" and n:
            return F.elu(x, n["alpha"])
        return _PLAIN[self.name](x)

    @property
    def plain(self) -> str:
        """What a convolution that is finished with it calls it, "linear" if nothing is done; "" for all others."""
        numbers = {k: v for k, v in self.numbers.items() if v}
        if self.name == "relu" and not numbers.keys() - {"largest"}:
            return (
                {None: "relu", 6: "relu6"}.get(numbers.get("largest"), "") if self.numbers.get("largest") != 0 else ""
            )
        if numbers or (self.name == "hard_sigmoid" and self.version < 3):
            return ""
        return _FINISHES.get(self.name, "")

    def behind(self, kind: str) -> Role | None:
        """The role in a chain of a layer of this kind that ends with it; None where such a layer is in no chain."""
        if not self.plain:
            return None
        return Role(kind, None if self.plain == "linear" and kind != "act" else self.plain)


# By the names of `ops.conv_inference`.
_FINISHES = {
    "linear": "linear", "relu": "relu", "relu6": "relu6", "sigmoid": "sigmoid", "hard_sigmoid": "hardsigmoid",
    "silu": "silu", "swish": "silu", "hard_silu": "hardswish", "hard_swish": "hardswish",
}  # fmt: skip


def _relu(x, largest, slope, threshold):
    """Keras's: x from the threshold on, at most `largest`; below it, slope · (x - threshold)."""
    if threshold == slope == 0 and largest == 6:
        return F.relu6(x)
    if threshold == 0:
        y = F.leaky_relu(x, slope) if slope else F.relu(x)
    else:
        y = x * (x >= threshold).to(x.dtype) + slope * (x - threshold).clamp(max=0)
    return y if largest is None else y.clamp(max=largest)


def activation_of(options: Any, kind: str = "") -> Activation:
    """The activation in a layer's options, or the one that a layer of this kind is. Raises WeightsError."""
    if kind == "ReLU":
        slope, threshold = (options.number(k, 0.0) if options.get(k) else 0.0 for k in ("negative_slope", "threshold"))
        largest = None if options.get("max_value") is None else options.number("max_value")
        return Activation("relu", largest=largest, slope=slope, threshold=threshold)
    if kind == "LeakyReLU":
        return Activation("leaky_relu", slope=options.number("alpha" if "alpha" in options else "negative_slope", 0.3))
    if kind == "ELU":
        return Activation("elu", alpha=options.number("alpha", 1.0))
    if kind == "Softmax":
        axis = options.get("axis", -1)
        axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
        if not is_integer(axis) or not -4 <= axis < 4:
            raise options.refuse(f"axis={axis!r:.40} is not one axis")
        return Activation("softmax", axis=axis)
    return _named(options, options.get("activation"))


def _named(options, given):
    if given is None:
        return Activation()
    if isinstance(given, dict):  # a function or a layer, as it was put down with its class
        inner = given.get("config")
        if given.get("class_name") == "function" and isinstance(inner, str):
            given = inner
        elif given.get("class_name") in ("ReLU", "LeakyReLU", "ELU", "Softmax") and isinstance(inner, dict):
            return activation_of(type(options)(given["class_name"], inner, options.version), given["class_name"])
        else:
            given = given.get("class_name")
    name = str(given)
    if name not in _PLAIN and name not in ("softmax", "log_softmax", "hard_sigmoid", "leaky_relu"):
        raise options.refuse(f"the activation {name[:60]!r} is not known here")
    return Activation(name, options.version)
