"""The sizes that layers are made with: positive integers, or an error says which is not."""

from typing import Any

from ..errors import OptionError
from ..ops.checks import is_integer


def check_positive(layer: str, **sizes: Any) -> None:
    """Every size is an integer from 1, or an OptionError names the one that is not."""
    for name, value in sizes.items():
        if not is_integer(value) or value < 1:
            raise OptionError(f"{layer}: {name} must be a positive integer, got {value!r}")
