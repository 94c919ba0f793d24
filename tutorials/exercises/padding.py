"""A frame of zeros around every image.

x (N, C, H, W), padding (PH, PW)  ->  (N, C, H + 2·PH, W + 2·PW), the image in the middle
"""

import numpy as np


def padding(x, padding):
    """Make the large array of zeros, of the dtype of x, and put the image into it. (Without np.pad, once.)"""
    N, C, H, W = x.shape
    PH, PW = padding
    # solution:
    padded = np.zeros((N, C, H + 2 * PH, W + 2 * PW), dtype=x.dtype)
    padded[:, :, PH : PH + H, PW : PW + W] = x
    # skeleton:
    # padded = ...  # zeros, then the image at its place
    # end
    return padded


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "a frame of zeros"
LEVEL, MINUTES, PAGE = 1, 5, "3"
NEEDS = ("padding",)
MISSING = "the array of zeros with the image in its middle"
HINTS = (
    "How high is the result, and at which row of it does the image begin?",
    "Its height is H + 2·PH; the image begins at row PH and ends before row PH + H. `padded[:, :, -PH]` fails "
    "for PH = 0.",
    "np.zeros((N, C, H + 2 * PH, W + 2 * PW), dtype=x.dtype), then padded[:, :, PH : PH + H, PW : PW + W] = x",
)
PREDICT = "Why does padded[:, :, PH:-PH, PW:-PW] = x fail for a padding of 0?"
ANSWER = "-0 is 0, so the slice 0:-0 is empty. PH : PH + H has no such exception."


def check(your):
    def right(x, p):
        return np.pad(x, ((0, 0), (0, 0), (p[0], p[0]), (p[1], p[1])))

    rng = np.random.default_rng(0)
    cases = [
        (rng.standard_normal((2, 3, 4, 5)), (1, 2)),
        (rng.standard_normal((1, 2, 3, 3)), (0, 1)),
        (rng.standard_normal((1, 1, 2, 3)), (0, 0)),
    ]

    def to_minus_padding(x, p):
        padded = np.zeros((*x.shape[:2], x.shape[2] + 2 * p[0], x.shape[3] + 2 * p[1]))
        padded[:, :, p[0] : -p[0], p[1] : -p[1]] = x
        return padded

    def to_height(x, p):
        padded = np.zeros((*x.shape[:2], x.shape[2] + 2 * p[0], x.shape[3] + 2 * p[1]))
        padded[:, :, p[0] : x.shape[2], p[1] : x.shape[3]] = x
        return padded

    known = [
        (to_minus_padding, "-0 is 0: where the padding is 0, a slice that ends at -PH is empty. Write PH : PH + H."),
        (to_height, "A slice PH : H is too short by PH; the image ends before row PH + H."),
        (lambda x, p: np.pad(x, ((0, 0), (0, 0), (p[1], p[1]), (p[0], p[0]))), "Height and width are exchanged."),
        (
            lambda x, p: np.pad(x, ((0, 0), (0, 0), (0, 2 * p[0]), (0, 2 * p[1]))),
            "The image lies in the top left corner; it belongs in the middle.",
        ),
        (
            lambda x, p: np.pad(x, ((0, 0), (0, 0), (p[0], p[0]), (p[1], p[1])), mode="edge"),
            "You repeated the pixels at the border; the frame is of zeros.",
        ),
    ]
    report = lab.beside(your.padding, right, cases, "padded", known)
    dtype = getattr(lab.call(your.padding, np.ones((1, 1, 2, 2), dtype=np.float32), (1, 1)), "dtype", None)
    lab.expect(
        dtype == np.float32,
        f"x is float32, but the result is {dtype}; give np.zeros the dtype of x.",
        "padded",
        your.padding,
    )
    return report
