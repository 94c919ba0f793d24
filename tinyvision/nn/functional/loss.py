"""The losses."""

from typing import Any

from ...errors import DtypeError
from ...tape import Variable
from ...tensors import taped as F
from ...tensors.tensor import Tensor
from ..inputs import tensor_input


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

    input (N, K) or (N, K, ...), target (N,) or (N, ...) class numbers. Raises what cross_entropy raises."""
    input, target = tensor_input("nll_loss", "input", input), tensor_input("nll_loss", "target", target)
    if target.array.dtype.kind == "f":
        raise DtypeError("nll_loss: target must be class numbers (integers), got floating-point numbers")
    weight = weight.array if isinstance(weight, Variable) else weight
    # Cross-entropy's forward checks everything and leaves its target in the cache; only its softmax is not wanted here.
    options = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    _, (_, chosen, divisor) = F.cross_entropy.forward(input.array, target.array, **options)
    loss = F.sum(F.mul(input, -chosen), axis=1)
    return loss if reduction == "none" else F.sum(loss) / float(divisor)


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """The mean of (input - target)²."""
    return F.mse(input, target, reduction=reduction)
