"""Batch-norm backward in one formula, what the steps shrink to:

    dx = weight·r · ( dy - mean(dy) - x̂·mean(dy·x̂) )            means over N, H, W, for each channel
dy (N, C, H, W), cache = (x, weight, eps)  ->  dx (N, C, H, W), dweight (C,), dbias (C,)
"""


def batchnorm_formula(dy, cache):
    """Write dweight and dbias first; the two means are these, divided by M."""
    x, weight, eps = cache
    axes = (0, 2, 3)
    M = x.size // x.shape[1]
    c = x - x.mean(axis=axes, keepdims=True)
    r = ((c * c).mean(axis=axes, keepdims=True) + eps) ** -0.5  # (1, C, 1, 1)
    xhat = c * r
    # solution:
    dbias, dweight = dy.sum(axis=axes), (dy * xhat).sum(axis=axes)
    dx = weight[:, None, None] * r * (dy - dbias[:, None, None] / M - xhat * dweight[:, None, None] / M)
    # skeleton:
    # dbias = ...  # (C,)
    # dweight = ...  # (C,)
    # dx = ...
    # end
    return dx, dweight, dbias


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "batch-norm backward at once"
LEVEL, MINUTES, PAGE = 3, 15, "13"
NEEDS = ("batchnorm_formula",)
MISSING = "the two sums, and the formula with their means"
HINTS = (
    "Σ dy is one of the gradients you return. What is the other sum?",
    "dbias = Σ dy, dweight = Σ dy·x̂; divided by M they are the two means. (C,) needs two more axes beside x.",
    "dx = weight[:, None, None] * r * (dy - dbias[:, None, None] / M - xhat * dweight[:, None, None] / M)",
)
PREDICT = "What are Σ dx and Σ dx·x̂ over a channel?"
ANSWER = "Both 0 (the second but for eps). What is subtracted is what batch-norm undoes: a shift and a change of scale."


def remember(x, weight, bias, eps):
    return x, weight, eps


def check(your):
    return lab.backward("batchnorm_train", your.batchnorm_formula, ("dx", "dweight", "dbias"), remember)
