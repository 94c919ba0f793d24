"""The gradient of ReLU.

dy any shape, cache = x, the input of the forward  ->  dx of the same shape
"""


def relu_backward(dy, cache):
    """Where x was positive, y moved with it; elsewhere y stood still."""
    x = cache
    # solution:
    return dy * (x > 0)
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "ReLU backward"
LEVEL, MINUTES, PAGE = 1, 5, "10"
NEEDS = ("relu_backward",)
MISSING = "dy where x was positive"
HINTS = (
    "Nudge an x of -2 by 0.001. What does y do?",
    "The slope is 1 where x > 0 and 0 elsewhere. It depends on x, not on the sign of dy.",
    "dy * (x > 0)",
)
PREDICT = "A mask of (x > 0) & (dy > 0) passes PyTorch's own gradcheck. How can that be?"
ANSWER = "Gradcheck never sends a negative dy. With a random *signed* dy, the first half of the numbers betrays it."


def remember(x):
    return x


def check(your):
    return lab.backward("relu", your.relu_backward, "dx", remember)
