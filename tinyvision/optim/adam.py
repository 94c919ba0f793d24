"""Adam and AdamW."""

import numpy as np

from .. import parallel
from ..errors import OptionError
from .optimizer import Optimizer


class Adam(Optimizer):
    """m ← β₁m + (1-β₁)g,   v ← β₂v + (1-β₂)g²,   p ← p - lr · m̂ / (sqrt(v̂) + eps), with m̂, v̂ corrected for their start at 0

    (Kingma and Ba, 2015.) weight_decay adds weight_decay·p to the gradient. Raises OptionError."""

    decoupled = False

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay})

    def check_options(self, group):
        """Besides the ranges: both betas are from 0 up to, not including, 1."""
        super().check_options(group)
        if len(group["betas"]) != 2 or not all(0 <= b < 1 for b in group["betas"]):
            raise OptionError(f"{type(self).__name__}: betas must be two numbers from 0 to below 1, got {group['betas']!r}")

    def update(self, p, gradient, state, group):
        """One step for one parameter, in place."""
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(p.data), exp_avg_sq=np.zeros_like(p.data))
        state["step"] += 1
        (beta1, beta2), lr, decay, eps = group["betas"], group["lr"], group["weight_decay"], group["eps"]
        scale = lr / (1 - beta1 ** state["step"])
        root = 1 / (1 - beta2 ** state["step"]) ** 0.5

        def work(p, g, m, v):
            term = parallel.scratch("term", p.shape, p)
            if decay and self.decoupled:
                p *= 1 - lr * decay
            elif decay:
                g = np.add(g, np.multiply(p, decay, out=term), out=parallel.scratch("step", p.shape, p))
            m *= beta1
            m += np.multiply(g, 1 - beta1, out=term)
            v *= beta2
            np.multiply(g, g, out=term)
            term *= 1 - beta2
            v += term
            np.sqrt(v, out=term)
            term *= root
            term += eps
            np.divide(m, term, out=term)
            term *= scale
            p -= term

        parallel.over_memory(work, p.data, gradient, state["exp_avg"], state["exp_avg_sq"])


class AdamW(Adam):
    """Adam with the weight decay taken out of the gradient: p ← p·(1 - lr·weight_decay) first.

    (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.)"""

    decoupled = True

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
        super().__init__(params, lr, betas, eps, weight_decay)
