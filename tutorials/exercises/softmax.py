"""Softmax: scores become probabilities.   y[n, k] = exp(x[n, k]) / Σ_j exp(x[n, j])

x (N, K)  ->  y (N, K), every row adds up to 1
"""

import numpy as np


def softmax(x):
    """Subtract each row's maximum first: it changes nothing in the result, and exp(1000) is infinite."""
    # solution:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "softmax"
LEVEL, MINUTES, PAGE = 2, 10, "7"
NEEDS = ("softmax",)
MISSING = "exp of the shifted scores, divided by each row's sum"
HINTS = (
    "Over which axis must the result add up to 1? What keeps that axis in place for the division?",
    "axis=1, keepdims=True, for the maximum and for the sum: (N, 1) is then broadcast along the row.",
    "e = np.exp(x - x.max(axis=1, keepdims=True)); e / e.sum(axis=1, keepdims=True)",
)
PREDICT = "All scores of a row grow by 100. What happens to the probabilities?"
ANSWER = "Nothing: exp(x + 100) = exp(x)·exp(100), and the factor is in the sum as well. Only differences count."


def check(your):
    large = np.array([[1000.0, 0.0, -1000.0], [1001.0, 1000.0, 999.0]])
    apart = np.array([[1000.0, 999.0, 998.0], [0.0, 1.0, 2.0]])
    report = lab.forward("softmax", your.softmax)
    if report.passed:
        y = lab.call(your.softmax, large)
        lab.expect(
            np.isfinite(y).all(),
            "With scores of 1000 it gives NaN: exp(1000) is infinite. Subtract each row's maximum before exp.",
            "y",
            your.softmax,
        )
        lab.expect(
            np.isfinite(lab.call(your.softmax, apart)).all(),
            "A row 1000 below the others gives 0/0. Subtract each row's own maximum, not that of the whole array.",
            "y",
            your.softmax,
        )
    return report
