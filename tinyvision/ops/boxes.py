"""Boxes (x1, y1, x2, y2): how well two of them agree, with gradients, so that a network can learn to place them."""

from typing import Any

import numpy as np

from ..errors import DtypeError
from ..types import Array, Gradients, Needs
from .checks import check_arrays, shape_error

# Added to areas that divide, as in torchvision's losses, so that two empty boxes give no nan.
LEAST_AREA = 1e-7


def box_agreement_forward(a: Array, b: Array, generalized: bool = True) -> tuple[Array, Any]:
    """y = I / U of each pair of boxes; `generalized`, it is I / U - (E - U) / E (Rezatofighi et al., 2019).

    I is the area that both cover, U the area that any covers, and E that of the smallest box around both, which
    gives a slope to boxes that do not meet as well.   a, b (..., 4) as (x1, y1, x2, y2)  ->  y (...), cache

    Raises ShapeError, DtypeError, DeviceError."""
    check_arrays("box_agreement", a=a, b=b)
    if tuple(a.shape) != tuple(b.shape) or a.ndim < 1 or a.shape[-1] != 4:
        raise shape_error("box_agreement", "boxes are (..., 4), one b for each a", a=("(..., 4)", a), b=("(..., 4)", b))
    if a.dtype.itemsize == 2:
        raise DtypeError("box_agreement: squared areas overflow in float16; compare boxes in float32 (boxes.float())")
    inner, union, outer, _, _ = _areas(a, b)
    y = inner / (union + LEAST_AREA)
    if generalized:
        y = y - (outer - union) / (outer + LEAST_AREA)
    return y, (a, b, generalized)


def box_agreement_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dy (...)  ->  da (..., 4), db (..., 4)

    y depends on three areas: dI = 1/U, dU = -I/U² + 1/E, dE = -U/E²; with U = A + B - I, both dI and the areas A and B
    of the boxes take their part of dU. Each area is width · height, and each side is at a box's edge: of two edges that
    a maximum or minimum compares, the one that it chose gets the slope, and both get half where they are equal."""
    a, b, generalized = cache
    inner, union, outer, (iw, ih), (ow, oh) = _areas(a, b)
    u, e = union + LEAST_AREA, outer + LEAST_AREA
    dunion = -inner / (u * u)
    douter = np.zeros_like(dunion)
    if generalized:
        dunion = dunion + 1 / e
        douter = -(union + LEAST_AREA) / (e * e)
    dinner = dy * (1 / u - dunion)
    dunion, douter = dy * dunion, dy * douter
    met = (iw > 0) & (ih > 0)
    dinner = np.where(met, dinner, np.zeros_like(dinner))
    return tuple(
        _to_edges(this, other, dinner, dunion, douter, (iw, ih), (ow, oh)) if need else None
        for this, other, need in ((a, b, needs[0]), (b, a, needs[1]))
    )


def _areas(a, b):
    """The areas covered by both, by any, and by the box around both; and (width, height) of the first and the third."""
    iw, ih = (np.minimum(a[..., k + 2], b[..., k + 2]) - np.maximum(a[..., k], b[..., k]) for k in (0, 1))
    ow, oh = (np.maximum(a[..., k + 2], b[..., k + 2]) - np.minimum(a[..., k], b[..., k]) for k in (0, 1))
    inner = np.where((iw > 0) & (ih > 0), iw * ih, np.zeros_like(iw))
    own = [(box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1]) for box in (a, b)]
    return inner, own[0] + own[1] - inner, ow * oh, (iw, ih), (ow, oh)


def _to_edges(this, other, dinner, dunion, douter, inner_sides, outer_sides):
    """The gradient of one of the boxes, given those of the three areas."""
    edges = np.empty_like(this, order="C")
    for k in (0, 1):
        across = (this[..., 3 - k] - this[..., 1 - k]) * dunion  # the slope of its own area along this side
        inside, around = inner_sides[1 - k] * dinner, outer_sides[1 - k] * douter
        low, high = _chosen(this[..., k], other[..., k]), _chosen(this[..., k + 2], other[..., k + 2])
        # The left edge of what both cover is the larger one, of the box around both the smaller one.
        edges[..., k] = -across - inside * low - around * (1 - low)
        edges[..., k + 2] = across + inside * (1 - high) + around * high
    return edges


def _chosen(this, other):
    """1 where `this` is the larger, 0 where the other is, 1/2 where they are equal."""
    return (np.sign(this - other) + 1) * 0.5
