"""Winograd's convolution F(4×4, 3×3), whose derivation is in `ops.convolution.winograd`, in all three directions:

    y = Aᵀ [(G g Gᵀ) ∘ (Bᵀ d B)] A          dM = A dy Aᵀ          dg = Gᵀ (Σ dM ∘ (Bᵀ d B)) G

The transforms are loops, each pass along long runs of memory; the 36 products stay BLAS's. The points are 0, ±√½, ±√2
and ∞. Two that differ in their sign alone share their even and their odd powers, so few operations remain of the
matrices: every part below multiplies by one of them.
"""

import math
from typing import Any

import numpy as np

from ... import blocks, threads
from ...ops.convolution.winograd import KERNEL_BYTES
from ...types import Array
from .. import is_on
from ..ways import ACTIVATIONS, Way, drop_ins
from . import direct
from .channels import column_sums
from .compiled import loop, part
from .lines import channels_are_last, share_out

FEWEST_CHANNELS = 8  # with fewer, the transforms cost more than the multiplications that they save
MOST_PADDING = 2  # more is beyond every pixel of the image
BLOCK_BYTES = 3 << 19  # V and M of the lines that a thread works on, which should stay in its cache (measured)
SUM_BYTES = 1 << 21  # the same for dweight, where every block adds its share to a sum
SOME_CHANNELS = 64  # where the kernels outweigh the image, so many output channels make a piece of work
PLACES = 36

# What a transform costs for each tile and channel, and what U costs for each number, in multiplications of the way that
# would be taken in place of this one (measured): `columns`, or `direct`, whose multiplications cost half as much. For
# inference U is made for one pass, in training for three directions, whose sums are cheaper on the whole.
TRANSFORMING, MAKING = {"columns": 600, "direct": 2000}, {"columns": 70, "direct": 200}
MAKING_ONCE = {"columns": 70, "direct": 300}

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


@loop("void(f4[:,:,:,::1], f4[:,:,:,::1], i8[::1], i8, i8)", "V")
def image_to_planes(x: Array, V: Array, geometry: Any, begin: int, end: int) -> None:
    """V (36, lines, TW, C) = Bᵀ d B of every tile d of 6×6 pixels, for lines begin ... end of tiles.

    geometry: TH, PH, PW, and the line of tiles with which V begins. First along the rows, whole lines of the image at
    once, then along the columns."""
    TH, PH, PW, first = geometry
    N, H, W, C = x.shape
    TW, L = V.shape[2], W * C
    images, zeros = x.reshape(N, H, L), np.zeros(L, np.float32)
    half = np.zeros((6, 4 * TW + 2, C), np.float32)  # with zeros in the padding
    padded = half.reshape(6, (4 * TW + 2) * C)
    u0, u1, u2 = padded[0][PW * C : PW * C + L], padded[1][PW * C : PW * C + L], padded[2][PW * C : PW * C + L]
    u3, u4, u5 = padded[3][PW * C : PW * C + L], padded[4][PW * C : PW * C + L], padded[5][PW * C : PW * C + L]
    for line in range(begin, end):
        image, h, place = images[line // TH], line % TH * 4 - PH, line - first
        d0, d1, d2 = row(image, h, zeros), row(image, h + 1, zeros), row(image, h + 2, zeros)
        d3, d4, d5 = row(image, h + 3, zeros), row(image, h + 4, zeros), row(image, h + 5, zeros)
        for e in range(L):
            points = image_points(d0[e], d1[e], d2[e], d3[e], d4[e], d5[e])
            u0[e], u1[e], u2[e], u3[e], u4[e], u5[e] = points
        for t in range(TW):
            w = 4 * t
            for i in range(6):
                for c in range(C):
                    points = image_points(
                        half[i, w, c],
                        half[i, w + 1, c],
                        half[i, w + 2, c],
                        half[i, w + 3, c],
                        half[i, w + 4, c],
                        half[i, w + 5, c],
                    )
                    for j in range(6):
                        V[6 * i + j, place, t, c] = points[j]


@loop("void(f4[:,:,:,::1], f4[:,:,:,::1], f4[::1], f4[::1], i8[::1], i8, i8)", "y")
def planes_to_image(M: Array, y: Array, scale: Array, shift: Array, geometry: Any, begin: int, end: int) -> None:
    """y = scale · Aᵀ M A + shift for lines begin ... end of tiles, from M (36, lines, TW, some channels of y).

    geometry: TH, the line of tiles with which M begins, and the channel of y."""
    TH, first, channel = geometry
    _, OH, OW, _ = y.shape
    _, lines, TW, O = M.shape
    planes, half, edge = (
        M.reshape(36, lines, TW * O),
        np.empty((4, 6, TW, O), np.float32),
        np.empty((4, y.shape[3]), np.float32),
    )
    halves = half.reshape(4, 6, TW * O)
    for line in range(begin, end):
        n, h, place = line // TH, line % TH * 4, line - first
        for j in range(6):
            m0, m1, m2 = planes[j, place], planes[6 + j, place], planes[12 + j, place]
            m3, m4, m5 = planes[18 + j, place], planes[24 + j, place], planes[30 + j, place]
            s0, s1, s2, s3 = halves[0, j], halves[1, j], halves[2, j], halves[3, j]
            for e in range(TW * O):
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


@loop("void(f4[:,:,:,::1], f4[:,:,:,::1], i8[::1], i8, i8)", "dM")
def gradient_to_planes(dy: Array, dM: Array, geometry: Any, begin: int, end: int) -> None:
    """dM (36, lines, TW, O) = A dy Aᵀ of every tile of 4×4 gradients, for lines begin ... end of tiles.

    geometry: TH, and the line of tiles with which dM begins."""
    TH, first = geometry
    N, OH, OW, O = dy.shape
    TW, L = dM.shape[2], OW * O
    images, zeros = dy.reshape(N, OH, L), np.zeros(L, np.float32)
    half = np.zeros((6, 4 * TW, O), np.float32)  # with zeros where the last tiles reach beyond the image
    halves = half.reshape(6, 4 * TW * O)
    u0, u1, u2, u3, u4, u5 = halves[0], halves[1], halves[2], halves[3], halves[4], halves[5]
    for line in range(begin, end):
        image, h, place = images[line // TH], line % TH * 4, line - first
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
                        dM[6 * i + j, place, t, o] = points[j]


@loop("void(f4[:,:,:,:], f4[:,:,::1], i8, i8)", "U")
def kernels_to_planes(kernels: Array, U: Array, begin: int, end: int) -> None:
    """U (36, rows, columns) = G g Gᵀ of every kernel g of kernels (rows, columns, 3, 3), for rows begin ... end."""
    columns = kernels.shape[1]
    half = np.empty((6, 3, columns), np.float32)
    for r in range(begin, end):
        for l in range(3):
            for c in range(columns):
                points = kernel_points(kernels[r, c, 0, l], kernels[r, c, 1, l], kernels[r, c, 2, l])
                for i in range(6):
                    half[i, l, c] = points[i]
        for i in range(6):
            for c in range(columns):
                points = kernel_points(half[i, 0, c], half[i, 1, c], half[i, 2, c])
                for j in range(6):
                    U[6 * i + j, r, c] = points[j]


@loop("void(f4[:,:,::1], f4[:,:,:,::1], i8, i8)", "dweight")
def planes_to_kernels(dU: Array, dweight: Array, begin: int, end: int) -> None:
    """dweight (O, 3, 3, C) = Gᵀ u G from dU (36, O, C), for the outputs begin ... end."""
    C = dU.shape[2]
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


@loop("void(f4[:,::1], f4[:,::1], i8, i8, i8)", "y")
def finish_rows(y: Array, skip: Array, activation: int, begin: int, end: int) -> None:
    """y (rows, L) = activation(y + skip) for rows begin ... end; an empty skip is none."""
    L = y.shape[1]
    for r in range(begin, end):
        if skip.size:
            for e in range(L):
                y[r, e] += skip[r, e]
        if activation:
            for e in range(L):
                if y[r, e] <= 0:
                    y[r, e] = 0
        if activation == 2:
            for e in range(L):
                if y[r, e] >= 6:
                    y[r, e] = 6


def _correlate(x, weight, y, sliding, scale=None, shift=None, skip=None, activation=None, kept=None):
    O, C = weight.shape[:2]
    by_inputs = weight.transpose(1, 0, 2, 3)

    def kernels(channels):
        if PLACES * 4 * O * C > KERNEL_BYTES or kept is None:
            return _kernels(by_inputs[:, channels])
        if "loops" not in kept:
            kept["loops"] = _kernels(by_inputs)
        return kept["loops"][:, :, channels]

    _fill(x, kernels, y, sliding.padding, scale, shift, skip, ACTIVATIONS[activation])


def _image_gradient(dy, weight, dx, sliding):
    """A correlation with the turned kernels."""
    turned, (PH, PW) = weight[:, :, ::-1, ::-1], sliding.padding
    _fill(dy, lambda channels: _kernels(turned[:, channels]), dx, (2 - PH, 2 - PW))


def _fill(x, kernels, y, padding, scale=None, shift=None, skip=None, activation=0):
    """y (N, OH, OW, O) = activation(scale · (x correlated with the kernels) + shift + skip), where kernels(channels)
    gives U (36, C, O) for a slice of the channels of y."""
    (N, OH, OW, O), C = y.shape, x.shape[3]
    TH, TW = _tiles(OH, OW)
    scale = np.ones(O, np.float32) if scale is None else np.ascontiguousarray(scale)
    shift = np.zeros(O, np.float32) if shift is None else np.ascontiguousarray(shift)
    rows = y.reshape(N * OH, OW * O)
    added = NO_ROWS if skip is None else skip.reshape(rows.shape)

    def put(V, U, first, last, channels):
        M = blocks.scratch("winograd M", (PLACES, last - first, TW, U.shape[2]), x)
        np.matmul(_flat(V), U, out=_flat(M))  # (36, T, C) @ (36, C, O)
        geometry = np.array([TH, first, channels.start])
        planes_to_image(M, y, scale[channels], shift[channels], geometry, first, last)

    def finish(first, last):
        if skip is not None or activation:
            finish_rows(rows, added, activation, *(line // TH * OH + line % TH * 4 for line in (first, last)))

    if outweighed(N * TH * TW, C, O):
        V = _planes_of_all(image_to_planes, x, N * TH, TW, [TH, *padding])
        threads.run(lambda channels: put(V, kernels(channels), 0, N * TH, channels), _some_channels(O))
        finish(0, N * TH)
        return
    U = kernels(slice(0, O))

    def work(lines):
        first, last = lines.start, lines.stop
        V = blocks.scratch("winograd V", (PLACES, last - first, TW, C), x)
        image_to_planes(x, V, np.array([TH, *padding, first]), first, last)
        put(V, U, first, last, slice(0, O))
        finish(first, last)

    threads.run(work, _lines(N * TH, TW * (C + O), BLOCK_BYTES))


def _weight_gradient(x, dy, shape, sliding):
    (O, C), (N, OH, OW, _), padding = shape[:2], dy.shape, sliding.padding
    TH, TW = _tiles(OH, OW)
    dweight = np.empty((O, 3, 3, C), np.float32)
    if outweighed(N * TH * TW, C, O):
        V = _flat(_planes_of_all(image_to_planes, x, N * TH, TW, [TH, *padding]))
        dM = _flat(_planes_of_all(gradient_to_planes, dy, N * TH, TW, [TH]))

        def by_channels(channels):
            dU = np.matmul(dM[:, :, channels].transpose(0, 2, 1), V)  # (36, O, T) @ (36, T, C)
            planes_to_kernels(dU, dweight[channels], 0, len(dU[0]))

        threads.run(by_channels, _some_channels(O))
        return dweight.transpose(0, 3, 1, 2)

    def part(several):
        total = None
        for lines in several:
            first, last = lines.start, lines.stop
            V = blocks.scratch("winograd V", (PLACES, last - first, TW, C), x)
            dM = blocks.scratch("winograd M", (PLACES, last - first, TW, O), x)
            image_to_planes(x, V, np.array([TH, *padding, first]), first, last)
            gradient_to_planes(dy, dM, np.array([TH, first]), first, last)
            dU = np.matmul(_flat(dM).transpose(0, 2, 1), _flat(V))  # (36, O, T) @ (36, T, C)
            total = dU if total is None else np.add(total, dU, out=total)
        return total

    pieces = _lines(N * TH, TW * (C + O), SUM_BYTES)
    share = math.ceil(len(pieces) / threads.get_num_threads())
    totals = threads.run(part, [pieces[i : i + share] for i in range(0, len(pieces), share)])
    dU = sum(totals[1:], totals[0])
    share_out(lambda begin, end: planes_to_kernels(dU, dweight, begin, end), O, dU.nbytes)
    return dweight.transpose(0, 3, 1, 2)


def _planes_of_all(transform, image, lines, TW, geometry):
    """The planes (36, lines, TW, channels) of a whole batch."""
    planes = np.empty((PLACES, lines, TW, image.shape[3]), np.float32)
    place = np.array([*geometry, 0])
    share_out(lambda begin, end: transform(image, planes, place, begin, end), lines, planes.nbytes)
    return planes


def _kernels(kernels):
    """U (36, rows, columns) of kernels (rows, columns, 3, 3)."""
    U = np.empty((PLACES, *kernels.shape[:2]), np.float32)
    share_out(lambda begin, end: kernels_to_planes(kernels, U, begin, end), len(kernels), U.nbytes)
    return U


def _tiles(OH, OW):
    """(TH, TW): how many tiles of 4×4 cover an output."""
    return math.ceil(OH / 4), math.ceil(OW / 4)


def _flat(planes):
    """(36, lines, TW, channels) as (36, T, channels)."""
    P, lines, TW, channels = planes.shape
    return planes.reshape(P, lines * TW, channels)


def _lines(lines, numbers, budget):
    """range(lines) in slices whose planes, of so many numbers a line and place, take about `budget` bytes."""
    return blocks.fair(lines, max(1, math.ceil(lines * PLACES * 4 * numbers / budget)))


def _some_channels(O):
    return blocks.cut(O, max(1, O // SOME_CHANNELS))


def outweighed(tiles: int, C: int, O: int) -> bool:
    """Whether the kernels outweigh the tiles of the image: U is then made, used and forgotten by slices."""
    return tiles * (C + O) <= C * O and PLACES * 4 * C * O > KERNEL_BYTES


def _applies(x, weight, output, sliding, finished, kept=False):
    """Whether this is a 3×3 convolution at stride 1 whose multiplications outweigh the transforms, channels last."""
    if tuple(weight.shape[2:]) != (3, 3) or not channels_are_last(x):
        return False
    if sliding.stride != (1, 1) or sliding.dilation != (1, 1) or sliding.groups != 1:
        return False
    O, C = weight.shape[:2]
    other = "direct" if direct.fills(O) and is_on("direct") else "columns"
    kept = kept and PLACES * 4 * O * C <= KERNEL_BYTES
    making = 0 if kept else MAKING_ONCE[other] if finished else MAKING[other]
    return max(sliding.padding) <= MOST_PADDING and pays(len(x), *output, O, C, TRANSFORMING[other], making)


def pays(N: int, OH: int, OW: int, O: int, C: int, transforming: int, making: int) -> bool:
    """Whether more multiplications are saved than the transforms are worth."""
    tiles = N * math.prod(_tiles(OH, OW))
    saved = (9 * N * OH * OW - PLACES * tiles) * C * O
    return min(C, O) >= FEWEST_CHANNELS and saved > transforming * tiles * (C + O) + making * PLACES * C * O


WAY = Way(_applies, _correlate, _image_gradient, _weight_gradient, keeps=True, column_sums=column_sums)
DROP_INS = drop_ins(WAY, "winograd", "winograd")
