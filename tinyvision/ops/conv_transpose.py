"""Transposed convolution: a convolution read backwards, with which a decoder makes images larger.

Every pixel of x puts a copy of the kernel, times itself, into y, and copies that overlap add up. That is what a
convolution's backward does with dy. So forward here is the image gradient there, the gradient of x is the convolution,
and the weights' gradient is the same sum with image and upstream in each other's places (tutorial 11).
"""

from typing import Any

import numpy as np

from .. import blocks
from ..errors import OptionError
from ..types import Array, Gradients, IntOrPair, Needs
from .channels import column_sums, each_row
from .checks import check_arrays, check_rank, is_integer, pair, shape_error
from .conv import way_of
from .convolution.sliding import Sliding, channels_last, matrix, nhwc


def conv_transpose2d_forward(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    output_padding: IntOrPair = 0,
    groups: int = 1,
    dilation: IntOrPair = 1,
) -> tuple[Array, Any]:
    """y[n, o, i·SH + k·DH - PH, j·SW + l·DW - PW] += x[n, c, i, j] · weight[c, o, k, l], on top of bias[o]

    x (N, C, H, W), weight (C, O/groups, KH, KW), bias (O,)  ->  y (N, O, OH, OW), cache

    OH = (H - 1)·SH - 2·PH + DH·(KH - 1) + output_padding + 1. A convolution with a stride makes one size of several,
    and output_padding, less than stride or dilation, says to which of them this goes back.
    Raises ShapeError, DtypeError, DeviceError, OptionError."""
    sliding, y_shape = geometry(x, weight, bias, stride, padding, output_padding, groups, dilation)
    rows, kernels = channels_last(nhwc(x)), channels_last(nhwc(weight))
    y = way_of(rows, kernels.shape, y_shape, sliding).image_gradient(rows, kernels, y_shape, sliding)
    if bias is not None:
        y = channels_last(y)
        each_row(np.add, y, bias)
    return y.transpose(0, 3, 1, 2), (x, weight, bias is not None, sliding)


def conv_transpose2d_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """dy (N, O, OH, OW)  ->  dx (N, C, H, W), dweight (C, O/groups, KH, KW), dbias (O,)

    dx is dy convolved with the weight."""
    x, weight, has_bias, sliding = cache
    image, rows, kernels = nhwc(dy), channels_last(nhwc(x)), channels_last(nhwc(weight))
    dx = dweight = dbias = None
    if needs[0]:
        way = way_of(image, kernels.shape, rows.shape, sliding)
        dx = way.correlate(image, kernels, rows.shape, sliding).transpose(0, 3, 1, 2)
    if needs[1]:
        way = way_of(image, kernels.shape, rows.shape, sliding)
        dweight = way.weight_gradient(image, rows, kernels.shape, sliding)[0].transpose(0, 3, 1, 2)
    if has_bias and needs[2]:
        last = channels_last(image)
        sums = blocks.over_rows(lambda some: column_sums(matrix(last[some])), last)
        dbias = sum(sums, np.zeros_like(last, shape=last.shape[-1]))
    return (dx, dweight, dbias) if has_bias else (dx, dweight)


def geometry(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    output_padding: IntOrPair = 0,
    groups: int = 1,
    dilation: IntOrPair = 1,
) -> tuple[Sliding, tuple[int, int, int, int]]:
    """(the convolution that is read backwards, (N, OH, OW, O)), or the error that says what does not fit."""
    op, axes = "conv_transpose2d", "(C, O/groups, KH, KW)"
    sliding = Sliding(
        pair(op, "stride", stride, 1), pair(op, "padding", padding, 0), pair(op, "dilation", dilation, 1), groups
    )
    beyond = pair(op, "output_padding", output_padding, 0)
    check_arrays(op, x=x, weight=weight, bias=bias)
    check_rank(op, 4, "(N, C, H, W)", x=x)
    check_rank(op, 4, axes, weight=weight)
    (N, C, H, W), (WC, OG, KH, KW) = x.shape, weight.shape
    shown = {"x": ("(N, C, H, W)", x), "weight": (axes, weight)}
    if not is_integer(groups) or groups < 1 or C % groups:
        raise OptionError(f"{op}: groups must divide the {C} input channels, got {groups!r}")
    if WC != C:
        raise shape_error(op, f"x has {C} channels but weight expects {WC}", **shown)
    if 0 in (C, OG, H, W, KH, KW):
        raise shape_error(op, "no axis but the batch may be empty", **shown)
    if bias is not None and tuple(bias.shape) != (OG * groups,):
        problem = f"bias must have one number for each of {OG * groups} output channels"
        raise shape_error(op, problem, **shown, bias=("(O,)", bias))
    if any(p >= max(s, d) for p, s, d in zip(beyond, sliding.stride, sliding.dilation, strict=True)):
        raise OptionError(
            f"{op}: output_padding must be smaller than stride or dilation, got output_padding={beyond}, "
            f"stride={sliding.stride}, dilation={sliding.dilation}"
        )
    OH, OW = (
        (size - 1) * s - 2 * p + d * (k - 1) + more + 1
        for size, k, s, p, d, more in zip(
            (H, W), (KH, KW), sliding.stride, sliding.padding, sliding.dilation, beyond, strict=True
        )
    )
    if OH < 1 or OW < 1:
        raise shape_error(op, f"padding {sliding.padding} leaves nothing: the output would be {OH}x{OW}", **shown)
    return sliding, (N, OH, OW, OG * groups)
