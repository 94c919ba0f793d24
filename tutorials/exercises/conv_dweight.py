"""The gradient of a convolution with respect to its weight.

Forward was: columns = im2col(x), then rows = columns @ weight_rowsᵀ, as in a linear layer.
dy (N, O, OH, OW), cache = (x, weight, stride, padding) with stride and padding pairs  ->  dweight (O, C, KH, KW)
"""

from tinyvision.ops import im2col_forward


def conv_dweight(dy, cache):
    """A linear layer's dweight, with the windows as its input."""
    x, weight, stride, padding = cache
    columns, _ = im2col_forward(x, weight.shape[2:], stride, padding)  # (N·OH·OW, C·KH·KW)
    # solution:
    rows = dy.transpose(0, 2, 3, 1).reshape(-1, len(weight))
    return (rows.T @ columns).reshape(weight.shape)
    # skeleton:
    # rows = ...  # (N·OH·OW, O)
    # return ...  # (O, C, KH, KW)
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "convolution backward: the weight"
LEVEL, MINUTES, PAGE = 3, 15, "11"
NEEDS = ("conv_dweight",)
MISSING = "dy as rows, and their product with the windows"
HINTS = (
    "In a linear layer dweight = dyᵀ x. What plays the part of x here, and in which order must the rows of dy stand?",
    "Row (n, i, j) of columns belongs to dy[n, :, i, j]: move the axis O to the end before the reshape.",
    "rows = dy.transpose(0, 2, 3, 1).reshape(-1, O); (rows.T @ columns).reshape(weight.shape)",
)
PREDICT = "dy.reshape(O, -1) @ columns has the right shape. When are its numbers right?"
ANSWER = "For N = 1 only. Many tests use a batch of one, and never notice."


def remember(x, weight, bias, stride, padding):
    return x, weight, stride, padding


def check(your):
    return lab.backward("conv2d", your.conv_dweight, "dweight", remember)
