"""col2im: the way back from windows to an image; where windows overlap, their contributions add up.

columns (N·OH·OW, C·KH·KW), x_shape (N, C, H, W); kernel_size, stride, padding are pairs  ->  x (N, C, H, W)
It is the adjoint of im2col, not its inverse.
"""

import numpy as np


def col2im(columns, x_shape, kernel_size, stride, padding):
    """The loop of im2col again; only, now the image receives."""
    (KH, KW), (SH, SW), (PH, PW) = kernel_size, stride, padding
    N, C, H, W = x_shape
    OH, OW = (H + 2 * PH - KH) // SH + 1, (W + 2 * PW - KW) // SW + 1
    windows = columns.reshape(N, OH, OW, C, KH, KW).transpose(0, 3, 4, 5, 1, 2)  # (N, C, KH, KW, OH, OW)
    x_padded = np.zeros((N, C, H + 2 * PH, W + 2 * PW))
    for k in range(KH):
        for l in range(KW):
            # solution:
            x_padded[:, :, k : k + OH * SH : SH, l : l + OW * SW : SW] += windows[:, :, k, l]
            # skeleton:
            # x_padded[:] = ...  # the pixels that position (k, l) of all windows saw
            # end
    # solution:
    return x_padded[:, :, PH : PH + H, PW : PW + W]
    # skeleton:
    # return ...  # (N, C, H, W)
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "windows back to an image"
LEVEL, MINUTES, PAGE = 3, 20, "11"
NEEDS = ("col2im",)
MISSING = "adding the windows up, and the picture inside the frame"
HINTS = (
    "A pixel lies in four windows. How much of each does it get?",
    "All of it, added up. The slice is the one from im2col: rows k, k + SH, ...; OH of them. Then crop the frame away.",
    "x_padded[:, :, k : k + OH * SH : SH, l : l + OW * SW : SW] += windows[:, :, k, l]; the picture starts at "
    "[PH, PW].",
)
PREDICT = "col2im(im2col(x)): is that x?"
ANSWER = "Only if no windows overlap: each pixel comes back as often as windows contain it, so x times that count."


def check(your):
    return lab.forward("col2im", your.col2im, {"y": "x"})
