"""PyTorch's functions that ask for speed or for repeatable results, and change nothing here."""

from typing import Any

from .device import device as as_device
from .errors import OptionError


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: Any = None,
    disable: bool = False,
) -> Any:
    """The model or function itself: nothing is compiled, and the results are those of the model. The options, which
    choose a compiler, change nothing; without a model, a decorator. Raises OptionError for an unknown mode."""
    modes = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
    if mode is not None and mode not in modes:
        raise OptionError(f"compile: mode must be one of {', '.join(modes)}, got {mode!r}")
    return (lambda function: function) if model is None else model


def set_default_device(device: Any) -> None:
    """Where tensors are made when no device is named: on the CPU, so only that is accepted. Raises OptionError."""
    if device is not None and as_device(device).type != "cpu":
        raise OptionError(
            f"set_default_device: what names no device is made on the CPU here; use model.to({str(device)!r}), and "
            f"device= of what makes tensors"
        )


def set_float32_matmul_precision(precision: str) -> None:
    """Allow products of lower precision ("high", "medium") or not ("highest"); use is made of that by
    `tinyvision.precision` alone, so float32 stays float32. Raises OptionError."""
    if precision not in ("highest", "high", "medium"):
        raise OptionError(f"set_float32_matmul_precision: highest, high or medium, got {precision!r}")


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for the same result in every run: on one machine with one number of threads that is so on the CPU anyway."""
    if type(mode) is not bool:
        raise OptionError(f"use_deterministic_algorithms: True or False, got {mode!r}")


__all__ = ["compile", "set_float32_matmul_precision", "use_deterministic_algorithms"]
