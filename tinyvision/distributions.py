"""PyTorch's `torch.distributions`, as models use them: draw, the logarithm of a density, entropy, divergence.

`rsample` draws numbers through which gradients flow to the parameters (Kingma and Welling, "Auto-encoding variational
Bayes", 2014); `sample` draws the same without.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import random
from .device import device_of, to_device
from .errors import OptionError
from .grad_mode import no_grad
from .tensors.functions import broadcast_tensors, log_softmax, logsumexp, multinomial, where
from .tensors.inputs import tensor_input
from .tensors.tensor import Tensor

__all__ = ["Bernoulli", "Categorical", "Distribution", "Normal", "Uniform", "kl_divergence"]


def _parameters(what, **given):
    """The parameters as floating-point tensors of one shape."""
    tensors = [
        tensor_input(what, name, np.float32(v) if isinstance(v, (int, float)) else v) for name, v in given.items()
    ]
    return broadcast_tensors(*(t if t.is_floating_point() else t.float() for t in tensors))


def _drawn(like, numbers):
    return like.like(to_device(numbers.astype(like.dtype), device_of(like.array)))


class Distribution:
    """What all distributions have: `batch_shape`, the shape of their parameters, and draws of more than that."""

    batch_shape: Any

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws through which gradients flow. Raises OptionError where there is no such thing."""
        raise OptionError(f"{type(self).__name__}: whole numbers have no gradient; there is sample() but no rsample()")

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of shape sample_shape + batch_shape, without gradients."""
        with no_grad():
            return self.rsample(sample_shape).detach()

    def _shape(self, sample_shape):
        return (*sample_shape, *self.batch_shape)


class Normal(Distribution):
    """The normal distribution with mean `loc` and standard deviation `scale`."""

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = _parameters("Normal", loc=loc, scale=scale)
        if validate_args is not False and not bool((self.scale > 0).all()):
            raise OptionError("Normal: scale must be positive")
        self.batch_shape = self.loc.shape

    @property
    def mean(self) -> Tensor:
        """loc"""
        return self.loc

    @property
    def stddev(self) -> Tensor:
        """scale"""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """scale²"""
        return self.scale**2

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """loc + scale · a standard normal draw."""
        noise = _drawn(self.loc, random.generator().standard_normal(self._shape(sample_shape)))
        return self.loc + self.scale * noise

    def log_prob(self, value: Any) -> Tensor:
        """log of the density at `value`."""
        z = (value - self.loc) / self.scale
        return -0.5 * z * z - self.scale.log() - 0.5 * math.log(2 * math.pi)

    def entropy(self) -> Tensor:
        """log scale + (1 + log 2π) / 2"""
        return self.scale.log() + 0.5 * (1 + math.log(2 * math.pi))

    def cdf(self, value: Any) -> Tensor:
        """The probability of less than `value`."""
        return 0.5 * (1 + ((value - self.loc) / (self.scale * math.sqrt(2))).erf())


class Uniform(Distribution):
    """Every number from low up to high, alike."""

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = _parameters("Uniform", low=low, high=high)
        if validate_args is not False and not bool((self.low < self.high).all()):
            raise OptionError("Uniform: low must be less than high")
        self.batch_shape = self.low.shape

    @property
    def mean(self) -> Tensor:
        """The middle."""
        return (self.low + self.high) / 2

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """low + (high - low) · a draw from [0, 1)."""
        share = _drawn(self.low, random.generator().random(self._shape(sample_shape)))
        return self.low + (self.high - self.low) * share

    def log_prob(self, value: Any) -> Tensor:
        """-log(high - low) inside, -∞ outside."""
        inside = ((value >= self.low) & (value < self.high)).to(self.low.dtype)
        return inside.log() - (self.high - self.low).log()

    def entropy(self) -> Tensor:
        """log(high - low)"""
        return (self.high - self.low).log()


def _log_sigmoid(x):
    """log(1 / (1 + exp(-x))), without overflow."""
    return x.clamp(max=0) - (-x.abs()).exp().log1p()


class Bernoulli(Distribution):
    """1 with probability `probs`, or 1 / (1 + exp(-logits)); else 0."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if (probs is None) == (logits is None):
            raise OptionError("Bernoulli: give either probs or logits")
        if probs is not None:
            (self.probs,) = _parameters("Bernoulli", probs=probs)
            if validate_args is not False and not bool(((self.probs >= 0) & (self.probs <= 1)).all()):
                raise OptionError("Bernoulli: probs must be from 0 to 1")
            eps = float(np.finfo(self.probs.dtype).eps)
            inside = self.probs.clamp(eps, 1 - eps)
            self.logits = inside.log() - (-inside).log1p()
        else:
            (self.logits,) = _parameters("Bernoulli", logits=logits)
            self.probs = self.logits.sigmoid()
        self.batch_shape = self.probs.shape

    @property
    def mean(self) -> Tensor:
        """probs"""
        return self.probs

    @property
    def variance(self) -> Tensor:
        """probs · (1 - probs)"""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of 0 and 1."""
        return self.probs.detach().expand(self._shape(sample_shape)).bernoulli()

    def log_prob(self, value: Any) -> Tensor:
        """log of the probability of `value`, 0 or 1."""
        return value * _log_sigmoid(self.logits) + (1 - value) * _log_sigmoid(-self.logits)

    def entropy(self) -> Tensor:
        """-p log p - (1 - p) log(1 - p)"""
        return -(self.probs * _log_sigmoid(self.logits) + (1 - self.probs) * _log_sigmoid(-self.logits))


class Categorical(Distribution):
    """One of the places 0, 1, 2, ... of the last axis, in proportion to `probs`, or to exp(logits)."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if (probs is None) == (logits is None):
            raise OptionError("Categorical: give either probs or logits")
        if probs is not None:
            (given,) = _parameters("Categorical", probs=probs)
            if validate_args is not False and not bool((given >= 0).all()):
                raise OptionError("Categorical: probs must not be negative")
            self.probs = given / given.sum(-1, keepdim=True)
            eps = float(np.finfo(given.dtype).eps)
            self.logits = self.probs.clamp(eps, 1 - eps).log()
        else:
            (given,) = _parameters("Categorical", logits=logits)
            self.logits = given - logsumexp(given, -1, keepdim=True)
            self.probs = log_softmax(given, -1).exp()
        self.batch_shape = self.probs.shape[:-1]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of places (int64)."""
        count, places = math.prod(sample_shape), self.probs.shape[-1]
        rows = self.probs.detach().reshape(-1, places)
        drawn = multinomial(rows, count, replacement=True)  # (rows, count)
        return drawn.T.reshape(self._shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """log of the probability of the places `value`."""
        value = value.long().unsqueeze(-1)
        shape = np.broadcast_shapes(tuple(value.shape[:-1]), tuple(self.batch_shape))
        logits = self.logits.expand((*shape, self.logits.shape[-1]))
        return logits.gather(-1, value.expand((*shape, 1))).squeeze(-1)

    def entropy(self) -> Tensor:
        """-Σ p log p"""
        floor = float(np.finfo(self.logits.dtype).min)  # so that 0 · log 0 is 0
        return -(self.probs * self.logits.clamp(min=floor)).sum(-1)


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """How far q is from p: E_p[log p - log q], for two of one kind. Raises OptionError for others."""
    if isinstance(p, Normal) and isinstance(q, Normal):
        ratio = (p.scale / q.scale) ** 2
        return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())
    if isinstance(p, Bernoulli) and isinstance(q, Bernoulli):
        one = p.probs * (_log_sigmoid(p.logits) - _log_sigmoid(q.logits))
        return one + (1 - p.probs) * (_log_sigmoid(-p.logits) - _log_sigmoid(-q.logits))
    if isinstance(p, Categorical) and isinstance(q, Categorical):
        terms = p.probs * (p.logits - q.logits)
        return where(p.probs == 0, terms.detach() * 0, terms).sum(-1)
    raise OptionError(f"kl_divergence: not known for {type(p).__name__} and {type(q).__name__}")
