"""How well does a likeness tell pairs of the same from pairs of different things? The area under the ROC curve.

    AUC = share of (a pair of the same, a pair of different ones) in which the pair of the same is the more alike
Where both are equally alike, it counts as half. 1 is perfect, 1/2 is guessing; no threshold has to be chosen.
likeness (P,), same (P,) of 0 and 1, some of each  ->  a number
"""

import numpy as np


def roc_auc(likeness, same):
    """Each pair of the same is compared with each pair of different things."""
    # solution:
    alike, other = likeness[same == 1], likeness[same == 0]
    more = (alike[:, None] > other).mean()
    equal = (alike[:, None] == other).mean()
    return more + equal / 2
    # skeleton:
    # alike = ...  # (S,), the likeness of the pairs of the same
    # other = ...  # (P - S,), of the pairs of different things
    # return ...  # what share of all S · (P - S) comparisons is won, with a draw as half
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "the same or not, without a threshold"
LEVEL, MINUTES, PAGE = 2, 10, "30"
NEEDS = ("roc_auc",)
MISSING = "which pairs are compared with which, and what a comparison is worth"
HINTS = (
    "Likeness 0.9 and 0.6 of the same, 0.7 of different things. How many comparisons are there, and how many are won?",
    "Two, of which one is won: AUC 1/2. alike[:, None] > other makes all comparisons at once.",
    "(alike[:, None] > other).mean() + (alike[:, None] == other).mean() / 2",
)
PREDICT = "You square all likenesses, which are from 0 to 1. What becomes of the AUC?"
ANSWER = "Nothing: only the order counts. So it cannot tell whether a threshold is any good, either."


def check(your):
    rng = np.random.default_rng(62)

    def right(likeness, same):
        alike, other = likeness[same == 1], likeness[same == 0]
        return np.asarray((alike[:, None] > other).mean() + (alike[:, None] == other).mean() / 2)

    cases = [(np.array([0.9, 0.6, 0.7, 0.2, 0.6]), np.array([1, 1, 0, 0, 0]))]
    cases += [(np.round(rng.random(n), 1), (rng.random(n) < 0.3) * 1) for n in (20, 31)]
    known = [
        (lambda v, s: (v[s == 1][:, None] > v[s == 0]).mean(), "Equally alike counts as half, not as lost."),
        (lambda v, s: (v[s == 1][:, None] >= v[s == 0]).mean(), "Equally alike counts as half, not as won."),
        (lambda v, s: 1 - right(v, s), "It is the other way round: the pair of the same should be the more alike."),
        (lambda v, s: ((v > 0.5) == (s == 1)).mean(), "That is the accuracy at one threshold; here there is none."),
        (lambda v, s: v[s == 1].mean() - v[s == 0].mean(), "That is how far the means are apart."),
        (lambda v, s: (v[:, None] > v).mean() + (v[:, None] == v).mean() / 2, "All pairs are compared with all; only "
         "pairs of the same with pairs of different things."),
    ]  # fmt: skip
    known = [(lambda v, s, w=wrong: np.asarray(w(v, s)), words) for wrong, words in known]
    return lab.beside(your.roc_auc, right, cases, "AUC", known)
