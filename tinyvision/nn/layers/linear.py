"""The linear layer."""

import math

from ...device import DeviceName
from ...ops.checks import check_positive
from ...tensors.creation import zeros
from ...tensors.tensor import Tensor
from ...types import DType
from .. import functional, init
from ..module import Module, Parameter

__all__ = ["Linear"]


class Linear(Module):
    """y = x weightᵀ + bias.   (N, in_features) -> (N, out_features)"""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: DeviceName | None = None,
        dtype: DType | None = None,
    ) -> None:
        check_positive("Linear", in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(zeros(out_features, in_features))
        self.bias = Parameter(zeros(out_features)) if bias else None
        self.reset_parameters()
        self.to(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw new parameters as PyTorch does: even between ± 1 / sqrt(in_features)."""
        bound = 1 / math.sqrt(self.in_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """input weightᵀ + bias"""
        return functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
