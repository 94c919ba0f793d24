"""2-D convolution (cross-correlation, as every deep-learning library computes it) and its three gradients.

Three directions: `correlate` slides a kernel over an image, `image_gradient` and `weight_gradient` go back. How each is
computed is for one of the WAYS in `convolution/`: they are one function, computed differently.
"""

from types import ModuleType
from typing import Any

import numpy as np

from .. import blocks
from ..errors import OptionError
from ..types import Array, Gradients, IntOrPair, Needs, Pair, Shape
from .channels import column_sums
from .checks import check_arrays, check_rank, is_integer, output_size, pair, shape_error
from .convolution import columns, depthwise, planes, winograd
from .convolution.sliding import Sliding, channels_last, matrix, nhwc

# The first one that applies computes: 3×3 with many channels, few channels, a kernel for each channel, anything.
WAYS = (winograd, planes, depthwise, columns)


def way_of(x: Array, weight_shape: Shape, y_shape: Shape, sliding: Sliding, keeps: bool = False) -> ModuleType:
    """Which of the WAYS computes from x what has y_shape. keeps: what is made of the weight is kept for more calls."""
    return next(way for way in WAYS if way.applies(x, weight_shape, y_shape, sliding, keeps))


def conv2d_forward(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> tuple[Array, Any]:
    """y[n, o, i, j] = bias[o] + Σ_{c, k, l} x[n, c, i·SH + k·DH - PH, j·SW + l·DW - PW] · weight[o, c, k, l]

    x (N, C, H, W), weight (O, C/groups, KH, KW), bias (O,)  ->  y (N, O, OH, OW), cache

    Pixels outside of the image are 0. With groups, output channel o reads only the input channels of its own group.
    OH = floor((H + 2·PH - DH·(KH - 1) - 1) / SH) + 1. Raises ShapeError, DtypeError, DeviceError, OptionError."""
    stride, padding = pair("conv2d", "stride", stride, 1), pair("conv2d", "padding", padding, 0)
    dilation = pair("conv2d", "dilation", dilation, 1)
    y_shape = conv2d_shape(x, weight, bias, stride, padding, dilation, groups)
    sliding, kernels = Sliding(stride, padding, dilation, groups), channels_last(nhwc(weight))
    y = way_of(x, kernels.shape, y_shape, sliding).correlate(nhwc(x), kernels, y_shape, sliding, bias)
    return y.transpose(0, 3, 1, 2), (x, weight, bias is not None, *sliding)


def conv2d_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """dy (N, O, OH, OW)  ->  dx (N, C, H, W), dweight (O, C/groups, KH, KW), dbias (O,)

    dweight correlates the image with dy; for dx see `columns.image_gradient` (tutorial 11)."""
    x, weight, has_bias, *options = cache
    sliding, biased, image = Sliding(*options), has_bias and needs[2], nhwc(x)
    rows, kernels = channels_last(nhwc(dy)), channels_last(nhwc(weight))
    dx = dweight = dbias = None
    if needs[0]:
        way = way_of(rows, kernels.shape, image.shape, sliding)
        dx = way.image_gradient(rows, kernels, image.shape, sliding).transpose(0, 3, 1, 2)
    if needs[1]:
        way = way_of(image, kernels.shape, rows.shape, sliding)
        dweight, dbias = way.weight_gradient(image, rows, kernels.shape, sliding, biased)
        dweight = dweight.transpose(0, 3, 1, 2)
    elif biased:
        sums = blocks.over_rows(lambda some: column_sums(matrix(rows[some])), rows)
        dbias = sum(sums, np.zeros_like(rows, shape=rows.shape[-1]))
    return (dx, dweight, dbias) if has_bias else (dx, dweight)


def conv2d_shape(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Shape:
    """(N, OH, OW, O) for arguments of `conv2d_forward`, or the error that says why they do not fit."""
    check_arrays("conv2d", x=x, weight=weight, bias=bias)
    check_rank("conv2d", 4, "(N, C, H, W)", x=x)
    check_rank("conv2d", 4, "(O, C/groups, KH, KW)", weight=weight)
    N, C, H, W = x.shape
    O, CG, KH, KW = weight.shape
    shown = {"x": ("(N, C, H, W)", x), "weight": ("(O, C/groups, KH, KW)" if groups != 1 else "(O, C, KH, KW)", weight)}
    if not is_integer(groups) or groups < 1 or O % groups or C % groups:
        raise OptionError(f"conv2d: groups must divide both {C} input and {O} output channels, got {groups!r}")
    if CG * groups != C:
        wanted = f"weight expects {CG}" if groups == 1 else f"weight expects {CG} in each of {groups} groups"
        raise shape_error("conv2d", f"x has {C} channels but {wanted}", **shown)
    if not O or not C:
        raise shape_error("conv2d", f"there are {C} input and {O} output channels, but at least 1 is needed", **shown)
    if bias is not None and tuple(bias.shape) != (O,):
        problem = f"bias must have one number for each of {O} output channels"
        raise shape_error("conv2d", problem, **shown, bias=("(O,)", bias))
    OH = output_size(H, KH, stride[0], padding[0], dilation[0])
    OW = output_size(W, KW, stride[1], padding[1], dilation[1])
    if OH < 1 or OW < 1 or KH < 1 or KW < 1:
        size = f"{dilation[0] * (KH - 1) + 1}x{dilation[1] * (KW - 1) + 1}"
        padded = f"{H + 2 * padding[0]}x{W + 2 * padding[1]}"
        raise shape_error("conv2d", f"the kernel spans {size} but the padded image is only {padded}", **shown)
    return N, OH, OW, O
