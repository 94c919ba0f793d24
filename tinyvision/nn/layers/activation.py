"""Non-linearities as layers."""

from ...errors import OptionError
from ...ops.checks import is_integer
from ...tensors.tensor import Tensor
from .. import functional
from ..module import Module


class _Activation(Module):
    """An elementwise function. `inplace` is accepted and changes nothing to be seen: the result is a new tensor."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The option, if given."""
        return "inplace=True" if self.inplace else ""


class ReLU(_Activation):
    """max(x, 0). `inplace` is accepted and changes nothing that can be seen: the result is a new tensor."""

    def forward(self, x: Tensor) -> Tensor:
        """max(x, 0)"""
        return functional.relu(x)


class ReLU6(_Activation):
    """min(max(x, 0), 6). `inplace` changes nothing that can be seen."""

    def forward(self, x: Tensor) -> Tensor:
        """min(max(x, 0), 6)"""
        return functional.relu6(x)


class LeakyReLU(_Activation):
    """x where x > 0, else negative_slope · x. `inplace` changes nothing that can be seen."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """x where x > 0, else negative_slope · x"""
        return functional.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Tensor) -> Tensor:
        """1 / (1 + exp(-x))"""
        return functional.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        """tanh(x)"""
        return functional.tanh(x)


class Softmax(Module):
    """exp(x) / Σ exp(x) along `dim`."""

    def __init__(self, dim: int) -> None:
        if not is_integer(dim):
            name = type(self).__name__
            raise OptionError(f"{name}: dim must say along which axis, for instance 1 for classes; got {dim!r}")
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities."""
        return functional.softmax(x, self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """x - log Σ exp(x) along `dim`."""

    def forward(self, x: Tensor) -> Tensor:
        """Logarithms of probabilities."""
        return functional.log_softmax(x, self.dim)
