"""RMSprop."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import blocks
from ..errors import OptionError
from ..tape import Variable
from ..types import Array
from .optimizer import BoundedOptimizer, followed


class RMSprop(BoundedOptimizer):
    """s ← alpha·s + (1 - alpha)·g²,   p ← p - lr · g / (sqrt(s) + eps)

    (Hinton, Srivastava and Swersky, lecture 6 of "Neural networks for machine learning", 2012.) centered takes the
    square of the mean gradient out of s; with momentum, the steps are summed in a buffer first. weight_decay adds
    weight_decay·p to the gradient; maximize climbs. foreach, capturable and differentiable=False change nothing here.
    Raises OptionError."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        hints = {"foreach": foreach, "capturable": capturable, "differentiable": differentiable}
        super().__init__(params, {**options, "centered": centered, "maximize": maximize, **hints})

    def check_options(self, group: dict[str, Any]) -> None:
        """Besides the ranges: alpha is 0 or more."""
        super().check_options(group)
        if isinstance(group["alpha"], bool) or not group["alpha"] >= 0:
            raise OptionError(f"RMSprop: alpha must be 0 or more, got {group['alpha']!r}")

    def update(self, p: Variable, gradient: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step for one parameter, in place."""
        memory = p.array
        if not state:
            state.update(step=0, square_avg=np.zeros_like(memory))
            if group["momentum"] > 0:
                state["momentum_buffer"] = np.zeros_like(memory)
            if group["centered"]:
                state["grad_avg"] = np.zeros_like(memory)
        state["step"] += 1
        alpha, momentum, centered = group["alpha"], group["momentum"], group["centered"]

        def work(p, gradient, square, *others):  # a block in the cache at a time
            g, term = followed(p, gradient, group), blocks.scratch("term", p.shape, p)
            square *= alpha
            np.multiply(g, 1 - alpha, out=term)
            term *= g
            square += term
            if centered:
                mean = others[0]
                np.subtract(g, mean, out=term)
                term *= 1 - alpha
                mean += term
                np.multiply(mean, mean, out=term)
                np.subtract(square, term, out=term)
            np.sqrt(term if centered else square, out=term)
            term += group["eps"]
            g /= term
            if momentum > 0:
                buffer = others[-1]
                buffer *= momentum
                buffer += g
                g[...] = buffer
            g *= group["lr"]
            p -= g

        others = [state["grad_avg"]] if centered else []
        others += [state["momentum_buffer"]] if momentum > 0 else []
        blocks.over_memory(work, memory, gradient, state["square_avg"], *others)
