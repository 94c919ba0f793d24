"""Pooling as layers."""

from ...errors import OptionError
from ...ops.checks import pair
from ...tensors.tensor import Tensor
from ...types import IntOrPair
from .. import functional
from ..module import Module


class MaxPool2d(Module):
    """The largest number of every window.   (N, C, H, W) -> (N, C, OH, OW)"""

    def __init__(
        self,
        kernel_size: IntOrPair,
        stride: IntOrPair | None = None,
        padding: IntOrPair = 0,
        dilation: IntOrPair = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        if dilation not in (1, (1, 1)) or return_indices or ceil_mode:
            raise OptionError("MaxPool2d: dilation, return_indices and ceil_mode are not supported")
        _pool_options("MaxPool2d", kernel_size, stride, padding)
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """The maxima."""
        return functional.max_pool2d(x, self.kernel_size, self.stride, self.padding)

    def extra_repr(self) -> str:
        """The options."""
        text = f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"
        return text + ", dilation=1, ceil_mode=False"


class AvgPool2d(Module):
    """The mean of every window.   (N, C, H, W) -> (N, C, OH, OW)"""

    def __init__(
        self,
        kernel_size: IntOrPair,
        stride: IntOrPair | None = None,
        padding: IntOrPair = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        if ceil_mode or divisor_override is not None:
            raise OptionError("AvgPool2d: ceil_mode and divisor_override are not supported")
        _pool_options("AvgPool2d", kernel_size, stride, padding)
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.count_include_pad = count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        """The means."""
        count = self.count_include_pad
        return functional.avg_pool2d(x, self.kernel_size, self.stride, self.padding, count_include_pad=count)

    def extra_repr(self) -> str:
        """The options."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


def _pool_options(layer, kernel_size, stride, padding):
    kernel_size, padding = pair(layer, "kernel_size", kernel_size, 1), pair(layer, "padding", padding, 0)
    if stride is not None:
        pair(layer, "stride", stride, 1)
    if any(2 * p > k for p, k in zip(padding, kernel_size, strict=True)):
        raise OptionError(f"{layer}: padding must be at most half of kernel_size, got {padding} and {kernel_size}")


class AdaptiveAvgPool2d(Module):
    """Means over windows as even as possible, for an output of given size.   (N, C, H, W) -> (N, C, *output_size)"""

    def __init__(self, output_size: IntOrPair) -> None:
        pair("AdaptiveAvgPool2d", "output_size", output_size, 1)
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        """The means."""
        return functional.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        """The output size."""
        return f"output_size={self.output_size}"
