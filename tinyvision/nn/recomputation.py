"""Parts of a network whose values other engines compute again for the backward, to save memory.

Nothing is computed again here: every value is kept, so results are the same, sooner and with more memory."""

from collections.abc import Callable, Sequence
from typing import Any


def checkpoint(
    function: Callable[..., Any],
    *arguments: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **options: Any,
) -> Any:
    """What `function(*arguments, **options)` returns; the two options choose among ways to compute it again."""
    return function(*arguments, **options)


def checkpoint_sequential(
    functions: Sequence[Callable[[Any], Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """What the functions, such as the parts of a Sequential, make of `input` one after the other, in one segment."""
    for function in functions:
        input = function(input)
    return input
