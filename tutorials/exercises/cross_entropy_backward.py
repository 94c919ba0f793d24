"""The gradient of cross-entropy with respect to the logits.

dy a number, cache = (logits (N, K), labels (N,))  ->  dlogits (N, K)
"""

import numpy as np


def cross_entropy_backward(dy, cache):
    """Softmax and logarithm together give something very simple: what was predicted, less what is true."""
    logits, labels = cache
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)  # (N, K): the probabilities
    # solution:
    p[np.arange(len(labels)), labels] -= 1
    return p * (dy / len(labels))
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "cross-entropy backward"
LEVEL, MINUTES, PAGE = 2, 15, "10"
NEEDS = ("cross_entropy_backward",)
MISSING = "(probabilities - one-hot)·dy / N"
HINTS = (
    "The loss is a mean over N rows. What is each row's share, and by what must it be multiplied?",
    "Each row: (p - one_hot(label))·dy / N. One-hot is 1 at the true class, 0 elsewhere.",
    "p[np.arange(N), labels] -= 1; return p * dy / N",
)
PREDICT = "What does a row of dlogits add up to?"
ANSWER = "0: the probabilities add up to 1, the one-hot row as well. A quick test of any implementation."


def remember(logits, labels):
    return logits, labels


def check(your):
    return lab.backward("cross_entropy", your.cross_entropy_backward, "dlogits", remember)
