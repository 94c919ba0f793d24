"""The gradient of a convolution with respect to its bias.

dy (N, O, OH, OW)  ->  dbias (O,); the cache is not needed
"""


def conv_dbias(dy, cache):
    """bias[o] was added to every pixel of channel o, in every picture."""
    # solution:
    return dy.sum(axis=(0, 2, 3))
    # skeleton:
    # return ...
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "convolution backward: the bias"
LEVEL, MINUTES, PAGE = 1, 5, "11"
NEEDS = ("conv_dbias",)
MISSING = "the sum of dy over all places where the bias was added"
HINTS = (
    "In how many outputs does one bias appear?",
    "In N·OH·OW of them; each hands its dy back, and they add up. Which axes are those?",
    "dy.sum(axis=(0, 2, 3))",
)
PREDICT = "A convolution is followed by a batch-norm. What is dbias then?"
ANSWER = "0: batch-norm subtracts the mean, and the bias with it. That is why ResNet's convolutions have none."


def remember(x, weight, bias, stride, padding):
    return x, weight, stride, padding


def check(your):
    return lab.backward("conv2d", your.conv_dbias, "dbias", remember)
