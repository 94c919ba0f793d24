"""Grad-CAM: where in the picture lies what the answer rests on? (Selvaraju et al., 2017)

A (N, C, h, w): what the last convolution put out; dA of the same shape: the gradient of the chosen class's score
with respect to it  ->  maps (N, h, w), from 0 to 1, each with its maximum at 1 (or all 0)
"""

import numpy as np


def grad_cam(A, dA):
    """share (N, C): the mean of dA over each channel's pixels; map = relu(Σ_c share·A); divided by its maximum."""
    # solution:
    share = dA.mean(axis=(2, 3), keepdims=True)
    cam = np.maximum((share * A).sum(axis=1), 0)
    top = cam.max(axis=(1, 2), keepdims=True)
    return cam / np.where(top > 0, top, 1)
    # skeleton:
    # share = ...  # how much each channel counts for the class
    # cam = ...  # (N, h, w)
    # return ...  # from 0 to 1; a map of zeros stays one
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "where it looks"
LEVEL, MINUTES, PAGE = 3, 15, "27"
NEEDS = ("grad_cam",)
MISSING = "the channels' shares, their weighted sum, and the scale from 0 to 1"
HINTS = (
    "Channel 5 lights up on ears. How do you know whether ears speak for the class, or against it?",
    "By the mean of its gradient. Weigh each channel with it, add the channels up, and keep what is positive.",
    "share = dA.mean(axis=(2, 3), keepdims=True); cam = np.maximum((share * A).sum(axis=1), 0); divide by each "
    "map's max",
)
PREDICT = "You make the map with a network whose weights are random. Will it look reasonable?"
ANSWER = "Often, yes: edges and objects light up in A anyway. So always make that map too, as a control."


def right(A, dA, share=None, positive=True, each=True):
    share = dA.mean(axis=(2, 3), keepdims=True) if share is None else share
    cam = (share * A).sum(axis=1)
    cam = np.maximum(cam, 0) if positive else cam
    top = cam.max(axis=(1, 2), keepdims=True) if each else cam.max()
    return cam / np.where(top > 0, top, 1)


def check(your):
    rng = np.random.default_rng(31)
    A, dA = np.abs(rng.standard_normal((3, 4, 5, 6))), rng.standard_normal((3, 4, 5, 6))
    dA[2] = -np.abs(dA[2])  # everything speaks against the class: a map of zeros

    def divided_by_zero(A, dA):
        cam = np.maximum((dA.mean(axis=(2, 3), keepdims=True) * A).sum(axis=1), 0)
        with np.errstate(invalid="ignore"):
            return cam / cam.max(axis=(1, 2), keepdims=True)

    known = [
        (
            lambda A, dA: right(A, dA, positive=False),
            "What speaks against the class is in your map; keep the positive.",
        ),
        (
            lambda A, dA: right(A, dA, share=np.ones((1, 1, 1, 1))),
            "The gradient is not used: every channel counts alike.",
        ),
        (lambda A, dA: right(A, dA, share=dA), "Each pixel's own gradient is used; a channel's share is its mean."),
        (lambda A, dA: right(A, dA, each=False), "All maps are divided by one maximum; each picture has its own."),
        (lambda A, dA: right(A, np.abs(dA)), "You took the gradient's size; its sign says for or against."),
        (
            divided_by_zero,
            "Where everything speaks against the class the maximum is 0, and 0/0 is NaN: divide by 1 there.",
        ),
        (
            lambda A, dA: np.maximum((dA.mean(axis=(2, 3), keepdims=True) * A).sum(axis=1), 0),
            "The maps are not scaled to a maximum of 1.",
        ),
    ]
    return lab.beside(your.grad_cam, right, [(A, dA)], "map", known)
