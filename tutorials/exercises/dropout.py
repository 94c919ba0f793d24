"""Dropout: some units are switched off, the others are scaled up so that the mean stays. Both directions.

x any shape, mask of the same shape (True: kept), p the share that is dropped  ->  y;   dy, cache = (mask, p)  ->  dx
"""


def dropout_forward(x, mask, p):
    """Kept units are divided by 1 - p."""
    # solution:
    return x * mask / (1 - p)
    # skeleton:
    # return ...
    # end


def dropout_backward(dy, cache):
    """The same units are kept, with the same factor."""
    mask, p = cache
    # solution:
    return dy * mask / (1 - p)
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "dropout"
LEVEL, MINUTES, PAGE = 1, 8, "14"
NEEDS = ("dropout_forward", "dropout_backward")
MISSING = "the units that are kept, scaled, forwards and backwards"
HINTS = (
    "Half of the units are dropped. What must the others be multiplied by, so that the sum stays about the same?",
    "By 1/(1 - p). Backwards each unit has the same factor again: 1/(1 - p) if it was kept, 0 if not.",
    "x * mask / (1 - p), and dy * mask / (1 - p)",
)
PREDICT = "The backward draws a new mask. Does training fail?"
ANSWER = "It goes on, only worse: the gradient is that of another network. Nothing but a gradient check tells you."


def check(your):
    return lab.together(
        lambda: lab.forward("dropout", your.dropout_forward),
        lambda: lab.backward("dropout", your.dropout_backward, "dx", lambda x, mask, p: (mask, p)),
    )
