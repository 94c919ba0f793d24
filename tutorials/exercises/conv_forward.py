"""A convolution as one matrix product.

x (N, C, H, W), weight (O, C, KH, KW), bias (O,); stride and padding are pairs  ->  y (N, O, OH, OW)
"""

from tinyvision.ops import im2col_forward


def conv_forward(x, weight, bias, stride, padding):
    """Windows as rows times weights as columns gives one row of O numbers for each position; then back to an image."""
    (SH, SW), (PH, PW) = stride, padding
    N, _, H, W = x.shape
    O, _, KH, KW = weight.shape
    OH, OW = (H + 2 * PH - KH) // SH + 1, (W + 2 * PW - KW) // SW + 1
    columns, _ = im2col_forward(x, (KH, KW), stride, padding)  # (N·OH·OW, C·KH·KW)
    # solution:
    rows = columns @ weight.reshape(O, -1).T + bias
    return rows.reshape(N, OH, OW, O).transpose(0, 3, 1, 2)
    # skeleton:
    # rows = ...  # (N·OH·OW, O), with the bias
    # return ...  # (N, O, OH, OW)
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "a convolution as one product"
LEVEL, MINUTES, PAGE = 2, 15, "5"
NEEDS = ("conv_forward",)
MISSING = "the product of windows and weights, and its way back to an image"
HINTS = (
    "columns has one row for each position. What must the weight look like, for one number per position and filter?",
    "weight as (O, C·KH·KW), transposed. The product has the axes (N·OH·OW, O): split the first, then move O to "
    "the front.",
    "rows = columns @ weight.reshape(O, -1).T + bias; then .reshape(N, OH, OW, O).transpose(0, 3, 1, 2)",
)
PREDICT = "rows.reshape(N, O, OH, OW) has the right shape as well. For which inputs does it give the right numbers?"
ANSWER = "Only for O = 1 or OH = OW = 1: reshape never moves a number, it reads them in the order they stand in."


def check(your):
    return lab.forward("conv2d", your.conv_forward)
