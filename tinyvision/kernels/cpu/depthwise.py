"""Depthwise convolution in all three directions, with the sums in registers (see `registers`):

    y[i, j, c] = Σ_{k, l} x[i·SH + k·DH - PH, j·SW + l·DW - PW, c] · weight[c, 0, k, l]

FOUR pixels and WIDTH of their channels are computed at a time, from a copy of a few lines of x with their padding, in
which every block of channels has an image of its own: its pixels lie side by side, each begins with a line of the
cache, and all that a block needs fits the first one. The channels of the last block go back, so that they end with the
last of all.
"""

import functools
import math
from typing import Any

import numpy as np

from ...ops.conv import way_of
from ...ops.convolution.sliding import channels_last
from ...types import Array
from ..ways import ACTIVATIONS, Way, drop_ins
from . import crew
from .activation import curved, finished
from .channels import column_sums
from .compiled import loop, part
from .direct import finishing, moved, phases
from .lines import NO_VECTOR, done_in_parts, hands, shared_out, sums_in_parts
from .registers import (
    LANES,
    ROWS,
    RUN,
    WIDTH,
    aligned,
    carried,
    clamped,
    five,
    four,
    four_put,
    nothing,
    put,
    scaled,
    three,
)

FOUR = 4  # pixels at a time
COPY_BYTES = 1 << 18  # lines of x that are in use at a time
SUM_PIXELS = 256  # so many products are added up in float32, and then in float64


@part
def planes(C: int, pixels: int) -> Array:
    """Zeros (blocks, pixels, WIDTH) that begin with a line of the cache, for so many channels."""
    count = (C + WIDTH - 1) // WIDTH
    memory = np.zeros(count * pixels * WIDTH + WIDTH, np.float32)
    begin = -memory.ctypes.data % (4 * WIDTH) // 4
    return memory[begin : begin + count * pixels * WIDTH].reshape(count, pixels, WIDTH)


@part
def copied(image: Array, top: int, left: int, height: int, width: int, copy: Array) -> None:
    """copy (blocks, height · width or more, WIDTH) = the channels of each block of image (H, W, C) from (top, left) on,
    and zeros outside of it."""
    H, W, C = image.shape
    first = min(width, max(0, -left))
    last = max(first, min(width, W - left))
    for r in range(height):
        h, row = top + r, r * width
        inside = 0 <= h < H
        copy[:, row : row + first] = 0
        copy[:, row + (last if inside else first) : row + width] = 0
        for w in range(first, last if inside else first):
            pixel = image[h, left + w]
            for block in range(len(copy)):
                to = copy[block, row + w]
                if C >= WIDTH:
                    c = min(block * WIDTH, C - WIDTH)
                    carried(pixel[c : c + LANES], to, 0)
                    carried(pixel[c + LANES : c + WIDTH], to, LANES)
                else:
                    for c in range(C):
                        to[c] = pixel[c]


@loop("void(f4[:,:,:,::1], f4[:,:,:,::1], f4[:,:,:,::1], f4[::1], i8[::1], i8, i8)", "y")
def correlated(x: Array, taps: Array, y: Array, finish: Array, geometry: Any, begin: int, end: int) -> None:
    """Lines begin ... end of y = x (N, H, W, C) correlated with taps (blocks, KH, KW, WIDTH) and finished; geometry and
    finish are as in `direct.correlated`."""
    SH, SW, PH, PW, DH, DW, OH, OW, row0, column0, each_row, each_column, curve = geometry
    C, (_, rows, columns, _), (count, KH, KW, _) = x.shape[3], y.shape, taps.shape
    kernels, results = taps.reshape(taps.size), y.reshape(y.size)
    width, some, apart = (max(OW, FOUR) - 1) * SW + (KW - 1) * DW + 1, min(WIDTH, C), each_column * C
    several = min(OH, max(2, COPY_BYTES // (4 * SH * width * C)))
    height = (several - 1) * SH + (KH - 1) * DH + 1
    copy, tile = planes(C, height * width), np.zeros(ROWS * WIDTH, np.float32)
    pixels, line = copy.reshape(copy.size), begin
    while line < end:
        n, i0 = line // OH, line % OH
        lines = min(several, end - line, OH - i0)
        copied(x[n], i0 * SH - PH, -PW, (lines - 1) * SH + (KH - 1) * DH + 1, width, copy)
        for block in range(count):
            channel = max(0, min(block * WIDTH, C - WIDTH))
            for i in range(lines):
                place = ((n * rows + row0 + (i0 + i) * each_row) * columns + column0) * C + channel
                for r in range(0, OW, FOUR):
                    j = max(0, min(r, OW - FOUR))  # the last go back, if they can
                    p = ((block * height + i * SH) * width + j * SW) * WIDTH
                    at, total = block * KH * KW * WIDTH, nothing()
                    for _ in range(KH):
                        for l in range(KW):
                            total = four(total, pixels, p + l * DW * WIDTH, SW * WIDTH, kernels, at, 0)
                            at += WIDTH
                        p += DH * width * WIDTH
                    total = clamped(scaled(total, finish, 4 * block * WIDTH), finish, 4 * block * WIDTH)
                    to = place + j * apart
                    if some == WIDTH and OW >= FOUR:
                        four_put(total, results, to, to + RUN * apart, apart)
                    else:
                        four_put(total, tile, 0, RUN * WIDTH, WIDTH)
                        moved(tile, 0, results, to, min(FOUR, OW), WIDTH, apart, some)
        if curve:
            curved(results[line * OW * C : (line + lines) * OW * C], curve)
        line += lines


@loop("void(f4[:,:,:,::1], f4[:,:,:,::1], i8[::1], f8[:,:,:,::1], i8, i8, i8)", "sums")
def tap_sums(x: Array, dy: Array, geometry: Any, sums: Array, begin: int, end: int, piece: int) -> None:
    """sums[piece] (KH, KW, C) = Σ over lines begin ... end of dy (N, OH, OW, WIDTH or more) times the pixel under each
    tap. geometry: SH, SW, PH, PW, DH, DW."""
    SH, SW, PH, PW, DH, DW = geometry
    (_, OH, OW, O), (_, KH, KW, C) = dy.shape, sums.shape
    said, own, together = dy.reshape(dy.size), sums[piece], 3 if KW <= 3 else 5  # taps of a row
    width = (OW - 1) * SW + (KW + 3) * DW + 1
    several = min(OH, max(1, SUM_PIXELS // OW))
    height = (several - 1) * SH + (KH - 1) * DH + 1
    copy, tile = planes(C, height * width), np.empty(ROWS * WIDTH, np.float32)
    pixels, line = copy.reshape(copy.size), begin
    own[...] = 0
    while line < end:
        n, i0 = line // OH, line % OH
        lines = min(several, end - line, OH - i0)
        copied(x[n], i0 * SH - PH, -PW, (lines - 1) * SH + (KH - 1) * DH + 1, width, copy)
        for block in range(len(copy)):
            channel = max(0, min(block * WIDTH, C - WIDTH))
            for k in range(KH):
                for l in range(0, KW, together):
                    total = nothing()
                    for i in range(lines):
                        p = ((block * height + i * SH + k * DH) * width + l * DW) * WIDTH
                        at = (line + i) * OW * O + channel
                        for _ in range(OW):
                            if together == 3:
                                total = three(total, pixels, p, DW * WIDTH, said, at, 0)
                            else:
                                total = five(total, pixels, p, DW * WIDTH, said, at, 0)
                            p, at = p + SW * WIDTH, at + O
                    put(total, tile, 0, RUN * WIDTH, WIDTH)
                    for m in range(min(together, KW - l)):
                        for c in range(block * WIDTH - channel, min(WIDTH, C)):
                            own[k, l + m, channel + c] += tile[m * WIDTH + c]
        line += lines


def _correlate(x, weight, y, sliding, scale=None, shift=None, skip=None, activation=None):
    what = ACTIVATIONS[activation]
    _fill(x, weight[:, 0], y, sliding, y.shape[1:3], (0, 0, 1, 1), scale, shift, 0 if skip is not None else what)
    if skip is not None:
        done_in_parts(finished, math.prod(y.shape[:2]), y.nbytes, y, NO_VECTOR, NO_VECTOR, skip, what)


def _fill(x, taps, y, sliding, size, where, scale=None, shift=None, activation=0):
    """As `direct`'s, for taps (C, KH, KW)."""
    C, lines, by_blocks = y.shape[3], len(y) * size[0], _channels(y.shape[3])
    finish, curve = finishing(C, max(C, WIDTH), scale, shift, activation)
    finish = finish[:, by_blocks].transpose(1, 0, 2).reshape(-1)
    packed = aligned((len(by_blocks), *taps.shape[1:], WIDTH))
    if C < WIDTH:
        packed[...] = 0
        packed[0, ..., :C] = taps.transpose(1, 2, 0)
    else:
        packed[...] = taps[by_blocks].transpose(0, 2, 3, 1)
    geometry = np.array([*sliding.stride, *sliding.padding, *sliding.dilation, *size, *where, curve])
    crew.run(correlated, shared_out(lines, hands(lines * size[1] * taps.size)), x, packed, y, finish, geometry)


@functools.lru_cache
def _channels(C):
    """Which channels there are in every block."""
    begin = np.minimum(np.arange(0, C, WIDTH), max(0, C - WIDTH))
    return begin[:, None] + np.arange(WIDTH)


def _image_gradient(dy, weight, dx, sliding):
    """Every pixel hears from the windows over it, times the tap that it lies under: see `direct.phases`."""
    if sliding.dilation == (1, 1):
        for taps, *how in phases(weight[:, 0], dx, sliding):
            _fill(dy, taps, dx, *how)
    elif sliding.stride == (1, 1):
        turned = sliding.turned(weight.shape[2:])
        _fill(dy, weight[:, 0, ::-1, ::-1], dx, turned, dx.shape[1:3], (0, 0, 1, 1))
    else:
        kernels = channels_last(weight.transpose(0, 2, 3, 1))
        dx[...] = way_of(dy, kernels.shape, dx.shape, sliding).image_gradient(dy, kernels, dx.shape, sliding)


def _weight_gradient(x, dy, shape, sliding):
    (C, _, KH, KW), (N, OH, OW, _) = shape, dy.shape
    if C < WIDTH:
        dy = np.concatenate([dy, np.zeros((N, OH, OW, WIDTH - C), np.float32)], axis=3)
    total = sums_in_parts(tap_sums, N * OH, x.nbytes, (KH, KW, C), x, dy, _window(sliding))
    return total.transpose(2, 0, 1)[:, None].astype(np.float32, order="C")


def _window(sliding):
    return np.array([*sliding.stride, *sliding.padding, *sliding.dilation])


def _applies(x, weight, output, sliding, finished):
    """Whether every channel has a kernel of its own."""
    return sliding.groups == x.shape[1] == weight.shape[0] > 1


WAY = Way(_applies, _correlate, _image_gradient, _weight_gradient, in_loops=True, column_sums=column_sums)
DROP_INS = drop_ins(WAY, "depthwise", "depthwise")
