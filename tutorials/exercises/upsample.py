"""Upsampling by repetition: every pixel becomes a block of scale × scale equal ones. Both directions.

forward: x (N, C, H, W), scale a whole number  ->  y (N, C, H·scale, W·scale)
backward: dy of the shape of y, cache = scale  ->  dx (N, C, H, W)
"""


def upsample_forward(x, scale):
    """Rows are repeated, then columns."""
    # solution:
    return x.repeat(scale, axis=2).repeat(scale, axis=3)
    # skeleton:
    # return ...
    # end


def upsample_backward(dy, cache):
    """A pixel acts through its whole block. A reshape to six axes gives every block two axes of its own."""
    scale = cache
    N, C, H, W = dy.shape
    # solution:
    blocks = dy.reshape(N, C, H // scale, scale, W // scale, scale)
    return blocks.sum(axis=(3, 5))
    # skeleton:
    # blocks = ...  # (N, C, H/scale, scale, W/scale, scale)
    # return ...
    # end


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision.learn import lab

TITLE = "larger by repetition"
LEVEL, MINUTES, PAGE = 2, 10, "31"
NEEDS = ("upsample_forward", "upsample_backward")
MISSING = "the repeated pixels, and what each pixel gets back from its block"
HINTS = (
    "How many outputs does one pixel appear in, and by how much does each move with it?",
    "In scale² of them, each by 1: their dy add up. reshape splits an axis of 6 into (3, 2): block, place in it.",
    "x.repeat(scale, axis=2).repeat(scale, axis=3); dy.reshape(N, C, H // s, s, W // s, s).sum(axis=(3, 5))",
)
PREDICT = "Average pooling and upsampling by 2 are each other's backward, but for one number. Which?"
ANSWER = "A factor of 4: upsampling adds the four dy up, average pooling hands each pixel a quarter."


def check(your):
    rng = np.random.default_rng(40)
    cases = [(rng.standard_normal((2, 3, 2, 4)), 2), (rng.standard_normal((1, 2, 3, 2)), 3)]

    def right(x, scale):
        return np.kron(x, np.ones((1, 1, scale, scale)))

    known = [
        (lambda x, s: np.tile(x, (1, 1, s, s)), "The whole picture is repeated; repeat every pixel: x.repeat(...)."),
        (lambda x, s: x.repeat(s, axis=2), "Only the rows are repeated."),
        (lambda x, s: x.repeat(s, axis=3), "Only the columns are repeated."),
        (lambda x, s: right(x, s) / s**2, "You divided: a repeated pixel keeps its value."),
    ]

    def block(reduce):
        def wrong(dy, x):
            (N, C, H, W), s = x.shape, dy.shape[2] // x.shape[2]
            return reduce(dy.reshape(N, C, H, s, W, s), s)

        return wrong

    gradients = [
        (
            "dx",
            block(lambda b, s: b.mean(axis=(3, 5))),
            "You took the mean of each block: that is average pooling. Sum.",
        ),
        (
            "dx",
            block(lambda b, s: b[:, :, :, 0, :, 0]),
            "Only the first pixel of each block counts; all of them add up.",
        ),
        ("dx", block(lambda b, s: b.max(axis=(3, 5))), "You took each block's maximum; its dy add up."),
        (
            "dx",
            lambda dy, x: dy.reshape(*x.shape[:2], 2, x.shape[2], 2, x.shape[3]).sum(axis=(2, 4)),
            "Your blocks have their two axes in the wrong order: (H, scale), not (scale, H).",
        ),
    ]
    backward = lab.adapted(
        your.upsample_backward, lambda dy, cache: (your.upsample_backward(dy, cache),), ("dy", "cache")
    )
    return lab.together(
        lambda: lab.beside(your.upsample_forward, right, cases, "y", known),
        lambda: lab.pair(lambda x: (right(x, 2), 2), backward, cases[0][:1], gradients),
    )
