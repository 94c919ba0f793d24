"""Whether the tape records: `no_grad()`, `enable_grad()` and `set_grad_enabled()`, for every thread by itself."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

from .errors import OptionError


class _Mode(threading.local):
    """What a thread has asked for. As attributes of a class, the answers of one that has asked for nothing are found
    without an exception on the way."""

    grad, anomaly = True, False


_mode = _Mode()

Function = TypeVar("Function", bound=Callable[..., Any])


def is_grad_enabled() -> bool:
    """False inside `no_grad()`, in the thread that asks."""
    return _mode.grad


class _GradMode:
    """Recording on or off for a `with` block, or for a function it decorates; it may be nested and reused."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def __enter__(self) -> _GradMode:
        _mode.__dict__.setdefault("outer", []).append(is_grad_enabled())
        _mode.grad = self.enabled
        return self

    def __exit__(self, *exception: object) -> None:
        _mode.grad = _mode.outer.pop()

    def __call__(self, function: Function) -> Function:
        if inspect.isgeneratorfunction(function):  # its body runs when the call has long returned
            raise OptionError(
                f"{function.__name__} is a generator: as a decorator, no_grad() would end before its first line runs; "
                f"write `with no_grad():` inside, around what is computed between two yields"
            )

        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with _GradMode(self.enabled):
                return function(*args, **kwargs)

        return cast(Function, wrapped)


@overload
def no_grad(function: None = None) -> _GradMode: ...
@overload
def no_grad(function: Function) -> Function: ...
def no_grad(function: Any = None) -> Any:
    """Record nothing: `with no_grad():` for inference and for changing parameters, or `@no_grad()` on a function."""
    return _GradMode(False) if function is None else _GradMode(False)(function)


@overload
def enable_grad(function: None = None) -> _GradMode: ...
@overload
def enable_grad(function: Function) -> Function: ...
def enable_grad(function: Any = None) -> Any:
    """Record again inside a `no_grad()` block; as a context manager or a decorator."""
    return _GradMode(True) if function is None else _GradMode(True)(function)


class _GradSwitch(_GradMode):
    """A _GradMode in force from the moment it is made; a `with` block, if there is one, ends it."""

    def __init__(self, enabled: bool) -> None:
        super().__init__(enabled)
        self.before, _mode.grad = is_grad_enabled(), enabled

    def __enter__(self) -> _GradSwitch:
        super().__enter__()
        _mode.outer[-1] = self.before
        return self

    def __call__(self, function: Function) -> Function:
        _mode.grad = self.before
        return super().__call__(function)


def set_grad_enabled(mode: Any) -> _GradSwitch:
    """Record or not, as `mode` says, from here on; `with set_grad_enabled(phase == "train"):` only inside the block."""
    return _GradSwitch(bool(mode))


def inference_mode(mode: Any = True) -> Any:
    """PyTorch's newer `no_grad`, the same here: a `with` block, or a decorator with and without brackets."""
    if callable(mode):
        return _GradMode(False)(mode)
    return _GradMode(is_grad_enabled() and not mode)


def is_anomaly_enabled() -> bool:
    """Whether a backward that gives nan is to be named, in the thread that asks."""
    return _mode.anomaly


class set_detect_anomaly:
    """From here on, an error names the op whose backward gives nan; in a `with` block, only inside."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before, _mode.anomaly = is_anomaly_enabled(), bool(mode) and check_nan

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        _mode.anomaly = self.before


class detect_anomaly:
    """`with detect_anomaly():` an error names the op whose backward gives nan."""

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan

    def __enter__(self) -> None:
        self.switch = set_detect_anomaly(True, self.check_nan)

    def __exit__(self, *exception: object) -> None:
        self.switch.__exit__()
