"""Convolution by its definition, in all three directions, with the sums in registers (see `registers`):

    y[i, j, o] = Σ_{k, l, c} x[i·SH + k·DH - PH, j·SW + l·DW - PW, c] · weight[o, c, k, l]

A tile of sums holds some pixels of one or two lines of y and WIDTH of its channels. The pixels of x are read where they
are, so there are no columns; what is made beforehand are the kernels in blocks of WIDTH output channels, and a copy of
a few lines of x with their padding. The image gradient is a correlation of dy with the turned kernels, at a stride one
for each of its phases; the weight gradient adds up the same products along the pixels.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ... import blocks, threads
from ...ops.conv import way_of
from ...ops.convolution.planes import FEW_CHANNELS
from ...ops.convolution.sliding import Sliding, channels_last
from ...types import Array, Pair
from ..launch import computed
from ..ways import ACTIVATIONS, Way, drop_ins
from . import columns, crew
from .activation import curved
from .channels import column_sums
from .columns import outweighed
from .compiled import loop, part
from .lines import NO_VECTOR, PIECES, done_in_parts, hands, shared_out
from .pointwise import in_long_lines
from .registers import (
    LANES,
    ROWS,
    RUN,
    WIDTH,
    aligned,
    carried,
    clamped,
    nothing,
    outer,
    plus,
    put,
    scaled,
    turned,
)

COPY_BYTES = 1 << 18  # padded lines of x that are in use at a time (measured)
SUM_PIXELS = 256  # so many pixels of dy are added up at a time: WIDTH channels of them fit the first cache
SUM_BYTES = 1 << 20  # a weight gradient beyond this is shared out by its channels, not summed by every thread
ALIKE = 512  # numbers: pixels at multiples of this distance share a few places of the first cache ...
MORE = blocks.CACHE_LINE // 4  # ... unless they are a line further apart
USED = 0.5  # the least part of a tile's channels that must be some


@loop("void(f4[:,:,:,:], f4[:,:,:,:,::1], i8, i8)", "packed")
def pack(weight: Array, packed: Array, begin: int, end: int) -> None:
    """packed (blocks, KH, KW, C, WIDTH) = weight (O, C, KH, KW) by blocks of output channels, with zeros beyond O."""
    O, C, KH, KW = weight.shape
    each_o, each_c = weight.strides[0] // 4, weight.strides[1] // 4
    numbers = packed.reshape(packed.size)
    for block in range(begin, end):
        some, first = min(WIDTH, O - block * WIDTH), block * WIDTH
        full = some // LANES * LANES if each_o == 1 or each_c == 1 else 0  # by whole registers as far as they reach
        for k in range(KH):
            for l in range(KW):
                at = ((block * KH + k) * KW + l) * C * WIDTH
                for o in range(0, full, LANES):
                    rows = weight[first + o : first + o + LANES, :, k, l]
                    if each_o == 1:
                        for c in range(C):
                            carried(rows[:, c], numbers, at + c * WIDTH + o)
                    else:
                        for c in range(0, C // LANES * LANES, LANES):
                            turned(rows[:, c : c + LANES], each_o, numbers, at + c * WIDTH + o, WIDTH)
                for c in range(C):
                    for o in range(full if each_o == 1 or c < C // LANES * LANES else 0, some):
                        numbers[at + c * WIDTH + o] = weight[first + o, c, k, l]
                    for o in range(some, WIDTH):
                        numbers[at + c * WIDTH + o] = 0


@loop("void(f4[:,:,:,:,::1], f4[:,:,:,::1], i8, i8)", "dweight")
def unpack(packed: Array, dweight: Array, begin: int, end: int) -> None:
    """dweight (O, KH, KW, C) from blocks as in `pack`, the last of which ends with the last channel."""
    O, KH, KW, C = dweight.shape
    numbers, full, o = dweight.reshape(dweight.size), C // LANES * LANES, begin
    while o < end:
        block = o // WIDTH
        place = o - max(0, min(block * WIDTH, O - WIDTH))
        together = LANES if o + LANES <= min(end, (block + 1) * WIDTH) else 1
        for k in range(KH):
            for l in range(KW):
                at = ((o * KH + k) * KW + l) * C
                if together == LANES:
                    for c in range(0, full, LANES):
                        square = packed[block, k, l, c : c + LANES, place : place + LANES]
                        turned(square, WIDTH, numbers, at + c, KH * KW * C)
                for m in range(together):
                    for c in range(full if together == LANES else 0, C):
                        dweight[o + m, k, l, c] = packed[block, k, l, c, place + m]
        o += together


@part
def copied(image: Array, top: int, left: int, height: int, width: int, pixel: int, copy: Array) -> None:
    """copy, seen as (height, width, pixel), = image (H, W, C) from (top, left) on, and zeros outside of it."""
    H, W, C = image.shape
    first = min(width, max(0, -left))
    last = max(first, min(width, W - left))
    for r in range(height):
        h, row = top + r, r * width * pixel
        if h < 0 or h >= H:
            for t in range(row, row + width * pixel):
                copy[t] = 0
            continue
        for t in range(row, row + first * pixel):
            copy[t] = 0
        if C <= FEW_CHANNELS:  # a line is longer than a pixel
            for c in range(C):
                for w in range(first, last):
                    copy[row + w * pixel + c] = image[h, left + w, c]
        for w in range(first, last if C > FEW_CHANNELS else first):
            there = copy[row + w * pixel : row + w * pixel + C]
            for c in range(C):
                there[c] = image[h, left + w, c]
        for t in range(row + last * pixel, row + width * pixel):
            copy[t] = 0


@loop("void(f4[:,:,:,:], f4[:,:,:,::1], i8, i8, i8, i8)", "copies")
def padded(x: Array, copies: Array, PH: int, PW: int, begin: int, end: int) -> None:
    """copies (N, height, width, pixel), begin ... end of them, = x (N, H, W, C) with zeros around it."""
    _, height, width, pixel = copies.shape
    for n in range(begin, end):
        copied(x[n], -PH, -PW, height, width, pixel, copies[n].reshape(height * width * pixel))


@part
def moved(source: Array, at: int, target: Array, to: int, count: int, apart: int, beyond: int, some: int) -> None:
    """`some` numbers of `count` pixels, from `source` to `target`, in which the pixels lie `apart` and `beyond`."""
    for m in range(count):
        line, place = source[at + m * apart : at + m * apart + some], target[to + m * beyond : to + m * beyond + some]
        for o in range(some):
            place[o] = line[o]


@part
def bent(y: Array, begin: int, end: int, O: int, first: int, last: int, curve: int) -> None:
    """The `curved` activation, if there is one, on channels first ... last of the O of pixels begin ... end."""
    if curve == 0:
        return
    if last - first == O:
        curved(y[begin * O : end * O], curve)
        return
    for p in range(begin, end):
        curved(y[p * O + first : p * O + last], curve)


@loop("void(f4[:,:,:,:], f4[::1], f4[:,:,:,:,::1], f4[:,:,:,::1], f4[::1], f4[::1], i8[::1], i8, i8, i8, i8)", "y")
def correlated(
    x: Array,
    numbers: Array,
    packed: Array,
    y: Array,
    finish: Array,
    skip: Array,
    geometry: Any,
    begin: int,
    end: int,
    first: int,
    last: int,
) -> None:
    """Lines begin ... end of y, blocks first ... last of its channels, finished as `finish`, 4·WIDTH numbers a block,
    says (scale, shift, the least and the largest value), and by the curved activation `curve`, 0 for none. geometry:
    SH, SW, PH, PW, DH, DW, the size OH, OW of the result, where in y it lies (from which row and column on, and every
    how many), and curve. numbers: the memory of x, if it is to be read as it is (a pixel may be wider than its
    channels), else empty; skip: that of an image like y, or empty."""
    SH, SW, PH, PW, DH, DW, OH, OW, row0, column0, each_row, each_column, curve = geometry
    _, H, W, _ = x.shape
    _, KH, KW, C, _ = packed.shape
    _, rows, columns, O = y.shape
    kernels, results, whole = packed.reshape(packed.size), y.reshape(y.size), numbers.size > 0
    pixel = x.shape[3] if whole else C + MORE if SW * C % ALIKE == 0 else C  # how far a pixel is from the next
    pieces, run = (1, KW * C) if DW == 1 and pixel == C else (KW, C)  # under a kernel's row they lie side by side
    width = W if whole else (max(OW, RUN) - 1) * SW + (KW - 1) * DW + 1
    pitch, step = width * pixel, SW * pixel
    several = max(2, COPY_BYTES // (4 * SH * pitch))
    copy = np.empty(0 if whole else ((min(several, OH) - 1) * SH + (KH - 1) * DH + 1) * pitch, np.float32)
    tile, apart, in_line = np.zeros(ROWS * WIDTH, np.float32), each_column * O, (OW + RUN - 1) // RUN
    line = begin
    while line < end:
        n, i0 = line // OH, line % OH
        lines = min(several, end - line, OH - i0)
        origin = (n * H + i0 * SH) * pitch
        if not whole:
            copied(x[n], i0 * SH - PH, -PW, (lines - 1) * SH + (KH - 1) * DH + 1, width, pixel, copy)
            origin = 0
        pixels = numbers if whole else copy
        for block in range(first, last):
            channel, some = block * WIDTH, min(WIDTH, O - block * WIDTH)
            for r in range(0, lines * in_line, 2):
                s = min(r + 1, lines * in_line - 1)
                i, j = r // in_line, max(0, min(r % in_line * RUN, OW - RUN))  # the last run goes back, if it can
                u, v = s // in_line, max(0, min(s % in_line * RUN, OW - RUN))
                p, q = origin + i * SH * pitch + j * step, origin + u * SH * pitch + v * step
                at, total = block * KH * KW * C * WIDTH, nothing()
                for _ in range(KH):
                    for l in range(pieces):
                        for t in range(l * DW * pixel, l * DW * pixel + run):
                            total = outer(total, pixels, p + t, q + t, step, kernels, at)
                            at += WIDTH
                    p, q = p + DH * pitch, q + DH * pitch
                total = scaled(total, finish, 4 * channel)
                p = ((n * rows + row0 + (i0 + i) * each_row) * columns + column0 + j * each_column) * O + channel
                q = ((n * rows + row0 + (i0 + u) * each_row) * columns + column0 + v * each_column) * O + channel
                if some == WIDTH and OW >= RUN:
                    if skip.size:
                        total = plus(total, skip, p, q, apart)
                    put(clamped(total, finish, 4 * channel), results, p, q, apart)
                else:  # not all of the tile belongs to y
                    if skip.size:
                        moved(skip, p, tile, 0, min(RUN, OW), apart, WIDTH, some)
                        moved(skip, q, tile, RUN * WIDTH, min(RUN, OW), apart, WIDTH, some)
                        total = plus(total, tile, 0, RUN * WIDTH, WIDTH)
                    put(clamped(total, finish, 4 * channel), tile, 0, RUN * WIDTH, WIDTH)
                    moved(tile, 0, results, p, min(RUN, OW), WIDTH, apart, some)
                    moved(tile, RUN * WIDTH, results, q, min(RUN, OW), WIDTH, apart, some)
        bent(results, line * OW, (line + lines) * OW, O, first * WIDTH, min(last * WIDTH, O), curve)
        line += lines


@loop(
    "void(f4[:,:,:,:], f4[::1], f4[:,:,:,::1], f4[:,:,:,:,:,::1], i8[::1], i8, i8, i8, i8, i8)",
    "packed",
)
def weights_grown(
    x: Array,
    numbers: Array,
    dy: Array,
    packed: Array,
    geometry: Any,
    begin: int,
    end: int,
    first: int,
    last: int,
    piece: int,
) -> None:
    """packed[piece] (blocks, KH, KW, C, WIDTH) += blocks first ... last of the weight gradient, of lines begin ... end
    of dy.

    The last block of all ends with the last channel. geometry: SH, SW, PH, PW, DH, DW; the rest as for `correlated`."""
    SH, SW, PH, PW, DH, DW = geometry
    _, H, W, C = x.shape
    _, OH, OW, O = dy.shape
    _, count, KH, KW, _, _ = packed.shape
    said, whole = dy.reshape(dy.size), numbers.size > 0
    pieces, run = (1, KW * C) if DW == 1 else (KW, C)
    grown = packed[piece].reshape(count, KH, pieces, run, WIDTH)
    width = W if whole else (OW - 1) * SW + (KW - 1) * DW + 1
    pitch, step = width * C, SW * C
    several = max(1, SUM_PIXELS // OW)
    height = (min(several, OH) - 1) * SH + (KH - 1) * DH + 1
    copy, tile = np.zeros(0 if whole else height * pitch + ROWS, np.float32), np.empty(ROWS * WIDTH, np.float32)
    sums = tile.reshape(ROWS, WIDTH)
    line = begin
    while line < end:
        n, i0 = line // OH, line % OH
        lines = min(several, end - line, OH - i0)
        origin = (n * H + i0 * SH) * pitch
        if not whole:
            copied(x[n], i0 * SH - PH, -PW, (lines - 1) * SH + (KH - 1) * DH + 1, width, C, copy)
            origin = 0
        pixels = numbers if whole else copy
        for block in range(first, last):
            channel = min(block * WIDTH, O - WIDTH)
            for k in range(KH):
                for l in range(pieces):
                    for r in range(0, run, ROWS):
                        e, total = max(0, min(r, run - ROWS)), nothing()
                        for i in range(lines):
                            p = origin + (i * SH + k * DH) * pitch + l * DW * C + e
                            at = (line + i) * OW * O + channel
                            for _ in range(OW):
                                total = outer(total, pixels, p, p + RUN, 1, said, at)
                                p, at = p + step, at + O
                        put(total, tile, 0, RUN * WIDTH, WIDTH)
                        for m in range(r - e, min(ROWS, run - e)):
                            for o in range(WIDTH):
                                grown[block, k, l, e + m, o] += sums[m, o]
        line += lines


@loop("void(f4[:,:,:,::1], b1[:,::1], i8, i8, i8, i8)", "dx")
def blanked(dx: Array, seen: Any, PH: int, PW: int, begin: int, end: int) -> None:
    """dx = 0 on lines begin ... end where no window sees a pixel: seen (SH, SW) says it of every phase."""
    _, H, W, C = dx.shape
    SH, SW = seen.shape
    for line in range(begin, end):
        n, h = line // H, line % H
        for w in range(W):
            if not seen[(h + PH) % SH, (w + PW) % SW]:
                for c in range(C):
                    dx[n, h, w, c] = 0


def _correlate(x, weight, y, sliding, scale=None, shift=None, skip=None, activation=None, kept=None):
    packed = computed(kept, "direct", lambda: packed_by_blocks(weight))
    _fill(x, packed, y, sliding, y.shape[1:3], (0, 0, 1, 1), scale, shift, skip, ACTIVATIONS[activation])


def _fill(x, packed, y, sliding, size, where, scale=None, shift=None, skip=None, activation=0):
    """The pixels of y (N, ..., ..., O) that are `where` says: from which row and column on, and every how many; their
    number is `size` (rows, columns)."""
    skip, count = NO_VECTOR if skip is None else skip.reshape(-1), len(packed)
    workers = hands(len(y) * math.prod(size) * packed.size)
    by_kernels = kernels_outweigh(packed, x) and workers == threads.get_num_threads()
    if sliding == Sliding() and packed.shape[1:3] == (1, 1) and size == x.shape[1:3] == y.shape[1:3]:
        most, least = COPY_BYTES // (4 * x.shape[3]), 1 if by_kernels or workers == 1 else PIECES * workers
        x, y = in_long_lines(x, y, most, least)
        size = y.shape[1:3]
    N, (OH, OW) = len(y), size
    finish, curve = by_blocks(y, count, scale, shift, activation)
    pieces = [(*some, 0, count) for some in shared_out(N * OH, workers)]
    numbers = _as_it_is(x, sliding, packed.shape[1:3], size, OW >= RUN)
    if by_kernels:
        pieces = [(0, N * OH, block, block + 1) for block in range(count)]  # the kernels are read once
        if not numbers.size:
            x, sliding = _padded(x, sliding, packed.shape, size), sliding._replace(padding=(0, 0))
            numbers = x.reshape(-1)
    geometry = np.array([*sliding.stride, *sliding.padding, *sliding.dilation, OH, OW, *where, curve])
    crew.run(correlated, pieces, x, numbers, packed, y, finish, skip, geometry)


def by_blocks(y: Array, count: int, scale: Array | None, shift: Array | None, activation: int) -> tuple[Array, int]:
    """What `correlated` finishes y with, for so many blocks of its channels, and the curve that follows."""
    finish, curve = finishing(y.shape[3], count * WIDTH, scale, shift, activation)
    return finish.reshape(4, count, WIDTH).transpose(1, 0, 2).reshape(-1), curve


def finishing(channels: int, room: int, scale: Array | None, shift: Array | None, activation: int) -> tuple[Array, int]:
    """((4, room): scale, shift, the least and the largest value of so many channels, which activation follows if it is
    a curved one)"""
    finish = np.zeros((4, room), np.float32)
    finish[0, :channels] = 1 if scale is None else scale
    finish[1, :channels] = 0 if shift is None else shift
    finish[2], finish[3] = 0 if activation in (1, 2) else -np.inf, 6 if activation == 2 else np.inf
    return finish, activation if activation > 2 else 0


def _padded(x, sliding, packed_shape, size):
    """x (N, H, W, C) with its padding around it, as much as the windows of an output of this size see."""
    (N, _, _, C), (_, KH, KW, _, _) = x.shape, packed_shape
    (SH, SW), (PH, PW), (DH, DW) = sliding.stride, sliding.padding, sliding.dilation
    height = (size[0] - 1) * SH + (KH - 1) * DH + 1
    width = (max(size[1], RUN) - 1) * SW + (KW - 1) * DW + 1
    copies = np.empty((N, height, width, C + MORE if SW * C % ALIKE == 0 else C), np.float32)
    done_in_parts(padded, N, copies.nbytes, x, copies, PH, PW)
    return copies


def _image_gradient(dy, weight, dx, sliding):
    """Pixel h of dx, counted with the padding, is SH·u + a. In phase a it hears from the taps k = a, a + SH, ... of the
    windows u, u - 1, ...: a correlation at a stride of 1."""
    (H, W), (SH, SW), by_inputs = dx.shape[1:3], sliding.stride, weight.transpose(1, 0, 2, 3)
    side_by_side = sliding == Sliding(weight.shape[2:]) and (SH * dy.shape[1], SW * dy.shape[2]) == (H, W)
    if side_by_side and fills(SW * dx.shape[3]):
        return _side_by_side(dy, by_inputs, dx)
    if not fills(dx.shape[3]) or ((SH, SW) != (1, 1) and sliding.dilation != (1, 1)):
        return _other_image_gradient(dy, weight, dx, sliding)
    if sliding.dilation != (1, 1):
        packed = packed_by_blocks(by_inputs[:, :, ::-1, ::-1])
        return _fill(dy, packed, dx, sliding.turned(weight.shape[2:]), (H, W), (0, 0, 1, 1))
    for taps, *how in phases(by_inputs, dx, sliding):
        _fill(dy, packed_by_blocks(taps), dx, *how)
    return None


def phases(kernels: Array, dx: Array, sliding: Sliding) -> Iterator[tuple[Array, Sliding, Pair, tuple[int, ...]]]:
    """(taps, how they slide over dy, how many pixels of dx they make, where these are) of each phase of an image
    gradient, for kernels (..., KH, KW) without dilation. Pixels that no window sees are blanked."""
    (H, W), (SH, SW), (PH, PW) = dx.shape[1:3], sliding.stride, sliding.padding
    seen = np.logical_and.outer(np.arange(SH) < kernels.shape[-2], np.arange(SW) < kernels.shape[-1])
    if not seen.all():
        done_in_parts(blanked, len(dx) * H, dx.nbytes, dx, seen, PH, PW)
    for a, b in itertools.product(range(SH), range(SW)):
        taps = kernels[..., a::SH, b::SW][..., ::-1, ::-1]
        (KH, KW), u, v = taps.shape[-2:], max(0, -((a - PH) // SH)), max(0, -((b - PW) // SW))  # the first of the image
        row, column = SH * u + a - PH, SW * v + b - PW
        size = len(range(row, H, SH)), len(range(column, W, SW))
        if 0 not in (KH, KW, *size):
            yield taps, Sliding((1, 1), (KH - 1 - u, KW - 1 - v)), size, (row, column, SH, SW)


def _side_by_side(dy, kernels, dx):
    """dx (N, KH·OH, KW·OW, C) of windows that neither overlap nor leave a pixel out, kernels (C, O, KH, KW): in each of
    its lines, a window has KW·C numbers side by side, which are sums over the O of dy."""
    (C, O, KH, KW), (N, OH, OW, _) = kernels.shape, dy.shape
    lines = dx.reshape(N, KH * OH, OW, KW * C)
    for k in range(KH):
        packed = packed_by_blocks(kernels[:, :, k].transpose(2, 0, 1).reshape(KW * C, O, 1, 1))
        _fill(dy, packed, lines, Sliding(), (OH, OW), (k, 0, KH, 1))


def _other_image_gradient(dy, weight, dx, sliding):
    """By columns, or by the op itself."""
    if sliding.dilation == (1, 1) and dx.shape[3] > FEW_CHANNELS:
        columns.WAY.image_gradient(dy, weight, dx, sliding)
    else:
        kernels = channels_last(weight.transpose(0, 2, 3, 1))
        dx[...] = way_of(dy, kernels.shape, dx.shape, sliding).image_gradient(dy, kernels, dx.shape, sliding)


def _weight_gradient(x, dy, shape, sliding):
    (O, C, KH, KW), (N, OH, OW, _) = shape, dy.shape
    if C > FEW_CHANNELS and x.flags.c_contiguous and _is_a_product(shape, dy.shape, sliding):
        return columns.WAY.weight_gradient(x, dy, shape, sliding)
    if O < WIDTH:
        dy = np.concatenate([dy, np.zeros((N, OH, OW, WIDTH - O), np.float32)], axis=3)
    count, run = math.ceil(O / WIDTH), C if sliding.dilation[1] != 1 else KW * C
    numbers, size = _as_it_is(x, sliding, (KH, KW), (OH, OW), run >= ROWS), (count, KH, KW, C, WIDTH)
    geometry = np.array([*sliding.stride, *sliding.padding, *sliding.dilation])
    workers = hands(N * OH * OW * math.prod(size))
    if 4 * math.prod(size) > SUM_BYTES and count >= workers:
        some = blocks.cut(count, workers)
        pieces = [(0, N * OH, s.start, s.stop, 0) for s in some]
    else:  # every thread has sums of its own
        some = blocks.cut(N * OH, min(N * OH, workers))
        pieces = [(s.start, s.stop, 0, count, number) for number, s in enumerate(some)]
    grown = np.zeros((1 + pieces[-1][-1], *size), np.float32)
    crew.run(weights_grown, pieces, x, numbers, dy, grown, geometry)
    dweight = np.empty((O, KH, KW, C), np.float32)
    done_in_parts(unpack, O, dweight.nbytes, sum(grown[1:], grown[0]), dweight)
    return dweight.transpose(0, 3, 1, 2)


def packed_by_blocks(weight: Array) -> Array:
    """weight (O, C, KH, KW) as `pack` leaves it."""
    O, C, KH, KW = weight.shape
    packed = aligned((math.ceil(O / WIDTH), KH, KW, C, WIDTH))
    done_in_parts(pack, len(packed), packed.nbytes, weight, packed)
    return packed


def _as_it_is(x, sliding, kernel, size, long_enough):
    """The memory of x, where all windows of an output of this size lie inside of it and need no copy; else empty."""
    seen = ((size[i] - 1) * sliding.stride[i] + (kernel[i] - 1) * sliding.dilation[i] + 1 for i in (0, 1))
    inside_it = sliding.padding == (0, 0) and all(n <= length for n, length in zip(seen, x.shape[1:3], strict=True))
    return x.reshape(-1) if long_enough and inside_it and x.flags.c_contiguous else NO_VECTOR


def kernels_outweigh(packed: Array, x: Array) -> bool:
    """Whether more is read of the kernels than of the image: then each thread has some of the kernels for itself."""
    return packed.nbytes > x.nbytes and len(packed) >= threads.get_num_threads()


def _is_a_product(shape, dy_shape, sliding):
    """Whether BLAS is the quicker for a weight gradient: where windows are few and, on one thread or for few outputs,
    where they are single pixels. Two threads that call BLAS wait for the interpreter between their products."""
    single = (shape[2:], sliding.stride, sliding.padding) == ((1, 1), (1, 1), (0, 0))
    alone = single and (threads.get_num_threads() == 1 or shape[0] < WIDTH)
    return sliding.dilation == (1, 1) and (alone or outweighed(dy_shape))


def fills(channels: int) -> bool:
    """Whether few of the sums of their tiles are of no use."""
    return channels >= USED * WIDTH * math.ceil(channels / WIDTH)


def _applies(x, weight, output, sliding, finished, kept=False):
    """Whether it is a single group whose output fills its tiles."""
    return sliding.groups == 1 and fills(len(weight))


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
