"""NAdam."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import blocks
from ..tape import Variable
from ..types import Array
from .optimizer import BoundedOptimizer, averaged, followed


class NAdam(BoundedOptimizer):
    """μₜ = β₁(1 - ½·0.96^(t·momentum_decay)),   m ← β₁m + (1-β₁)g,   v ← β₂v + (1-β₂)g²,   Πₜ = μ₁···μₜ,

        p ← p - lr · [(1 - μₜ)/(1 - Πₜ) · g + μₜ₊₁/(1 - Πₜ₊₁) · m] / (sqrt(v / (1 - β₂ᵗ)) + eps)

    Adam that looks ahead, as Nesterov's momentum does (Dozat, "Incorporating Nesterov momentum into Adam", 2016).
    weight_decay adds weight_decay·p to the gradient, or with decoupled_weight_decay takes lr·weight_decay·p off
    p. maximize climbs. foreach and capturable choose among ways to compute the same and change nothing here.
    Raises OptionError."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        decays = {"momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay}
        hints = {"foreach": foreach, "capturable": capturable, "differentiable": differentiable}
        super().__init__(params, {**options, **decays, **hints})

    def update(self, p: Variable, gradient: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step for one parameter, in place."""
        if not state:
            moments = {"exp_avg": np.zeros_like(p.array), "exp_avg_sq": np.zeros_like(p.array)}
            state.update(step=0, mu_product=1.0, **moments)
        state["step"] += 1
        t, (beta1, beta2), eps, lr = state["step"], group["betas"], group["eps"], group["lr"]
        now, ahead = (beta1 * (1 - 0.5 * 0.96 ** (s * group["momentum_decay"])) for s in (t, t + 1))
        state["mu_product"] *= now
        of_gradient = lr * (1 - now) / (1 - state["mu_product"])
        of_mean = lr * ahead / (1 - state["mu_product"] * ahead)
        root = 1 / (1 - beta2**t) ** 0.5

        def work(p, gradient, m, v):  # a block in the cache at a time
            g, term = followed(p, gradient, group), blocks.scratch("term", p.shape, p)
            averaged(m, v, g, group["betas"])
            g *= of_gradient
            g += np.multiply(m, of_mean, out=term)
            np.sqrt(v, out=term)
            term *= root
            term += eps
            g /= term
            p -= g

        blocks.over_memory(work, p.array, gradient, state["exp_avg"], state["exp_avg_sq"])
