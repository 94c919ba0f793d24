"""Normalisation, and the running statistics that go with it."""

from typing import Any

import numpy as np

from ...errors import OptionError, ShapeError
from ...kernels import dispatched
from ...ops import norm
from ...tensors import taped as F
from ...tensors.tensor import Tensor
from ..inputs import tensor_input

batch_moments = dispatched(norm.batch_moments)


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
    moments = batch_moments(input.array)
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
    moments = batch_moments(input.array)
    output = F.batchnorm_relu(input, weight, bias, skip, eps=eps, moments=moments)
    _update_running(input, moments, running_mean, running_var, momentum)
    return output


def _affine(input, weight, bias):
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


def _update_running(input, moments, running_mean, running_var, momentum):
    mean, var = moments
    count = input.array.size // input.array.shape[1]
    for running, new in ((running_mean, mean), (running_var, var * (count / (count - 1)))):
        if running is not None:
            running.array *= 1 - momentum
            running.array += momentum * new
            running.version += 1
