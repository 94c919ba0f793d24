"""A step of SGD for all parameters, one pass over each. The readable step is `optim.SGD.update`."""

from typing import Any

import numpy as np

from ...types import Array
from .. import sgd
from .compiled import loop
from .lines import flat
from .parameters import applies as applies
from .parameters import over_parameters

NO_VELOCITY = np.empty(0, np.float32)


@loop("void(f4[::1], f4[::1], f4[::1], f4[::1], i8, i8)", "weight velocity")
def stepped(weight: Array, gradient: Array, velocity: Array, rule: Array, begin: int, end: int) -> None:
    """From begin to end, v = momentum · v + undamped · (g + decay · p), p -= lr · v; an empty velocity is none.

    rule: lr, momentum, decay, undamped, sign, first (the velocity becomes the gradient), nesterov."""
    lr, momentum, decay, undamped, sign, first, nesterov = rule
    weight, gradient, moves = weight[begin:end], gradient[begin:end], velocity.size > 0
    velocity = velocity[begin:end]
    for i in range(weight.size):
        g = sign * gradient[i]
        if decay:
            g += decay * weight[i]
        if moves:
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
    over_parameters(stepped, weights, [flat(g) for g in gradients], buffers, rule=rule)


DROP_INS = ()
