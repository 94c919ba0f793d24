"""What all distributions have: parameters of one shape, and draws of that shape and more."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import device_of, to_device
from ..errors import OptionError
from ..grad_mode import no_grad
from ..tensors.functions import broadcast_tensors
from ..tensors.inputs import tensor_input
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
