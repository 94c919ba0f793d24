"""Winograd's convolution F(4×4, 3×3), whose derivation is in `ops.convolution.winograd`, in all three directions:

    y = Aᵀ [(G g Gᵀ) ∘ (Bᵀ d B)] A          dM = A dy Aᵀ          dg = Gᵀ (Σ dM ∘ (Bᵀ d B)) G

The transforms are loops, each pass along long runs of memory, and so are the 36 products, whose sums are in registers
(see `registers`): block after block of tiles is computed without leaving the loop. The points are 0, ±√½, ±√2 and ∞.
Two that differ in their sign alone share their even and their odd powers, so few operations remain of the matrices:
every part below multiplies by one of them.
"""

import math
from typing import Any

import numpy as np

from ... import blocks
from ...ops.convolution.winograd import KERNEL_BYTES
from ...types import Array
from .. import is_on
from ..ways import ACTIVATIONS, Way, drop_ins
from . import crew, direct
from .activation import curved
from .channels import column_sums
from .compiled import loop, part
from .direct import pack
from .lines import PIECES, done_in_parts, hands
from .registers import LANES, ROWS, RUN, WIDTH, aligned, half_outer, half_put, nothing, outer, plus, put

FEWEST_CHANNELS = 8  # with fewer, the transforms cost more than the multiplications that they save
MOST_PADDING = 2  # more is beyond every pixel of the image
OWN_BYTES = 1 << 21  # kernels beyond this, which every piece of work reads, make one piece a thread
BLOCK_BYTES = 1 << 20  # V and M of the lines that a thread works on, which should stay near it (measured)
SUM_BYTES = 1 << 20  # the same for dweight, where every block adds its share to a sum
SLICED_BYTES = 1 << 24  # kernels beyond this are never kept, and made by slices where they outweigh the image: ...
SOME_BLOCKS = 2  # ... so many blocks of output channels make a piece of work ...
SOME_CHANNELS = 64  # ... and the kernels of so many input channels are in the cache at a time
SOME_ROWS = 4 * ROWS  # the gradients of so many outputs are summed over all tiles at a time
PLACES = 36

# What the transforms cost for each tile and channel, and U for each number, in multiplications of sums in registers
# (measured); one by columns costs two. In training there are three directions, of which the other two gain more. A kept
# U is read from far away, and four times as large as the kernels.
TRANSFORMING, TRANSFORMING_ONCE, MAKING, READING, BY_COLUMNS = 500, 700, 20, 10, 2

A, B = np.float32(0.5**0.5), np.float32(2**0.5)  # the points
HALF, TWO, TWO_AND_A_HALF = np.float32(0.5), np.float32(2), np.float32(2.5)  # A², B², A² + B²
AT_A, AT_B = np.float32(-2 / 3), np.float32(1 / 6)  # 1 / Π (point - other) for ±A and ±B; it is 1 for 0

NO_ROWS = np.empty((0, 0), np.float32)


@part
def image_points(d0: float, d1: float, d2: float, d3: float, d4: float, d5: float) -> tuple[float, ...]:
    """Bᵀ d"""
    even, odd = d4 - TWO * d2, A * (d3 - TWO * d1)
    EVEN, ODD = d4 - HALF * d2, B * (d3 - HALF * d1)
    return d0 - TWO_AND_A_HALF * d2 + d4, even + odd, even - odd, EVEN + ODD, EVEN - ODD, d1 - TWO_AND_A_HALF * d3 + d5


@part
def kernel_points(g0: float, g1: float, g2: float) -> tuple[float, ...]:
    """G g"""
    even, odd = AT_A * (g0 + HALF * g2), AT_A * A * g1
    EVEN, ODD = AT_B * (g0 + TWO * g2), AT_B * B * g1
    return g0, even + odd, even - odd, EVEN + ODD, EVEN - ODD, g2


@part
def outputs(m0: float, m1: float, m2: float, m3: float, m4: float, m5: float) -> tuple[float, ...]:
    """Aᵀ m"""
    even, odd, EVEN, ODD = m1 + m2, A * (m1 - m2), m3 + m4, B * (m3 - m4)
    return m0 + even + EVEN, odd + ODD, HALF * even + TWO * EVEN, HALF * odd + TWO * ODD + m5


@part
def output_points(y0: float, y1: float, y2: float, y3: float) -> tuple[float, ...]:
    """A y"""
    even, odd = y0 + HALF * y2, A * (y1 + HALF * y3)
    EVEN, ODD = y0 + TWO * y2, B * (y1 + TWO * y3)
    return y0, even + odd, even - odd, EVEN + ODD, EVEN - ODD, y3


@part
def taps(u0: float, u1: float, u2: float, u3: float, u4: float, u5: float) -> tuple[float, ...]:
    """Gᵀ u"""
    even, odd = AT_A * (u1 + u2), AT_A * A * (u1 - u2)
    EVEN, ODD = AT_B * (u3 + u4), AT_B * B * (u3 - u4)
    return u0 + even + EVEN, odd + ODD, HALF * even + TWO * EVEN + u5


@part
def row(image: Array, h: int, zeros: Array) -> Array:
    """Row h of an image (H, ...), or zeros outside of it."""
    return image[h] if 0 <= h < image.shape[0] else zeros


@loop("void(f4[:,:,:,::1], f4[:,:,:,::1], i8, i8, i8, i8, i8, i8, i8)", "V")
def image_to_planes(x: Array, V: Array, TH: int, TW: int, PH: int, PW: int, first: int, begin: int, end: int) -> None:
    """V (slices, 36, tiles, channels of one) = Bᵀ d B of every tile d of 6×6 pixels, for lines begin ... end of tiles;
    V begins with line `first`. First along the rows, whole lines of the image at once, then along the columns."""
    N, H, W, C = x.shape
    L, slices, some = W * C, V.shape[0], V.shape[3]
    images, zeros = x.reshape(N, H, L), np.zeros(L, np.float32)
    half = np.zeros((6, 4 * TW + 2, C), np.float32)  # with zeros in the padding
    padded = half.reshape(6, (4 * TW + 2) * C)
    u0, u1, u2 = padded[0][PW * C : PW * C + L], padded[1][PW * C : PW * C + L], padded[2][PW * C : PW * C + L]
    u3, u4, u5 = padded[3][PW * C : PW * C + L], padded[4][PW * C : PW * C + L], padded[5][PW * C : PW * C + L]
    for line in range(begin, end):
        image, h, tile = images[line // TH], line % TH * 4 - PH, (line - first) * TW
        d0, d1, d2 = row(image, h, zeros), row(image, h + 1, zeros), row(image, h + 2, zeros)
        d3, d4, d5 = row(image, h + 3, zeros), row(image, h + 4, zeros), row(image, h + 5, zeros)
        for e in range(L):
            points = image_points(d0[e], d1[e], d2[e], d3[e], d4[e], d5[e])
            u0[e], u1[e], u2[e], u3[e], u4[e], u5[e] = points
        for t in range(TW):
            w = 4 * t
            for i in range(6):
                for s in range(slices):
                    d = half[i, w : w + 6, s * some : min(C, (s + 1) * some)]
                    for c in range(d.shape[1]):
                        points = image_points(d[0, c], d[1, c], d[2, c], d[3, c], d[4, c], d[5, c])
                        for j in range(6):
                            V[s, 6 * i + j, tile + t, c] = points[j]


@part
def room(tiles: int) -> int:
    """How many tiles a plane has room for: whole rows of sums, and one, as even planes share places in the cache."""
    return (tiles + ROWS - 1) // ROWS * ROWS + 1


@part
def multiplied(V: Array, U: Array, M: Array, tiles: int, more: bool) -> None:
    """M (36, tiles, O) = V (36, tiles, C) · U in each place, or += it, if there is `more` to be added and O is more
    than half a block. V and M have `room` for so many tiles; U may be of fewer channels."""
    count, some, all_tiles, C, O = len(U), U.shape[2] - 1, V.shape[1], V.shape[2], M.shape[2]
    factors, kernels, products = V.reshape(V.size), U.reshape(U.size), M.reshape(M.size)
    for place in range(PLACES):
        for block in range(count):
            for t in range(place * all_tiles, place * all_tiles + tiles, ROWS):
                p, q, at, total = t * C, (t + RUN) * C, (block * PLACES + place) * (some + 1), nothing()
                r, s = t * O + block * WIDTH, (t + RUN) * O + block * WIDTH
                if O == LANES:
                    for c in range(some):
                        total = half_outer(total, factors, p + c, q + c, C, kernels, (at + c) * WIDTH)
                    half_put(total, products, r, s, O)
                    continue
                for c in range(some):
                    total = outer(total, factors, p + c, q + c, C, kernels, (at + c) * WIDTH)
                put(plus(total, products, r, s, O) if more else total, products, r, s, O)


@loop("void(f4[:,:,::1], f4[:,:,:,::1], f4[::1], f4[::1], i8, i8, i8, i8, i8)", "y")
def planes_to_image(
    M: Array, y: Array, scale: Array, shift: Array, TH: int, TW: int, channel: int, begin: int, end: int
) -> None:
    """y = scale · Aᵀ M A + shift for lines begin ... end of tiles, with which M (36, tiles, blocks · WIDTH) begins,
    and for as many channels of y, from `channel` on, as scale has."""
    _, OH, OW, _ = y.shape
    L, O = TW * M.shape[2], len(scale)
    half, edge = np.empty((4, 6, TW, M.shape[2]), np.float32), np.empty((4, y.shape[3]), np.float32)
    halves, planes = half.reshape(4, 6, L), M.reshape(PLACES, M.shape[1] * M.shape[2])
    for line in range(begin, end):
        n, h, place = line // TH, line % TH * 4, (line - begin) * L
        for j in range(6):
            m0, m1, m2 = planes[j][place:], planes[6 + j][place:], planes[12 + j][place:]
            m3, m4, m5 = planes[18 + j][place:], planes[24 + j][place:], planes[30 + j][place:]
            s0, s1, s2, s3 = halves[0, j], halves[1, j], halves[2, j], halves[3, j]
            for e in range(L):
                s0[e], s1[e], s2[e], s3[e] = outputs(m0[e], m1[e], m2[e], m3[e], m4[e], m5[e])
        for i in range(min(4, OH - h)):
            for t in range(TW):
                whole = 4 * t + 4 <= OW
                pixels = y[n, h + i, 4 * t : 4 * t + 4] if whole else edge
                s0, s1, s2 = half[i, 0, t], half[i, 1, t], half[i, 2, t]
                s3, s4, s5 = half[i, 3, t], half[i, 4, t], half[i, 5, t]
                y0, y1 = pixels[0][channel : channel + O], pixels[1][channel : channel + O]
                y2, y3 = pixels[2][channel : channel + O], pixels[3][channel : channel + O]
                for o in range(O):
                    p, q, r, s = outputs(s0[o], s1[o], s2[o], s3[o], s4[o], s5[o])
                    y0[o] = p * scale[o] + shift[o]
                    y1[o] = q * scale[o] + shift[o]
                    y2[o] = r * scale[o] + shift[o]
                    y3[o] = s * scale[o] + shift[o]
                if not whole:
                    for w in range(4 * t, OW):
                        y[n, h + i, w, channel : channel + O] = edge[w - 4 * t, channel : channel + O]


@loop("void(f4[:,:,:,::1], f4[:,:,::1], i8, i8, i8, i8, i8)", "dM")
def gradient_to_planes(dy: Array, dM: Array, TH: int, TW: int, first: int, begin: int, end: int) -> None:
    """dM (36, tiles, O) = A dy Aᵀ of every tile of 4×4 gradients, for lines begin ... end of tiles; dM begins with that
    of `first`."""
    N, OH, OW, O = dy.shape
    L = OW * O
    images, zeros = dy.reshape(N, OH, L), np.zeros(L, np.float32)
    half = np.zeros((6, 4 * TW, O), np.float32)  # with zeros where the last tiles reach beyond the image
    halves = half.reshape(6, 4 * TW * O)
    u0, u1, u2, u3, u4, u5 = halves[0], halves[1], halves[2], halves[3], halves[4], halves[5]
    for line in range(begin, end):
        image, h, tile = images[line // TH], line % TH * 4, (line - first) * TW
        d0, d1 = row(image, h, zeros), row(image, h + 1, zeros)
        d2, d3 = row(image, h + 2, zeros), row(image, h + 3, zeros)
        for e in range(L):
            u0[e], u1[e], u2[e], u3[e], u4[e], u5[e] = output_points(d0[e], d1[e], d2[e], d3[e])
        for t in range(TW):
            w = 4 * t
            for i in range(6):
                for o in range(O):
                    points = output_points(half[i, w, o], half[i, w + 1, o], half[i, w + 2, o], half[i, w + 3, o])
                    for j in range(6):
                        dM[6 * i + j, tile + t, o] = points[j]


@loop("void(f4[:,:,:,:], f4[:,:,:,::1], i8, i8)", "U")
def kernels_to_planes(weight: Array, U: Array, begin: int, end: int) -> None:
    """U (blocks, 36, C + 1, WIDTH) = G g Gᵀ of each kernel g of weight (O, C, 3, 3), for blocks begin ... end of output
    channels, with zeros beyond O. The room for another channel keeps planes from sharing a few places of the cache.
    Kernels lie far apart: they are packed tap by tap first, and then read in order."""
    C = weight.shape[1]
    packed, half = np.empty((1, 3, 3, C, WIDTH), np.float32), np.empty((6, 3, WIDTH), np.float32)
    for block in range(begin, end):
        pack(weight[block * WIDTH : (block + 1) * WIDTH], packed, 0, 1)
        for c in range(C):
            for l in range(3):
                g0, g1, g2 = packed[0, 0, l, c], packed[0, 1, l, c], packed[0, 2, l, c]
                u0, u1, u2, u3, u4, u5 = half[0, l], half[1, l], half[2, l], half[3, l], half[4, l], half[5, l]
                for o in range(WIDTH):
                    u0[o], u1[o], u2[o], u3[o], u4[o], u5[o] = kernel_points(g0[o], g1[o], g2[o])
            for i in range(0, PLACES, 6):
                g0, g1, g2 = half[i // 6, 0], half[i // 6, 1], half[i // 6, 2]
                u0, u1, u2 = U[block, i, c], U[block, i + 1, c], U[block, i + 2, c]
                u3, u4, u5 = U[block, i + 3, c], U[block, i + 4, c], U[block, i + 5, c]
                for o in range(WIDTH):
                    u0[o], u1[o], u2[o], u3[o], u4[o], u5[o] = kernel_points(g0[o], g1[o], g2[o])


@loop("void(f4[:,:,:,::1], f4[:,:,:,::1], i8, i8)", "parts dweight")
def planes_to_kernels(parts: Array, dweight: Array, begin: int, end: int) -> None:
    """dweight (O, 3, 3, C) = Gᵀ u G for the outputs begin ... end, where u is the sum of parts (parts, 36, O, C or
    more), which the first of them becomes."""
    C, dU = dweight.shape[3], parts[0]
    for k in range(1, len(parts)):
        for j in range(PLACES):
            for o in range(begin, end):
                for c in range(C):
                    dU[j, o, c] += parts[k, j, o, c]
    half = np.empty((3, 6, C), np.float32)
    for o in range(begin, end):
        for j in range(6):
            for c in range(C):
                columns = taps(
                    dU[j, o, c],
                    dU[6 + j, o, c],
                    dU[12 + j, o, c],
                    dU[18 + j, o, c],
                    dU[24 + j, o, c],
                    dU[30 + j, o, c],
                )
                for k in range(3):
                    half[k, j, c] = columns[k]
        for k in range(3):
            for c in range(C):
                tap = taps(half[k, 0, c], half[k, 1, c], half[k, 2, c], half[k, 3, c], half[k, 4, c], half[k, 5, c])
                for l in range(3):
                    dweight[o, k, l, c] = tap[l]


@part
def added_up(dM: Array, V: Array, dU: Array, first: int, tiles: int, more: bool) -> None:
    """dU (36, some of O, C) = Σ over so many tiles of dM (36, tiles, O) · V (36, tiles, C) in each place, for outputs
    from `first` on; or += it, if there is `more` to be added. All are whole tiles of sums."""
    all_tiles, O, some, C = dM.shape[1], dM.shape[2], dU.shape[1], V.shape[2]
    gradients, factors, sums = dM.reshape(dM.size), V.reshape(V.size), dU.reshape(dU.size)
    for place in range(PLACES):
        for c in range(0, C, WIDTH):
            for o in range(0, some, ROWS):
                p, at, total = place * all_tiles * O + first + o, place * all_tiles * C + c, nothing()
                for _ in range(tiles):
                    total = outer(total, gradients, p, p + RUN, 1, factors, at)
                    p, at = p + O, at + C
                r = (place * some + o) * C + c
                s = r + RUN * C
                put(plus(total, sums, r, s, C) if more else total, sums, r, s, C)


@loop("void(f4[:,:,:,::1], f4[:,:,:,::1], f4[:,:,:,::1], i8[::1], i8, i8, i8)", "dU")
def weights_of_lines(x: Array, dy: Array, dU: Array, geometry: Any, begin: int, end: int, piece: int) -> None:
    """dU[piece] (36, O, C) of lines begin ... end of tiles; both transforms and the products meet in the cache.

    geometry: TH, TW, PH, PW, and how many lines make a block."""
    TH, TW, PH, PW, several = geometry
    V = np.zeros((1, PLACES, several * TW, dU.shape[3]), np.float32)
    dM = np.zeros((PLACES, several * TW, dU.shape[2]), np.float32)
    for first in range(begin, end, several):
        last = min(first + several, end)
        image_to_planes(x, V, TH, TW, PH, PW, first, first, last)
        gradient_to_planes(dy, dM, TH, TW, first, first, last)
        added_up(dM, V[0], dU[piece], 0, (last - first) * TW, first > begin)


@loop("void(f4[:,:,::1], f4[:,:,::1], f4[:,:,:,::1], i8, i8)", "dweight")
def weights_of_outputs(dM: Array, V: Array, dweight: Array, begin: int, end: int) -> None:
    """dweight (O, 3, 3, C) of all tiles, for its outputs by ROWS, begin ... end of them."""
    for first in range(begin * ROWS, end * ROWS, SOME_ROWS):
        last = min(first + SOME_ROWS, end * ROWS)
        dU = np.empty((1, PLACES, last - first, V.shape[2]), np.float32)
        added_up(dM, V, dU[0], first, V.shape[1], False)
        some = dweight[first:last]
        planes_to_kernels(dU, some, 0, len(some))


@loop("void(f4[:,::1], f4[:,::1], i8, i8, i8)", "y")
def finish_rows(y: Array, skip: Array, activation: int, begin: int, end: int) -> None:
    """y (rows, L) = activation(y + skip) for rows begin ... end; an empty skip is none."""
    L = y.shape[1]
    for r in range(begin, end):
        if skip.size:
            for e in range(L):
                y[r, e] += skip[r, e]
        if activation == 1 or activation == 2:
            for e in range(L):
                if y[r, e] <= 0:
                    y[r, e] = 0
        if activation == 2:
            for e in range(L):
                if y[r, e] >= 6:
                    y[r, e] = 6
        if activation > 2:
            curved(y[r], activation)


@loop("void(f4[:,:,:,:], f4[:,:,:,::1], f4[:,:,:,::1], f4[::1], f4[::1], i8[::1], i8, i8)", "y")
def correlated_by_slices(
    weight: Array, V: Array, y: Array, scale: Array, shift: Array, geometry: Any, begin: int, end: int
) -> None:
    """y = scale · Aᵀ (V · U) A + shift for its channels begin ... end, of all tiles; U is made, used and forgotten by
    the slices of V (see `image_to_planes`). geometry: TH, TW."""
    TH, TW = geometry
    slices, _, tiles, some = V.shape
    lines, count = len(y) * TH, (end - begin + WIDTH - 1) // WIDTH
    M = np.empty((PLACES, tiles, count * WIDTH), np.float32)
    for s in range(slices):
        kernels = weight[begin:end, s * some : (s + 1) * some]
        U = np.empty((count, PLACES, kernels.shape[1] + 1, WIDTH), np.float32)
        kernels_to_planes(kernels, U, 0, count)
        multiplied(V[s], U, M, lines * TW, s > 0)
    planes_to_image(M, y, scale[begin:end], shift[begin:end], TH, TW, begin, 0, lines)


@loop(
    "void(f4[:,:,:,::1], f4[:,:,:,::1], f4[:,:,:,::1], f4[::1], f4[::1], f4[:,::1], i8[::1], i8, i8)",
    "y",
)
def correlated(
    x: Array,
    U: Array,
    y: Array,
    scale: Array,
    shift: Array,
    skip: Array,
    geometry: Any,
    begin: int,
    end: int,
) -> None:
    """y = activation(scale · (x correlated with the kernels of U) + shift + skip) for lines begin ... end of tiles.

    geometry: TH, TW, PH, PW, which activation, and how many lines make a block, whose V and M should stay in cache."""
    TH, TW, PH, PW, activation, several = geometry
    N, OH, OW, O = y.shape
    rows = y.reshape(N * OH, OW * O)
    V = np.empty((1, PLACES, room(several * TW), x.shape[3]), np.float32)
    M = np.empty((PLACES, V.shape[2], LANES if O <= LANES else len(U) * WIDTH), np.float32)
    for first in range(begin, end, several):
        last = min(first + several, end)
        tiles = (last - first) * TW
        image_to_planes(x, V, TH, TW, PH, PW, first, first, last)
        V[:, :, tiles : room(tiles)] = 0  # tiles that there are not
        multiplied(V[0], U, M, tiles, False)
        planes_to_image(M, y, scale, shift, TH, TW, 0, first, last)
        if skip.size or activation:
            above, below = first // TH * OH + first % TH * 4, last // TH * OH + last % TH * 4
            finish_rows(rows, skip, activation, above, below)


def _correlate(x, weight, y, sliding, scale=None, shift=None, skip=None, activation=None, kept=None):
    U = None if kept is None else kept.get("loops")
    if U is None and kept is not None and PLACES * weight[:, :, 0, 0].nbytes <= SLICED_BYTES:
        U = kept["loops"] = _kernels(weight)
    _fill(x, weight, U, y, sliding.padding, scale, shift, skip, ACTIVATIONS[activation])


def _image_gradient(dy, weight, dx, sliding):
    """A correlation with the turned kernels."""
    turned, (PH, PW) = weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1], sliding.padding
    _fill(dy, turned, None, dx, (2 - PH, 2 - PW))


def _fill(x, weight, U, y, padding, scale=None, shift=None, skip=None, activation=0):
    """y (N, OH, OW, O) = activation(scale · (x correlated with weight) + shift + skip); U may be there already."""
    (N, OH, OW, O), C = y.shape, x.shape[3]
    TH, TW = _tiles(OH, OW)
    scale = np.ones(O, np.float32) if scale is None else np.ascontiguousarray(scale)
    shift = np.zeros(O, np.float32) if shift is None else np.ascontiguousarray(shift)
    rows = y.reshape(N * OH, OW * O)
    added = NO_ROWS if skip is None else skip.reshape(rows.shape)

    if U is None and outweighed(N * TH * TW, C, O) and PLACES * 4 * C * O > SLICED_BYTES:
        V = np.zeros((math.ceil(C / SOME_CHANNELS), PLACES, room(N * TH * TW), min(C, SOME_CHANNELS)), np.float32)
        done_in_parts(image_to_planes, N * TH, V.nbytes, x, V, TH, TW, *padding, 0)
        pieces = [(some.start, some.stop) for some in _some_channels(O)]
        crew.run(correlated_by_slices, pieces, weight, V, y, scale, shift, np.array([TH, TW]))
        if skip is not None or activation:
            done_in_parts(finish_rows, len(rows), y.nbytes, rows, added, activation)
        return
    U = _kernels(weight) if U is None else U
    workers = hands(PLACES * N * TH * TW * C * O)
    count = workers if U.nbytes > OWN_BYTES else workers * PIECES
    parts = blocks.fair(N * TH, count) if workers > 1 else blocks.cut(N * TH, 1)
    pieces = [(some.start, some.stop) for some in parts]
    longest = max(end - begin for begin, end in pieces)
    budget = max(BLOCK_BYTES, min(U.nbytes, SLICED_BYTES))  # U is read once for every block
    several = math.ceil(longest / math.ceil(4 * PLACES * longest * TW * (C + O) / budget))
    crew.run(correlated, pieces, x, U, y, scale, shift, added, np.array([TH, TW, *padding, activation, several]))


def _weight_gradient(x, dy, shape, sliding):
    (O, C), (N, OH, OW, _), padding = shape[:2], dy.shape, sliding.padding
    TH, TW = _tiles(OH, OW)
    whole_O, whole_C = math.ceil(O / ROWS) * ROWS, math.ceil(C / WIDTH) * WIDTH  # as tiles of sums are
    dweight = np.empty((O, 3, 3, C), np.float32)
    if outweighed(N * TH * TW, C, O):
        V = aligned((1, PLACES, N * TH * TW, whole_C))
        V[..., C:] = 0
        dM = np.zeros((PLACES, N * TH * TW, whole_O), np.float32)
        done_in_parts(image_to_planes, N * TH, V.nbytes, x, V, TH, TW, *padding, 0)
        done_in_parts(gradient_to_planes, N * TH, dM.nbytes, dy, dM, TH, TW, 0)
        done_in_parts(weights_of_outputs, whole_O // ROWS, dM.nbytes, dM, V[0], dweight)
        return dweight.transpose(0, 3, 1, 2)
    lines = blocks.cut(N * TH, min(N * TH, hands(PLACES * N * TH * TW * C * O)))
    pieces = [(some.start, some.stop, k) for k, some in enumerate(lines)]
    several = max(1, SUM_BYTES // (4 * PLACES * TW * (whole_O + whole_C)))
    dU = np.empty((len(pieces), PLACES, whole_O, whole_C), np.float32)
    crew.run(weights_of_lines, pieces, x, dy, dU, np.array([TH, TW, *padding, several]))
    done_in_parts(planes_to_kernels, O, dU.nbytes, dU, dweight)
    return dweight.transpose(0, 3, 1, 2)


def _kernels(weight):
    """U (blocks, 36, C + 1, WIDTH) of weight (O, C, 3, 3)."""
    O, C = weight.shape[:2]
    U = aligned((math.ceil(O / WIDTH), PLACES, C + 1, WIDTH))
    done_in_parts(kernels_to_planes, len(U), U.nbytes, weight, U)
    return U


def _tiles(OH, OW):
    """(TH, TW): how many tiles of 4×4 cover an output."""
    return math.ceil(OH / 4), math.ceil(OW / 4)


def _some_channels(O):
    """range(O) in slices that begin with a block."""
    return [slice(o, min(O, o + SOME_BLOCKS * WIDTH)) for o in range(0, O, SOME_BLOCKS * WIDTH)]


def outweighed(tiles: int, C: int, O: int) -> bool:
    """Whether large kernels outweigh the tiles of the image: each thread then has channels, not lines, for itself."""
    return tiles * (C + O) <= C * O and PLACES * 4 * C * O > KERNEL_BYTES


def _applies(x, weight, output, sliding, finished, kept=False):
    """Whether this is a 3×3 convolution at stride 1 whose multiplications outweigh the transforms. They also outweigh a
    copy of x with its channels last, where group-norm or a view has laid it out otherwise."""
    if tuple(weight.shape[2:]) != (3, 3):
        return False
    if sliding.stride != (1, 1) or sliding.dilation != (1, 1) or sliding.groups != 1:
        return False
    O, C = weight.shape[:2]
    by_tiles = direct.fills(O) and is_on("direct")
    making = READING if kept and PLACES * 4 * O * C <= SLICED_BYTES else MAKING
    transforming = TRANSFORMING_ONCE if finished else TRANSFORMING
    return max(sliding.padding) <= MOST_PADDING and pays(len(x), *output, O, C, by_tiles, transforming, making)


def pays(N: int, OH: int, OW: int, O: int, C: int, by_tiles: bool, transforming: int, making: int) -> bool:
    """Whether this costs less than the way that would be taken in its place: `direct`, by tiles, or by columns."""
    tiles, whole = N * math.prod(_tiles(OH, OW)), WIDTH * math.ceil(O / WIDTH)
    others = 9 * N * OH * OW * C * (whole if by_tiles else BY_COLUMNS * O)
    products = PLACES * (room(tiles) - 1) * C * (LANES if O <= LANES else whole)
    own = products + transforming * tiles * (C + O) + making * PLACES * C * O
    return min(C, O) >= FEWEST_CHANNELS and own < others


WAY = Way(_applies, _correlate, _image_gradient, _weight_gradient, keeps=True, in_loops=True, column_sums=column_sums)
DROP_INS = drop_ins(WAY, "winograd", "winograd")
