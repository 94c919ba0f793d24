"""Diffusion, forwards: from a picture to what is left of it at time t, in one go.

    x_t = √s_t · x + √(1 - s_t) · noise,   s_t the share of signal at time t
x (N, C, H, W), noise the same, times (N,) whole numbers, signal (T + 1,), signal[0] = 1  ->  (N, C, H, W)
"""

import numpy as np


def add_noise(x, noise, times, signal):
    """Every picture has a time of its own."""
    # solution:
    share = signal[times][:, None, None, None]
    return np.sqrt(share) * x + np.sqrt(1 - share) * noise
    # skeleton:
    # share = ...  # (N, 1, 1, 1)
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "a picture becomes noise"
LEVEL, MINUTES, PAGE = 2, 10, "34"
NEEDS = ("add_noise",)
MISSING = "the share of each picture, and the mixture"
HINTS = (
    "signal[times] is (N,), x is (N, C, H, W). Which axes are missing, and on which side?",
    "Variances add up, not standard deviations: so that x and noise of variance 1 give variance 1, take roots.",
    "share = signal[times][:, None, None, None]; np.sqrt(share) * x + np.sqrt(1 - share) * noise",
)
PREDICT = "x and noise have variance 1, and half of the signal is left. What is the variance of x_t?"
ANSWER = "1, at every time: share + (1 - share). Without the roots it would be 1/4 + 1/4."


def check(your):
    rng = np.random.default_rng(50)
    signal = np.array([1.0, 0.9, 0.6, 0.25, 0.01])

    def right(x, noise, times, signal):
        share = signal[times][:, None, None, None]
        return np.sqrt(share) * x + np.sqrt(1 - share) * noise

    def with_shares(mixed, shape=(-1, 1, 1, 1)):
        return lambda x, noise, times, signal: mixed(signal[times].reshape(shape), x, noise)

    # As many pictures as columns: a share along the wrong axis fits, too, and is noticed by its numbers.
    cases = [
        (rng.standard_normal(shape), rng.standard_normal(shape), np.array(times), signal)
        for shape, times in (((4, 2, 3, 4), (3, 0, 4, 1)), ((1, 1, 2, 2), (2,)))
    ]
    known = [
        (
            with_shares(lambda s, x, e: s * x + (1 - s) * e),
            "The roots are missing: it is the variances that add up to 1.",
        ),
        (with_shares(lambda s, x, e: np.sqrt(s) * x + (1 - np.sqrt(s)) * e), "The root of 1 - s, not 1 less the root."),
        (with_shares(lambda s, x, e: np.sqrt(s) * x + (1 - s) * e), "The noise's root is missing."),
        (with_shares(lambda s, x, e: s * x + np.sqrt(1 - s) * e), "The picture's root is missing."),
        (with_shares(lambda s, x, e: np.sqrt(1 - s) * x + np.sqrt(s) * e), "Picture and noise are exchanged."),
        (with_shares(lambda s, x, e: np.sqrt(s) * x + e), "All the noise is added; it has a share, too."),
        (
            with_shares(lambda s, x, e: np.sqrt(s) * x + np.sqrt(1 - s) * e, (1, 1, 1, -1)),
            "The shares lie along the columns, which are as many as the pictures: they belong to the first axis.",
        ),
        (
            lambda x, e, times, signal: right(x, e, np.full(len(x), times[0]), signal),
            "All pictures have the first one's time.",
        ),
        (
            lambda x, e, times, signal: right(x, e, times - 1, signal),
            "signal[0] belongs to time 0, when there is no noise: no 1 is taken off.",
        ),
    ]
    return lab.beside(your.add_noise, right, cases, "x_t", known)
