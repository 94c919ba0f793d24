"""A step of SGD for all parameters, one pass over each. The readable step is `optim.SGD.update`."""

from typing import Any

import numpy as np

from ...types import Array
from .. import sgd
from .compiled import loop
from .parameters import applies as applies
from .parameters import flat, over_parameters

NO_VELOCITY = np.empty(0, np.float32)


@loop("void(f4[::1], f4[::1], f4[::1], f4[::1])", "weight velocity")
def stepped(weight: Array, gradient: Array, velocity: Array, rule: Array) -> None:
    """v = momentum · v + undamped · (g + decay · p), p -= lr · v; an empty velocity is none.

    rule: lr, momentum, decay, undamped, sign, first (the velocity becomes the gradient), nesterov."""
    lr, momentum, decay, undamped, sign, first, nesterov = rule
    for i in range(weight.size):
        g = sign * gradient[i]
        if decay:
            g += decay * weight[i]
        if velocity.size:
            v = g if first else momentum * velocity[i] + undamped * g
            velocity[i] = v
            g = g + momentum * v if nesterov else v
        weight[i] -= lr * g


def step(
    weights: list[Array],
    gradients: list[Array],
    velocities: list[Any],
    group: dict[str, Any],
    first: bool,
    live: None = None,
) -> None:
    """As `kernels.sgd.step`."""
    rule = np.array(sgd.rule(group, first).tolist(), np.float32)
    buffers = [NO_VELOCITY if v is None or not group["momentum"] else flat(v) for v in velocities]
    over_parameters(lambda w, g, v: stepped(w, g, v, rule), weights, [flat(g) for g in gradients], buffers)


DROP_INS = ()
