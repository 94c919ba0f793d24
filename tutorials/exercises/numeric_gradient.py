"""The gradient of a function by nudging: df/dx[i] ≈ (f(x + h·e_i) - f(x - h·e_i)) / 2h.

f takes an array and returns a number; x any shape, h a small number  ->  the gradient, of the shape of x
"""

import numpy as np


def numeric_gradient(f, x, h=1e-5):
    """Nudge one element at a time, up and down, and leave x as it was."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        # solution:
        up, down = x.copy(), x.copy()
        up[index] += h
        down[index] -= h
        gradient[index] = (f(up) - f(down)) / (2 * h)
        # skeleton:
        # gradient[index] = ...
        # end
    return gradient


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "the gradient by nudging"
LEVEL, MINUTES, PAGE = 2, 10, "8"
NEEDS = ("numeric_gradient",)
MISSING = "the central difference for one element"
HINTS = (
    "How far apart are the two points at which f is looked at?",
    "From x - h to x + h it is 2h. Each needs a copy of x of its own, changed at one index.",
    "up = x.copy(); up[index] += h; the same downwards; (f(up) - f(down)) / (2 * h)",
)
PREDICT = "One-sided, (f(x + h) - f(x)) / h: how much less exact is that, with h = 1e-5?"
ANSWER = "Its error is about h·f''/2, the central one's h²·f'''/6: for h = 1e-5 a hundred thousand times smaller."


def check(your):
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))

    def bent(a):
        return float((w * np.asarray(a) ** 3).sum())

    kept = x.copy()
    yours = lab.call(your.numeric_gradient, bent, x, h=1e-3)
    lab.expect(np.array_equal(x, kept), "x is not as it was before: nudge a copy.", "x", your.numeric_gradient)
    right = 3 * w * x**2
    h = 1e-3
    known = [
        ((w * ((x + h) ** 3 - x**3)) / h, "You nudged upwards only. Nudge to both sides: the error is far smaller."),
        ((w * (x**3 - (x - h) ** 3)) / h, "You nudged downwards only. Nudge to both sides: the error is far smaller."),
        (np.zeros_like(x), "Up and down are the same array: what is added is taken away again. Copy x for each."),
        ((w * ((x + h) ** 3 - x**3)) / (2 * h), "From x to x + h it is h, not 2h; or nudge to both sides."),
        (2 * (right + w * h * h), "The two points are 2h apart: divide by 2h."),
        (-(right + w * h * h), "The sign is turned round: up minus down."),
    ]
    # A central difference of w·x³ is 3·w·x² + w·h², so h² = 1e-6 is all that may be left.
    lab.equal(yours, right + w * h * h, "gradient", your.numeric_gradient, tolerance=1e-8, known=known)
    single = lab.call(your.numeric_gradient, lambda a: float(a) ** 2, np.array(3.0), h=1e-5)
    lab.equal(single, 6.0, "gradient", your.numeric_gradient, "x was a single number.", tolerance=1e-6)
    return lab.done("gradient")
