"""Dropout as layers."""

from typing import Any

from ...ops.checks import fraction
from ...tensors.tensor import Tensor
from .. import functional
from .declared import Declared

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d"]


class Dropout(Declared, function=functional.dropout):
    """Drops each number with probability p in training and scales the rest by 1 / (1 - p); in evaluation, nothing."""

    p: float = 0.5
    inplace: bool = False

    def __post_init__(self) -> None:
        self.p = fraction(type(self).__name__, "p", self.p)

    def options(self) -> dict[str, Any]:
        """The options, and whether this is training."""
        return {**super().options(), "training": self.training}

    def forward(self, input: Tensor) -> Tensor:
        """input, thinned out in training."""
        return super().forward(input)

    def extra_repr(self) -> str:
        """The options."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout1d(Dropout, function=functional.dropout1d):
    """Drops whole channels of (N, C, L) with probability p in training."""


class Dropout2d(Dropout, function=functional.dropout2d):
    """Drops each channel of an image with probability p in training: (N, C, H, W), whole planes at a time."""


class Dropout3d(Dropout, function=functional.dropout3d):
    """Drops whole channels of (N, C, D, H, W) with probability p in training."""


class AlphaDropout(Dropout, function=functional.alpha_dropout):
    """Dropout for SELU, which keeps mean 0 and variance 1."""
