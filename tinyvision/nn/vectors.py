"""All parameters as one vector, and back."""

import math
from collections.abc import Iterable

from ..errors import ShapeError
from ..tensors import taped as F
from ..tensors.inputs import tensor_input
from ..tensors.tensor import Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The numbers of all parameters, one after the other; gradients flow back to them."""
    given = [tensor_input("parameters_to_vector", "parameters", p) for p in parameters]
    return F.concatenate(*(F.reshape(p, shape=(-1,)) for p in given), axis=0)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make parts of the vector, one after the other, the parameters' numbers: as in PyTorch they share its memory, and
    have its dtype. Raises ShapeError unless all fit."""
    parameters = list(parameters)
    sizes = [math.prod(p.shape) for p in parameters]
    if vec.shape != (sum(sizes),):
        raise ShapeError(f"vector_to_parameters: the parameters hold {sum(sizes)} numbers, the vector is {vec.shape}")
    start = 0
    for parameter, size in zip(parameters, sizes, strict=True):
        parameter.data = vec.detach()[start : start + size].reshape(*parameter.shape)
        start += size
