"""L-BFGS: Newton's direction without Newton's matrix."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from ..arrays import is_array
from ..errors import CheckpointError, OptionError
from ..grad_mode import enable_grad, no_grad
from ..ops.checks import is_integer, is_number
from ..tape import Variable
from ..types import Array
from .line_search import Place, strong_wolfe
from .optimizer import BoundedOptimizer

_LEAST_CURVATURE = 1e-10  # of a pair of steps and changes of the gradient that is remembered
# What a state remembers: flat arrays as long as all parameters together, lists of them, and numbers.
_ARRAYS, _LISTS, _COUNTS = ("d", "prev_flat_grad"), ("old_dirs", "old_stps"), ("func_evals", "n_iter")


class LBFGS(BoundedOptimizer):
    """d = -H g,   p ← p + t·d, where H follows the inverse of the second derivatives from the last steps s and the
    changes y of the gradient in them (Liu and Nocedal, "On the limited memory BFGS method", 1989; the two loops are
    algorithm 7.4 of Nocedal and Wright, "Numerical optimization", 2006).

    Several steps are one `step(closure)`: the closure sets the gradients to zero, computes the loss, calls backward()
    and returns the loss. It goes on for max_iter steps and max_eval calls (by default 5/4 as many), while the largest
    gradient is above tolerance_grad and loss and parameters change by more than tolerance_change. t is lr, in the
    first step at most lr / Σ|g|; with line_search_fn="strong_wolfe" that is only where the search for it begins.

    It is meant for losses without noise: for pictures that are optimised, not for networks that see batches. All
    parameters are one vector, in one group. Raises OptionError."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None and is_integer(max_iter) else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """The one group. Raises OptionError for another."""
        if self.param_groups:
            raise OptionError("LBFGS: all parameters are one vector, so there is one group; give them in one list")
        super().add_param_group(param_group)

    def check_options(self, group: dict[str, Any]) -> None:
        """Besides the learning rate: counts from 1 on, tolerances, and the one search that there is."""
        super().check_options(group)
        for name in ("max_iter", "max_eval", "history_size"):
            if not is_integer(group[name]) or group[name] < 1:
                raise OptionError(f"LBFGS: {name} must be an integer of 1 or more, got {group[name]!r}")
        for name in ("tolerance_grad", "tolerance_change"):
            if not is_number(group[name]) or not group[name] >= 0:
                raise OptionError(f"LBFGS: {name} must be 0 or more, got {group[name]!r}")
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise OptionError(f'LBFGS: line_search_fn must be None or "strong_wolfe", got {group["line_search_fn"]!r}')

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Several steps; returns the loss before them. Raises OptionError without a closure that gives the loss."""
        if not callable(closure):
            raise OptionError(
                "LBFGS: step(closure) asks for the loss several times: give it a function that calls zero_grad(), "
                "computes the loss, calls backward() and returns the loss"
            )
        for p in self.param_groups[0]["params"]:
            if isinstance(p.array, np.ndarray) and not p.array.flags.writeable:
                self._refuse_read_only(p)
        with no_grad():
            return self._steps(closure, self.param_groups[0])

    def _steps(self, closure, group):
        state = self.state[group["params"][0]]
        for name in _COUNTS:
            state.setdefault(name, 0)
        answer, loss, gradient = self._ask(closure)
        state["func_evals"] += 1
        if float(np.abs(gradient).max()) <= group["tolerance_grad"]:
            return answer
        asked, least_change = 1, group["tolerance_change"]
        for n in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = _direction(gradient, state, group["history_size"])
            is_first = state["n_iter"] == 1
            state["t"] = (min(1.0, 1 / float(np.abs(gradient).sum())) if is_first else 1.0) * float(group["lr"])
            state["prev_flat_grad"], state["prev_loss"] = gradient, loss
            slope = _dot(gradient, direction)
            if slope > -least_change:
                break
            if group["line_search_fn"]:
                start = Place(np.float64(0), loss, gradient, slope)
                found, tries = strong_wolfe(
                    partial(self._try, closure, direction, [p.array.copy() for p in group["params"]]),
                    start, np.float64(state["t"]), float(np.abs(direction).max()), group["max_eval"] - asked,
                )  # fmt: skip
                state["t"], loss, gradient = float(found.t), found.loss, found.gradient
                self._move(state["t"], direction)
            else:
                self._move(state["t"], direction)
                tries = 0
                if n < group["max_iter"]:  # after the last step nobody asks
                    _, loss, gradient = self._ask(closure)
                    tries = 1
            asked += tries
            state["func_evals"] += tries
            if (
                asked >= group["max_eval"]
                or float(np.abs(gradient).max()) <= group["tolerance_grad"]
                or float(np.abs(direction * state["t"]).max()) <= least_change
                or abs(loss - state["prev_loss"]) < least_change
            ):
                break
        return answer

    def _ask(self, closure):
        """(what the closure returns, that as a number, the gradient of all parameters as one vector)"""
        with enable_grad():
            answer = closure()
        try:
            loss = np.float64(float(answer))
        except (TypeError, ValueError):
            raise OptionError(f"LBFGS: the closure must return the loss, one number; got {answer!r}") from None
        parts = [
            (np.zeros_like(p.array) if p.grad is None else p.grad.array).reshape(-1)
            for p in self.param_groups[0]["params"]
        ]
        return answer, loss, np.concatenate(parts)

    def _move(self, t, direction):
        """p + t·d for all parameters, in place."""
        begin = 0
        for p in self.param_groups[0]["params"]:
            part = direction[begin : begin + p.array.size].reshape(p.shape)
            p.array += part * float(t)
            p.changes[0] += 1
            begin += p.array.size

    def _try(self, closure, direction, origin, t):
        """The place at t; the parameters are where they were afterwards."""
        self._move(t, direction)
        _, loss, gradient = self._ask(closure)
        for p, array in zip(self.param_groups[0]["params"], origin, strict=True):
            p.array[...] = array
        return Place(t, loss, gradient, _dot(gradient, direction))

    def restored(self, name: str, value: Any, p: Any, number: Any) -> Any:
        """A saved entry: arrays as copies on the device and in the dtype of the parameters, numbers as such.

        Raises CheckpointError for an array that is not as long as all parameters together."""
        if value is None:
            return None
        if isinstance(value, (list, tuple)):
            return [self.restored(name, part, p, number) for part in value]
        if name not in (*_ARRAYS, *_LISTS):
            return int(value) if name in _COUNTS else float(value)
        array = super(BoundedOptimizer, self).restored(name, value, p, number)
        array = array.array if isinstance(array, Variable) else array
        length = sum(q.array.size for q in self.param_groups[0]["params"])
        if not is_array(array) or array.shape != (length,):
            raise CheckpointError(f"{name} is {np.shape(array)}, but the parameters have {length} numbers together")
        return array


def _direction(gradient: Array, state: dict[str, Any], history_size: int) -> Array:
    """The way to go: -H g by the two loops over what is remembered, after the last step has been added to it."""
    if state["n_iter"] == 1:
        state.update(d=-gradient, old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
        return state["d"]
    changes, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
    change, step = gradient - state["prev_flat_grad"], state["d"] * state["t"]
    curvature = _dot(change, step)
    if curvature > _LEAST_CURVATURE:
        for remembered, new in ((changes, change), (steps, step), (ro, float(1 / curvature))):
            if len(remembered) == history_size:
                del remembered[0]
            remembered.append(new)
        state["H_diag"] = float(curvature / _dot(change, change))
    al = state.setdefault("al", [None] * history_size)
    direction = -gradient
    for i in reversed(range(len(changes))):
        al[i] = float(_dot(steps[i], direction) * ro[i])
        direction -= changes[i] * al[i]
    direction *= state["H_diag"]
    for i in range(len(changes)):
        share = al[i] - float(_dot(changes[i], direction) * ro[i])
        direction += steps[i] * share
    state["d"] = direction
    return direction


def _dot(a, b):
    return np.float64(float(np.dot(a, b)))
