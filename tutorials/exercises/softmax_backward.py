"""The gradient of softmax.

dy (N, K), cache = y (N, K), the probabilities that the forward gave  ->  dx (N, K)
"""


def softmax_backward(dy, cache):
    """Every score moves every probability of its row: dy[i]/dx[j] = y[i]·((i == j) - y[j])."""
    y = cache
    # solution:
    return y * (dy - (dy * y).sum(axis=1, keepdims=True))
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.check.reference import softmax
from tinyvision.learn import lab

TITLE = "softmax backward"
LEVEL, MINUTES, PAGE = 3, 15, "10"
NEEDS = ("softmax_backward",)
MISSING = "y·(dy - Σ dy·y)"
HINTS = (
    "dx[j] = Σ_i dy[i]·y[i]·((i == j) - y[j]). What is left of the sum for the part with (i == j)?",
    "dx[j] = dy[j]·y[j] - y[j]·Σ_i dy[i]·y[i]. The sum is one number per row.",
    "y * (dy - (dy * y).sum(axis=1, keepdims=True))",
)
PREDICT = "dy is 1 everywhere. What is dx?"
ANSWER = (
    "0: the probabilities always add up to 1, and nothing can move that sum. So a check with a dy of ones sees nothing."
)


def remember(x):
    return softmax(x)


def check(your):
    return lab.backward("softmax", your.softmax_backward, "dx", remember)
