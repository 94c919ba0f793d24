"""Batch-norm in use: mean and variance are constants, remembered from training. Both directions.

forward:   x (N, C, H, W); weight, bias, running_mean, running_var (C,)  ->  y (N, C, H, W)
backward:  dy, cache = (x, weight, mean, var, eps)  ->  dx, dweight, dbias
"""


def batchnorm_frozen_forward(x, weight, bias, running_mean, running_var, eps):
    """y = weight·(x - running_mean) / sqrt(running_var + eps) + bias, per channel."""
    # solution:
    r = (running_var + eps) ** -0.5
    return (x - running_mean[:, None, None]) * (weight * r)[:, None, None] + bias[:, None, None]
    # skeleton:
    # return ...
    # end


def batchnorm_frozen_backward(dy, cache):
    """dx (N, C, H, W), dweight (C,), dbias (C,). Mean and variance do not depend on x now: what falls away?"""
    x, weight, mean, var, eps = cache
    # solution:
    r = (var + eps) ** -0.5
    xhat = (x - mean[:, None, None]) * r[:, None, None]
    return dy * (weight * r)[:, None, None], (dy * xhat).sum(axis=(0, 2, 3)), dy.sum(axis=(0, 2, 3))
    # skeleton:
    # return ...  # three arrays
    # end


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision.learn import lab

TITLE = "batch-norm in use"
LEVEL, MINUTES, PAGE = 3, 15, "13"
NEEDS = ("batchnorm_frozen_forward", "batchnorm_frozen_backward")
MISSING = "the line through each channel, and its three gradients"
HINTS = (
    "With constant mean and variance, y is a·x + b for each channel. What is a?",
    "a = weight / sqrt(running_var + eps), so dx = a·dy and nothing else. dweight and dbias are as in training.",
    "dx = dy * (weight * r)[:, None, None]; dweight = (dy * xhat).sum(axis=(0, 2, 3)); dbias = dy.sum(axis=(0, 2, 3))",
)
PREDICT = (
    "A frozen network is fine-tuned on 8 pictures of cats. What goes wrong if its batch-norms stay in training mode?"
)
ANSWER = (
    "They normalise with the statistics of 8 cats and forget the ones learnt: the frozen weights meet other inputs."
)


def right_forward(x, weight, bias, mean, var, eps):
    r = (var + eps) ** -0.5
    return (x - mean[:, None, None]) * (weight * r)[:, None, None] + bias[:, None, None]


def check(your):
    rng = np.random.default_rng(9)
    x, (w, b, m) = rng.standard_normal((3, 4, 2, 5)), rng.standard_normal((3, 4))
    v, eps = rng.uniform(0.5, 4.0, 4), 0.1
    forward, backward = your.batchnorm_frozen_forward, your.batchnorm_frozen_backward

    def batch(x, w, b, m, v, eps):
        return right_forward(x, w, b, x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3)), eps)

    known = [
        (batch, "You used the batch's own mean and variance; in use the remembered ones count."),
        (
            lambda x, w, b, m, v, eps: right_forward(x, w, b, m, (v + eps) ** 2 - eps, eps),
            "You divided by the variance; divide by its square root.",
        ),
        (lambda x, w, b, m, v, eps: right_forward(x, w, b, m, v - eps, eps), "eps is not in your formula."),
    ]

    axes, r = (0, 2, 3), (v + eps) ** -0.5

    def as_in_training(dy, x, weight, bias):
        xhat = (x - m[:, None, None]) * r[:, None, None]
        inner = dy - dy.mean(axis=axes, keepdims=True) - xhat * (dy * xhat).mean(axis=axes, keepdims=True)
        return inner * (weight * r)[:, None, None]

    def own_statistics(dy, x, weight, bias):
        c = x - x.mean(axis=axes, keepdims=True)
        r = ((c * c).mean(axis=axes, keepdims=True) + eps) ** -0.5
        inner = dy - dy.mean(axis=axes, keepdims=True) - c * r * (dy * c * r).mean(axis=axes, keepdims=True)
        return inner * r * weight[:, None, None]

    training = "That is the backward of training. Mean and variance are constants here: only weight·r·dy is left."
    gradients = [
        ("dx", as_in_training, training),
        ("dx", own_statistics, training),
        ("dx", lambda dy, x, weight, bias: dy * weight[:, None, None], "You did not divide by sqrt(variance + eps)."),
        ("dx", lambda dy, x, weight, bias: dy * r[:, None, None], "You did not multiply by weight."),
        ("dweight", lambda dy, x, weight, bias: (dy * x).sum(axis=axes), "You used x; it is Σ dy·x̂ with x normalised."),
        (
            "dweight",
            lambda dy, x, weight, bias: (dy * (x - m[:, None, None])).sum(axis=axes),
            "You used x - mean; it is Σ dy·x̂, divided by sqrt(variance + eps) as well.",
        ),
        ("dbias", lambda dy, x, weight, bias: dy.mean(axis=axes), "You averaged; sum over N, H and W."),
    ]

    def pair():
        def pass_on(x, weight, bias):
            return right_forward(x, weight, bias, m, v, eps), (x, weight, m, v, eps)

        return lab.pair(pass_on, backward, (x, w, b), gradients)

    return lab.together(lambda: lab.beside(forward, right_forward, [(x, w, b, m, v, eps)], "y", known), pair)
