"""Gradient descent with momentum.   v ← momentum·v + gradient,   weight ← weight - lr·v

weight, grad, velocity of the same shape  ->  (the new weight, the new velocity)
"""


def momentum_step(weight, grad, velocity, lr, momentum):
    """The learning rate stays outside of the velocity, as in PyTorch."""
    # solution:
    velocity = momentum * velocity + grad
    return weight - lr * velocity, velocity
    # skeleton:
    # velocity = ...
    # return ...  # two arrays
    # end


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision.learn import lab

TITLE = "momentum"
LEVEL, MINUTES, PAGE = 2, 8, "17"
NEEDS = ("momentum_step",)
MISSING = "the new velocity, and the step along it"
HINTS = (
    "What is left of the last step's velocity, and what is added?",
    "momentum times the old velocity, plus the gradient, undamped. The step is lr times the *new* velocity.",
    "velocity = momentum * velocity + grad; return weight - lr * velocity, velocity",
)
PREDICT = "All gradients are equal and momentum is 0.9. How long do the steps get?"
ANSWER = "Ten times lr·gradient: 1 + 0.9 + 0.81 + ... = 1/(1 - 0.9)."


def walk(step):
    """Where a rule goes in six steps of changing length, from a random start: (7, 3)."""
    rng = np.random.default_rng(18)
    w, v, places = rng.standard_normal(3), np.zeros(3), []
    for lr in (0.1, 0.1, 0.1, 0.02, 0.02, 0.3):
        w, v = step(w, rng.standard_normal(3), v, lr, 0.8)
        places.append(w)
    return np.array(places)


def rule(make):
    def step(w, g, v, lr, m):
        v, move = make(g, v, lr, m)
        return w + move, v

    return step


def check(your):
    def guarded(*arrays):
        result = lab.call(your.momentum_step, *arrays)
        lab.expect(
            isinstance(result, (tuple, list)) and len(result) == 2,
            "Return two arrays: the new weight, the new velocity.",
            "velocity",
            your.momentum_step,
        )
        return result

    known = [
        (lambda g, v, lr, m: (m * v + g, lr * (m * v + g)), "You walked uphill."),
        (
            lambda g, v, lr, m: (m * v + (1 - m) * g, -lr * (m * v + (1 - m) * g)),
            "You damped the gradient by 1 - momentum; here it is added in full.",
        ),
        (
            lambda g, v, lr, m: (m * v - lr * g, m * v - lr * g),
            "The learning rate is inside of your velocity. It shows when the rate changes: old steps keep their old "
            "rate.",
        ),
        (
            lambda g, v, lr, m: (m * v + lr * g, -(m * v + lr * g)),
            "The learning rate is inside of your velocity. It shows when the rate changes: old steps keep their old "
            "rate.",
        ),
        (lambda g, v, lr, m: (v, -lr * (m * v + g)), "The velocity you return is the old one: it is never carried on."),
        (lambda g, v, lr, m: (m * v + g, -lr * v), "The step uses the old velocity; it should use the new one."),
        (lambda g, v, lr, m: (m * v + g, -lr * g), "The step uses the gradient alone, and not the velocity."),
        (lambda g, v, lr, m: (m * v + g, -lr * (g + m * (m * v + g))), "That is Nesterov's momentum: one look ahead."),
        (lambda g, v, lr, m: (v + g, -lr * (v + g)), "The old velocity is not multiplied by momentum."),
        (lambda g, v, lr, m: (m * (v + g), -lr * m * (v + g)), "momentum multiplies the old velocity alone."),
        (
            lambda g, v, lr, m: ((1 - m) * v + g, -lr * ((1 - m) * v + g)),
            "The velocity keeps 1 - momentum of itself; it should keep momentum.",
        ),
    ]
    lab.equal(
        walk(guarded),
        walk(lambda w, g, v, lr, m: (w - lr * (m * v + g), m * v + g)),
        "weight",
        your.momentum_step,
        "(Followed over six steps.)",
        known=[(walk(rule(make)), words) for make, words in known],
    )
    return lab.done("weight", "velocity")
