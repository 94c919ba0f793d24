"""Convolution as a layer."""

import math
from typing import Any

from ...blocks import on_cpu
from ...device import Device
from ...errors import OptionError
from ...ops.checks import pair
from ...tensors.creation import zeros
from ...tensors.tensor import Tensor
from ...types import DType, IntOrPair
from .. import functional, init
from ..inputs import check_positive
from ..module import Module, Parameter


class Conv2d(Module):
    """2-D convolution.   (N, in_channels, H, W) -> (N, out_channels, OH, OW)

    weight (out_channels, in_channels / groups, KH, KW), bias (out_channels,). padding is a number, a pair, "valid" or
    "same" (stride 1 and kernels that span an odd number of pixels only). Raises OptionError for values that mean
    nothing."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: IntOrPair | str = 0,
        dilation: IntOrPair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: str | Device | None = None,
        dtype: DType | None = None,
    ) -> None:
        check_positive("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        if padding_mode != "zeros":
            raise OptionError(f'Conv2d: padding_mode {padding_mode!r} is not supported, only "zeros" is')
        if in_channels % groups or out_channels % groups:
            raise OptionError(
                f"Conv2d: groups={groups} must divide in_channels={in_channels} and out_channels={out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = pair("Conv2d", "kernel_size", kernel_size, 1)
        self.stride = pair("Conv2d", "stride", stride, 1)
        self.dilation = pair("Conv2d", "dilation", dilation, 1)
        self.padding = self._padding(padding)
        # Channels-last in memory, as the convolution reads it: its matrix (O, KH·KW·C) is then a view of the weight.
        memory = zeros(out_channels, *self.kernel_size, in_channels // groups)
        self.weight = Parameter(memory.array.transpose(0, 3, 1, 2))
        self.bias = Parameter(zeros(out_channels)) if bias else None
        self.reset_parameters()
        self.to(device=device, dtype=dtype)

    def _padding(self, padding):
        if not isinstance(padding, str):
            return pair("Conv2d", "padding", padding, 0)
        if padding == "valid":
            return (0, 0)
        if padding != "same":
            raise OptionError(f'Conv2d: padding must be numbers, "valid" or "same", got {padding!r}')
        if self.stride != (1, 1) or any(d * (k - 1) % 2 for k, d in zip(self.kernel_size, self.dilation, strict=True)):
            raise OptionError('Conv2d: padding="same" needs stride 1 and kernels that span an odd number of pixels')
        return tuple(d * (k - 1) // 2 for k, d in zip(self.kernel_size, self.dilation, strict=True))

    def reset_parameters(self) -> None:
        """Draw new parameters as PyTorch does: even between ± 1 / sqrt(fan in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(init.fans(self.weight)[0])
            init.uniform_(self.bias, -bound, bound)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy. One of a `fuse()`d layer keeps what it computes from its weight, which is read-only for that."""
        vars(self).update(state)
        weight = self.weight.array
        if state.get("kept", {}).get("of") is weight and on_cpu(weight):
            weight.flags.writeable, self.kept = False, {"of": weight}

    def forward(self, x: Tensor) -> Tensor:
        """The convolution of x."""
        return functional.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, dilation=self.dilation, groups=self.groups
        )

    def extra_repr(self) -> str:
        """The options, defaults left out."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        text += f", padding={self.padding}" if self.padding != (0, 0) else ""
        text += f", dilation={self.dilation}" if self.dilation != (1, 1) else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        return text + (", bias=False" if self.bias is None else "")
