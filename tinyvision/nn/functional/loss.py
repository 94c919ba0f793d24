"""The losses."""

from typing import Any

from ...tape import Variable
from ...tensors import taped as F
from ...tensors.tensor import Tensor


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-Σ target · log softmax(input), averaged over the batch (see `ops.cross_entropy_forward`)."""
    weight = weight.array if isinstance(weight, Variable) else weight
    return F.cross_entropy(
        input, target, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
    )


def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Tensor:
    """-input[n, target[n]], averaged over the batch: the cross-entropy of log-probabilities, as log_softmax gives them.

    input (N, K) or (N, K, ...), target (N,) or (N, ...) class numbers. See `ops.nll_loss_forward`."""
    weight = weight.array if isinstance(weight, Variable) else weight
    return F.nll_loss(input, target, weight=weight, ignore_index=ignore_index, reduction=reduction)


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """The mean of (input - target)²."""
    return F.mse(input, target, reduction=reduction)
