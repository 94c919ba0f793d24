"""Adamax."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import blocks
from ..tape import Variable
from ..types import Array
from .optimizer import BoundedOptimizer, followed


class Adamax(BoundedOptimizer):
    """m ← β₁m + (1-β₁)g,   u ← max(β₂u, |g| + eps),   p ← p - lr / (1 - β₁ᵗ) · m / u in step t

    (Kingma and Ba, 2015, section 7.) Adam with the largest gradient of late, rather than the mean square, below the
    line. weight_decay adds weight_decay·p to the gradient; maximize climbs. foreach and capturable choose among ways
    to compute the same and change nothing here. Raises OptionError."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        hints = {"foreach": foreach, "capturable": capturable, "differentiable": differentiable}
        super().__init__(params, {**options, **hints})

    def update(self, p: Variable, gradient: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step for one parameter, in place."""
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(p.array), exp_inf=np.zeros_like(p.array))
        state["step"] += 1
        (beta1, beta2), eps = group["betas"], group["eps"]
        rate = group["lr"] / (1 - beta1 ** state["step"])

        def work(p, gradient, m, largest):  # a block in the cache at a time
            g, term = followed(p, gradient, group), blocks.scratch("term", p.shape, p)
            m *= beta1
            m += np.multiply(g, 1 - beta1, out=term)
            largest *= beta2
            np.abs(g, out=g)
            g += eps
            np.maximum(largest, g, out=largest)
            np.divide(m, largest, out=term)
            term *= rate
            p -= term

        blocks.over_memory(work, p.array, gradient, state["exp_avg"], state["exp_inf"])
