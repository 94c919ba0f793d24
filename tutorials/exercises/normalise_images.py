"""From pixels in a file to what a network wants.

images (N, H, W, C) uint8 from 0 to 255, mean and std (C,) of pixels from 0 to 1
->  float32 (N, C, H, W): divided by 255, less the mean, divided by std, per channel
"""

import numpy as np


def normalise_images(images, mean, std):
    """Mind the kinds of numbers: uint8 knows no fractions, and 200 + 100 is 44."""
    # solution:
    x = images.astype(np.float32) / 255
    x = (x - np.asarray(mean, dtype=np.float32)) / np.asarray(std, dtype=np.float32)
    return x.transpose(0, 3, 1, 2)
    # skeleton:
    # x = ...
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "pixels for a network"
LEVEL, MINUTES, PAGE = 1, 8, "19"
NEEDS = ("normalise_images",)
MISSING = "the pixels as float32, normalised, with the channel in front"
HINTS = (
    "While the channel is the last axis, what does (C,) line up with?",
    "First astype(np.float32) and / 255; then mean and std by broadcasting; then move the last axis to place 1.",
    "x = (images.astype(np.float32) / 255 - mean) / std, as float32; x.transpose(0, 3, 1, 2)",
)
PREDICT = "A photo is fed to a network in the order BGR for RGB. Does it fail?"
ANSWER = "It still recognises most things, a little worse: one of the mistakes that never raise an error."


def check(your):
    rng = np.random.default_rng(22)
    images = rng.integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    mean, std = np.array([0.49, 0.46, 0.41]), np.array([0.23, 0.22, 0.27])

    def right(images, mean, std):
        return ((images / 255 - mean) / std).transpose(0, 3, 1, 2)

    known = [
        (lambda i, m, s: ((i - m) / s).transpose(0, 3, 1, 2), "The pixels are not divided by 255."),
        (lambda i, m, s: (i / 255).transpose(0, 3, 1, 2), "Mean and std are not used."),
        (lambda i, m, s: ((i / 255 - m) * s).transpose(0, 3, 1, 2), "You multiplied by std; divide."),
        (lambda i, m, s: (i / 255 - m) / s, "The channel is still the last axis; it belongs behind N."),
        (lambda i, m, s: ((i / 255 - m) / s).reshape(2, 3, 4, 5), "reshape moves no number; transpose the axes."),
        (lambda i, m, s: ((i / 255 - m) / s).transpose(0, 3, 2, 1), "Height and width are exchanged."),
        (
            lambda i, m, s: ((i - (255 * m).astype(np.uint8)) / 255 / s).transpose(0, 3, 1, 2),
            "You subtracted bytes from bytes: 3 - 5 is 254. Make them floats first.",
        ),
        (lambda i, m, s: ((i[..., ::-1] / 255 - m) / s).transpose(0, 3, 1, 2), "Red and blue are exchanged."),
        (lambda i, m, s: ((i // 255 - m) / s).transpose(0, 3, 1, 2), "// 255 leaves 0 or 1; make it float first."),
    ]
    # float32 has 7 digits, and the result is a difference: 1e-5 of the largest value leaves room for its rounding.
    report = lab.beside(your.normalise_images, right, [(images, mean, std)], "x", known, tolerance=1e-5)
    dtype = lab.call(your.normalise_images, images, mean, std).dtype
    lab.expect(
        dtype == np.float32,
        f"The result is {dtype}; float32 is asked for: half the memory, twice the speed.",
        "x",
        your.normalise_images,
    )
    return report
