"""The door of layers, losses and functions that look at an input before they hand it to an op."""

from typing import Any

from ..arrays import check_is_array
from ..errors import OptionError
from ..ops.checks import is_integer
from ..tape import Variable
from ..tensors.tensor import Tensor


def tensor_input(what: str, name: str, x: Any) -> Any:
    """x itself if it is a tensor; a plain array as a tensor on the same memory. Raises DtypeError for all else."""
    if isinstance(x, Variable):
        return x
    check_is_array(what, name, x)
    return Tensor(x)


def check_positive(layer: str, **sizes: Any) -> None:
    """Every size is an integer from 1, or an OptionError names the one that is not."""
    for name, value in sizes.items():
        if not is_integer(value) or value < 1:
            raise OptionError(f"{layer}: {name} must be a positive integer, got {value!r}")
