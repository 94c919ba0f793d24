"""Convolution and the linear map."""

from typing import Any

from ...tensors import taped as F
from ...tensors.tensor import Tensor
from ...types import IntOrPair


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Tensor:
    """2-D convolution.   (N, C, H, W) -> (N, O, OH, OW) (see `ops.conv2d_forward`)"""
    return F.conv2d(input, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)


def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """input weightᵀ + bias.   (N, I) -> (N, O)"""
    return F.linear(input, weight, bias)
