"""Max pooling: the largest value in every window.

x (N, C, H, W); kernel_size, stride, padding are pairs  ->  y (N, C, OH, OW). Padding must never win.
"""

import numpy as np


def maxpool_forward(x, kernel_size, stride, padding):
    """Loop over the output's positions; take whole windows of all pictures and channels at once."""
    (KH, KW), (SH, SW), (PH, PW) = kernel_size, stride, padding
    N, C, H, W = x.shape
    OH, OW = (H + 2 * PH - KH) // SH + 1, (W + 2 * PW - KW) // SW + 1
    # solution:
    x_padded = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)), constant_values=-np.inf)
    # skeleton:
    # x_padded = ...  # padded with which value?
    # end
    y = np.zeros((N, C, OH, OW))
    for i in range(OH):
        for j in range(OW):
            window = x_padded[:, :, i * SH : i * SH + KH, j * SW : j * SW + KW]
            # solution:
            y[:, :, i, j] = window.max(axis=(2, 3))
            # skeleton:
            # y[:, :, i, j] = ...  # (N, C)
            # end
    return y


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "max pooling"
LEVEL, MINUTES, PAGE = 1, 10, "6"
NEEDS = ("maxpool_forward",)
MISSING = "the padding, and the largest value of a window"
HINTS = (
    "All pixels of a picture are negative, and the padding is 0. Who wins at the border?",
    "The padding must lose against every number there is. And the maximum runs over the window's axes only.",
    "np.pad(..., constant_values=-np.inf); window.max(axis=(2, 3))",
)
PREDICT = "Does it matter whether ReLU comes before or after max pooling?"
ANSWER = "Not for the result: ReLU never changes an order. It does for the work: after pooling there are fewer numbers."


def check(your):
    return lab.forward("maxpool2d", your.maxpool_forward)
