"""Average pooling: the mean of every window, padding counted as zeros.

x (N, C, H, W); kernel_size, stride, padding are pairs  ->  y (N, C, OH, OW)
"""

import numpy as np


def avgpool_forward(x, kernel_size, stride, padding):
    """As in max pooling; only what is done with a window differs, and what the padding is."""
    (KH, KW), (SH, SW), (PH, PW) = kernel_size, stride, padding
    N, C, H, W = x.shape
    OH, OW = (H + 2 * PH - KH) // SH + 1, (W + 2 * PW - KW) // SW + 1
    x_padded = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)))
    y = np.zeros((N, C, OH, OW))
    # solution:
    for i in range(OH):
        for j in range(OW):
            window = x_padded[:, :, i * SH : i * SH + KH, j * SW : j * SW + KW]
            y[:, :, i, j] = window.sum(axis=(2, 3)) / (KH * KW)
    # skeleton:
    # y[:] = ...  # two loops, as in maxpool_forward
    # end
    return y


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "average pooling"
LEVEL, MINUTES, PAGE = 1, 10, "6"
NEEDS = ("avgpool_forward",)
MISSING = "the mean of every window"
HINTS = (
    "How many pixels does a window have? Is that number the same at the border?",
    "Every window has KH·KW pixels, zeros of the padding included (PyTorch's convention). Slice rows i·SH to "
    "i·SH + KH.",
    "for i in range(OH): for j in range(OW): y[:, :, i, j] = x_padded[:, :, i*SH : i*SH+KH, ...].mean(axis=(2, 3))",
)
PREDICT = "Average pooling is a convolution. With which weights?"
ANSWER = "1 / (KH·KW) everywhere, for each channel by itself. It is linear; max pooling is not."


def check(your):
    return lab.forward("avgpool2d", your.avgpool_forward)
