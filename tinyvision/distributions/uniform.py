"""The uniform distribution."""

from __future__ import annotations

import math
from typing import Any

from .. import random
from ..tensors.tensor import Tensor
from .distribution import Distribution, drawn, parameters


class Uniform(Distribution):
    """Every number from low up to high, alike."""

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = parameters("Uniform", low=low, high=high)
        self.batch_shape = self.low.shape
        super().__init__(validate_args, low=(lambda: self.low < self.high, "be less than high"))

    @property
    def mean(self) -> Tensor:
        """The middle."""
        return (self.low + self.high) / 2

    @property
    def mode(self) -> Tensor:
        """nan: every number is as likely."""
        return self.high * math.nan

    @property
    def variance(self) -> Tensor:
        """(high - low)² / 12"""
        return (self.high - self.low) ** 2 / 12

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """low + (high - low) · a draw from [0, 1)."""
        share = drawn(self.low, random.generator().random(self._shape(sample_shape)))
        return self.low + (self.high - self.low) * share

    def log_prob(self, value: Any) -> Tensor:
        """-log(high - low) inside, -∞ at high. Raises OptionError outside."""
        value = self._inside(value)
        outside = (value < self.low) | (value >= self.high)
        return (value * 0 - (self.high - self.low).log()).masked_fill(outside, -math.inf)

    def cdf(self, value: Any) -> Tensor:
        """The probability of less than `value`. Raises OptionError outside."""
        return ((self._inside(value) - self.low) / (self.high - self.low)).clamp(0, 1)

    def _inside(self, value):
        value = self._value(value)
        self._require(lambda: (value >= self.low) & (value <= self.high), "a value must be from low to high")
        return value

    def entropy(self) -> Tensor:
        """log(high - low)"""
        return (self.high - self.low).log()
