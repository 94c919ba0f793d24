"""GELU, the smooth ReLU of transformers, in its tanh form. Both directions.

    y = ½·x·(1 + tanh(u)),   u = √(2/π)·(x + 0.044715·x³)
x any shape  ->  y of the same shape;   dy, cache = x  ->  dx
"""

import numpy as np

A = np.sqrt(2 / np.pi)


def gelu_forward(x):
    """The formula above."""
    # solution:
    return 0.5 * x * (1 + np.tanh(A * (x + 0.044715 * x**3)))
    # skeleton:
    # return ...
    # end


def gelu_backward(dy, cache):
    """A product of two things that both depend on x; tanh(u) has the slope 1 - tanh(u)²."""
    x = cache
    t = np.tanh(A * (x + 0.044715 * x**3))
    # solution:
    du = A * (1 + 3 * 0.044715 * x**2)
    return dy * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * du)
    # skeleton:
    # du = ...  # the slope of u
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "GELU"
LEVEL, MINUTES, PAGE = 2, 12, "10"
NEEDS = ("gelu_forward", "gelu_backward")
MISSING = "the formula, and its slope by the product rule and the chain rule"
HINTS = (
    "x stands in two places of y = ½·x·(1 + tanh(u(x))). How many terms has the slope?",
    "Two: ½·(1 + t) for the x in front, and ½·x·(slope of tanh(u)). That one is (1 - t²)·du, du the slope of u.",
    "du = A * (1 + 3 * 0.044715 * x**2); dy * (0.5 * (1 + t) + 0.5 * x * (1 - t**2) * du)",
)
PREDICT = "Is GELU's slope ever negative?"
ANSWER = "Yes, below about -0.75: there it comes back up to 0. ReLU never does that, and never goes below 0 either."


def right(x):
    return 0.5 * x * (1 + np.tanh(A * (x + 0.044715 * x**3)))


def check(your):
    rng = np.random.default_rng(45)
    cases = [(rng.standard_normal((3, 4)) * 2,), (rng.standard_normal(7),)]
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    known = [
        (
            lambda x: x * sigmoid(1.702 * x),
            "That is the sigmoid approximation, x·σ(1.702·x); the tanh form is asked for.",
        ),
        (lambda x: x * sigmoid(x), "That is SiLU, x·σ(x)."),
        (lambda x: 0.5 * x * (1 + np.tanh(x + 0.044715 * x**3)), "The factor √(2/π) is missing in u."),
        (lambda x: x * (1 + np.tanh(A * (x + 0.044715 * x**3))), "The factor ½ is missing."),
        (lambda x: 0.5 * x * (1 + np.tanh(A * (x + 0.044715 * x**2))), "u has x³, not x²."),
    ]

    def slope(parts):
        def wrong(dy, x):
            t, du = np.tanh(A * (x + 0.044715 * x**3)), A * (1 + 3 * 0.044715 * x**2)
            return dy * parts(x, t, du)

        return wrong

    gradients = [
        ("dx", slope(lambda x, t, du: 0.5 * (1 + t)), "The tanh depends on x, too: the second term is missing."),
        (
            "dx",
            slope(lambda x, t, du: 0.5 * x * (1 - t**2) * du),
            "The x in front depends on x, too: a term is missing.",
        ),
        (
            "dx",
            slope(lambda x, t, du: 0.5 * (1 + t) + 0.5 * x * (1 - t**2)),
            "The slope of u is missing: the chain rule goes one step further in.",
        ),
        (
            "dx",
            slope(lambda x, t, du: 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * A * (1 + 0.044715 * x**2)),
            "The slope of x³ is 3·x²: the 3 is missing.",
        ),
        (
            "dx",
            slope(lambda x, t, du: 0.5 * (1 + t) + 0.5 * x * (1 - t) * du),
            "The slope of tanh is 1 - tanh²: the square is missing.",
        ),
        ("dx", slope(lambda x, t, du: (x > 0) * 1.0), "That is ReLU's backward."),
    ]
    backward = lab.adapted(your.gelu_backward, lambda dy, cache: (your.gelu_backward(dy, cache),), ("dy", "cache"))
    return lab.together(
        lambda: lab.beside(your.gelu_forward, right, cases, "y", known),
        lambda: lab.pair(lambda x: (right(x), x), backward, cases[0], gradients),
    )
