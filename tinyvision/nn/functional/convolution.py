"""Convolution and the linear map."""

from collections.abc import Callable, Sequence
from typing import Any

from ...errors import OptionError, ShapeError
from ...ops.checks import pair
from ...tensors import taped as F
from ...tensors.inputs import tensor_input
from ...tensors.tensor import Tensor
from ...tensors.writing import nobodys_view
from ...types import IntOrPair

__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "linear"]


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: IntOrPair = 1,
    padding: IntOrPair | str = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Tensor:
    """2-D convolution.   (N, C, H, W) or (C, H, W) -> (N, O, OH, OW) or (O, OH, OW) (see `ops.conv2d_forward`)

    padding is a number, a pair, "valid" for none, or "same" for an output as large as the input, at stride 1."""
    if isinstance(padding, str):
        left, right, top, bottom = padding_around("conv2d", padding, weight.shape[2:], stride, dilation)
        padding = (top, left)
        if (top, left) != (bottom, right):  # an even span: one more on the right, and at the bottom
            input = F.pad(input, padding=(0, right - left, 0, bottom - top))
    input, batched = batch_of("conv2d", input, 4)
    y = F.conv2d(input, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return batched(y)


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """1-D convolution: the 2-D one of signals of height 1.   (N, C, L), weight (O, C/groups, K) -> (N, O, OL)"""
    input, weight = tensor_input("conv1d", "input", input), tensor_input("conv1d", "weight", weight)
    if input.ndim not in (2, 3) or weight.ndim != 3:
        shapes = f"got {tuple(input.shape)} and {tuple(weight.shape)}"
        raise ShapeError(f"conv1d: input must be (N, C, L) and weight (O, C/groups, K), {shapes}")
    stride, dilation = (1, _one(stride)), (1, _one(dilation))
    padding = padding if isinstance(padding, str) else (0, _one(padding))
    y = conv2d(_upright(input), _upright(weight), bias, stride, padding, dilation, groups)
    return nobodys_view(F.reshape(y, shape=(*y.shape[:-2], y.shape[-1])))


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    output_padding: IntOrPair = 0,
    groups: int = 1,
    dilation: IntOrPair = 1,
) -> Tensor:
    """Transposed convolution.   (N, C, H, W) -> (N, O, OH, OW) (see `ops.conv_transpose2d_forward`)"""
    options = {"stride": stride, "padding": padding, "output_padding": output_padding}
    input, batched = batch_of("conv_transpose2d", input, 4)
    y = F.conv_transpose2d(input, weight, bias, **options, groups=groups, dilation=dilation)
    return batched(y)


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """1-D transposed convolution.   (N, C, L), weight (C, O/groups, K) -> (N, O, OL)"""
    input, weight = tensor_input("conv_transpose1d", "input", input), tensor_input("conv_transpose1d", "weight", weight)
    y = conv_transpose2d(
        _upright(input),
        _upright(weight),
        bias,
        (1, _one(stride)),
        (0, _one(padding)),
        (0, _one(output_padding)),
        groups,
        (1, _one(dilation)),
    )
    return nobodys_view(F.reshape(y, shape=(*y.shape[:-2], y.shape[-1])))


def linear(input: Any, weight: Any, bias: Any = None) -> Tensor:
    """input weightᵀ + bias.   (..., I) -> (..., O)"""
    return F.linear(input, weight, bias)


def padding_around(
    name: str, padding: str, kernel: Sequence[int], stride: IntOrPair, dilation: IntOrPair
) -> tuple[int, int, int, int]:
    """(left, right, top, bottom) of "valid" or "same", where what is left over goes right and to the bottom.

    Raises OptionError for other words, and for "same" with a stride, which has no size to keep."""
    if padding == "valid":
        return 0, 0, 0, 0
    if padding != "same":
        raise OptionError(f'{name}: padding must be numbers, "valid" or "same", got {padding!r}')
    if pair(name, "stride", stride, 1) != (1, 1):
        raise OptionError(f'{name}: padding="same" needs a stride of 1, got {stride!r}')
    high, wide = (d * (k - 1) for d, k in zip(pair(name, "dilation", dilation, 1), kernel, strict=True))
    return wide // 2, wide - wide // 2, high // 2, high - high // 2


def batch_of(name: str, input: Any, rank: int) -> tuple[Any, Callable[[Tensor], Tensor]]:
    """(input, what leaves an output as it is), or, of what lacks the first of `rank` axes, (a batch of it alone, what
    takes that axis off the output)."""
    input = tensor_input(name, "input", input)
    if input.ndim != rank - 1:
        return input, lambda y: y
    return F.reshape(input, shape=(1, *input.shape)), lambda y: F.reshape(y, shape=y.shape[1:])


def _upright(x):
    """(..., L) as (..., 1, L)"""
    return nobodys_view(F.reshape(x, shape=(*x.shape[:-1], 1, x.shape[-1])))


def _one(option):
    return option[0] if isinstance(option, (tuple, list)) and len(option) == 1 else option
