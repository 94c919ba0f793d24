"""Depthwise convolution in all three directions: every tap multiplies along the channels, and nothing is copied."""

import math
from typing import Any

import numpy as np

from ...types import Array
from ..ways import ACTIVATIONS, Way, drop_ins
from .activation import curved
from .channels import column_sums
from .compiled import loop
from .lines import done_in_parts, sums_in_parts

NO_VECTOR = np.empty(0, np.float32)
NO_IMAGE = np.empty((0, 0, 0, 0), np.float32)


@loop("void(f4[:,:,:,::1], f4[::1], f4[::1], f4[:,:,:,::1], i8, i8, i8)", "y")
def finished(y: Array, scale: Array, shift: Array, skip: Array, activation: int, begin: int, end: int) -> None:
    """y = activation(scale · y + shift + skip) for lines begin ... end; what is empty is left out."""
    N, OH, OW, C = y.shape
    rows = y.reshape(N * OH, OW * C)
    for line in range(begin, end):
        n, i = line // OH, line % OH
        for j in range(OW):
            if scale.size:
                for c in range(C):
                    y[n, i, j, c] *= scale[c]
            if shift.size:
                for c in range(C):
                    y[n, i, j, c] += shift[c]
            if skip.size:
                for c in range(C):
                    y[n, i, j, c] += skip[n, i, j, c]
            if activation == 1 or activation == 2:
                for c in range(C):
                    if y[n, i, j, c] <= 0:
                        y[n, i, j, c] = 0
            if activation == 2:
                for c in range(C):
                    if y[n, i, j, c] >= 6:
                        y[n, i, j, c] = 6
        if activation > 2:
            curved(rows[line], activation)


@loop(
    "void(f4[:,:,:,::1], f4[:,:,::1], f4[:,:,:,::1], i8[::1], f4[::1], f4[::1], f4[:,:,:,::1], i8, i8, i8)",
    "y",
)
def correlated(
    x: Array,
    taps: Any,
    y: Array,
    window: Any,
    scale: Array,
    shift: Array,
    skip: Array,
    activation: int,
    begin: int,
    end: int,
) -> None:
    """y of lines begin ... end = x (N, H, W, C) correlated with taps (KH, KW, C), each line `finished` at once."""
    SH, SW, PH, PW, DH, DW = window
    _, H, W, C = x.shape
    _, OH, OW, _ = y.shape
    KH, KW, _ = taps.shape
    for line in range(begin, end):
        n, i = line // OH, line % OH
        for j in range(OW):
            for c in range(C):
                y[n, i, j, c] = 0
            for k in range(KH):
                h = i * SH + k * DH - PH
                if h < 0 or h >= H:
                    continue
                for l in range(KW):
                    w = j * SW + l * DW - PW
                    if w < 0 or w >= W:
                        continue
                    for c in range(C):
                        y[n, i, j, c] += x[n, h, w, c] * taps[k, l, c]
        if scale.size or shift.size or skip.size or activation:
            finished(y, scale, shift, skip, activation, line, line + 1)


@loop("void(f4[:,:,:,::1], f4[:,:,::1], f4[:,:,:,::1], i8[::1], i8, i8)", "dx")
def gathered(dy: Array, taps: Any, dx: Array, window: Any, begin: int, end: int) -> None:
    """dx of lines begin ... end: every pixel hears from the windows over it, times the tap that it lies under."""
    SH, SW, PH, PW, DH, DW = window
    _, H, W, C = dx.shape
    _, OH, OW, _ = dy.shape
    KH, KW, _ = taps.shape
    for line in range(begin, end):
        n, h = line // H, line % H
        for w in range(W):
            for c in range(C):
                dx[n, h, w, c] = 0
            for k in range(KH):
                i = h + PH - k * DH
                if i < 0 or i % SH or i // SH >= OH:
                    continue
                i //= SH
                for l in range(KW):
                    j = w + PW - l * DW
                    if j < 0 or j % SW or j // SW >= OW:
                        continue
                    j //= SW
                    for c in range(C):
                        dx[n, h, w, c] += dy[n, i, j, c] * taps[k, l, c]


@loop("void(f4[:,:,:,::1], f4[:,:,:,::1], i8[::1], f8[:,:,:,::1], i8, i8, i8)", "sums")
def tap_sums(x: Array, dy: Array, window: Any, sums: Array, begin: int, end: int, piece: int) -> None:
    """sums[piece] (KH, KW, C) = Σ over lines begin ... end of dy times the pixel under each tap."""
    SH, SW, PH, PW, DH, DW = window
    _, H, W, C = x.shape
    _, OH, OW, _ = dy.shape
    _, KH, KW, _ = sums.shape
    total, one = sums[piece], np.empty((KH, KW, C), np.float32)  # of all lines, and of one
    total[...] = 0
    for line in range(begin, end):
        n, i = line // OH, line % OH
        for k in range(KH):
            h = i * SH + k * DH - PH
            if h < 0 or h >= H:
                continue
            for l in range(KW):
                for c in range(C):
                    one[k, l, c] = 0
            for j in range(OW):
                for l in range(KW):
                    w = j * SW + l * DW - PW
                    if w < 0 or w >= W:
                        continue
                    for c in range(C):
                        one[k, l, c] += dy[n, i, j, c] * x[n, h, w, c]
            for l in range(KW):
                for c in range(C):
                    total[k, l, c] += one[k, l, c]


def _correlate(x, weight, y, sliding, scale=None, shift=None, skip=None, activation=None):
    vectors = [NO_VECTOR if v is None else np.ascontiguousarray(v) for v in (scale, shift)]
    finish = *vectors, NO_IMAGE if skip is None else skip, ACTIVATIONS[activation]
    done_in_parts(correlated, math.prod(y.shape[:2]), x.nbytes, x, _by_taps(weight), y, _window(sliding), *finish)


def _image_gradient(dy, weight, dx, sliding):
    taps, window, (N, H, _, _) = _by_taps(weight), _window(sliding), dx.shape
    done_in_parts(gathered, N * H, dx.nbytes, dy, taps, dx, window)


def _weight_gradient(x, dy, shape, sliding):
    C, _, KH, KW = shape
    total = sums_in_parts(tap_sums, math.prod(dy.shape[:2]), x.nbytes, (KH, KW, C), x, dy, _window(sliding))
    return total.transpose(2, 0, 1)[:, None].astype(np.float32, order="C")


def _by_taps(weight):
    """weight (C, 1, KH, KW) as (KH, KW, C)."""
    return np.ascontiguousarray(weight[:, 0].transpose(1, 2, 0))


def _window(sliding):
    return np.array([*sliding.stride, *sliding.padding, *sliding.dilation])


def _applies(x, weight, output, sliding, finished):
    """Whether every channel has a kernel of its own."""
    return sliding.groups == x.shape[1] == weight.shape[0] > 1


WAY = Way(_applies, _correlate, _image_gradient, _weight_gradient, in_loops=True, column_sums=column_sums)
DROP_INS = drop_ins(WAY, "depthwise", "depthwise")
