"""The uniform distribution."""

from __future__ import annotations

from typing import Any

from .. import random
from ..errors import OptionError
from ..tensors.tensor import Tensor
from .distribution import Distribution, drawn, parameters


class Uniform(Distribution):
    """Every number from low up to high, alike."""

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = parameters("Uniform", low=low, high=high)
        if validate_args is not False and not bool((self.low < self.high).all()):
            raise OptionError("Uniform: low must be less than high")
        self.batch_shape = self.low.shape

    @property
    def mean(self) -> Tensor:
        """The middle."""
        return (self.low + self.high) / 2

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """low + (high - low) · a draw from [0, 1)."""
        share = drawn(self.low, random.generator().random(self._shape(sample_shape)))
        return self.low + (self.high - self.low) * share

    def log_prob(self, value: Any) -> Tensor:
        """-log(high - low) inside, -∞ outside."""
        inside = ((value >= self.low) & (value < self.high)).to(self.low.dtype)
        return inside.log() - (self.high - self.low).log()

    def entropy(self) -> Tensor:
        """log(high - low)"""
        return (self.high - self.low).log()
