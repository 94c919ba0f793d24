"""The gradient of a convolution with respect to its image.

Forward was: pad x, then columns = im2col(x_padded), then y = columns @ weight_rowsᵀ. Walk it backwards.
dy (N, O, OH, OW), cache = (x, weight, stride, padding) with stride and padding pairs  ->  dx (N, C, H, W)
"""

from tinyvision.ops import col2im


def conv_dx(dy, cache):
    """Each output hands its dy back to the pixels of its window, each in proportion to the weight that read it."""
    x, weight, stride, (PH, PW) = cache
    N, C, H, W = x.shape
    O, _, KH, KW = weight.shape
    rows = dy.transpose(0, 2, 3, 1).reshape(-1, O)  # (N·OH·OW, O)
    # solution:
    dcolumns = rows @ weight.reshape(O, -1)
    # skeleton:
    # dcolumns = ...  # (N·OH·OW, C·KH·KW)
    # end
    dx_padded = col2im(dcolumns, (N, C, H + 2 * PH, W + 2 * PW), (KH, KW), stride, 0)
    # solution:
    return dx_padded[:, :, PH : PH + H, PW : PW + W]
    # skeleton:
    # return ...  # (N, C, H, W)
    # end


# -------------------------------------------------------------------------- course

from tinyvision.learn import lab

TITLE = "convolution backward: the image"
LEVEL, MINUTES, PAGE = 3, 20, "11"
NEEDS = ("conv_dx",)
MISSING = "the gradient of the columns, and the picture inside the padded gradient"
HINTS = (
    "y = columns @ weightᵀ. If y moves by dy, which product of dy and weight has the shape of columns?",
    "rows is (N·OH·OW, O) and weight, with its last three axes in one, is (O, C·KH·KW). And where inside the padded "
    "gradient does the picture begin?",
    "dcolumns = rows @ weight.reshape(O, -1). The picture begins at row PH, column PW, and is H by W.",
)
PREDICT = "Stride 2, kernel 1×1, no padding: which share of the pixels gets a gradient other than 0?"
ANSWER = "A quarter: the others were never looked at. A 1×1 convolution with stride 2 throws three of four pixels away."


def remember(x, weight, bias, stride, padding):
    return x, weight, stride, padding


def check(your):
    return lab.backward("conv2d", your.conv_dx, "dx", remember)
