"""The door of layers and losses: sizes that must be positive, and inputs that may be plain arrays."""

from typing import Any

from ..errors import OptionError
from ..ops.checks import is_integer
from ..tensors.inputs import tensor_input as tensor_input


def check_positive(layer: str, **sizes: Any) -> None:
    """Every size is an integer from 1, or an OptionError names the one that is not."""
    for name, value in sizes.items():
        if not is_integer(value) or value < 1:
            raise OptionError(f"{layer}: {name} must be a positive integer, got {value!r}")
