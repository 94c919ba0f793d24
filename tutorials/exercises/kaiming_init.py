"""Weights to begin with: random, of a size that lets the signal through a ReLU unchanged (He et al., 2015).

Each output is a sum of fan_in products; ReLU halves the mean square. So: normal, mean 0, variance 2 / fan_in.
rng a NumPy Generator, shape (O, I) or (O, C, KH, KW)  ->  an array of that shape
"""

import numpy as np


def kaiming_init(rng, shape):
    """fan_in is the number of inputs that one output sees: I, or C·KH·KW."""
    # solution:
    fan_in = np.prod(shape[1:])
    return rng.standard_normal(shape) * np.sqrt(2 / fan_in)
    # skeleton:
    # fan_in = ...
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "how large to begin"
LEVEL, MINUTES, PAGE = 2, 8, "20"
NEEDS = ("kaiming_init",)
MISSING = "the number of inputs of one output, and the random weights"
HINTS = (
    "How many numbers are multiplied and added up for one output of a 3×3 convolution of 16 channels?",
    "16·3·3: everything in the shape but its first axis. standard_normal has variance 1; times s it is s².",
    "rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))",
)
PREDICT = "Twenty layers, all weights twice as large as this. How large is the output?"
ANSWER = "2^20 times, a million. Half as large: a millionth. In deep networks a factor per layer decides everything."


def check(your):
    for shape in ((300, 40), (48, 30, 3, 2)):
        weight = lab.call(your.kaiming_init, np.random.default_rng(20), shape)
        lab.expect(
            np.shape(weight) == shape,
            f"The shape is {np.shape(weight)}; it must be {shape}.",
            "weight",
            your.kaiming_init,
        )
        n, spread, fan_in = np.size(weight), np.std(weight), int(np.prod(shape[1:]))
        right = (2 / fan_in) ** 0.5
        words = {
            (2 / shape[0]) ** 0.5: "fan_out: you counted the outputs; count the inputs of one output.",
            (2 / shape[1]) ** 0.5: "2 / I: for a convolution, the window's KH·KW belongs to fan_in too.",
            2 / fan_in: "2 / fan_in: that is the variance; the factor is its root.",
            (1 / fan_in) ** 0.5: "1 / fan_in: the 2 that makes up for ReLU is missing.",
            1.0: "1: nothing is scaled.",
            2 * right: "twice the right one.",
            right / 2: "half the right one.",
        }
        # The standard deviation of n normal numbers is off by about 1/sqrt(2n), here 0.7 %; four times that is 3 %.
        if abs(spread / right - 1) > 4 / (2 * n) ** 0.5:
            told = next((f" It looks like {w}" for s, w in words.items() if abs(spread / s - 1) < 0.03), "")
            lab.expect(
                False,
                f"The standard deviation for {shape} is {spread:.4f}; it should be {right:.4f}.{told}",
                "weight",
                your.kaiming_init,
            )
        lab.expect(
            abs(np.mean(weight)) < 5 * right / n**0.5,
            f"The mean is {np.mean(weight):.4f}; it should be 0.",
            "weight",
            your.kaiming_init,
        )
    again = lab.call(your.kaiming_init, np.random.default_rng(21), (3, 4))
    same = lab.call(your.kaiming_init, np.random.default_rng(21), (3, 4))
    lab.expect(
        np.array_equal(again, same),
        "Two calls with equal generators differ: draw from rng, and nothing else.",
        "weight",
        your.kaiming_init,
    )
    return lab.done("weight")
