"""One step of gradient descent.   weight ← weight - lr·gradient

weight and grad of the same shape, lr a number  ->  the new weight, an array of its own
"""


def sgd(weight, grad, lr):
    """Against the gradient: it points uphill."""
    # solution:
    return weight - lr * grad
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision.learn import lab

TITLE = "a step downhill"
LEVEL, MINUTES, PAGE = 1, 3, "17"
NEEDS = ("sgd",)
MISSING = "the step against the gradient"
HINTS = (
    "The gradient says where the loss grows. Where do you want to go?",
    "Against it, by lr times its length. Return a new array; the old weight stays as it was.",
    "weight - lr * grad",
)
PREDICT = "f(w) = ½·20·w². For which learning rates does the walk never arrive?"
ANSWER = (
    "From 0.1 on: each step multiplies w by 1 - 20·lr, and from lr = 2/20 that factor is no longer below 1 in size."
)


def check(your):
    rng = np.random.default_rng(17)
    sizes = (((2, 3), 0.1), ((4,), 0.03), ((1,), 2.0))
    cases = [(rng.standard_normal(s), rng.standard_normal(s), lr) for s, lr in sizes]
    known = [
        (lambda w, g, lr: w + lr * g, "You walked uphill: the step goes against the gradient."),
        (lambda w, g, lr: w - g, "The learning rate is not in your step."),
        (lambda w, g, lr: -lr * g, "That is the step alone; add it to the weight."),
        (lambda w, g, lr: w - lr * np.sign(g), "You used the gradient's sign only; its size counts."),
        (lambda w, g, lr: w - lr * w, "You subtracted a share of the weight; subtract a share of the gradient."),
        (lambda w, g, lr: w - lr * g.mean(), "You took the mean of the gradient; every weight has its own."),
    ]
    return lab.beside(your.sgd, lambda w, g, lr: w - lr * g, cases, "weight", known)
