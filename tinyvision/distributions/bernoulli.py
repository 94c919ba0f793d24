"""The Bernoulli distribution: yes or no."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import OptionError
from ..tensors.tensor import Tensor
from .distribution import Distribution, parameters


def log_sigmoid(x: Any) -> Any:
    """log(1 / (1 + exp(-x))), without overflow."""
    return x.clamp(max=0) - (-x.abs()).exp().log1p()


class Bernoulli(Distribution):
    """1 with probability `probs`, or 1 / (1 + exp(-logits)); else 0."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if (probs is None) == (logits is None):
            raise OptionError("Bernoulli: give either probs or logits")
        if probs is not None:
            (self.probs,) = parameters("Bernoulli", probs=probs)
            eps = float(np.finfo(self.probs.dtype).eps)
            inside = self.probs.clamp(eps, 1 - eps)
            self.logits = inside.log() - (-inside).log1p()
        else:
            (self.logits,) = parameters("Bernoulli", logits=logits)
            self.probs = self.logits.sigmoid()
        self.batch_shape = self.probs.shape
        super().__init__(validate_args, probs=(lambda: (self.probs >= 0) & (self.probs <= 1), "be from 0 to 1"))

    @property
    def mean(self) -> Tensor:
        """probs"""
        return self.probs

    @property
    def variance(self) -> Tensor:
        """probs · (1 - probs)"""
        return self.probs * (1 - self.probs)

    @property
    def mode(self) -> Tensor:
        """1 where that is likelier, else 0; nan where both are as likely."""
        likelier = (self.probs >= 0.5).to(self.probs.dtype)
        return likelier.masked_fill(self.probs == 0.5, math.nan)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of 0 and 1."""
        return self.probs.detach().expand(self._shape(sample_shape)).bernoulli()

    def log_prob(self, value: Any) -> Tensor:
        """log of the probability of `value`, 0 or 1. Raises OptionError for others."""
        value = self._value(value)
        self._require(lambda: (value == 0) | (value == 1), "a value must be 0 or 1")
        return value * log_sigmoid(self.logits) + (1 - value) * log_sigmoid(-self.logits)

    def entropy(self) -> Tensor:
        """-p log p - (1 - p) log(1 - p)"""
        return -(self.probs * log_sigmoid(self.logits) + (1 - self.probs) * log_sigmoid(-self.logits))
