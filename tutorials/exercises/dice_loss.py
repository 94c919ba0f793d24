"""Dice loss, for segmentation where almost all is background: how much do the two areas overlap? Both directions.

    overlap = 2·Σ p·t + 1,   total = Σ p + Σ t + 1,   loss = mean over the pictures of 1 - overlap/total
p (N, H, W) probabilities, t (N, H, W) 0 or 1  ->  a number;   dy a number, cache = (p, t)  ->  dp (N, H, W)
"""


def dice_forward(p, t):
    """The sums run over each picture by itself. The 1 keeps a picture without a foreground from being 0/0."""
    # solution:
    overlap = 2 * (p * t).sum(axis=(1, 2)) + 1
    total = p.sum(axis=(1, 2)) + t.sum(axis=(1, 2)) + 1
    return (1 - overlap / total).mean()
    # skeleton:
    # overlap = ...  # (N,)
    # total = ...  # (N,)
    # return ...
    # end


def dice_backward(dy, cache):
    """A quotient: both its halves depend on p. dp has the shape of p."""
    p, t = cache
    # solution:
    overlap = (2 * (p * t).sum(axis=(1, 2)) + 1)[:, None, None]
    total = (p.sum(axis=(1, 2)) + t.sum(axis=(1, 2)) + 1)[:, None, None]
    return -dy / len(p) * (2 * t * total - overlap) / total**2
    # skeleton:
    # overlap = ...  # (N, 1, 1)
    # total = ...  # (N, 1, 1)
    # return ...
    # end


# -------------------------------------------------------------------------- course

import numpy as np

from tinyvision.learn import lab

TITLE = "Dice loss"
LEVEL, MINUTES, PAGE = 3, 15, "31"
NEEDS = ("dice_forward", "dice_backward")
MISSING = "overlap and total of each picture, and the slope of their quotient"
HINTS = (
    "One pixel p moves by a little. By how much does overlap move, and by how much does total?",
    "By 2·t and by 1. The slope of a/b is (a'·b - a·b')/b². The loss has a minus and a mean over N.",
    "-dy / N * (2 * t * total - overlap) / total**2",
)
PREDICT = "1 % of the pixels are foreground, and the network answers 0 everywhere. Which loss is alarmed?"
ANSWER = "Dice: the overlap is nothing, the loss nearly 1. The mean cross-entropy of 99 % right pixels looks fine."


def sums(p, t, axes=(1, 2)):
    return 2 * (p * t).sum(axis=axes) + 1, p.sum(axis=axes) + t.sum(axis=axes) + 1


def right(p, t):
    overlap, total = sums(p, t)
    return (1 - overlap / total).mean()


def check(your):
    rng = np.random.default_rng(46)
    cases = [(rng.uniform(0.05, 0.95, shape), (rng.random(shape) < 0.4) * 1.0) for shape in ((3, 4, 5), (1, 3, 3))]
    known = [
        (
            lambda p, t: (lambda o, s: 1 - o / s)(*sums(p, t, None)),
            "You summed over the batch; each picture by itself.",
        ),
        (lambda p, t: 1 - right(p, t), "That is the overlap itself; the loss is 1 less it."),
        (lambda p, t: (lambda o, s: (1 - o / s).sum())(*sums(p, t)), "You summed over the pictures; take the mean."),
        (
            lambda p, t: (1 - ((p * t).sum((1, 2)) + 1) / (p.sum((1, 2)) + t.sum((1, 2)) + 1)).mean(),
            "The 2 is missing in the overlap.",
        ),
        (
            lambda p, t: (1 - 2 * (p * t).sum((1, 2)) / (p.sum((1, 2)) + t.sum((1, 2)))).mean(),
            "The 1 is missing in both: a picture without a foreground would be 0/0.",
        ),
        (
            lambda p, t: (1 - ((p * t).sum((1, 2)) + 1) / ((p + t - p * t).sum((1, 2)) + 1)).mean(),
            "That is the Jaccard index (intersection over union).",
        ),
    ]

    def slope(of):
        def wrong(dy, p, t):
            overlap, total = (v[:, None, None] for v in sums(p, t))
            return dy / len(p) * of(t, overlap, total)

        return wrong

    gradients = [
        ("dp", slope(lambda t, o, s: -2 * t / s), "The total depends on p, too: the second half of the quotient rule."),
        ("dp", slope(lambda t, o, s: o / s**2 * np.ones_like(t)), "The overlap depends on p, too."),
        (
            "dp",
            slope(lambda t, o, s: (2 * t * s - o) / s**2),
            "The sign is turned round: the loss is 1 *less* the overlap.",
        ),
        ("dp", slope(lambda t, o, s: -(2 * t * s - o) / s), "Divide by total², not by total."),
        (
            "dp",
            lambda dy, p, t: len(p) * slope(lambda t, o, s: -(2 * t * s - o) / s**2)(dy, p, t),
            "The 1/N of the mean over the pictures is missing.",
        ),
    ]
    p, t = cases[0]
    backward = lab.adapted(your.dice_backward, lambda dy, cache: (your.dice_backward(dy, cache),), ("dy", "cache"))
    return lab.together(
        lambda: lab.beside(your.dice_forward, right, cases, "loss", known),
        lambda: lab.pair(
            lambda p: (np.asarray(right(p, t)), (p, t)),
            backward,
            (p,),
            [(name, lambda dy, p, w=wrong: w(dy, p, t), words) for name, wrong, words in gradients],
        ),
    )
