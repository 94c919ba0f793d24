"""The non-linearities."""

from typing import Any

from ...tensors import taped as F
from ...tensors.tensor import Tensor
from ..inputs import tensor_input


def relu(input: Any, inplace: bool = False) -> Tensor:
    """max(x, 0); `inplace` changes nothing that can be seen, the result is a new tensor."""
    return F.relu(input)


def relu6(input: Any, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6); `inplace` changes nothing that can be seen."""
    return F.relu6(input)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope · x; `inplace` changes nothing that can be seen."""
    input = tensor_input("leaky_relu", "input", input)
    return F.where(input, input * negative_slope, condition=input.array > 0)


def sigmoid(input: Any) -> Tensor:
    """1 / (1 + exp(-x))."""
    return F.sigmoid(input)


def tanh(input: Any) -> Tensor:
    """The hyperbolic tangent."""
    return F.tanh(input)


def softmax(input: Any, dim: int) -> Tensor:
    """exp(x) / Σ exp(x) along dim."""
    return F.softmax(input, axis=dim)


def log_softmax(input: Any, dim: int) -> Tensor:
    """x - log Σ exp(x) along dim."""
    return F.log_softmax(input, axis=dim)
