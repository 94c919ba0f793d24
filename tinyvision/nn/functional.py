"""Functions with the names and arguments of `torch.nn.functional`, over the ops on the tape."""

import numpy as np

from .. import functional as F
from .. import random
from ..device import device_of, to_device
from ..errors import OptionError
from ..ops.norm import batch_moments
from ..tape import Variable

conv2d, linear, relu, relu6, sigmoid, tanh = F.conv2d, F.linear, F.relu, F.relu6, F.sigmoid, F.tanh
adaptive_avg_pool2d = F.adaptive_avg_pool2d


def max_pool2d(input, kernel_size, stride=None, padding=0):
    """The largest number of every window.   (N, C, H, W) -> (N, C, OH, OW)"""
    return F.max_pool2d(input, kernel_size=kernel_size, stride=stride, padding=padding)


def avg_pool2d(input, kernel_size, stride=None, padding=0, count_include_pad=True):
    """The mean of every window.   (N, C, H, W) -> (N, C, OH, OW)"""
    return F.avg_pool2d(input, kernel_size=kernel_size, stride=stride, padding=padding, count_include_pad=count_include_pad)


def batch_norm(input, running_mean, running_var, weight, bias, training=False, momentum=0.1, eps=1e-5):
    """Normalise every channel, by the batch's statistics (and update the running ones in place) or by the running ones.

    momentum is the share of the new batch in the running averages; the running variance is the unbiased one."""
    if not training:
        return F.batchnorm_frozen(input, weight, bias, running_mean, running_var, eps=eps)
    moments = batch_moments(input.data)
    output = F.batchnorm_train(input, weight, bias, eps=eps, moments=moments)
    if running_mean is not None:
        mean, var = moments
        count = input.data.size // input.data.shape[1]
        for running, new in ((running_mean, mean), (running_var, var * (count / (count - 1)))):
            running.data *= 1 - momentum
            running.data += momentum * new
            running.version += 1
    return output


def dropout(input, p=0.5, training=True):
    """Drop each number with probability p and scale the rest by 1 / (1 - p); evaluation passes everything through."""
    if not 0 <= p <= 1:
        raise OptionError(f"dropout: p is a probability from 0 to 1, got {p!r}")
    if not training or p == 0:
        return input
    mask = random.generator().random(input.shape, dtype=np.float32) >= p
    return F.dropout(input, to_device(mask, device_of(input.data)), p=p)


def softmax(input, dim):
    """exp(x) / Σ exp(x) along dim."""
    return F.softmax(input, axis=dim)


def log_softmax(input, dim):
    """x - log Σ exp(x) along dim."""
    return F.log_softmax(input, axis=dim)


def cross_entropy(input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """-Σ target · log softmax(input), averaged over the batch (see `ops.cross_entropy_forward`)."""
    weight = weight.data if isinstance(weight, Variable) else weight
    return F.cross_entropy(
        input, target, weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
    )


def mse_loss(input, target, reduction="mean"):
    """The mean of (input - target)²."""
    return F.mse(input, target, reduction=reduction)


def pad(input, pad, value=0.0):
    """Zeros around the last two axes; pad is (left, right, top, bottom).   (N, C, H, W) -> (N, C, H + top + bottom, ...)"""
    if value != 0:
        raise OptionError(f"pad: only zeros can be put around an image, got value={value!r}")
    return F.pad(input, padding=pad)
