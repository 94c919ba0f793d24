"""Diffusion, backwards: one step of DDIM, from a guess of the noise to the picture of an earlier time.

    picture = (x - √(1 - now) · noise) / √now, cut to -1 ... 1
    noise   = (x - √now · picture) / √(1 - now), so that the two still add up to x
    earlier = √then · picture + √(1 - then) · noise
x (N, C, H, W), noise the same, now and then numbers, the shares of signal, now < then  ->  (N, C, H, W)
"""

import numpy as np


def ddim_step(x, noise, now, then):
    """Solve for the picture, cut it off, solve for the noise that is left, mix both anew."""
    # solution:
    picture = np.clip((x - np.sqrt(1 - now) * noise) / np.sqrt(now), -1, 1)
    noise = (x - np.sqrt(now) * picture) / np.sqrt(1 - now)
    return np.sqrt(then) * picture + np.sqrt(1 - then) * noise
    # skeleton:
    # picture = ...
    # noise = ...
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "a step out of the noise"
LEVEL, MINUTES, PAGE = 3, 12, "34"
NEEDS = ("ddim_step",)
MISSING = "the picture, the noise, and their new mixture"
HINTS = (
    "x = √now · picture + √(1 - now) · noise has three unknowns, of which two are given. Solve it for the third.",
    "The pixels of a picture are from -1 to 1: what is beyond was noise. So solve for the noise again, afterwards.",
    "picture = np.clip((x - np.sqrt(1 - now) * noise) / np.sqrt(now), -1, 1)",
)
PREDICT = "The earlier time is 0, so then is 1. What does the step return?"
ANSWER = "The picture, cut off at -1 and 1; the noise has the factor 0."


def check(your):
    rng = np.random.default_rng(51)

    def solved(x, noise, now):
        return (x - np.sqrt(1 - now) * noise) / np.sqrt(now)

    def left(x, picture, now):
        return (x - np.sqrt(now) * picture) / np.sqrt(1 - now)

    def mixed(picture, noise, then):
        return np.sqrt(then) * picture + np.sqrt(1 - then) * noise

    def drawing(picture_of):
        """The step with another picture."""

        def step(x, noise, now, then):
            picture = picture_of(x, noise, now)
            return mixed(picture, left(x, picture, now), then)

        return step

    def mixing(mixture):
        """The step with another mixture."""

        def step(x, noise, now, then):
            picture = np.clip(solved(x, noise, now), -1, 1)
            return mixture(picture, left(x, picture, now), now, then)

        return step

    right = drawing(lambda x, e, now: np.clip(solved(x, e, now), -1, 1))
    cases = [
        (rng.standard_normal((2, 1, 3, 4)), rng.standard_normal((2, 1, 3, 4)), now, then)
        for now, then in ((0.3, 0.5), (0.1, 0.8), (0.7, 1.0))
    ]
    divided = "The division by √now is missing: the picture is only a part of x."
    known = [
        (drawing(solved), "The picture is not cut off at -1 and 1."),
        (
            lambda x, e, now, then: mixed(np.clip(solved(x, e, now), -1, 1), e, then),
            "After the cut, picture and noise no longer add up to x: solve for the noise again.",
        ),
        (mixing(lambda p, e, now, then: p), "That is the picture; mix it with the noise in the shares of then."),
        (mixing(lambda p, e, now, then: mixed(p, e, now)), "Mixed in the shares of now: that is x again."),
        (mixing(lambda p, e, now, then: then * p + (1 - then) * e), "The roots are missing in the mixture."),
        (mixing(lambda p, e, now, then: mixed(e, p, then)), "Picture and noise are exchanged in the mixture."),
        (drawing(lambda x, e, now: np.clip(solved(x, -e, now), -1, 1)), "The noise is taken away, not added."),
        (drawing(lambda x, e, now: np.clip(x - np.sqrt(1 - now) * e, -1, 1)), divided),
        (
            drawing(lambda x, e, now: np.clip((x - (1 - now) * e) / now, -1, 1)),
            "The roots are missing where you solve for the picture.",
        ),
        (
            drawing(lambda x, e, now: np.clip(solved(x, e, now), 0, 1)),
            "The picture is cut off at 0; its pixels go down to -1.",
        ),
    ]
    return lab.beside(your.ddim_step, right, cases, "earlier", known)
