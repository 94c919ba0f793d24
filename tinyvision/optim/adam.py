"""Adam and AdamW."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import blocks
from ..device import is_capturing
from ..kernels import adam, sgd
from ..tape import Variable
from ..types import Array
from .optimizer import BoundedOptimizer, averaged


class Adam(BoundedOptimizer):
    """m ← β₁m + (1-β₁)g,   v ← β₂v + (1-β₂)g²,   p ← p - lr · m̂ / (sqrt(v̂) + eps), with m̂, v̂ corrected for their
    start at 0

    (Kingma and Ba, 2015.) weight_decay adds weight_decay·p to the gradient, or with decoupled_weight_decay takes it off
    p, as AdamW does. With amsgrad, v̂ is the largest so far
    (Reddi, Kale, Kumar, "On the convergence of Adam and beyond", 2018). maximize climbs. foreach,
    capturable and fused choose among ways to compute the same and change nothing here. Raises OptionError."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        options: dict[str, Any] = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
        }
        options |= {"maximize": maximize, "decoupled_weight_decay": bool(decoupled_weight_decay)}
        options |= {"foreach": foreach, "capturable": capturable, "differentiable": differentiable, "fused": fused}
        super().__init__(params, options)

    def update_together(self, parameters: list[Any], group: dict[str, Any]) -> bool:
        """All parameters in one kernel launch or compiled loop; False where `update` is to take them one by one."""
        from ..kernels.cpu import adam as loops  # read after this file (see README)

        weights, gradients = [p.array for p in parameters], [p._grad.array for p in parameters]
        if not weights or group["amsgrad"]:
            return False
        on_cpu = blocks.on_cpu(weights[0])
        applies, step = (loops.applies, loops.step) if on_cpu else (sgd.applies, adam.step)
        if not applies(weights, gradients, "adam"):
            return False
        states, live = [self.state.setdefault(p, {}) for p in parameters], None
        if is_capturing():
            live = self.live.get(id(group))
            if live is None or not all(states):
                return False
        elif len({state.get("step", 0) for state in states}) != 1:
            return False  # a parameter that joined later is corrected for its own start
        for p, state in zip(parameters, states, strict=True):
            _begin(p, state)
        firsts, seconds = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq"))
        if not (applies(weights, firsts, "adam") and applies(weights, seconds, "adam")):
            return False
        if live is None:
            for state in states:
                state["step"] += 1
        step(weights, gradients, firsts, seconds, self._rule(group, states[0]["step"]), live)
        return True

    def _rule(self, group, count):
        return adam.rule(group, max(count, 1), group["decoupled_weight_decay"])

    def numbers(self, group: dict[str, Any]) -> np.ndarray | None:
        """The rule of the kernel for the latest step; None with amsgrad, and where parameters are counted apart."""
        counts = {self.state.get(p, {}).get("step", 0) for p in group["params"] if p.requires_grad}
        if group["amsgrad"] or len(counts) > 1:
            return None
        return self._rule(group, *counts or {1}).reshape(1).view(np.float32)

    def count_replay(self, group: dict[str, Any]) -> None:
        """One step more for every parameter of the group."""
        for p in group["params"]:
            if "step" in self.state.get(p, {}):
                self.state[p]["step"] += 1

    def update(self, p: Variable, gradient: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step for one parameter, in place."""
        _begin(p, state)
        if group["amsgrad"] and "max_exp_avg_sq" not in state:
            state["max_exp_avg_sq"] = state["exp_avg_sq"].copy(order="K")
        state["step"] += 1
        (beta1, beta2), lr, decay, eps = group["betas"], group["lr"], group["weight_decay"], group["eps"]
        scale = lr / (1 - beta1 ** state["step"])
        root = 1 / (1 - beta2 ** state["step"]) ** 0.5
        sign = -1.0 if group["maximize"] else 1.0

        def work(p, gradient, m, v, *largest):  # a block in the cache at a time
            term, g = blocks.scratch("term", p.shape, p), blocks.scratch("step", p.shape, p)
            np.multiply(gradient, sign, out=g)
            if decay and group["decoupled_weight_decay"]:
                p *= 1 - lr * decay
            elif decay:
                g += np.multiply(p, decay, out=term)
            averaged(m, v, g, group["betas"])
            for most in largest:
                np.maximum(most, v, out=most)
            np.sqrt(largest[0] if largest else v, out=term)
            term *= root
            term += eps
            np.divide(m, term, out=term)
            term *= scale
            p -= term

        largest = [state["max_exp_avg_sq"]] if group["amsgrad"] else []
        blocks.over_memory(work, p.array, gradient, state["exp_avg"], state["exp_avg_sq"], *largest)


def _begin(p, state):
    if not state:
        state.update(step=0, exp_avg=np.zeros_like(p.array), exp_avg_sq=np.zeros_like(p.array))


class AdamW(Adam):
    """Adam with the weight decay taken out of the gradient: p ← p·(1 - lr·weight_decay) first.

    (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.)"""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        hints: dict[str, Any] = {"foreach": foreach, "capturable": capturable, "fused": fused}
        hints |= {"differentiable": differentiable, "maximize": maximize}
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, decoupled_weight_decay=True, **hints)
