"""Parts of a network whose values other engines compute again for the backward, to save memory.

Nothing is computed again here: every value is kept, so results are the same, sooner and with more memory. What is
counted differs: a batch-norm in training sees its batch once, and forward hooks are called once. PyTorch's, computed
again, moves its running statistics twice, and calls most hooks twice."""

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import OptionError


def checkpoint(
    function: Callable[..., Any],
    *arguments: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **options: Any,
) -> Any:
    """What `function(*arguments, **options)` returns; what is named here is of ways to compute it again.

    Raises OptionError for a context_fn, whose contexts would change what is computed."""
    if context_fn is not None:
        raise OptionError("checkpoint: context_fn is not supported; enter its context inside of the function")
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
