"""Batch normalisation in training: every channel gets mean 0 and variance 1 over the batch, then weight and bias.

x (N, C, H, W), weight (C,), bias (C,), eps a small number  ->  y (N, C, H, W)
"""


def batchnorm_forward(x, weight, bias, eps):
    """x̂ = (x - mean) / sqrt(variance + eps), per channel; y = weight·x̂ + bias. The variance is the biased one "
    "(÷ M)."""
    # solution:
    mean = x.mean(axis=(0, 2, 3), keepdims=True)
    variance = x.var(axis=(0, 2, 3), keepdims=True)
    # skeleton:
    # mean = ...  # (1, C, 1, 1)
    # variance = ...  # (1, C, 1, 1)
    # end
    xhat = (x - mean) / (variance + eps) ** 0.5
    # solution:
    return xhat * weight[:, None, None] + bias[:, None, None]
    # skeleton:
    # return ...  # weight and bias belong to channels
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "batch-norm forward"
LEVEL, MINUTES, PAGE = 2, 10, "13"
NEEDS = ("batchnorm_forward",)
MISSING = "mean and variance of each channel, then weight and bias"
HINTS = (
    "Which numbers share one mean? All of a picture, all of a channel, or all of a pixel?",
    "All of a channel, over the batch and all pixels: axes 0, 2, 3, kept. weight (C,) needs two more axes to line up.",
    "x.mean(axis=(0, 2, 3), keepdims=True), x.var(...) likewise; xhat * weight[:, None, None] + bias[:, None, None]",
)
PREDICT = "All inputs are multiplied by 10. What happens to y?"
ANSWER = (
    "Nothing (but for eps): mean and spread grow by 10 as well. So the scale of the weights before it hardly matters."
)


def check(your):
    return lab.forward("batchnorm_train", your.batchnorm_forward)
