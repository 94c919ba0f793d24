"""Dropout as layers."""

from ...ops.checks import fraction
from ...tensors.tensor import Tensor
from .. import functional
from ..module import Module


class Dropout(Module):
    """Drops each number with probability p in training and scales the rest by 1 / (1 - p); in evaluation, nothing."""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        self.p, self.inplace = fraction(type(self).__name__, "p", p), inplace

    def forward(self, x: Tensor) -> Tensor:
        """x, thinned out in training."""
        return functional.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        """The options."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout2d(Dropout):
    """Drops each channel of an image with probability p in training: (N, C, H, W), whole planes at a time."""

    def forward(self, x: Tensor) -> Tensor:
        """x, some of its channels 0 in training."""
        return functional.dropout2d(x, self.p, self.training)
