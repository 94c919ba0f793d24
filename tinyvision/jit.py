"""torch.jit, as far as it says something to a compiler: models are not compiled, they run as they are written.

So what marks a function for the compiler hands it back as it is, and nothing is ever being compiled."""

from typing import TYPE_CHECKING, Any, Final, TypeVar

from .missing import missing

T = TypeVar("T")


def is_scripting() -> bool:
    """Whether a script is being compiled: False."""
    return False


def is_tracing() -> bool:
    """Whether a call is being traced: False."""
    return False


def script(obj: T, optimize: Any = None, example_inputs: Any = None) -> T:
    """The function or module itself, which runs as it is written; `torch.onnx.export` makes a file of a model."""
    return obj


def unused(function: T) -> T:
    """The function itself, as are those that `export`, `script_method` and `_overload_method` mark."""
    return function


export = _overload_method = script_method = unused


def ignore(drop: Any = False, **options: Any) -> Any:
    """The function itself: `@ignore` and `@ignore(drop=True)`."""
    return drop if callable(drop) else unused


def annotate(the_type: Any, the_value: T) -> T:
    """The value itself, whatever type a compiler is told."""
    return the_value


__all__ = ["Final", "annotate", "export", "ignore", "is_scripting", "is_tracing", "script", "script_method", "unused"]

if not TYPE_CHECKING:
    __getattr__ = missing("torch.jit", __all__)
