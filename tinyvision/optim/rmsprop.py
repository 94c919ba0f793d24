"""RMSprop."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import OptionError
from ..tape import Variable
from ..types import Array
from .optimizer import BoundedOptimizer, refuse_differentiable


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
        refuse_differentiable("RMSprop", differentiable)
        options = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(params, {**options, "centered": centered, "maximize": maximize})

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
        alpha, square = group["alpha"], state["square_avg"]
        g = -gradient if group["maximize"] else gradient
        if group["weight_decay"]:
            g = g + group["weight_decay"] * memory
        square *= alpha
        square += (1 - alpha) * g * g
        if group["centered"]:
            mean = state["grad_avg"]
            mean += (1 - alpha) * (g - mean)
            scale = np.sqrt(square - mean * mean)
        else:
            scale = np.sqrt(square)
        step = g / (scale + group["eps"])
        if group["momentum"] > 0:
            buffer = state["momentum_buffer"]
            buffer *= group["momentum"]
            buffer += step
            step = buffer
        memory -= group["lr"] * step
