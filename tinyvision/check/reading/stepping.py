"""Layers that step their own weights: by the gradient itself, so that it can be read back, or by a rule of their own.

Momentum, Adam, decay and clipping make a step that is no gradient. It is known by its answers: half the upstream is
not half the step, or the second step is not the first. The gradient then lies in a variable of backward.
"""

import copy
import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from ..place import is_array
from . import words

OPTIMISERS = ("optimizer", "optimiser", "opt")
STEPS = ("update", "step", "fit", "update_params", "update_parameters", "update_weights", "update_weight", "descend",
         "apply_gradients", "apply_grads", "optimize", "gradient_descent")  # fmt: skip


class Steps:
    """Stands in for an optimiser: it hands the gradient on as a step of size 1, so that it can be read back.

    An optimiser that is handed the layer and a dictionary of gradients keeps the dictionary for `slots` to find."""

    learning_rate = lr = 1.0

    def __init__(self) -> None:
        self.grads: Any = {}

    def update(self, weight: Any, grad: Any, *rest: Any) -> Any:
        """The weight after one step; of a list of weights, each is stepped where it lies."""
        if is_array(weight):
            return weight - grad
        if isinstance(weight, (list, tuple)):
            for one, its in zip(weight, grad, strict=False):
                one -= its
            return None
        self.grads = grad if isinstance(grad, dict) else {}
        return None

    __call__ = step = update

    def __getattr__(self, name: str) -> Any:  # calculate_update, apply_gradients, minimize, ...
        if name.startswith("_") or not any(word in name for word in ("update", "step", "apply", "optimi", "minimi")):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.update

    def __getitem__(self, which: Any) -> "Steps":
        """One of several, as of a list with one for the weights and one for the bias."""
        return self

    def init_params(self, *rest: Any) -> None:
        """Nothing is kept for each weight."""


def for_a_step(wanted: Mapping[str, inspect.Parameter], lone: bool = True) -> dict[str, float] | None:
    """What a method gets that steps by the gradient itself: rate 1, no decay, no momentum. None if it asks for more.

    With `lone`, a method that asks for no rate is none that steps."""
    given = {}
    for name, parameter in wanted.items():
        if words.is_role(name, "learning_rate"):
            given[name] = 1.0
        elif any(word in words.plain(name) for word in ("decay", "momentum", "reg", "lambda", "l2", "l1", "penalty")):
            given[name] = 0.0
        elif parameter.default is parameter.empty:
            return None
    return given if 1.0 in given.values() or not lone else None


def own_rule(pristine: Any, step: Callable[[Any, float], np.ndarray]) -> bool:
    """True if a layer's steps are not its gradients. `step(layer, factor)` takes one, for so many times the upstream;
    `pristine` is the layer as it was after forward."""
    layer = copy.deepcopy(pristine)
    first, second = step(layer, 1.0), step(layer, 1.0)
    half = step(copy.deepcopy(pristine), 0.5)
    room = 1e-6 * np.abs(first).max(initial=0.0)
    return not (np.allclose(second, first, rtol=0, atol=room) and np.allclose(2 * half, first, rtol=0, atol=room))


def variables(layer: Any, call: Callable[[], Any]) -> dict[str, Any]:
    """The arrays in the variables of the layer's own methods as they return during a call, by name."""
    seen: dict[str, Any] = {}

    def watch(frame, event, argument):
        first = frame.f_code.co_varnames[:1]
        if event == "return" and first and frame.f_locals.get(first[0]) is layer:
            seen.update((n, v) for n, v in frame.f_locals.items() if is_array(v))

    previous = sys.getprofile()
    sys.setprofile(watch)
    try:
        with suppress(Exception):
            call()
    finally:
        sys.setprofile(previous)
    return seen
