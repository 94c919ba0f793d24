"""A step of Adam or AdamW for all parameters, one pass over each. The readable step is `optim.Adam.update`."""

from typing import Any

import numpy as np

from ...types import Array
from .compiled import loop
from .lines import flat
from .parameters import applies as applies
from .parameters import over_parameters


@loop("void(f4[::1], f4[::1], f4[::1], f4[::1], f4[::1], i8, i8)", "weight m v")
def stepped(weight: Array, gradient: Array, m: Array, v: Array, rule: Array, begin: int, end: int) -> None:
    """m = β₁ m + (1-β₁) g, v = β₂ v + (1-β₂) g², p = shrink · p - scale · m / (root · sqrt(v) + eps).

    rule: sign, shrink, decay, β₁, 1-β₁, β₂, 1-β₂, scale, root, eps."""
    sign, shrink, decay, beta1, rest1, beta2, rest2, scale, root, eps = rule
    weight, gradient, m, v = weight[begin:end], gradient[begin:end], m[begin:end], v[begin:end]
    for i in range(weight.size):
        p, g = weight[i], sign * gradient[i]
        if decay:
            g += decay * p
        m[i] = beta1 * m[i] + rest1 * g
        v[i] = beta2 * v[i] + rest2 * (g * g)
        weight[i] = shrink * p - scale * (m[i] / (root * np.sqrt(v[i]) + eps))


def step(
    weights: list[Array], gradients: list[Array], firsts: list[Array], seconds: list[Array], rule: Any, live: None
) -> None:
    """As `kernels.adam.step`."""
    numbers = np.array(rule.tolist(), np.float32)
    others = [[flat(a) for a in several] for several in (gradients, firsts, seconds)]
    over_parameters(stepped, weights, *others, rule=numbers)


DROP_INS = ()
