"""Non-linearities as layers."""

import warnings
from dataclasses import InitVar
from typing import Any

import numpy as np

from ...errors import OptionError
from ...ops.checks import check_positive, is_integer
from ...tensors.creation import zeros
from ...tensors.tensor import Tensor
from .. import functional
from ..module import Module, Parameter
from .declared import Declared

__all__ = [
    "CELU", "ELU", "GELU", "GLU", "SELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU",
    "LogSigmoid", "LogSoftmax", "Mish", "PReLU", "ReLU", "ReLU6", "SiLU", "Sigmoid", "Softmax", "Softmax2d",
    "Softmin", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink", "Threshold",
]  # fmt: skip


class ReLU(Declared, function=functional.relu):
    """max(x, 0)"""

    inplace: bool = False


class ReLU6(Declared, function=functional.relu6):
    """min(max(x, 0), 6)"""

    inplace: bool = False


class LeakyReLU(Declared, function=functional.leaky_relu):
    """x where x > 0, else negative_slope · x"""

    negative_slope: float = 0.01
    inplace: bool = False


class ELU(Declared, function=functional.elu):
    """x where x > 0, else alpha · (exp(x) - 1)"""

    alpha: float = 1.0
    inplace: bool = False


class SELU(Declared, function=functional.selu):
    """ELU with the alpha and the scale that keep mean 0 and variance 1."""

    inplace: bool = False


class CELU(Declared, function=functional.celu):
    """x where x > 0, else alpha · (exp(x / alpha) - 1)"""

    alpha: float = 1.0
    inplace: bool = False


class GELU(Declared, function=functional.gelu):
    """x · Φ(x), Φ the normal distribution's share below x; approximate="tanh" is nearly the same."""

    approximate: str = "none"

    def extra_repr(self) -> str:
        """The option."""
        return f"approximate={self.approximate!r}"


class SiLU(Declared, function=functional.silu):
    """x · sigmoid(x)"""

    inplace: bool = False


class Mish(Declared, function=functional.mish):
    """x · tanh(softplus(x))"""

    inplace: bool = False


class Hardswish(Declared, function=functional.hardswish):
    """x · hardsigmoid(x)"""

    inplace: bool = False
    hidden = ("inplace",)


class Hardsigmoid(Declared, function=functional.hardsigmoid):
    """x / 6 + 1/2, cut off at 0 and 1."""

    inplace: bool = False
    hidden = ("inplace",)


class Hardtanh(Declared, function=functional.hardtanh):
    """x, moved to the nearest from min_val to max_val."""

    min_val: float = -1.0
    max_val: float = 1.0
    inplace: bool = False
    min_value: InitVar[float | None] = None  # the old names of the two
    max_value: InitVar[float | None] = None

    def __post_init__(self, min_value: float | None, max_value: float | None) -> None:
        for name, old in (("min_val", min_value), ("max_val", max_value)):
            if old is not None:
                warnings.warn(f"Hardtanh: {name}ue is the old name of {name}", FutureWarning, stacklevel=3)
                setattr(self, name, old)
        if not self.min_val < self.max_val:
            raise OptionError(f"Hardtanh: min_val must be below max_val, got {self.min_val!r} and {self.max_val!r}")


class Softplus(Declared, function=functional.softplus):
    """log(1 + exp(beta · x)) / beta; x itself where beta · x > threshold"""

    beta: float = 1.0
    threshold: float = 20.0


class Threshold(Declared, function=functional.threshold):
    """x where x > threshold, else value"""

    threshold: float
    value: float
    inplace: bool = False


class Softshrink(Declared, function=functional.softshrink):
    """x, moved by lambd towards 0 and no further."""

    lambd: float = 0.5
    bare = ("lambd",)


class Hardshrink(Declared, function=functional.hardshrink):
    """x where |x| > lambd, else 0"""

    lambd: float = 0.5
    bare = ("lambd",)


class Tanhshrink(Declared, function=functional.tanhshrink):
    """x - tanh(x)"""


class Softsign(Declared, function=functional.softsign):
    """x / (1 + |x|)"""


class LogSigmoid(Declared, function=functional.logsigmoid):
    """log(sigmoid(x))"""


class Sigmoid(Declared, function=functional.sigmoid):
    """1 / (1 + exp(-x))"""


class Tanh(Declared, function=functional.tanh):
    """The hyperbolic tangent."""


class GLU(Declared, function=functional.glu):
    """The first half along dim, times the sigmoid of the second."""

    dim: int = -1


class Softmax(Declared, function=functional.softmax):
    """exp(x) / Σ exp(x) along `dim`. Without one, PyTorch's old rule chooses the axis, with its warning."""

    dim: int | None = None

    def __post_init__(self) -> None:
        if self.dim is not None and not is_integer(self.dim):
            name = type(self).__name__
            raise OptionError(f"{name}: dim must say along which axis, for instance 1 for classes; got {self.dim!r}")


class LogSoftmax(Softmax, function=functional.log_softmax):
    """x - log Σ exp(x) along `dim`."""


class Softmin(Softmax, function=functional.softmin):
    """exp(-x) / Σ exp(-x) along `dim`."""


class Softmax2d(Module):
    """Softmax over the channels of (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        """Probabilities for each pixel."""
        return functional.softmax(input, -3)


class PReLU(Module):
    """x where x > 0, else weight · x, with one learned weight, or one for each channel of (N, C, ...)."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        check_positive("PReLU", num_parameters=num_parameters)
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(zeros(num_parameters) + np.float32(init))
        self.to(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """All weights as they were given, as in a new layer."""
        self.weight.data.fill_(self.init)

    def forward(self, input: Tensor) -> Tensor:
        """input, or weight · input."""
        return functional.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """How many weights."""
        return f"num_parameters={self.num_parameters}"
