"""Convolution in groups, by the loops of `direct`: each block of output channels reads the inputs of its own groups.

A block that reaches into several groups has kernels over the inputs of them all, with zeros where an output is in
another group. Of small groups most of the products are zeros then; and still the registers are full, where a product
for each group would be as small as the group. Only what is not finite is not left out by a zero: where a result is not,
the op computes it anew.
"""

import functools
import math
from typing import Any

import numpy as np

from ...ops.conv import way_of
from ...ops.convolution.sliding import channels_last
from ...types import Array
from ..launch import computed
from ..ways import ACTIVATIONS, Way, drop_ins
from . import crew
from .activation import finished
from .channels import column_sums
from .direct import by_blocks, correlated, packed_by_blocks, phases, unpack, weights_grown
from .lines import NO_IMAGE, NO_VECTOR, done_in_parts, hands, shared_out
from .registers import WIDTH


@functools.lru_cache(1024)
def _blocks(groups: int, outputs: int, inputs: int) -> tuple[int, list[tuple[int, list[tuple[slice, slice]]]]]:
    """(how many inputs a block of output channels reads, for each block: the first one, and for each of its groups
    which of all outputs are the group's and which of the block's inputs), for so many channels in a group."""
    O, C = groups * outputs, groups * inputs
    ends = [(max(0, min(at, O - WIDTH)), at, min(O, at + WIDTH)) for at in range(0, O, WIDTH)]  # the last may go back
    own = [range(begin // outputs, -(-end // outputs)) for begin, _, end in ends]
    reads = max(map(len, own)) * inputs
    found = []
    for (_, begin, end), some in zip(ends, own, strict=True):
        first = min(some.start * inputs, C - reads)
        parts = [
            (slice(max(begin, g * outputs), min(end, (g + 1) * outputs)), slice(g * inputs - first, None)) for g in some
        ]
        found.append((first, [(o, slice(c.start, c.start + inputs)) for o, c in parts if o.start < o.stop]))
    return reads, found


def _shape(weight_shape, groups):
    return groups, weight_shape[0] // groups, weight_shape[1]


def _packed(weight, groups):
    """weight (O, C/groups, KH, KW) by blocks, with zeros for the inputs of other groups."""
    (O, _, KH, KW), (reads, found) = weight.shape, _blocks(*_shape(weight.shape, groups))
    wide, kernels = np.zeros((O, KH, KW, reads), np.float32), weight.transpose(0, 2, 3, 1)
    for _, parts in found:
        for outputs, inputs in parts:
            wide[outputs, ..., inputs] = kernels[outputs]
    return packed_by_blocks(wide.transpose(0, 3, 1, 2))


def _correlate(x, weight, y, sliding, scale=None, shift=None, skip=None, activation=None, kept=None):
    packed = computed(kept, ("grouped", sliding.groups), lambda: _packed(weight, sliding.groups))
    how, curve = (sliding, y.shape[1:3], (0, 0, 1, 1)), ACTIVATIONS[activation]
    _fill(x, weight.shape, packed, y, sliding.groups, *how, scale, shift, skip, curve)
    if not _is_finite(y):
        kernels = channels_last(weight.transpose(0, 2, 3, 1))
        y[...] = way_of(x, kernels.shape, y.shape, sliding).correlate(x, kernels, y.shape, sliding)
        vectors = [NO_VECTOR if v is None else np.ascontiguousarray(v) for v in (scale, shift)]
        finished(y, *vectors, NO_IMAGE if skip is None else skip, curve, 0, len(y) * y.shape[1])


def _is_finite(image):
    with np.errstate(invalid="ignore", over="ignore"):
        return math.isfinite(image.sum())  # NaN, if one is: no sum and no activation hides it


def _fill(x, shape, packed, y, groups, sliding, size, where, scale=None, shift=None, skip=None, activation=0):
    """As `direct`'s, for the blocks of a weight of this shape (O, C/groups, ...)."""
    reads, found = _blocks(*_shape(shape, groups))
    finish, curve = by_blocks(y, len(packed), scale, shift, activation)
    geometry = np.array([*sliding.stride, *sliding.padding, *sliding.dilation, *size, *where, curve])
    skip, lines = NO_VECTOR if skip is None else skip.reshape(-1), len(y) * size[0]
    parts = shared_out(lines, hands(lines * size[1] * packed[0].size))
    for block, (first, _) in enumerate(found):
        pieces = [(*some, block, block + 1) for some in parts]
        crew.run(correlated, pieces, x[..., first : first + reads], NO_VECTOR, packed, y, finish, skip, geometry)


def _image_gradient(dy, weight, dx, sliding):
    (O, CG, KH, KW), groups = weight.shape, sliding.groups
    by_inputs = weight.reshape(groups, O // groups, CG, KH, KW).swapaxes(1, 2).reshape(groups * CG, -1, KH, KW)
    by_loops = (1, 1) in (sliding.dilation, sliding.stride)
    if sliding.dilation == (1, 1):
        for taps, *how in phases(by_inputs, dx, sliding):
            _fill(dy, taps.shape, _packed(taps, groups), dx, groups, *how)
    elif sliding.stride == (1, 1):
        turned = by_inputs[:, :, ::-1, ::-1]
        how = sliding.turned((KH, KW)), dx.shape[1:3], (0, 0, 1, 1)
        _fill(dy, turned.shape, _packed(turned, groups), dx, groups, *how)
    if not by_loops or not _is_finite(dx):
        kernels = channels_last(weight.transpose(0, 2, 3, 1))
        dx[...] = way_of(dy, kernels.shape, dx.shape, sliding).image_gradient(dy, kernels, dx.shape, sliding)


def _weight_gradient(x, dy, shape, sliding):
    (O, CG, KH, KW), (N, OH, OW, _) = shape, dy.shape
    reads, found = _blocks(*_shape(shape, sliding.groups))
    if O < WIDTH:
        dy = np.concatenate([dy, np.zeros((N, OH, OW, WIDTH - O), np.float32)], axis=3)
    size = len(found), KH, KW, reads, WIDTH
    geometry = np.array([*sliding.stride, *sliding.padding, *sliding.dilation])
    parts = shared_out(N * OH, hands(N * OH * OW * math.prod(size[1:])))
    grown = np.zeros((len(parts), *size), np.float32)
    for block, (first, _) in enumerate(found):
        pieces = [(*some, block, block + 1, number) for number, some in enumerate(parts)]
        crew.run(weights_grown, pieces, x[..., first : first + reads], NO_VECTOR, dy, grown, geometry)
    wide, dweight = np.empty((O, KH, KW, reads), np.float32), np.empty((O, KH, KW, CG), np.float32)
    done_in_parts(unpack, O, wide.nbytes, grown.sum(axis=0), wide)
    for _, parts in found:
        for outputs, inputs in parts:
            dweight[outputs] = wide[outputs, ..., inputs]
    return dweight.transpose(0, 3, 1, 2)


def _applies(x: Array, weight: Array, output: Any, sliding: Any, finished: bool, kept: bool = False) -> bool:
    """Whether there are groups that are small: of large ones BLAS makes the products as quickly (measured)."""
    return sliding.groups > 1 and min(len(weight) // sliding.groups, weight.shape[1]) <= WIDTH


WAY = Way(
    _applies,
    _correlate,
    _image_gradient,
    _weight_gradient,
    keeps=True,
    in_loops=True,
    any_order=True,
    column_sums=column_sums,
)
DROP_INS = drop_ins(WAY, "direct", "direct")
