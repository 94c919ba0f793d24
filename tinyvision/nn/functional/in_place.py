"""`inplace=True`: a function's result is written over its input, which every name for that memory then sees."""

from collections.abc import Callable
from typing import Any

from ...tensors.in_place import in_place
from ...tensors.inputs import tensor_input
from ...tensors.tensor import Tensor


def applied(function: Callable[..., Any], input: Any, inplace: bool = False, **options: Any) -> Tensor:
    """function(input, **options), in place of the input if asked."""
    input = tensor_input(function.__name__, "input", input)
    return in_place(function)(input, **options) if inplace else function(input, **options)
