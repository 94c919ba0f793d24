"""Global average pooling, which ends a ResNet: one number for each picture and channel. Both directions.

forward: x (N, C, H, W)  ->  y (N, C)            backward: dy (N, C), cache = x_shape  ->  dx (N, C, H, W)
"""

import numpy as np


def global_avgpool_forward(x):
    """The mean over all pixels."""
    # solution:
    return x.mean(axis=(2, 3))
    # skeleton:
    # return ...
    # end


def global_avgpool_backward(dy, x_shape):
    """Every pixel gets the same share."""
    H, W = x_shape[2:]
    # solution:
    return np.broadcast_to(dy[:, :, None, None] / (H * W), x_shape).copy()
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "one number per channel"
LEVEL, MINUTES, PAGE = 2, 10, "12"
NEEDS = ("global_avgpool_forward", "global_avgpool_backward")
MISSING = "the mean over all pixels, and each pixel's share of dy"
HINTS = (
    "By how much does y[n, c] move when one pixel of that channel moves by 1?",
    "By 1/(H·W). dy has two axes; two more of length 1 let it be broadcast to the shape of x.",
    "x.mean(axis=(2, 3)); np.broadcast_to(dy[:, :, None, None] / (H * W), x_shape).copy()",
)
PREDICT = "Why does a ResNet with this layer accept images of any size?"
ANSWER = "Whatever H and W are, C numbers come out, and the linear layer behind it needs nothing else."


def check(your):
    rng = np.random.default_rng(7)
    cases = [(rng.standard_normal(shape),) for shape in ((2, 3, 4, 5), (1, 2, 3, 3))]
    known = [
        (lambda x: x.sum(axis=(2, 3)), "That is the sum; divide by the number of pixels."),
        (lambda x: x.mean(axis=(1, 2, 3)), "The mean runs over the channels too; each channel keeps its own."),
        (lambda x: x.mean(axis=(2, 3), keepdims=True), "The result has four axes; (N, C) is asked for."),
    ]
    forward, backward = your.global_avgpool_forward, your.global_avgpool_backward

    def pair():
        def right(x):
            return x.mean(axis=(2, 3)), x.shape

        def share(count):
            return lambda dy, x: np.broadcast_to(dy[:, :, None, None] / count(*x.shape), x.shape)

        gradients = [
            ("dx", share(lambda n, c, h, w: 1), "Each pixel got the whole of dy; its share is dy / (H·W)."),
            ("dx", share(lambda n, c, h, w: h), "You divided by H; the mean is over H·W pixels."),
            ("dx", share(lambda n, c, h, w: w), "You divided by W; the mean is over H·W pixels."),
            ("dx", share(lambda n, c, h, w: n * h * w), "You divided by N, too; each picture has a mean of its own."),
            ("dx", share(lambda n, c, h, w: c * h * w), "You divided by C, too; each channel has a mean of its own."),
            (
                "dx",
                share(lambda n, c, h, w: n * c * h * w),
                "You divided by all of x.size; the mean is over H·W pixels.",
            ),
        ]
        wrapped = lab.adapted(backward, lambda dy, cache: (backward(dy, cache),), ("dy", "cache"))
        return lab.pair(right, wrapped, cases[0], gradients)

    return lab.together(lambda: lab.beside(forward, lambda x: x.mean(axis=(2, 3)), cases, "y", known), pair)
