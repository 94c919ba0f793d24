"""Transposed convolution by the loops of `direct`: a convolution read backwards, as in `ops.conv_transpose`."""

from typing import Any

import numpy as np

from ...errors import TinyVisionError
from ...ops import conv_transpose
from ...ops.channels import each_row
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
    sliding, shape = conv_transpose.geometry(x, weight, bias, stride, padding, output_padding, groups, dilation)
    y = np.empty(shape, np.float32)
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


def _applies(x, weight, *arguments, **options):
    """Whether these are arguments that the op would accept, of one group, whose input fills the tiles."""
    try:
        sliding, shape = conv_transpose.geometry(x, weight, *arguments, **options)
    except TinyVisionError:  # the op says it
        return False
    return sliding.groups == 1 and shape[0] > 0 and direct.fills(weight.shape[0])


DROP_INS = (
    DropIn(
        "direct",
        (conv_transpose.conv_transpose2d_forward, conv_transpose.conv_transpose2d_backward),
        conv_transpose2d_forward,
        conv_transpose2d_backward,
        _applies,
    ),
)
