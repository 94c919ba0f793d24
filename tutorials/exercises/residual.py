"""A residual connection: y = x + branch. Both directions.

x, branch of the same shape  ->  y;            dy  ->  dx, dbranch
"""


def residual_forward(x, branch):
    """The sum, without changing either."""
    # solution:
    return x + branch
    # skeleton:
    # return ...
    # end


def residual_backward(dy, cache):
    """(gradient of x, gradient of branch), two arrays with memory of their own. The cache is None."""
    # solution:
    return dy.copy(), dy.copy()
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision.learn import lab

TITLE = "a path around"
LEVEL, MINUTES, PAGE = 1, 8, "14"
NEEDS = ("residual_forward", "residual_backward")
MISSING = "the sum, and what each side of it gets back"
HINTS = (
    "Nudge x by 0.001. By how much does y move? And if you nudge branch?",
    "Both by the same: each side gets all of dy. If both were one array, a change of one would change the other.",
    "return dy.copy(), dy.copy()",
)
PREDICT = "Twenty residual blocks whose branches give 0: what gradient reaches the first layer?"
ANSWER = "All of it, unchanged. Without the path around, it would have been multiplied by twenty matrices."


def check(your):
    forward, backward = your.residual_forward, your.residual_backward

    def sides():
        own = {"da": "dx", "db": "dbranch"}
        report = lab.backward("add", backward, ("da", "db"), lambda a, b: None, own)
        if report.passed:
            dy = np.ones((2, 2))
            dx, dbranch = lab.call(backward, dy, None)
            lab.expect(
                not (np.shares_memory(dx, dbranch) or np.shares_memory(dx, dy) or np.shares_memory(dbranch, dy)),
                "Two of dy, dx and dbranch share their memory: change one, and the other changes. Return copies.",
                "dx",
                backward,
                mistake="shared_memory",
            )
        return report

    def both():
        plain = lab.adapted(forward, lambda a, b: forward(a, b), ("a", "b"))
        return lab.forward("add", plain, {"a": "x", "b": "branch"})

    return lab.together(both, sides)
