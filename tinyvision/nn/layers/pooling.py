"""Pooling as layers."""

from typing import Any

from ...errors import OptionError
from ...ops.checks import pair
from .. import functional
from .declared import Declared

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AvgPool1d", "AvgPool2d",
    "LPPool2d", "LocalResponseNorm", "MaxPool1d", "MaxPool2d", "MaxUnpool2d",
]  # fmt: skip


class _Windowed(Declared):
    kernel_size: Any
    stride: Any
    padding: Any

    def __post_init__(self) -> None:
        name = type(self).__name__
        kernel, padding = pair(name, "kernel_size", self.kernel_size, 1), pair(name, "padding", self.padding, 0)
        self.stride = self.kernel_size if self.stride is None else self.stride
        pair(name, "stride", self.stride, 1)
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            raise OptionError(f"{name}: padding must be at most half of kernel_size, got {padding} and {kernel}")


class MaxPool2d(_Windowed, function=functional.max_pool2d):
    """The largest number of every window.   (N, C, H, W) -> (N, C, OH, OW)"""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    return_indices: bool = False
    ceil_mode: bool = False
    hidden = ("return_indices",)


class MaxPool1d(MaxPool2d, function=functional.max_pool1d):
    """The largest number of every window.   (N, C, L) -> (N, C, OL)"""


class AvgPool2d(_Windowed, function=functional.avg_pool2d):
    """The mean of every window.   (N, C, H, W) -> (N, C, OH, OW)"""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None
    hidden = ("ceil_mode", "count_include_pad", "divisor_override")


class AvgPool1d(_Windowed, function=functional.avg_pool1d):
    """The mean of every window.   (N, C, L) -> (N, C, OL)"""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    ceil_mode: bool = False
    count_include_pad: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("kernel_size", "stride", "padding"):  # PyTorch keeps them as tuples of one
            value = getattr(self, name)
            setattr(self, name, value if isinstance(value, tuple) else (value,))

    hidden = ("ceil_mode", "count_include_pad")


class _ToSize(Declared):
    output_size: Any

    def __post_init__(self) -> None:
        given = self.output_size if isinstance(self.output_size, (tuple, list)) else (self.output_size,) * 2
        pair(type(self).__name__, "output_size", tuple(1 if n is None else n for n in given), 1)


class AdaptiveAvgPool2d(_ToSize, function=functional.adaptive_avg_pool2d):
    """Means over windows as even as possible, for an output of given size.   (N, C, H, W) -> (N, C, *output_size)"""

    output_size: Any


class AdaptiveAvgPool1d(_ToSize, function=functional.adaptive_avg_pool1d):
    """Means over windows as even as possible.   (N, C, L) -> (N, C, output_size)"""

    output_size: Any


class AdaptiveMaxPool2d(_ToSize, function=functional.adaptive_max_pool2d):
    """Maxima over windows as even as possible.   (N, C, H, W) -> (N, C, *output_size)"""

    output_size: Any
    return_indices: bool = False
    hidden = ("return_indices",)


class AdaptiveMaxPool1d(_ToSize, function=functional.adaptive_max_pool1d):
    """Maxima over windows as even as possible.   (N, C, L) -> (N, C, output_size)"""

    output_size: Any
    return_indices: bool = False
    hidden = ("return_indices",)


class MaxUnpool2d(Declared, function=functional.max_unpool2d):
    """Zeros, with the maxima back where `MaxPool2d(..., return_indices=True)` found them."""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0

    def __post_init__(self) -> None:
        self.kernel_size = pair("MaxUnpool2d", "kernel_size", self.kernel_size, 1)
        self.stride = self.kernel_size if self.stride is None else pair("MaxUnpool2d", "stride", self.stride, 1)
        self.padding = pair("MaxUnpool2d", "padding", self.padding, 0)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        """The maxima among zeros."""
        return functional.max_unpool2d(input, indices, **self.options(), output_size=output_size)


class LPPool2d(Declared, function=functional.lp_pool2d):
    """(Σ x^p)^(1/p) over every window."""

    norm_type: float
    kernel_size: Any
    stride: Any = None
    ceil_mode: bool = False


class LocalResponseNorm(Declared, function=functional.local_response_norm):
    """x / (k + alpha · mean of x² over `size` neighbouring channels)^beta, as in AlexNet."""

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0
    bare = ("size",)
