"""Half precision: three functions that are right in float64 and wrong in float16. float16 comes in and goes out.

float16 has a sign, 5 bits of exponent, 10 of fraction: the largest number is 65504, the smallest above 0 is 6e-8, and
from 2048 on not every whole number is there. A network keeps its activations in it; sums and logarithms need more.
"""

import numpy as np


def mean_square(x):
    """The mean of x² over the last axis.   x (N, D) float16  ->  (N,) float16"""
    # solution:
    x = x.astype(np.float32)
    return (x * x).mean(axis=-1).astype(np.float16)
    # skeleton:
    # total = np.float16(0)  # what follows adds one column after the other, in float16
    # for column in x.T:
    #     total = total + column * column
    # return total / np.float16(x.shape[-1])
    # end


def normalise(x, eps=1e-8):
    """(x - mean) / sqrt(variance + eps) over the last axis.   x (N, D) float16  ->  (N, D) float16"""
    # solution:
    x = x.astype(np.float32)
    # skeleton:
    # eps = np.float16(eps)
    # end
    c = x - x.mean(axis=-1, keepdims=True)
    return (c / np.sqrt((c * c).mean(axis=-1, keepdims=True) + eps)).astype(np.float16)


def unscaled(gradient, scale):
    """The float32 gradient of a loss that was multiplied by scale, so that it would not vanish; and is it usable?

    gradient float16  ->  (gradient / scale in float32, True if every number of it is finite)"""
    # solution:
    wide = gradient.astype(np.float32) / scale
    return wide, bool(np.isfinite(wide).all())
    # skeleton:
    # wide = (gradient / np.float16(scale)).astype(np.float32)
    # return wide, True
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "numbers of 16 bits"
LEVEL, MINUTES, PAGE = 3, 20, "25"
NEEDS = ("mean_square", "normalise", "unscaled")
MISSING = "of the three functions are right in float16"
HINTS = (
    "300² is 90,000. What is that in float16? And 2048 + 1? And 1e-8?",
    "Infinity; 2048; 0. Read float16, compute in float32, write float16. A gradient is divided by its scale after it "
    "has become float32, and infinity in it means: leave this step out.",
    "x = x.astype(np.float32) at the beginning of both; wide = gradient.astype(np.float32) / scale, and "
    "np.isfinite(wide).all()",
)
PREDICT = "A loss is multiplied by 1024 before backward, and the gradients are divided by 1024 after it. What for?"
ANSWER = "Most gradients are below 6e-8 and would be 0 in float16. A factor of 1024 lifts them, and is taken out later."


def wide_mean_square(x):
    x = x.astype(np.float64)
    return (x * x).mean(axis=-1)


def wide_normalise(x, eps=1e-8):
    x = x.astype(np.float64)
    c = x - x.mean(axis=-1, keepdims=True)
    return c / np.sqrt((c * c).mean(axis=-1, keepdims=True) + eps)


def check(your):
    rng = np.random.default_rng(48)
    large = np.array([[300.0, 10.0, -5.0], [3.0, 4.0, 5.0]], dtype=np.float16)
    long = np.ones((1, 5000), dtype=np.float16)
    flat = np.array([[2.0, 2.0, 2.0], [1.0, 2.0, 4.0]], dtype=np.float16)
    small = (rng.standard_normal((2, 6)) * 1e-3).astype(np.float16)
    tiny = np.array([3e-6, -2e-7, 0.5], dtype=np.float16)
    said = []

    def near(name, mine, right, words):
        """float16 keeps 3 digits: 2e-3 of the size is its rounding, and a little."""
        dtype = getattr(mine, "dtype", None)
        if dtype != np.float16:
            said.append(f"{name} returns {dtype}; float16 goes out")
        elif np.shape(mine) != np.shape(right) or not np.allclose(mine, right, rtol=2e-3, atol=1e-7):
            said.append(f"{name}: {words}")
        else:
            return True
        return False

    with np.errstate(all="ignore"):
        square = lab.call(your.mean_square, large), lab.call(your.mean_square, long)
        normal = lab.call(your.normalise, flat), lab.call(your.normalise, small)
        wide = lab.call(your.unscaled, tiny, 1024.0)
        burst = lab.call(your.unscaled, np.array([1.0, np.inf], dtype=np.float16), 1024.0)
    right = [
        near("mean_square", square[0], wide_mean_square(large), "300² is 90,000, beyond 65504")
        and near("mean_square", square[1], wide_mean_square(long), "from 2048 on, adding 1 changes nothing in float16"),
        near("normalise", normal[0], wide_normalise(flat), "1e-8 is 0 in float16, and 0/0 is NaN")
        and near("normalise", normal[1], wide_normalise(small), "the squares of small numbers vanish in float16"),
        _unscaled(wide, burst, tiny, said),
    ]
    lab.expect(all(right), f"{sum(map(bool, right))} {MISSING}. Seen: {'; '.join(said)}.", "float16")
    return lab.done("mean_square", "normalise", "unscaled")


def _unscaled(wide, burst, tiny, said):
    if not (isinstance(wide, tuple) and len(wide) == 2 and getattr(wide[0], "dtype", None) == np.float32):
        said.append("unscaled must return a float32 array and a bool")
    elif not np.allclose(wide[0], tiny.astype(np.float64) / 1024, rtol=1e-5, atol=0):
        said.append("unscaled: divided in float16, small gradients are 0 again, which the scale was to prevent")
    elif bool(wide[1]) is not True or bool(burst[1]) is not False:
        said.append("unscaled: infinity in a gradient must be told, so that the step is left out")
    else:
        return True
    return False
