"""Cross-entropy: the mean over the batch of -log(probability of the true class).

logits (N, K), labels (N,) whole numbers from 0 to K - 1  ->  a number
"""

import numpy as np


def cross_entropy(logits, labels):
    """-log softmax(logits)[n, labels[n]] = log Σ_k exp(s[k]) - s[label], with s the logits less their maximum."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    # solution:
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    return (log_sum - shifted[np.arange(len(labels)), labels]).mean()
    # skeleton:
    # log_sum = ...  # (N,)
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "cross-entropy"
LEVEL, MINUTES, PAGE = 2, 10, "7"
NEEDS = ("cross_entropy",)
MISSING = "the logarithm of the sum, and the mean over the batch"
HINTS = (
    "One number per picture is wanted first. How does one pick a different column in each row?",
    "shifted[np.arange(N), labels] picks column labels[n] of row n. The sum runs over the classes, axis 1.",
    "log_sum = np.log(np.exp(shifted).sum(axis=1)); (log_sum - shifted[np.arange(len(labels)), labels]).mean()",
)
PREDICT = "A fresh network for 10 classes gives all classes about the same score. What is its loss?"
ANSWER = "log 10 = 2.303. A first loss far from it is the first sign that something is wrong."


def check(your):
    report = lab.forward("cross_entropy", your.cross_entropy, {"y": "loss"})
    if report.passed:
        loss = lab.call(your.cross_entropy, np.array([[1000.0, 0.0], [0.0, 1000.0]]), np.array([1, 1]))
        lab.expect(
            np.isfinite(loss),
            "With scores of 1000 it gives NaN or infinity. Do not take the logarithm of a probability that may be 0.",
            "loss",
            your.cross_entropy,
        )
    return report
