"""RAdam."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import blocks
from ..tape import Variable
from ..types import Array
from .optimizer import BoundedOptimizer, averaged, followed


class RAdam(BoundedOptimizer):
    """m and v as in Adam,   p ← p - lr · r · m̂ · sqrt(1 - β₂ᵗ) / (sqrt(v) + eps) once v has seen enough, and before
    that   p ← p - lr · m̂

    (Liu et al., "On the variance of the adaptive learning rate and beyond", 2020.) r, from 0 up to 1, is the
    factor that keeps the variance of the step as it will be in the end; "enough" is a length ρₜ of the running
    mean above 5. weight_decay adds weight_decay·p to the gradient, or with decoupled_weight_decay takes
    lr·weight_decay·p off p. maximize climbs. foreach and capturable choose among ways to compute the same and
    change nothing here. Raises OptionError."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        hints = {"foreach": foreach, "capturable": capturable, "differentiable": differentiable}
        super().__init__(params, {**options, "decoupled_weight_decay": decoupled_weight_decay, **hints})

    def update(self, p: Variable, gradient: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step for one parameter, in place."""
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(p.array), exp_avg_sq=np.zeros_like(p.array))
        state["step"] += 1
        t, (beta1, beta2), eps = state["step"], group["betas"], group["eps"]
        rectified = _rectification(t, beta2)
        scale = group["lr"] / (1 - beta1**t) * (1.0 if rectified is None else rectified * (1 - beta2**t) ** 0.5)

        def work(p, gradient, m, v):  # a block in the cache at a time
            g, term = followed(p, gradient, group), blocks.scratch("term", p.shape, p)
            averaged(m, v, g, group["betas"])
            if rectified is None:
                np.multiply(m, scale, out=term)
            else:
                np.sqrt(v, out=term)
                term += eps
                np.divide(m, term, out=term)
                term *= scale
            p -= term

        blocks.over_memory(work, p.array, gradient, state["exp_avg"], state["exp_avg_sq"])


def _rectification(t, beta2):
    """r of step t, or None while the running mean of squares is too short for its variance to be known."""
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * beta2**t / (1 - beta2**t)
    if length <= 5:
        return None
    return ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)) ** 0.5
