"""The three gradients of a linear layer, y = x weightᵀ + bias.

dy (N, O), cache = (x, weight)  ->  dx (N, I), dweight (O, I), dbias (O,)
"""


def linear_backward(dy, cache):
    """Let the shapes lead: only one product of dy and weight has the shape of x."""
    x, weight = cache
    # solution:
    dx = dy @ weight
    dweight = dy.T @ x
    dbias = dy.sum(axis=0)
    # skeleton:
    # dx = ...
    # dweight = ...
    # dbias = ...
    # end
    return dx, dweight, dbias


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "linear backward"
LEVEL, MINUTES, PAGE = 2, 15, "10"
NEEDS = ("linear_backward",)
MISSING = "the gradients of x, weight and bias"
HINTS = (
    "y[n, o] uses x[n, i] with the factor weight[o, i]. Through which outputs does x[n, i] act?",
    "Through all o: dx[n, i] = Σ_o dy[n, o]·weight[o, i]. weight[o, i] and bias[o] act in every row n: sums over n.",
    "dx = dy @ weight; dweight = dy.T @ x; dbias = dy.sum(axis=0)",
)
PREDICT = "Should dweight be divided by N?"
ANSWER = "No: the mean over the batch belongs to the loss, and its 1/N is in dy already."


def remember(x, weight, bias):
    return x, weight


def check(your):
    return lab.backward("linear", your.linear_backward, ("dx", "dweight", "dbias"), remember)
