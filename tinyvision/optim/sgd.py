"""Stochastic gradient descent."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import blocks
from ..device import is_capturing
from ..errors import OptionError
from ..kernels import sgd
from ..tape import Variable
from ..types import Array
from .optimizer import BoundedOptimizer


class SGD(BoundedOptimizer):
    """v ← momentum·v + (1 - dampening)·(g + weight_decay·p),   p ← p - lr·v   (g + momentum·v for v with Nesterov)

    As in `torch.optim.SGD`: the first v is the first gradient itself, undamped, and the learning rate stays outside of
    v. (Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.) foreach and
    fused choose among ways to compute the same and change nothing here. Raises OptionError."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        maximize: bool = False,
        *,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        options = {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        options |= {"nesterov": nesterov, "maximize": maximize}
        super().__init__(params, {**options, "foreach": foreach, "differentiable": differentiable, "fused": fused})

    def check_options(self, group: dict[str, Any]) -> None:
        """Besides the ranges: Nesterov needs a momentum and no dampening."""
        super().check_options(group)
        if group["nesterov"] and (group["momentum"] == 0 or group["dampening"] != 0):
            raise OptionError("SGD: nesterov=True needs a momentum above 0 and dampening 0")

    def update_together(self, parameters: list[Any], group: dict[str, Any]) -> bool:
        """All parameters in one kernel launch or compiled loop; False where `update` is to take them one by one."""
        from ..kernels.cpu import sgd as loops  # read after this file (see README)

        weights, gradients = [p.array for p in parameters], [p._grad.array for p in parameters]
        if not weights:
            return False
        way = loops if blocks.on_cpu(weights[0]) else sgd
        if not way.applies(weights, gradients):
            return False
        states = [self.state.setdefault(p, {}) if group["momentum"] else {} for p in parameters]
        buffers = [state.get("momentum_buffer") for state in states]
        first = all(buffer is None for buffer in buffers)
        if group["momentum"]:
            if first:
                buffers = [np.empty_like(w) for w in weights]
            if not way.applies(weights, buffers):  # a parameter that joined later, or a buffer laid out differently
                return False
            for state, buffer in zip(states, buffers, strict=True):
                state["momentum_buffer"] = buffer
        live = self.live.get(id(group)) if is_capturing() else None
        way.step(weights, gradients, buffers, group, first, live)
        return True

    def numbers(self, group: dict[str, Any]) -> np.ndarray | None:
        """The rule of the kernel, for a step whose velocities are there."""
        return sgd.rule(group, first=False).reshape(1).view(np.float32)

    def update(self, p: Variable, gradient: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """One step for one parameter, in place."""
        lr, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
        sign = -1.0 if group["maximize"] else 1.0
        first = momentum and state.get("momentum_buffer") is None
        if first:
            state["momentum_buffer"] = np.empty_like(p.array)
        velocity = state["momentum_buffer"] if momentum else p.array

        def work(p, g, v):  # a block in the cache at a time
            step = blocks.scratch("step", g.shape, g)
            np.multiply(g, sign, out=step)
            if decay:
                step += np.multiply(p, decay, out=blocks.scratch("term", p.shape, p))
            if momentum:
                if first:
                    v[...] = step
                else:
                    v *= momentum
                    v += step if not group["dampening"] else step * (1 - group["dampening"])
                if group["nesterov"]:
                    step += np.multiply(v, momentum, out=blocks.scratch("term", p.shape, p))
                else:
                    step[...] = v
            step *= lr
            p -= step

        blocks.over_memory(work, p.array, gradient, velocity)
        if not state:  # there is nothing to remember, and as in PyTorch no place for it
            self.state.pop(p, None)
