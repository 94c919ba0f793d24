"""The gradient of max pooling: each window's dy goes to its winner, and nobody else.

dy (N, C, OH, OW), cache = (x, kernel_size, stride, padding), the last three pairs  ->  dx (N, C, H, W)
"""

import numpy as np


def maxpool_backward(dy, cache):
    """Find each window's winner again; if two pixels tie, the first one (in reading order) is paid."""
    x, (KH, KW), (SH, SW), (PH, PW) = cache
    N, C, H, W = x.shape
    x_padded = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)), constant_values=-np.inf)
    dx_padded = np.zeros(x_padded.shape)
    n, c = np.ogrid[:N, :C]  # so that dx_padded[n, c, row, column] names one pixel for each picture and channel
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            window = x_padded[:, :, i * SH : i * SH + KH, j * SW : j * SW + KW]
            winner = window.reshape(N, C, KH * KW).argmax(axis=2)  # (N, C): a number from 0 to KH·KW - 1
            # solution:
            row, column = i * SH + winner // KW, j * SW + winner % KW
            dx_padded[n, c, row, column] += dy[:, :, i, j]
            # skeleton:
            # row, column = ...  # of the winner, in the padded image: two arrays (N, C)
            # dx_padded[n, c, row, column] += ...
            # end
    return dx_padded[:, :, PH : PH + H, PW : PW + W]


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "max pooling backward"
LEVEL, MINUTES, PAGE = 3, 20, "12"
NEEDS = ("maxpool_backward",)
MISSING = "the place of each winner, and its pay"
HINTS = (
    "The winner is number 5 of a window 2 rows high and 3 columns wide. In which row and column of the window is it?",
    "Row winner // KW, column winner % KW; and the window begins at (i·SH, j·SW). A pixel may win several windows.",
    "row, column = i * SH + winner // KW, j * SW + winner % KW; then += dy[:, :, i, j]",
)
PREDICT = "What does dx add up to, compared with dy?"
ANSWER = "To the same: every dy is paid out exactly once. A one-line test of any max-pool backward."


def remember(x, kernel_size, stride, padding):
    return x, kernel_size, stride, padding


def check(your):
    return lab.backward("maxpool2d", your.maxpool_backward, "dx", remember)
