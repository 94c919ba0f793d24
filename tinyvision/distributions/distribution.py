"""What all distributions have: parameters of one shape, and draws of that shape and more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..device import device_of, to_device
from ..errors import OptionError
from ..grad_mode import no_grad
from ..missing import MissingName
from ..tensors.functions import broadcast_tensors
from ..tensors.inputs import tensor_input
from ..tensors.size import Size
from ..tensors.tensor import Tensor


def parameters(what: str, **given: Any) -> Any:
    """The parameters as floating-point tensors of one shape."""
    tensors = [
        tensor_input(what, name, np.float32(v) if isinstance(v, (int, float)) else v) for name, v in given.items()
    ]
    return broadcast_tensors(*(t if t.is_floating_point() else t.float() for t in tensors))


def drawn(like: Any, numbers: Any) -> Any:
    """Drawn numbers as a tensor of the dtype and on the device of another."""
    return like.like(to_device(numbers.astype(like.dtype), device_of(like.array)))


class Distribution:
    """What all distributions have: `batch_shape`, the shape of their parameters, and draws of more than that.

    With validate_args=False, nothing asks whether parameters and values are what the distribution is of."""

    batch_shape: Any
    event_shape = Size()  # a draw is one number

    def __init__(self, validate_args: bool | None, **right: tuple[Callable[[], Tensor], str]) -> None:
        self._validates = validate_args is not False
        for name, (holds, what) in right.items():
            self._require(holds, f"{name} must {what}")

    def _require(self, holds, what):
        """Raise OptionError unless all of what `holds()` says is true, or nobody is to ask."""
        if self._validates and not bool(holds().all()):
            raise OptionError(f"{type(self).__name__}: {what}")

    @property
    def variance(self) -> Tensor:
        """The mean square of how far draws are from their mean; every distribution defines it."""
        raise OptionError(f"{type(self).__name__} does not define variance")

    @property
    def stddev(self) -> Tensor:
        """The square root of the variance."""
        return self.variance.sqrt()

    def perplexity(self) -> Tensor:
        """exp(entropy)"""
        return self.entropy().exp()

    def entropy(self) -> Tensor:
        """How much a draw tells: E[-log p]; every distribution defines it."""
        raise OptionError(f"{type(self).__name__} does not define entropy()")

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            raise MissingName(f"torch.distributions.{type(self).__name__}", name, type(self))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws through which gradients flow. Raises OptionError where there is no such thing."""
        raise OptionError(f"{type(self).__name__}: whole numbers have no gradient; there is sample() but no rsample()")

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of shape sample_shape + batch_shape, without gradients."""
        with no_grad():
            return self.rsample(sample_shape).detach()

    def _value(self, value):
        """A value that is asked about: a tensor, or with validate_args=False a number as well."""
        if self._validates and not isinstance(value, Tensor):
            raise OptionError(f"{type(self).__name__}: a value must be a tensor, got a {type(value).__name__}")
        return value

    def _shape(self, sample_shape):
        return (*sample_shape, *self.batch_shape)
