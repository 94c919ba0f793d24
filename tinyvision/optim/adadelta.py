"""Adadelta."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import blocks
from ..tape import Variable
from ..types import Array
from .optimizer import BoundedOptimizer, followed


class Adadelta(BoundedOptimizer):
    """s ← rho·s + (1 - rho)·g²,   d = sqrt(u + eps) / sqrt(s + eps) · g,   u ← rho·u + (1 - rho)·d²,   p ← p - lr·d

    (Zeiler, "ADADELTA: an adaptive learning rate method", 2012.) s is a running mean of squared gradients, u one of
    squared steps, so that a step has the units of p. weight_decay adds weight_decay·p to the gradient; maximize climbs.
    foreach and capturable choose among ways to compute the same and change nothing here. Raises OptionError."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        hints = {"foreach": foreach, "capturable": capturable, "differentiable": differentiable}
        super().__init__(params, {**options, **hints})

    def update(self, p: Variable, gradient: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step for one parameter, in place."""
        if not state:
            state.update(step=0, square_avg=np.zeros_like(p.array), acc_delta=np.zeros_like(p.array))
        state["step"] += 1
        rho, eps, lr = group["rho"], group["eps"], group["lr"]

        def work(p, gradient, squares, steps):  # a block in the cache at a time
            g, term = followed(p, gradient, group), blocks.scratch("term", p.shape, p)
            squares *= rho
            np.multiply(g, g, out=term)
            term *= 1 - rho
            squares += term
            g /= np.sqrt(np.add(squares, eps, out=term), out=term)
            g *= np.sqrt(np.add(steps, eps, out=term), out=term)
            steps *= rho
            np.multiply(g, g, out=term)
            term *= 1 - rho
            steps += term
            g *= lr
            p -= g

        blocks.over_memory(work, p.array, gradient, state["square_avg"], state["acc_delta"])
