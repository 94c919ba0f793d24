"""The gradient of average pooling: each window's dy is shared equally by its KH·KW pixels.

dy (N, C, OH, OW), cache = (x, kernel_size, stride, padding), the last three pairs  ->  dx (N, C, H, W)
"""

import numpy as np


def avgpool_backward(dy, cache):
    """Walk the windows as in the forward; a pixel in several windows is paid by each."""
    x, (KH, KW), (SH, SW), (PH, PW) = cache
    N, C, H, W = x.shape
    dx_padded = np.zeros((N, C, H + 2 * PH, W + 2 * PW))
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            share = dy[:, :, i, j][:, :, None, None]  # (N, C, 1, 1)
            # solution:
            dx_padded[:, :, i * SH : i * SH + KH, j * SW : j * SW + KW] += share / (KH * KW)
            # skeleton:
            # dx_padded[:, :] = ...  # only the pixels of window (i, j)
            # end
    # solution:
    return dx_padded[:, :, PH : PH + H, PW : PW + W]
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "average pooling backward"
LEVEL, MINUTES, PAGE = 2, 10, "12"
NEEDS = ("avgpool_backward",)
MISSING = "each window's share for its pixels, and the picture inside the frame"
HINTS = (
    "By how much does the mean of KH·KW numbers move when one of them moves by 1?",
    "1 / (KH·KW), for each pixel of the window. Where windows overlap, the shares add up: += and not =.",
    "dx_padded[:, :, i * SH : i * SH + KH, j * SW : j * SW + KW] += share / (KH * KW)",
)
PREDICT = "With = for +=, on which poolings does it still pass a test?"
ANSWER = "Where windows do not overlap (stride at least the kernel), which is how pooling is nearly always tested."


def remember(x, kernel_size, stride, padding):
    return x, kernel_size, stride, padding


def check(your):
    return lab.backward("avgpool2d", your.avgpool_backward, "dx", remember)
