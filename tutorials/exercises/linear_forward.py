"""A linear layer: y = x weightᵀ + bias.

x (N, I), weight (O, I), bias (O,)  ->  y (N, O)
"""


def linear_forward(x, weight, bias):
    """One matrix product. The weight is stored with one *row* for each output, as in PyTorch."""
    # solution:
    return x @ weight.T + bias
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "a linear layer"
LEVEL, MINUTES, PAGE = 1, 5, "6"
NEEDS = ("linear_forward",)
MISSING = "x weightᵀ + bias"
HINTS = (
    "Which two axes must meet in the product, and are they next to each other?",
    "x is (N, I), weight is (O, I): the I's meet when the weight is transposed.",
    "x @ weight.T + bias; the bias (O,) is added to each row by broadcasting.",
)
PREDICT = "The weight is square, and you forget the transpose. Which error do you get?"
ANSWER = "None: the shapes fit and the numbers are wrong. That is why the checks use arrays whose sizes all differ."


def check(your):
    return lab.forward("linear", your.linear_forward)
