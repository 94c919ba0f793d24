"""Adagrad."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import blocks
from ..errors import OptionError
from ..tape import Variable
from ..types import Array
from .optimizer import BoundedOptimizer, followed


class Adagrad(BoundedOptimizer):
    """s ← s + g²,   p ← p - lr / (1 + (t - 1)·lr_decay) · g / (sqrt(s) + eps) in step t

    (Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization", 2011.)
    s starts at initial_accumulator_value. weight_decay adds weight_decay·p to the gradient; maximize climbs. foreach
    and fused choose among ways to compute the same and change nothing here. Raises OptionError."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        options = {"lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        options |= {"initial_accumulator_value": initial_accumulator_value}
        super().__init__(params, {**options, "foreach": foreach, "differentiable": differentiable, "fused": fused})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters; their sums start at once, as PyTorch's do, so that a state_dict() has them before a step.
        Raises OptionError, also for an initial_accumulator_value of a group's own, which PyTorch takes no notice of."""
        super().add_param_group(param_group)
        start = self.param_groups[-1]["initial_accumulator_value"]
        if start != self.defaults["initial_accumulator_value"]:
            del self.param_groups[-1]
            raise OptionError(f"Adagrad: initial_accumulator_value is one for all groups, got {start!r} in a group")
        for p in self.param_groups[-1]["params"]:
            self.state[p] = _start(p, self.param_groups[-1])

    def update(self, p: Variable, gradient: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step for one parameter, in place."""
        if not state:  # what was loaded did not speak of this parameter
            state.update(_start(p, group))
        rate = group["lr"] / (1 + state["step"] * group["lr_decay"])
        state["step"] += 1
        eps = group["eps"]

        def work(p, gradient, squares):  # a block in the cache at a time
            g, term = followed(p, gradient, group), blocks.scratch("term", p.shape, p)
            squares += np.multiply(g, g, out=term)
            np.sqrt(squares, out=term)
            term += eps
            g /= term
            g *= rate
            p -= g

        blocks.over_memory(work, p.array, gradient, state["sum"])


def _start(p, group):
    return {"step": 0, "sum": np.full_like(p.array, group["initial_accumulator_value"])}
