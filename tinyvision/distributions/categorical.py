"""The categorical distribution: one of several."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import OptionError
from ..tensors.functions import log_softmax, logsumexp, multinomial
from ..tensors.tensor import Tensor
from .distribution import Distribution, parameters


class Categorical(Distribution):
    """One of the places 0, 1, 2, ... of the last axis, in proportion to `probs`, or to exp(logits)."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if (probs is None) == (logits is None):
            raise OptionError("Categorical: give either probs or logits")
        if probs is not None:
            (given,) = parameters("Categorical", probs=probs)
            self.probs = given / given.sum(-1, keepdim=True)
            eps = float(np.finfo(given.dtype).eps)
            self.logits = self.probs.clamp(eps, 1 - eps).log()
        else:
            (given,) = parameters("Categorical", logits=logits)
            self.logits = given - logsumexp(given, -1, keepdim=True)
            self.probs = log_softmax(given, -1).exp()
        self.batch_shape = self.probs.shape[:-1]
        super().__init__(validate_args, probs=(lambda: (given >= 0) | (probs is None), "not be negative"))

    @property
    def mode(self) -> Tensor:
        """The likeliest place."""
        return self.probs.argmax(-1)

    @property
    def mean(self) -> Tensor:
        """nan: places are no numbers."""
        return self.probs.new_full(self.batch_shape, math.nan)

    @property
    def variance(self) -> Tensor:
        """nan, as the mean."""
        return self.mean

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of places (int64)."""
        count, places = math.prod(sample_shape), self.probs.shape[-1]
        rows = self.probs.detach().reshape(-1, places)
        drawn = multinomial(rows, count, replacement=True)  # (rows, count)
        return drawn.T.reshape(self._shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """log of the probability of the places `value`. Raises OptionError for what is none."""
        value = self._value(value)
        places = self.logits.shape[-1]
        self._require(
            lambda: (value % 1 == 0) & (value >= 0) & (value < places),
            f"a value must be an integer from 0 to {places - 1}",
        )
        value = value.long().unsqueeze(-1)
        shape = np.broadcast_shapes(tuple(value.shape[:-1]), tuple(self.batch_shape))
        logits = self.logits.expand((*shape, self.logits.shape[-1]))
        return logits.gather(-1, value.expand((*shape, 1))).squeeze(-1)

    def entropy(self) -> Tensor:
        """-Σ p log p"""
        floor = float(np.finfo(self.logits.dtype).min)  # so that 0 · log 0 is 0
        return -(self.probs * self.logits.clamp(min=floor)).sum(-1)
