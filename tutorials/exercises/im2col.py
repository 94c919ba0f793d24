"""im2col: every window becomes a row, so that a convolution becomes one matrix product.

Row (n, i, j) holds the window at output position (i, j) of picture n, flattened in the order (channel, row, column).
x (N, C, H, W); kernel_size, stride, padding are pairs  ->  columns (N·OH·OW, C·KH·KW)
"""

import numpy as np


def im2col(x, kernel_size, stride, padding):
    """The windows of x as rows. Loop over the positions in the *window* (few), not over those in the image (many)."""
    (KH, KW), (SH, SW), (PH, PW) = kernel_size, stride, padding
    N, C, H, W = x.shape
    x_padded = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)))
    OH, OW = (H + 2 * PH - KH) // SH + 1, (W + 2 * PW - KW) // SW + 1
    windows = np.zeros((N, C, KH, KW, OH, OW))
    for k in range(KH):
        for l in range(KW):
            # solution:
            windows[:, :, k, l] = x_padded[:, :, k : k + OH * SH : SH, l : l + OW * SW : SW]
            # skeleton:
            # windows[:, :, k, l] = ...  # (N, C, OH, OW): what position (k, l) of all windows sees
            # end
    # solution:
    return windows.transpose(0, 4, 5, 1, 2, 3).reshape(N * OH * OW, C * KH * KW)
    # skeleton:
    # return ...  # (N·OH·OW, C·KH·KW): bring the axes into the right order first
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "windows as rows"
LEVEL, MINUTES, PAGE = 2, 20, "5"
NEEDS = ("im2col",)
MISSING = "the slice that one position of the window sees, and the order of the axes"
HINTS = (
    "Take the top left pixel of every window: which rows and columns of the padded image are those?",
    "Rows k, k + SH, k + 2·SH, ..., OH of them: a slice with a step. Before the reshape, the axes must stand in "
    "the order "
    "N, OH, OW, C, KH, KW.",
    "x_padded[:, :, k : k + OH * SH : SH, ...] for the slice; windows.transpose(0, 4, 5, 1, 2, 3).reshape(...) "
    "at the end.",
)
PREDICT = "A 3×3 window with stride 1: how many times larger than the image are the columns, roughly?"
ANSWER = "Nine times: every pixel lies in nine windows. That memory is what im2col pays for its speed."


def check(your):
    return lab.forward("im2col", your.im2col, {"y": "columns"})
