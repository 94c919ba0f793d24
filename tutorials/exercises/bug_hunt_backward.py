"""One of these five backwards is wrong. Find it, mend it, and say why the classic check passes it.

The classic check sends a dy of ones through the backward and compares the result with numeric differences. On the
guilty one, both agree to the last digit. Set GUILTY to the function's name, WHY to one letter, and mend the function:

    "a"  the test arrays were too small for the mistake to show
    "b"  with a dy of ones the true gradient is 0, and so is the wrong one
    "c"  the tolerance was too large
    "d"  the mistake shows at a kink only, and random numbers never lie on a kink
"""

import numpy as np

# solution:
GUILTY = "softmax_backward"
WHY = "b"
# skeleton:
# GUILTY = ...
# WHY = ...
# end


def linear_backward(dy, cache):
    """cache = (x (N, I), weight (O, I))  ->  dx, dweight, dbias"""
    x, weight = cache
    return np.einsum("no,oi->ni", dy, weight), np.einsum("ni,no->oi", x, dy), np.ones(len(dy)) @ dy


def relu_backward(dy, cache):
    """cache = x  ->  dx"""
    dx = dy.copy()
    dx[cache <= 0] = 0
    return dx


def softmax_backward(dy, cache):
    """cache = y (N, K), the probabilities  ->  dx"""
    y = cache
    # solution:
    return y * (dy - (dy * y).sum(axis=1, keepdims=True))
    # skeleton:
    # return y * (dy - dy.mean(axis=1, keepdims=True))
    # end


def avgpool_backward(dy, cache):
    """cache = (x, kernel_size, stride, padding)  ->  dx"""
    x, (KH, KW), (SH, SW), (PH, PW) = cache
    N, C, H, W = x.shape
    dx = np.zeros((N, C, H + 2 * PH, W + 2 * PW))
    for k in range(KH):
        for l in range(KW):
            dx[:, :, k : k + SH * dy.shape[2] : SH, l : l + SW * dy.shape[3] : SW] += dy
    return dx[:, :, PH : PH + H, PW : PW + W] / (KW * KH)


def batchnorm_backward(dy, cache):
    """cache = (x, weight, eps)  ->  dx, dweight, dbias"""
    x, weight, eps = cache
    axes = (0, 2, 3)
    r = (x.var(axis=axes, keepdims=True) + eps) ** -0.5
    xhat = (x - x.mean(axis=axes, keepdims=True)) * r
    flat = dy - dy.mean(axis=axes, keepdims=True)
    dx = r * weight[:, None, None] * (flat - xhat * (flat * xhat).mean(axis=axes, keepdims=True))
    return dx, (dy * xhat).sum(axis=axes), dy.sum(axis=axes)


# -------------------------------------------------------------------------- course

from tinyvision.check.reference import softmax
from tinyvision.learn import lab

TITLE = "which of five is wrong?"
LEVEL, MINUTES, PAGE = 3, 25, "16"
NEEDS = (
    "GUILTY",
    "WHY",
    "linear_backward",
    "relu_backward",
    "softmax_backward",
    "avgpool_backward",
    "batchnorm_backward",
)
MISSING = "the name of the wrong backward, and the reason the classic check passes it"
HINTS = (
    "What does the sum of an op's outputs do when an input moves? For one of the five it can not move at all.",
    "For two of them a dy of ones has a gradient of 0 everywhere. One of the two subtracts a mean where a weighted sum "
    "belongs. Try a dy of your own: np.random.default_rng(0).standard_normal(...).",
    "dx[j] = y[j]·(dy[j] - Σ_i dy[i]·y[i]). A plain mean weighs all classes alike. And what is either of them "
    "for ones?",
)
PREDICT = "Which of the five could be wrong by any factor, and still pass with a dy of ones?"
ANSWER = "Softmax's dx and batch-norm's dx: their outputs' sums are constant, so the gradient is 0, and 0 times 7 is 0."


def judges(your):
    def window(x, kernel_size, stride, padding):
        return x, kernel_size, stride, padding

    return {
        "linear_backward": lambda: lab.backward("linear", your.linear_backward, ("dx", "dweight", "dbias"),
                                                lambda x, weight, bias: (x, weight)),
        "relu_backward": lambda: lab.backward("relu", your.relu_backward, "dx", lambda x: x),
        "softmax_backward": lambda: lab.backward("softmax", your.softmax_backward, "dx", softmax),
        "avgpool_backward": lambda: lab.backward("avgpool2d", your.avgpool_backward, "dx", window),
        "batchnorm_backward": lambda: lab.backward("batchnorm_train", your.batchnorm_backward,
                                                   ("dx", "dweight", "dbias"),
                                                   lambda x, weight, bias, eps: (x, weight, eps)),
    }  # fmt: skip


def check(your):
    judge = judges(your)
    lab.expect(your.GUILTY in judge, f"GUILTY is {your.GUILTY!r}; it must be one of {', '.join(judge)}.", "GUILTY")
    lab.expect(your.GUILTY == "softmax_backward", f"{your.GUILTY} is right, on every probe. It is another.", "GUILTY")
    lab.expect(your.WHY in ("a", "b", "c", "d"), f"WHY is {your.WHY!r}; it must be 'a', 'b', 'c' or 'd'.", "WHY")
    lab.expect(
        your.WHY == "b",
        {
            "a": "It is wrong on arrays of any size. Look at what is sent into the backward.",
            "c": "Both sides agree to the last digit: no tolerance is small enough. Look at what is sent into the "
            "backward.",
            "d": "Softmax has no kink. Look at what is sent into the backward.",
        }[str(your.WHY)]
        if your.WHY != "b"
        else "",
        "WHY",
    )
    return lab.together(*[lambda name=name: lab.named(judge[name](), name) for name in judge])
