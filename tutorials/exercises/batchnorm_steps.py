"""Batch-norm backward, step by step: the forward's small steps, each turned round.

Forward, per channel with M = N·H·W numbers:  mean, variance  ->  c = x - mean  ->  r = 1/sqrt(variance + eps)
->  xhat = c·r  ->  y = weight·xhat + bias
dy (N, C, H, W), cache = (x, weight, eps)  ->  dx (N, C, H, W), dweight (C,), dbias (C,)
"""


def batchnorm_steps(dy, cache):
    """Go backwards through the steps. All values of a channel are kept as (1, C, 1, 1)."""
    x, weight, eps = cache
    axes = (0, 2, 3)
    M = x.size // x.shape[1]
    weight = weight[:, None, None]
    c = x - x.mean(axis=axes, keepdims=True)
    r = ((c * c).mean(axis=axes, keepdims=True) + eps) ** -0.5
    xhat = c * r

    # solution:
    dbias = dy.sum(axis=axes)
    dweight = (dy * xhat).sum(axis=axes)
    dxhat = dy * weight
    dr = (dxhat * c).sum(axis=axes, keepdims=True)
    dvariance = -0.5 * r**3 * dr
    dc = dxhat * r + dvariance * 2 * c / M
    dmean = -dc.sum(axis=axes, keepdims=True)
    dx = dc + dmean / M
    # skeleton:
    # dbias = ...  # (C,)
    # dweight = ...  # (C,)
    # dxhat = ...  # (N, C, H, W)
    # dr = ...  # (1, C, 1, 1), through xhat = c·r
    # dvariance = ...  # (1, C, 1, 1), through r = (variance + eps)^(-1/2)
    # dc = ...  # (N, C, H, W): through xhat, and through the variance, the mean of c²
    # dmean = ...  # (1, C, 1, 1), through c = x - mean
    # dx = ...  # (N, C, H, W): through c, and through the mean
    # end
    return dx, dweight, dbias


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "batch-norm backward in steps"
LEVEL, MINUTES, PAGE = 4, 40, "13"
NEEDS = ("batchnorm_steps",)
MISSING = "each step of the forward, turned round"
HINTS = (
    "In how many places is c used? And x? Each use sends a gradient back.",
    "c is in xhat and in the variance; x is in c and in the mean. The slope of v^(-1/2) is -½·v^(-3/2) = -½·r³.",
    "dr = Σ dxhat·c; dvariance = -½·r³·dr; dc = dxhat·r + dvariance·2·c/M; dmean = -Σ dc; dx = dc + dmean/M",
)
PREDICT = "dy is the same number everywhere. What is dx?"
ANSWER = "0: such a dy asks that all of the channel grow together, and batch-norm takes that away."


def remember(x, weight, bias, eps):
    return x, weight, eps


def check(your):
    return lab.backward("batchnorm_train", your.batchnorm_steps, ("dx", "dweight", "dbias"), remember)
