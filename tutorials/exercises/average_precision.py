"""Average precision, by which detectors are compared: how right, over how much is found, at all thresholds at once.

Detections are taken from the surest on. After k of them, of which h were right: recall = h / things, precision = h / k.
Precision is then made falling: at each place, the best that is still reached from there on. It is read off at the
recalls 0, 0.01, ... 1, where recall first gets there, as 0 where it never does, and averaged.
scores (D,), right (D,) of 0 and 1, things how many there are to find  ->  a number
"""

import numpy as np


def average_precision(scores, right, things):
    """Of equal scores the earlier detection comes first."""
    right = right[np.argsort(-scores, kind="stable")]
    hits = np.cumsum(right)
    # solution:
    recall = hits / things
    precision = hits / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    # skeleton:
    # recall = ...  # (D,), after each detection
    # precision = ...  # (D,), and then made falling
    # end
    places = np.searchsorted(recall, np.linspace(0, 1, 101))  # the first that is not below; D where there is none
    # solution:
    return np.append(precision, 0.0)[places].mean()
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "average precision"
LEVEL, MINUTES, PAGE = 2, 15, "32"
NEEDS = ("average_precision",)
MISSING = "recall and precision after each detection, and what is averaged"
HINTS = (
    "Two things; the surest detection is right, the next wrong, the third right. What are recall and precision there?",
    "Recall 0.5, 0.5, 1; precision 1, 1/2, 2/3, and made falling 1, 2/3, 2/3: a running maximum, from the right. "
    "places may be D: give precision a 0 at its end.",
    "np.maximum.accumulate(precision[::-1])[::-1]; np.append(precision, 0.0)[places].mean()",
)
PREDICT = "A detector finds everything, and adds a thousand wrong boxes of tiny scores. What does that cost?"
ANSWER = "Nothing: they come last, when recall is 1 already. Only wrong boxes that are surer than right ones cost."


def right_answer(scores, right, things, fault=None):
    order = np.arange(len(scores)) if fault == "order" else np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    recall = hits / (len(hits) if fault == "recall" else things)
    precision = hits / (things if fault == "precision" else np.arange(1, len(hits) + 1))
    if fault != "falling":
        precision = np.maximum.accumulate(precision[::-1])[::-1]
    if fault == "forwards":
        precision = np.maximum.accumulate(hits / np.arange(1, len(hits) + 1))
    places = np.searchsorted(recall, np.linspace(0, 1, 101))
    if fault == "reached":
        return precision[places[places < len(precision)]].mean()
    if fault == "last":
        return precision[np.minimum(places, len(precision) - 1)].mean()
    return precision.mean() if fault == "places" else np.append(precision, 0.0)[places].mean()


def check(your):
    rng = np.random.default_rng(61)
    cases = [(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0]), 3)]
    cases += [(rng.permutation(n) / n, (rng.random(n) < 0.6) * 1, n) for n in (9, 14)]
    cases.append((np.array([0.5, 0.5, 0.5, 0.2]), np.array([0, 1, 1, 1]), 5))
    faults = {
        "falling": "Precision is not made falling: at each place the best from there on.",
        "forwards": "The running maximum goes from left to right; it has to come from the right.",
        "recall": "Recall is a share of the things there are, not of the detections.",
        "precision": "Precision is a share of the detections so far, not of the things.",
        "reached": "Recalls that are never reached count, too, as 0.",
        "last": "Where recall never gets there, precision is 0, not the last one.",
        "places": "The mean is over the 101 recalls, not over the detections.",
    }
    known = [(lambda s, r, t, f=fault: np.asarray(right_answer(s, r, t, f)), words) for fault, words in faults.items()]
    return lab.beside(
        your.average_precision, lambda s, r, t: np.asarray(right_answer(s, r, t)), cases, "average precision", known
    )
