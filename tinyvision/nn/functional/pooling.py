"""Pooling."""

from typing import Any

from ...errors import OptionError
from ...tensors import taped as F
from ...tensors.tensor import Tensor
from ...types import IntOrPair


def adaptive_avg_pool2d(input: Any, output_size: IntOrPair) -> Tensor:
    """Means over windows as even as possible.   (N, C, H, W) -> (N, C, *output_size)"""
    return F.adaptive_avg_pool2d(input, output_size=output_size)


def max_pool2d(input: Any, kernel_size: IntOrPair, stride: IntOrPair | None = None, padding: IntOrPair = 0) -> Tensor:
    """The largest number of every window.   (N, C, H, W) -> (N, C, OH, OW)"""
    return F.max_pool2d(input, kernel_size=kernel_size, stride=stride, padding=padding)


def avg_pool2d(
    input: Any,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of every window.   (N, C, H, W) -> (N, C, OH, OW)"""
    if ceil_mode:
        raise OptionError("avg_pool2d: ceil_mode is not supported")
    return F.avg_pool2d(
        input, kernel_size=kernel_size, stride=stride, padding=padding, count_include_pad=count_include_pad
    )
