"""Transposed convolution by the loops of `direct`: a convolution read backwards, as in `ops.conv_transpose`."""

from typing import Any

import numpy as np

from ...errors import OptionError
from ...ops import conv_transpose
from ...ops.channels import each_row
from ...ops.checks import is_integer, pair
from ...ops.convolution.sliding import Sliding
from ...types import Array, Gradients, IntOrPair, Needs
from .. import DropIn
from . import direct
from .channels import column_sums
from .lines import first, last, matrix


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
    """As `ops.conv_transpose2d_forward`."""
    sliding, size = _geometry(x, weight, stride, padding, output_padding, dilation)
    y = np.empty((len(x), *size, weight.shape[1]), np.float32)
    direct.WAY.image_gradient(last(x), weight, y, sliding)
    if bias is not None:
        each_row(np.add, y, bias)
    return first(y), (x, weight, bias is not None, sliding)


def conv_transpose2d_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """As `ops.conv_transpose2d_backward`."""
    x, weight, has_bias, sliding = cache
    image, rows, dx, dweight = last(dy), last(x), None, None
    if needs[0]:
        dx = np.empty(rows.shape, np.float32)
        direct.WAY.correlate(image, weight, dx, sliding)
        dx = first(dx)
    if needs[1]:
        dweight = direct.WAY.weight_gradient(image, rows, weight.shape, sliding)
    if not has_bias:
        return dx, dweight
    return dx, dweight, column_sums(matrix(image)) if needs[2] else None


def _geometry(x, weight, stride, padding, output_padding, dilation):
    """(the convolution that is read backwards, (OH, OW)). Raises OptionError."""
    op = "conv_transpose2d"
    sliding = Sliding(pair(op, "stride", stride, 1), pair(op, "padding", padding, 0), pair(op, "dilation", dilation, 1))
    more = pair(op, "output_padding", output_padding, 0)
    if any(p >= max(s, d) for p, s, d in zip(more, sliding.stride, sliding.dilation, strict=True)):
        raise OptionError(f"{op}: output_padding must be smaller than stride or dilation")
    (SH, SW), (PH, PW), (DH, DW), (KH, KW) = sliding.stride, sliding.padding, sliding.dilation, weight.shape[2:]
    OH = (x.shape[2] - 1) * SH - 2 * PH + DH * (KH - 1) + more[0] + 1
    OW = (x.shape[3] - 1) * SW - 2 * PW + DW * (KW - 1) + more[1] + 1
    return sliding, (OH, OW)


def _applies(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Whether these are arguments that the op would accept, of one group, whose input fills the tiles."""
    if x.ndim != 4 or weight.ndim != 4 or 0 in (*x.shape, *weight.shape) or x.shape[1] != weight.shape[0]:
        return False
    if not is_integer(groups) or groups != 1 or (bias is not None and tuple(bias.shape) != weight.shape[1:2]):
        return False
    try:
        _, size = _geometry(x, weight, stride, padding, output_padding, dilation)
    except OptionError:  # the op says it
        return False
    return min(size) >= 1 and direct.fills(weight.shape[0])


DROP_INS = (
    DropIn(
        "direct",
        (conv_transpose.conv_transpose2d_forward, conv_transpose.conv_transpose2d_backward),
        conv_transpose2d_forward,
        conv_transpose2d_backward,
        _applies,
    ),
)
