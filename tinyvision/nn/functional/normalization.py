"""Normalisation, and the running statistics that go with it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import OptionError, ShapeError
from ...kernels import dispatched
from ...ops import norm
from ...sharing import note_derived
from ...tensors import taped as F
from ...tensors.inputs import tensor_input
from ...tensors.tensor import Tensor

__all__ = ["batch_norm", "batch_norm_relu", "group_norm", "instance_norm", "layer_norm", "rms_norm"]

running_moments = dispatched(norm.running_moments)


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    num_batches_tracked: Any = None,
) -> Tensor:
    """Normalise every channel, by the batch's statistics (and update the running ones in place) or by the running ones.

    momentum is the share of the new batch in the running averages; the running variance is the unbiased one. Without
    weight and bias they are 1 and 0. num_batches_tracked, a layer's counter, goes up by 1 in training.
    Raises ShapeError, OptionError."""
    input = tensor_input("batch_norm", "input", input)
    if input.ndim < 2:
        raise ShapeError(f"batch_norm: input must be (N, C) or (N, C, ...), got {tuple(input.shape)}")
    weight, bias = affine(input, weight, bias)
    if not training:
        if running_mean is None or running_var is None:
            raise OptionError("batch_norm: without training, running_mean and running_var are needed")
        return F.batchnorm_frozen(input, weight, bias, running_mean, running_var, eps=eps)
    running_mean = _running("running_mean", running_mean, input)
    running_var = _running("running_var", running_var, input)
    moments = _moments(input, running_mean, running_var, num_batches_tracked, momentum)
    return F.batchnorm_train(input, weight, bias, eps=eps, moments=moments)


def batch_norm_relu(
    input: Any,
    skip: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    num_batches_tracked: Any = None,
    top: float = math.inf,
) -> Tensor:
    """relu(batch_norm(input) + skip), at most top, with the batch's statistics, in one walk through memory; a skip of
    None is left out."""
    weight, bias = affine(input, weight, bias)
    moments = _moments(input, running_mean, running_var, num_batches_tracked, momentum)
    limit = {} if top == math.inf else {"top": top}  # an option is looked at in every call
    return F.batchnorm_relu(input, weight, bias, skip, eps=eps, moments=moments, **limit)


def _moments(input, running_mean, running_var, counter, momentum):
    """The moments of a batch, which the running averages have taken up."""
    kept = (running_mean, running_var, counter)
    averages, count = [None if v is None else v.array for v in kept[:2]], None if counter is None else counter.array
    moments = running_moments(input.array, *averages, counter=count, momentum=momentum)
    for value in kept:
        if value is not None:
            value.changes[0] += 1
    return moments


def affine(input: Tensor, weight: Any, bias: Any) -> tuple[Any, Any]:
    """weight and bias, 1 and 0 in the place of what is None."""
    weight = np.ones_like(input.array, shape=input.shape[1]) if weight is None else weight
    return weight, np.zeros_like(input.array, shape=input.shape[1]) if bias is None else bias


def _running(name, average, input):
    """A running average that a new batch can be added to: one number for every channel, in place."""
    if average is None:
        return None
    average = tensor_input("batch_norm", name, average)
    if average.shape != input.shape[1:2]:
        raise ShapeError(f"batch_norm: input has {input.shape[1]} channels but {name} has {average.shape}")
    return average


def update_running(count: int, moments: tuple[Any, Any], running_mean: Any, running_var: Any, momentum: float) -> None:
    """Take the mean and variance of `count` numbers per channel up into the running ones, in place."""
    mean, var = (None if v is None else v.array for v in (running_mean, running_var))
    norm.take_up(count, moments, mean, var, momentum)
    for running in (running_mean, running_var):
        if running is not None:
            running.version += 1


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """Normalise groups of channels of each image (see `ops.group_norm_forward`).   (N, C, ...)"""
    input = tensor_input("group_norm", "input", input)
    if input.ndim > 1 and input.shape[0] * math.prod(input.shape[1:]) == num_groups:
        raise ShapeError(f"group_norm: one number has no variance; input {tuple(input.shape)}, {num_groups} groups")
    return F.group_norm(input, weight, bias, groups=num_groups, eps=eps)


def layer_norm(
    input: Any, normalized_shape: Sequence[int] | int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Tensor:
    """Normalise over the last axes, of normalized_shape (see `ops.layer_norm_forward`)."""
    shape = tuple(normalized_shape) if isinstance(normalized_shape, Sequence) else (normalized_shape,)
    return F.layer_norm(input, weight, bias, shape=shape, eps=eps)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise every channel of each image by its own statistics, or all by the running ones.   (N, C, ...)

    Running averages, where given, take the images' mean statistics up, in place."""
    input = tensor_input("instance_norm", "input", input)
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    count = math.prod(input.shape[2:])
    if input.ndim < 3 or count < 2:
        raise ShapeError(f"instance_norm: more than one number for each channel is needed, got {tuple(input.shape)}")
    output = note_derived(F.group_norm(input, weight, bias, groups=input.shape[1], eps=eps), input, weight)
    if running_mean is not None or running_var is not None:
        axes = tuple(range(2, input.ndim))
        mean = input.array.mean(axis=axes, keepdims=True)
        variance = ((input.array - mean) ** 2).mean(axis=axes)
        moments = mean.reshape(mean.shape[:2]).mean(axis=0), variance.mean(axis=0)
        running_mean = _running("running_mean", running_mean, input)
        running_var = _running("running_var", running_var, input)
        update_running(count, moments, running_mean, running_var, momentum)
    return output


def rms_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Tensor:
    """x / sqrt(mean(x²) + eps) · weight over the last axes, of normalized_shape; eps is the dtype's own if left out.

    Squares of float16 are added up in float32, where they do not overflow."""
    input = tensor_input("rms_norm", "input", input)
    axes = tuple(range(input.ndim - len(tuple(normalized_shape)), input.ndim))
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
    if input.dtype == np.float16:
        share = math.prod(input.shape[a] for a in axes) ** -0.5
        root = np.full_like(input.array, eps**0.5, shape=())
        length = F.hypot(F.norm(input * share, axis=axes, keepdims=True), root)
    else:
        length = F.power(F.mean(input * input, axis=axes, keepdims=True) + eps, exponent=0.5)
    return input / length if weight is None else input / length * weight
