"""The share of pictures whose highest score belongs to the true class.

scores (N, K), labels (N,)  ->  a number from 0 to 1
"""

import numpy as np


def accuracy(scores, labels):
    """One line."""
    # solution:
    return np.mean(scores.argmax(axis=1) == labels)
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "accuracy"
LEVEL, MINUTES, PAGE = 1, 3, "7"
NEEDS = ("accuracy",)
MISSING = "the share of rows whose largest score is that of the label"
HINTS = (
    "What is the network's answer for one picture, given its K scores?",
    "The *place* of the largest score, not its value: argmax, over the classes.",
    "np.mean(scores.argmax(axis=1) == labels)",
)
PREDICT = "Why is the network not trained to maximise its accuracy directly?"
ANSWER = "Accuracy moves in jumps: its slope is 0 almost everywhere, so it says nothing about where to go."


def check(your):
    def right(scores, labels):
        return np.mean(np.argmax(scores, axis=1) == labels)

    rng = np.random.default_rng(3)
    cases = []
    for n, k in ((7, 4), (5, 5), (1, 3)):
        scores = rng.standard_normal((n, k))
        labels = np.where(rng.random(n) < 0.6, scores.argmax(axis=1), 0)
        labels[0] = scores[0].argmax()
        cases.append((scores, labels))
    known = [
        (lambda s, t: np.mean(s.max(axis=1) == t), "You compared the largest score itself; its *place* is the answer."),
        (lambda s, t: np.mean(s.argmax() == t), "argmax without an axis is one place in the whole array; take axis 1."),
        (
            lambda s, t: np.mean(s.argmax(axis=0) == t),
            "argmax over axis 0 compares the pictures; the classes are axis 1.",
        ),
        (lambda s, t: np.sum(s.argmax(axis=1) == t), "That is the number of right answers; divide by N."),
        (lambda s, t: 1 - right(s, t), "That is the share of wrong answers."),
        (lambda s, t: 100 * right(s, t), "That is per cent; a number from 0 to 1 is asked for."),
    ]
    return lab.beside(your.accuracy, right, cases, "accuracy", known)
