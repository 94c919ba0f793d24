"""Losses as modules."""

from typing import Any

import numpy as np

from ..device import to_device
from ..errors import OptionError, ShapeError
from ..ops.checks import fraction, is_integer
from ..tensors.tensor import Tensor
from . import functional
from .inputs import tensor_input
from .module import Buffer, Module


class _Loss(Module):
    def __init__(self, reduction: str) -> None:
        if reduction not in ("mean", "sum", "none"):
            raise OptionError(f'{type(self).__name__}: reduction must be "mean", "sum" or "none", got {reduction!r}')
        self.reduction = reduction


class _ClassLoss(_Loss):
    def __init__(self, weight: Any, ignore_index: int, reduction: str) -> None:
        super().__init__(reduction)
        if not is_integer(ignore_index):
            raise OptionError(f"{type(self).__name__}: ignore_index must be an integer, got {ignore_index!r}")
        self.ignore_index = ignore_index
        weight = np.asarray(weight, np.float32) if isinstance(weight, (list, tuple)) else weight
        self.weight = None if weight is None else Buffer(weight)
        if self.weight is not None and self.weight.ndim != 1:
            raise ShapeError(
                f"{type(self).__name__}: weight must have one number per class (K,), got {self.weight.shape}"
            )

    def _weight_for(self, input):
        """The class weights in the precision and on the device of the scores."""
        if self.weight is None:
            return None
        input = tensor_input(type(self).__name__, "input", input)
        return to_device(self.weight.array.astype(input.dtype), input.device)


class CrossEntropyLoss(_ClassLoss):
    """Softmax and negative log-likelihood in one: takes scores (N, K) and class numbers (N,) or probabilities (N,
    K)."""

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        super().__init__(weight, ignore_index, reduction)
        self.label_smoothing = fraction("CrossEntropyLoss", "label_smoothing", label_smoothing)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of scores `input` for `target`."""
        weight = self._weight_for(input)
        return functional.cross_entropy(input, target, weight, self.ignore_index, self.reduction, self.label_smoothing)


class NLLLoss(_ClassLoss):
    """Negative log-likelihood: takes log-probabilities (N, K), as LogSoftmax gives them, and class numbers (N,)."""

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight, ignore_index, reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss of log-probabilities `input` for `target`."""
        return functional.nll_loss(input, target, self._weight_for(input), self.ignore_index, self.reduction)


class MSELoss(_Loss):
    """The mean of (input - target)²."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__(reduction)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.mse_loss(input, target, self.reduction)
