"""Mistakes in an update rule: SGD with momentum and weight decay, over a trajectory of several steps.

`wrong` makes a fresh update rule (weight, grad, velocity, lr, momentum, weight_decay) -> (weight, velocity).
"""

from typing import Any

import numpy as np

from .mistake import Bank, Mistake


class _Rules(Bank):
    def rule(self, name, says):
        """Decorator: register a factory of update rules."""

        def register(make):
            self.mistakes.append(Mistake(f"sgd.weight.{name}", "sgd", "weight", says, wrong=make))
            return make

        return register

    def simple(self, name, says, step):
        """Register a rule without memory of its own."""
        self.mistakes.append(Mistake(f"sgd.weight.{name}", "sgd", "weight", says, wrong=lambda: step))


bank = _Rules("sgd")
BANKS = [bank]


def right(
    weight: np.ndarray, grad: np.ndarray, velocity: np.ndarray, lr: float, momentum: float, weight_decay: float
) -> Any:
    """v = momentum v + (grad + weight_decay weight);  weight - lr v   (torch.optim.SGD)."""
    velocity = momentum * velocity + grad + weight_decay * weight
    return weight - lr * velocity, velocity


def _of(update):
    """A rule from a function (weight, grad, velocity, lr, momentum, weight_decay) -> (step, velocity)."""

    def rule(weight, grad, velocity, lr, momentum, weight_decay):
        step, velocity = update(weight, grad, velocity, lr, momentum, weight_decay)
        return weight - step, velocity

    return rule


def _both(velocity, lr):
    return lr * velocity, velocity


bank.simple(
    "ascent",
    "You added the step; gradient descent subtracts it.",
    _of(lambda w, g, v, lr, m, wd: (-lr * (m * v + g + wd * w), m * v + g + wd * w)),
)
bank.simple(
    "no_momentum",
    "The velocity is not used: the step is lr·grad.",
    _of(lambda w, g, v, lr, m, wd: (lr * (g + wd * w), m * v + g + wd * w)),
)
bank.simple(
    "velocity_forgotten",
    "The velocity starts at 0 in each step: keep it and return it.",
    _of(lambda w, g, v, lr, m, wd: _both(g + wd * w, lr)),
)
bank.simple(
    "velocity_not_returned",
    "You return the velocity you were given; return the new one.",
    _of(lambda w, g, v, lr, m, wd: (lr * (m * v + g + wd * w), v)),
)
bank.simple(
    "dampening",
    "You weighted the gradient by 1 - momentum (dampening); it enters as it is.",
    _of(lambda w, g, v, lr, m, wd: _both(m * v + (1 - m) * (g + wd * w), lr)),
)
bank.simple(
    "lr_inside_velocity",
    "The learning rate is inside the velocity: when it changes, old steps keep the old one. "
    "It shows only when lr changes.",
    _of(lambda w, g, v, lr, m, wd: (m * v + lr * (g + wd * w),) * 2),
)
bank.simple(
    "decay_sign",
    "Weight decay has the wrong sign: it makes the weights larger.",
    _of(lambda w, g, v, lr, m, wd: _both(m * v + g - wd * w, lr)),
)
bank.simple("decay_missing", "Weight decay is missing.", _of(lambda w, g, v, lr, m, wd: _both(m * v + g, lr)))
bank.simple(
    "decay_decoupled",
    "Weight decay is applied beside the velocity (as in AdamW); in SGD it is part of the gradient.",
    _of(lambda w, g, v, lr, m, wd: (lr * (m * v + g) + lr * wd * w, m * v + g)),
)
bank.simple(
    "decay_without_lr",
    "You subtracted weight_decay·weight from the weight itself, without the learning rate.",
    _of(lambda w, g, v, lr, m, wd: (lr * (m * v + g) + wd * w, m * v + g)),
)
bank.simple(
    "decay_squared",
    "You used weight_decay·weight²; the gradient of the penalty is weight_decay·weight.",
    _of(lambda w, g, v, lr, m, wd: _both(m * v + g + wd * w * w, lr)),
)
bank.simple(
    "decay_doubled",
    "You used 2·weight_decay·weight; PyTorch's penalty is weight_decay/2·weight².",
    _of(lambda w, g, v, lr, m, wd: _both(m * v + g + 2 * wd * w, lr)),
)
bank.simple(
    "decay_of_velocity",
    "You applied weight decay to the velocity.",
    _of(lambda w, g, v, lr, m, wd: _both(m * v + g + wd * v, lr)),
)
bank.simple(
    "nesterov",
    "You looked ahead (Nesterov's momentum); plain momentum was asked for.",
    _of(lambda w, g, v, lr, m, wd: (lr * (g + wd * w + m * (m * v + g + wd * w)), m * v + g + wd * w)),
)
bank.simple(
    "momentum_complement",
    "You used 1 - momentum in the place of momentum.",
    _of(lambda w, g, v, lr, m, wd: _both((1 - m) * v + g + wd * w, lr)),
)
bank.simple(
    "momentum_ignored",
    "Momentum is taken as 1: the velocity is the sum of all gradients.",
    _of(lambda w, g, v, lr, m, wd: _both(v + g + wd * w, lr)),
)
bank.simple(
    "old_velocity_used",
    "You stepped with the old velocity and updated it afterwards.",
    _of(lambda w, g, v, lr, m, wd: (lr * v, m * v + g + wd * w)),
)
bank.simple("lr_missing", "The learning rate is not used.", _of(lambda w, g, v, lr, m, wd: (m * v + g + wd * w,) * 2))
bank.simple(
    "lr_twice",
    "The learning rate is applied twice.",
    _of(lambda w, g, v, lr, m, wd: (lr * (m * v + lr * (g + wd * w)), m * v + lr * (g + wd * w))),
)
bank.simple(
    "velocity_sign",
    "The velocity enters with the wrong sign.",
    _of(lambda w, g, v, lr, m, wd: _both(-m * v + g + wd * w, lr)),
)
bank.simple(
    "gradient_normalised",
    "You divided the gradient by its length.",
    _of(lambda w, g, v, lr, m, wd: _both(m * v + g / (g * g).sum() ** 0.5 + wd * w, lr)),
)
bank.simple(
    "sign_of_gradient",
    "You used only the gradient's sign.",
    _of(lambda w, g, v, lr, m, wd: _both(m * v + (g > 0) * 2.0 - 1 + wd * w, lr)),
)
bank.simple(
    "weight_unchanged",
    "The weight does not change: return the new one.",
    lambda w, g, v, lr, momentum, weight_decay: (w * 1.0, momentum * v + g + weight_decay * w),
)


@bank.rule("gradients_not_cleared", "Gradients of earlier steps are still there: clear them before each step.")
def _not_cleared():
    total = {}

    def rule(weight, grad, velocity, lr, momentum, weight_decay):
        total[weight.shape] = total.get(weight.shape, 0) + grad
        return right(weight, total[weight.shape], velocity, lr, momentum, weight_decay)

    return rule


@bank.rule("one_velocity_for_all", "One velocity is shared by all parameters; each needs its own.")
def _shared():
    kept = {"v": 0.0}

    def rule(weight, grad, velocity, lr, momentum, weight_decay):
        last = kept["v"] if getattr(kept["v"], "shape", ()) in ((), weight.shape) else kept["v"].mean()
        kept["v"] = momentum * last + grad + weight_decay * weight
        return weight - lr * kept["v"], kept["v"]

    return rule


@bank.rule("first_lr_kept", "The learning rate of the first step is used in all of them.")
def _first_rate():
    kept = {}

    def rule(weight, grad, velocity, lr, momentum, weight_decay):
        return right(weight, grad, velocity, kept.setdefault("lr", lr), momentum, weight_decay)

    return rule
