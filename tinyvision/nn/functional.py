"""Functions with the names and arguments of `torch.nn.functional`, over the ops on the tape."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import random
from ..arrays import check_is_array
from ..device import device_of, to_device
from ..errors import DtypeError, OptionError, ShapeError
from ..kernels import dispatched
from ..ops import norm
from ..ops.checks import fraction, is_integer
from ..tape import Variable
from ..tensors import taped as F
from ..tensors.tensor import Tensor
from ..types import IntOrPair
from .inputs import tensor_input

batch_moments = dispatched(norm.batch_moments)


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


def relu(input: Any, inplace: bool = False) -> Tensor:
    """max(x, 0); `inplace` changes nothing that can be seen, the result is a new tensor."""
    return F.relu(input)


def relu6(input: Any, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6); `inplace` changes nothing that can be seen."""
    return F.relu6(input)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope · x; `inplace` changes nothing that can be seen."""
    input = tensor_input("leaky_relu", "input", input)
    return F.where(input, input * negative_slope, condition=input.data > 0)


def sigmoid(input: Any) -> Tensor:
    """1 / (1 + exp(-x))."""
    return F.sigmoid(input)


def tanh(input: Any) -> Tensor:
    """The hyperbolic tangent."""
    return F.tanh(input)


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from start_dim to end_dim merged into one. Raises ShapeError for an axis that is not there."""
    if not isinstance(input, Variable):
        check_is_array("flatten", "input", input)
    rank = input.ndim
    if not -rank <= start_dim < rank or not -rank <= end_dim < rank or start_dim % rank > end_dim % rank:
        raise ShapeError(f"flatten: there are no axes {start_dim} to {end_dim} in {tuple(input.shape)}")
    start, end = start_dim % rank, end_dim % rank
    if end == rank - 1:
        return F.flatten(input, start=start)
    shape = input.shape
    return F.reshape(input, shape=(*shape[:start], int(np.prod(shape[start : end + 1])), *shape[end + 1 :]))


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


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise every channel, by the batch's statistics (and update the running ones in place) or by the running ones.

    momentum is the share of the new batch in the running averages; the running variance is the unbiased one. Without
    weight and bias they are 1 and 0. Raises ShapeError, OptionError."""
    input = tensor_input("batch_norm", "input", input)
    if input.ndim < 2:
        raise ShapeError(f"batch_norm: input must be (N, C) or (N, C, ...), got {tuple(input.shape)}")
    weight, bias = _affine(input, weight, bias)
    if not training:
        if running_mean is None or running_var is None:
            raise OptionError("batch_norm: without training, running_mean and running_var are needed")
        return F.batchnorm_frozen(input, weight, bias, running_mean, running_var, eps=eps)
    running_mean = _running("running_mean", running_mean, input)
    running_var = _running("running_var", running_var, input)
    moments = batch_moments(input.data)
    output = F.batchnorm_train(input, weight, bias, eps=eps, moments=moments)
    _update_running(input, moments, running_mean, running_var, momentum)
    return output


def batch_norm_relu(
    input: Any,
    skip: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """relu(batch_norm(input) + skip) with the batch's statistics, in one walk through memory; skip may be None."""
    weight, bias = _affine(input, weight, bias)
    moments = batch_moments(input.data)
    output = F.batchnorm_relu(input, weight, bias, skip, eps=eps, moments=moments)
    _update_running(input, moments, running_mean, running_var, momentum)
    return output


def _affine(input, weight, bias):
    weight = np.ones_like(input.data, shape=input.shape[1]) if weight is None else weight
    return weight, np.zeros_like(input.data, shape=input.shape[1]) if bias is None else bias


def _running(name, average, input):
    """A running average that a new batch can be added to: one number for every channel, in place."""
    if average is None:
        return None
    average = tensor_input("batch_norm", name, average)
    if average.shape != input.shape[1:2]:
        raise ShapeError(f"batch_norm: input has {input.shape[1]} channels but {name} has {average.shape}")
    return average


def _update_running(input, moments, running_mean, running_var, momentum):
    mean, var = moments
    count = input.data.size // input.data.shape[1]
    for running, new in ((running_mean, mean), (running_var, var * (count / (count - 1)))):
        if running is not None:
            running.data *= 1 - momentum
            running.data += momentum * new
            running.version += 1


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drop each number with probability p and scale the rest by 1 / (1 - p); evaluation passes everything through.

    `inplace` changes nothing that can be seen."""
    input = tensor_input("dropout", "input", input)
    return _dropout(input, input.shape, p, training)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drop whole channels of (N, C, H, W) with probability p and scale the rest by 1 / (1 - p). Raises ShapeError."""
    input = tensor_input("dropout2d", "input", input)
    if input.ndim != 4:
        raise ShapeError(f"dropout2d: input must be (N, C, H, W), got {tuple(input.shape)}")
    return _dropout(input, (*input.shape[:2], 1, 1), p, training)


def _dropout(input, shape, p, training):
    p = fraction("dropout", "p", p)
    if not training or p == 0:
        return input
    mask = np.broadcast_to(random.generator().random(shape, dtype=np.float32) >= p, input.shape)
    return F.dropout(input, to_device(mask, device_of(input.data)), p=p)


def softmax(input: Any, dim: int) -> Tensor:
    """exp(x) / Σ exp(x) along dim."""
    return F.softmax(input, axis=dim)


def log_softmax(input: Any, dim: int) -> Tensor:
    """x - log Σ exp(x) along dim."""
    return F.log_softmax(input, axis=dim)


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-Σ target · log softmax(input), averaged over the batch (see `ops.cross_entropy_forward`)."""
    weight = weight.data if isinstance(weight, Variable) else weight
    return F.cross_entropy(
        input, target, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
    )


def nll_loss(input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Tensor:
    """-input[n, target[n]], averaged over the batch: the cross-entropy of log-probabilities, as log_softmax gives them.

    input (N, K) or (N, K, ...), target (N,) or (N, ...) class numbers. Raises what cross_entropy raises."""
    input, target = tensor_input("nll_loss", "input", input), tensor_input("nll_loss", "target", target)
    if target.data.dtype.kind == "f":
        raise DtypeError("nll_loss: target must be class numbers (integers), got floating-point numbers")
    weight = weight.data if isinstance(weight, Variable) else weight
    # Cross-entropy's forward checks everything and leaves its target in the cache; only its softmax is not wanted here.
    options = {"weight": weight, "ignore_index": ignore_index, "reduction": reduction}
    _, (_, chosen, divisor) = F.cross_entropy.forward(input.data, target.data, **options)
    loss = F.sum(F.mul(input, -chosen), axis=1)
    return loss if reduction == "none" else F.sum(loss) / float(divisor)


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """The mean of (input - target)²."""
    return F.mse(input, target, reduction=reduction)


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float = 0) -> Tensor:
    """Zeros around the last two axes.   (N, C, H, W) -> (N, C, H', W')

    pad is (left, right, top, bottom) or (left, right). Raises OptionError."""
    if mode != "constant" or value:
        raise OptionError(f"pad: only zeros can be put around an image, got mode={mode!r}, value={value!r}")
    if not isinstance(pad, (tuple, list)) or len(pad) not in (2, 4) or not all(is_integer(n) for n in pad):
        raise OptionError(f"pad: expected (left, right) or (left, right, top, bottom), got {pad!r}")
    return F.pad(input, padding=(*pad, 0, 0)[:4])
