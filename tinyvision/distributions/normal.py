"""The normal distribution."""

from __future__ import annotations

import math
from typing import Any

from .. import random
from ..tensors.tensor import Tensor
from .distribution import Distribution, drawn, parameters


class Normal(Distribution):
    """The normal distribution with mean `loc` and standard deviation `scale`."""

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = parameters("Normal", loc=loc, scale=scale)
        self.batch_shape = self.loc.shape
        super().__init__(validate_args, scale=(lambda: self.scale > 0, "be positive"))

    @property
    def mean(self) -> Tensor:
        """loc"""
        return self.loc

    mode = mean

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
        noise = drawn(self.loc, random.generator().standard_normal(self._shape(sample_shape)))
        return self.loc + self.scale * noise

    def log_prob(self, value: Any) -> Tensor:
        """log of the density at `value`. Raises OptionError for nan."""
        value = self._number(value)
        z = (value - self.loc) / self.scale
        return -0.5 * z * z - self.scale.log() - 0.5 * math.log(2 * math.pi)

    def _number(self, value):
        value = self._value(value)
        self._require(lambda: value == value, "a value must be a number, not nan")
        return value

    def entropy(self) -> Tensor:
        """log scale + (1 + log 2π) / 2"""
        return self.scale.log() + 0.5 * (1 + math.log(2 * math.pi))

    def cdf(self, value: Any) -> Tensor:
        """The probability of less than `value`. Raises OptionError for nan."""
        value = self._number(value)
        return 0.5 * (1 + ((value - self.loc) / (self.scale * math.sqrt(2))).erf())
