"""A convolution as seven loops, nothing hidden.

    y[n, o, i, j] = bias[o] + Σ over c, k, l of  x_padded[n, c, i·SH + k, j·SW + l] · weight[o, c, k, l]

x (N, C, H, W), weight (O, C, KH, KW), bias (O,); stride and padding are pairs (height, width)  ->  y (N, O, OH, OW)
"""

import numpy as np


def conv_loops(x, weight, bias, stride, padding):
    """The convolution above. The padding and the four outer loops are written; the sum for one output is missing."""
    (SH, SW), (PH, PW) = stride, padding
    N, C, H, W = x.shape
    O, _, KH, KW = weight.shape
    x_padded = np.pad(x, ((0, 0), (0, 0), (PH, PH), (PW, PW)))
    OH, OW = (H + 2 * PH - KH) // SH + 1, (W + 2 * PW - KW) // SW + 1
    y = np.zeros((N, O, OH, OW))
    for n in range(N):
        for o in range(O):
            for i in range(OH):
                for j in range(OW):
                    # solution:
                    total = bias[o]
                    for c in range(C):
                        for k in range(KH):
                            for l in range(KW):
                                total += x_padded[n, c, i * SH + k, j * SW + l] * weight[o, c, k, l]
                    # skeleton:
                    # total = ...  # three more loops
                    # end
                    y[n, o, i, j] = total
    return y


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "a convolution as seven loops"
LEVEL, MINUTES, PAGE = 1, 15, "4"
NEEDS = ("conv_loops",)
MISSING = "the sum over channels and window for one output, y[n, o, i, j]"
HINTS = (
    "Which pixels of the padded image lie under the window when the output position is (i, j)?",
    "Its top left corner is at row i·SH, column j·SW. Inside the window, k counts rows and l columns; c runs "
    "over channels.",
    "total = bias[o]; then for c, for k, for l: total += x_padded[n, c, i * SH + k, j * SW + l] * weight[o, c, k, l]",
)
PREDICT = "How many multiplications does one 3×3 convolution from 64 to 64 channels on a 56×56 image take?"
ANSWER = "64 · 56 · 56 · 64 · 9 = 115,605,504, for one picture. In Python loops that is about a minute."


def check(your):
    return lab.forward("conv2d", your.conv_loops)
