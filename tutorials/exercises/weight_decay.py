"""The whole rule: gradient descent with momentum and weight decay, as torch.optim.SGD does it.

    g ← grad + weight_decay·weight,   v ← momentum·v + g,   weight ← weight - lr·v
weight, grad, velocity of the same shape  ->  (the new weight, the new velocity)
"""


def sgd_step(weight, grad, velocity, lr, momentum, weight_decay):
    """Weight decay pulls every weight towards 0, through the gradient."""
    # solution:
    velocity = momentum * velocity + grad + weight_decay * weight
    return weight - lr * velocity, velocity
    # skeleton:
    # velocity = ...
    # return ...  # two arrays
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "weight decay"
LEVEL, MINUTES, PAGE = 2, 8, "17"
NEEDS = ("sgd_step",)
MISSING = "the velocity with the pull towards 0, and the step"
HINTS = (
    "Weight decay adds ½·weight_decay·weight² to the loss. What does that add to the gradient?",
    "weight_decay·weight, before the momentum: it goes through the velocity like the rest of the gradient.",
    "velocity = momentum * velocity + grad + weight_decay * weight; return weight - lr * velocity, velocity",
)
PREDICT = "The gradient is 0 and stays 0, without momentum. What becomes of a weight?"
ANSWER = "It shrinks by the factor 1 - lr·weight_decay in each step, towards 0, never across."


def check(your):
    return lab.rule(your.sgd_step)
