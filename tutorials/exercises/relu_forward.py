"""ReLU: y = x where x > 0, and 0 elsewhere.

x any shape  ->  y of the same shape
"""

import numpy as np


def relu_forward(x):
    """One line, without a loop; x must not change."""
    # solution:
    return np.maximum(x, 0)
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "ReLU"
LEVEL, MINUTES, PAGE = 1, 3, "6"
NEEDS = ("relu_forward",)
MISSING = "x where it is positive, 0 elsewhere"
HINTS = (
    "What is larger, x or 0? That is the answer for every element.",
    "NumPy has a function that compares two arrays, or an array and a number, element by element, and keeps the "
    "larger.",
    "np.maximum(x, 0). (np.max is another function: the largest element of one array.)",
)
PREDICT = "What does a network of ten linear layers without a ReLU between them compute?"
ANSWER = "A single linear layer: the product of ten matrices is one matrix. The kinks make the depth worth something."


def check(your):
    return lab.forward("relu", your.relu_forward)
