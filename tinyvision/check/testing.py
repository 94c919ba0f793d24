"""Gradient checks in a test: `assert_gradients(...)` fails with the whole report as its message."""

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import OptionError
from .check_gradients import gradients
from .check_layer import layer
from .check_op import op as check_op
from .reading import is_layer
from .report import Report


def assert_gradients(
    forward: Any, backward: Callable[..., Any] | None = None, inputs: Sequence[Any] = (), *, op: str = "", **how: Any
) -> Report:
    """Check a pair of functions on `inputs`, or a pair or a layer as the known `op`; returns the report if it passed.

    `how` is handed to `check.gradients`, `check.op` or `check.layer`. Raises AssertionError with the report's text, and
    OptionError for what those refuse."""
    __tracebackhide__ = True
    if op and backward is None and is_layer(forward):
        report = layer(forward, op, **how)
    elif op:
        report = check_op(op, forward, backward, **how)
    elif backward is None:
        raise OptionError("assert_gradients: give the backward that belongs to forward, or op= with a layer")
    else:
        report = gradients(forward, backward, inputs, **how)
    if not report.passed:
        raise AssertionError(f"\n{report}")
    return report
