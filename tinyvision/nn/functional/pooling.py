"""Pooling. The forms for one axis see it as an image of height 1; an image or signal without a batch axis gets one."""

from typing import Any

import numpy as np

from ...errors import OptionError, ShapeError
from ...kernels import dispatched
from ...ops.adaptive_pool import adaptive_max_pool2d_indices
from ...ops.checks import is_integer
from ...ops.pool import max_pool2d_indices
from ...tensors import taped as F
from ...tensors.inputs import tensor_input
from ...tensors.tensor import Tensor
from ...types import IntOrPair
from .convolution import batch_of

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d", "avg_pool1d",
    "avg_pool2d", "local_response_norm", "lp_pool2d", "max_pool1d", "max_pool2d", "max_unpool2d",
]  # fmt: skip

_max_places, _adaptive_max_places = dispatched(max_pool2d_indices), dispatched(adaptive_max_pool2d_indices)


def max_pool2d(
    input: Any,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest number of every window.   (N, C, H, W) -> (N, C, OH, OW)

    With return_indices, (maxima, where they are), as `max_unpool2d` takes them."""
    options = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    input, batched = batch_of("max_pool2d", input, 4)
    y = F.max_pool2d(input, kernel_size=kernel_size, **options)
    if not return_indices:
        return batched(y)
    return batched(y), batched(input.like(_max_places(input.array, kernel_size=kernel_size, **options)))


def avg_pool2d(
    input: Any,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of every window.   (N, C, H, W) -> (N, C, OH, OW)"""
    input, batched = batch_of("avg_pool2d", input, 4)
    y = F.avg_pool2d(
        input,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        divisor_override=divisor_override,
    )
    return batched(y)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Tensor:
    """Means over windows as even as possible.   (N, C, H, W) -> (N, C, *output_size); None keeps an axis's size."""
    input, batched = batch_of("adaptive_avg_pool2d", input, 4)
    return batched(F.adaptive_avg_pool2d(input, output_size=_whole_size(input, output_size)))


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over windows as even as possible.   (N, C, H, W) -> (N, C, *output_size); None keeps an axis's size."""
    input, batched = batch_of("adaptive_max_pool2d", input, 4)
    size = _whole_size(input, output_size)
    y = batched(F.adaptive_max_pool2d(input, output_size=size))
    return (y, batched(input.like(_adaptive_max_places(input.array, output_size=size)))) if return_indices else y


def max_pool1d(
    input: Any,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest number of every window.   (N, C, L) -> (N, C, OL)"""
    input, flat = _flat("max_pool1d", input)
    options = {"stride": _row(stride), "padding": _row(padding, 0), "dilation": _row(dilation), "ceil_mode": ceil_mode}
    result = max_pool2d(input, _row(kernel_size), return_indices=return_indices, **options)
    return tuple(map(flat, result)) if return_indices else flat(result)


def avg_pool1d(
    input: Any,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of every window.   (N, C, L) -> (N, C, OL)"""
    input, flat = _flat("avg_pool1d", input)
    return flat(avg_pool2d(input, _row(kernel_size), _row(stride), _row(padding, 0), ceil_mode, count_include_pad))


def adaptive_avg_pool1d(input: Any, output_size: int) -> Tensor:
    """Means over windows as even as possible.   (N, C, L) -> (N, C, output_size)"""
    input, flat = _flat("adaptive_avg_pool1d", input)
    return flat(adaptive_avg_pool2d(input, _row(output_size)))


def adaptive_max_pool1d(input: Any, output_size: int, return_indices: bool = False) -> Any:
    """Maxima over windows as even as possible.   (N, C, L) -> (N, C, output_size)"""
    input, flat = _flat("adaptive_max_pool1d", input)
    result = adaptive_max_pool2d(input, _row(output_size), return_indices)
    return tuple(map(flat, result)) if return_indices else flat(result)


def max_unpool2d(
    input: Any,
    indices: Any,
    kernel_size: IntOrPair,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
    output_size: Any = None,
) -> Tensor:
    """Zeros, with the maxima back where `max_pool2d` found them.   (N, C, OH, OW) -> (N, C, H, W)

    Without output_size, H = (OH - 1)·SH - 2·PH + KH. Raises ShapeError for places outside of the image."""
    input, batched = batch_of("max_unpool2d", input, 4)
    indices, _ = batch_of("max_unpool2d", indices, 4)
    if output_size is None:
        kernel, pads = _two(kernel_size), _two(padding)
        steps = kernel if stride is None else _two(stride)
        H, W = ((n - 1) * s - 2 * p + k for n, s, p, k in zip(input.shape[2:], steps, pads, kernel, strict=True))
    else:
        H, W = tuple(output_size)[-2:]
    if indices.shape != input.shape:
        raise ShapeError(f"max_unpool2d: input is {input.shape} but indices are {indices.shape}")
    N, C = input.shape[:2]
    zeros = np.zeros_like(input.array, shape=(N, C, H * W))
    places = indices.array.reshape(N, C, -1)
    y = F.scatter(zeros, F.reshape(input, shape=(N, C, -1)), places, axis=2)
    return batched(F.reshape(y, shape=(N, C, H, W)))


def lp_pool2d(input: Any, norm_type: float, kernel_size: IntOrPair, stride: Any = None, ceil_mode: bool = False) -> Any:
    """(Σ x^p)^(1/p) over every window, p the norm_type: as in PyTorch of x itself, not of |x|, so that an odd p has a
    root of a negative sum, which is NaN but for p = 1."""
    input, batched = batch_of("lp_pool2d", input, 4)
    kernel = _two(kernel_size)
    powers = F.power(input, exponent=norm_type)
    sums = F.avg_pool2d(powers, kernel_size=kernel, stride=stride, ceil_mode=ceil_mode) * (kernel[0] * kernel[1])
    sums = F.relu(sums) - F.relu(-sums)  # the same, but for the gradient at 0, which ReLU makes 0
    return batched(F.power(sums, exponent=1 / norm_type))


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha · mean of x² over `size` neighbouring channels)^beta (Krizhevsky et al., 2012).   (N, C, ...)"""
    input = tensor_input("local_response_norm", "input", input)
    if input.ndim < 3:
        raise ShapeError(f"local_response_norm: input must be (N, C, ...), got {tuple(input.shape)}")
    if not is_integer(size) or size < 1:
        raise OptionError(f"local_response_norm: size must be a positive integer, got {size!r}")
    (N, C), size = input.shape[:2], int(size)
    if not input.numel():
        return input.clone()
    planes = F.reshape(input * input, shape=(N, 1, C, -1))
    padded = F.pad(planes, padding=(0, 0, size // 2, (size - 1) // 2))
    means = F.reshape(F.avg_pool2d(padded, kernel_size=(size, 1), stride=1), shape=input.shape)
    return input / F.power(means * alpha + k, exponent=beta)


def _flat(name, input):
    """(N, C, L) or (C, L) as (N, C, 1, L), and the function that takes the axis off again."""
    input = tensor_input(name, "input", input)
    if input.ndim not in (2, 3):
        raise ShapeError(f"{name}: input must be (N, C, L) or (C, L), got {tuple(input.shape)}")
    image = F.reshape(input, shape=(*input.shape[:-1], 1, input.shape[-1]))
    return image, lambda y: F.reshape(y, shape=(*y.shape[:-2], y.shape[-1]))


def _row(option, across=1):
    """An option along one axis as a pair (rows, columns) for an image of height 1."""
    option = option[0] if isinstance(option, (tuple, list)) and len(option) == 1 else option
    return None if option is None else (across, option)


def _two(option):
    return tuple(option) if isinstance(option, (tuple, list)) else (option, option)


def _whole_size(input, output_size):
    """output_size as a pair, None replaced by what the image has."""
    given = _two(output_size)
    return tuple(n if size is None else size for size, n in zip(given, input.shape[2:], strict=False))
