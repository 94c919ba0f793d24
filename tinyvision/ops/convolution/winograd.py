"""Winograd's convolution for 3×3 kernels at stride 1: it trades multiplications for additions.

Take two outputs of a 1-D convolution with taps g: y₀ = d₀g₀ + d₁g₁ + d₂g₂ and y₁ = d₁g₀ + d₂g₁ + d₃g₂. Six products,
but with

    m₀ = (d₀ - d₂)·g₀    m₁ = (d₁ + d₂)·(g₀ + g₁ + g₂)/2    m₂ = (d₂ - d₁)·(g₀ - g₁ + g₂)/2    m₃ = (d₁ - d₃)·g₂

four are enough: y₀ = m₀ + m₁ + m₂ and y₁ = m₁ - m₂ - m₃. In matrices, y = Aᵀ[(G g) ∘ (Bᵀ d)]. Along rows and columns
that makes 2×2 outputs from a tile of 4×4 pixels with 4·4 products instead of 36: F(2×2, 3×3). F(4×4, 3×3) makes 4×4
outputs from 6×6 pixels with 36 products instead of 144 (Winograd 1980; Toom and Cook's polynomials; Lavin and Gray,
"Fast algorithms for convolutional neural networks", 2016). The matrices come from evaluating polynomials at a few
points, see `transforms`.

The sums over channels make a matrix product of each of the 16 or 36 products, and the two transforms are matrix
products as well, of the matrices above with all tiles at once. So a convolution is: gather tiles, three products,
scatter. It is the same convolution, rounded a little differently: in float32 the error is about that of the definition
for F(2×2), four times as large for F(4×4), and float16 would lose three of its eleven bits. A NaN or an infinity in the
image spreads over whole tiles of outputs, where the definition gives it only to the 3×3 that see it. Gradients: dx is
such a convolution itself, with the turned kernel; dweight goes through the same matrices, transposed.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ... import blocks, threads
from ...types import Array, Shape
from ..channels import column_sums
from ..im2col import image_slab, windows
from .sliding import Finish, Sliding, channels_last, matrix, nothing, sum_over_blocks

# With fewer channels than this, transforming the image costs more than the saved multiplications.
FEWEST_CHANNELS = 32

# What U costs for each of its numbers, in multiplications: to make and to read, or only to read because it was kept. It
# is kept up to this size; more would cost as much to fetch from memory as to make (all measured).
MAKING, READING, KERNEL_BYTES = 40, 5, 4 << 20

# BLAS multiplies small matrices at twice the speed if none is transposed; larger ones are not worth a copy (measured).
SMALL_KERNELS = 1 << 14

# Where the kernels outweigh the image, so many output channels make a piece of work.
SOME_CHANNELS = 32

# The planes of a block, `_scratch`, should stay in a core's caches (measured: half or twice as much is slower).
BLOCK_BYTES = 3 << 20


@lru_cache
def transforms(m: int, dtype: np.dtype) -> tuple[Array, Array, Array, Array]:
    """F(m×m, 3×3)'s Bᵀ (q², q²), G (q², 9), G for turned kernels and Aᵀ (m², q²), all for whole tiles; q = m + 2.

    A product of polynomials is found by multiplying their values at q points, of which one is ∞; correlation is its
    transpose. For m = 2 the points are 0, ±1, ∞. For m = 4 they are 0, ±√½, ±√2, ∞: the usual 0, ±1, ±2, ∞ have a
    larger spread of powers, and four times the rounding error."""
    points = [0.0, 1.0, -1.0] if m == 2 else [0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5)]
    q = m + 2
    B, G, A = np.zeros((q, q)), np.zeros((q, 3)), np.zeros((m, q))
    for i, point in enumerate(points):
        others = points[:i] + points[i + 1 :]
        B[i, : q - 1] = np.poly(others)[::-1]  # Π (t - other), the lowest power first
        G[i] = point ** np.arange(3) / np.prod(point - np.array(others))
        A[:, i] = point ** np.arange(m)
    B[-1], G[-1, -1], A[-1, -1] = np.poly(points)[::-1], 1, 1  # the point at infinity sees the highest power
    pairs = ((B, B), (G, G), (G[:, ::-1], G[:, ::-1]), (A, A))  # rows and columns
    BB, GG, turned, AA = (np.kron(rows, columns).astype(dtype) for rows, columns in pairs)
    return BB, GG, turned, AA


def applies(x: Array, weight_shape: Shape, y_shape: Shape, sliding: Sliding, keeps: bool = False) -> bool:
    """Where some F(m×m, 3×3) is defined, and pays."""
    return tile_size(x, weight_shape, y_shape, sliding, keeps) > 0


def tile_size(x: Array, weight_shape: Shape, y_shape: Shape, sliding: Sliding, keeps: bool = False) -> int:
    """m, where F(m×m, 3×3) is defined (3×3, stride 1, no dilation, no groups) and pays (CPU, many channels), else 0.

    keeps: U is made once for many calls."""
    O, KH, KW, C = weight_shape
    if (KH, KW) != (3, 3) or sliding.stride != (1, 1) or sliding.dilation != (1, 1) or sliding.groups != 1:
        return 0
    if min(O, C) < FEWEST_CHANNELS or not blocks.on_cpu(x):
        return 0
    itemsize = x.dtype.itemsize
    if itemsize not in (4, 8):  # float16 would lose three bits, see above
        return 0
    return _cheapest(*y_shape[:3], C, O, itemsize, keeps)


@lru_cache(maxsize=1024)
def _cheapest(N, OH, OW, C, O, itemsize, keeps):
    costs = {0: 9 * N * OH * OW * C * O}  # multiplications; below, of the two transforms, the products, the kernels
    for m in (2, 4):
        tiles, q = N * math.ceil(OH / m) * math.ceil(OW / m), m + 2
        U = q**2 * C * O
        kept = keeps and U * itemsize <= KERNEL_BYTES
        costs[m] = tiles * (q**4 * C + U + m**2 * q**2 * O) + (READING if kept else MAKING) * U
    return min(costs, key=lambda m: costs[m])


def correlate(
    x: Array,
    weight: Array,
    y_shape: Shape,
    sliding: Sliding,
    bias: Array | None = None,
    finish: Finish = nothing,
    kept: dict[Any, Array] | None = None,
) -> Array:
    """As `columns.correlate`. What is computed from the weight alone is left in `kept`, if given, up to a size."""
    m = tile_size(x, weight.shape, y_shape, sliding, kept is not None)
    GG = transforms(m, x.dtype)[1]

    def kernels(channels: slice) -> Array:
        U = _kernels(weight[channels], GG).transpose(0, 2, 1)
        return U.copy() if weight[..., 0, 0, :].size <= SMALL_KERNELS else U

    if kept is not None and len(GG) * weight[:, 0, 0].nbytes <= KERNEL_BYTES:
        if m not in kept:
            kept[m] = _kernels(weight, GG).transpose(0, 2, 1).copy()
        return _correlate(x, lambda channels: kept[m][:, :, channels], y_shape, sliding.start, m, bias, finish)
    return _correlate(x, kernels, y_shape, sliding.start, m, bias, finish)


def image_gradient(dy: Array, weight: Array, x_shape: Shape, sliding: Sliding) -> Array:
    """dx (N, H, W, C): dy (N, OH, OW, O) correlated with the turned weight (O, 3, 3, C)."""
    m = tile_size(dy, weight.shape, x_shape, sliding)
    turned = transforms(m, dy.dtype)[2]
    start = sliding.turned((3, 3)).start
    return _correlate(dy, lambda channels: _kernels(weight[..., channels], turned), x_shape, start, m)


def _kernels(weight, GG):
    """U = G g Gᵀ of every kernel: weight (O, 3, 3, C)  ->  (q², O, C)"""
    O, C = weight.shape[0], weight.shape[3]
    taps, U = weight.reshape(O, 9, C), np.empty((len(GG), O, C), weight.dtype)
    blocks.over_rows(lambda some: np.matmul(GG, taps[some], out=U[:, some].transpose(1, 0, 2)), taps)
    return U


def _correlate(x, kernels, y_shape, start, m, bias=None, finish=nothing):
    """y = Aᵀ [U ∘ (Bᵀ x B)] A + bias, where kernels(channels) makes U (q², C, O) for a slice of y's channels."""
    (N, OH, OW, O), C, x = y_shape, x.shape[3], channels_last(x)
    y = np.empty_like(x, shape=y_shape, order="C")
    everything = slice(0, N), slice(0, OH)
    if _kernels_outweigh(y.shape, C, x.dtype.itemsize, m):
        V = _tiles_to_planes(x, *everything, OW, start, m)

        def by_channels(channels):
            some = None if bias is None else bias[channels]
            _planes_to_pixels(V, kernels(channels), y[..., channels], m, some)

        threads.run(by_channels, blocks.cut(O, O // SOME_CHANNELS))
        finish(y, *everything)
        return y
    U = kernels(slice(0, O))

    def work(block):
        _planes_to_pixels(_tiles_to_planes(x, *block, OW, start, m), U, y[block], m, bias)
        finish(y[block], *block)

    threads.run(work, _blocks(y_shape, C, x.dtype.itemsize, m))
    return y


def weight_gradient(
    x: Array, dy: Array, weight_shape: Shape, sliding: Sliding, biased: bool = False
) -> tuple[Array, Array | None]:
    """dweight (O, 3, 3, C) = Gᵀ (Σ over tiles of dMᵀ V) G, with V = Bᵀ x B as in the forward pass and dM = A dy Aᵀ.

    With it dbias (O,), the sum of dy, if it is `biased`, else None."""
    m, start, x = tile_size(x, weight_shape, dy.shape, sliding), sliding.start, channels_last(x)
    (N, OH, OW, O), C = dy.shape, x.shape[3]
    GG, dtaps = transforms(m, x.dtype)[1], np.empty((O, 9, C), x.dtype)
    everything = slice(0, N), slice(0, OH)
    if _kernels_outweigh(dy.shape, C, x.dtype.itemsize, m):
        V, dM = _tiles_to_planes(x, *everything, OW, start, m), _pixels_to_planes(dy, m)

        def by_channels(channels):
            dU = np.matmul(dM[:, :, channels].transpose(0, 2, 1), V)  # (q², O, T) @ (q², T, C)
            np.matmul(GG.T, dU.transpose(1, 0, 2), out=dtaps[channels])  # (9, q²) @ (O, q², C)

        threads.run(by_channels, blocks.cut(O, O // SOME_CHANNELS))
        return dtaps.reshape(weight_shape), column_sums(matrix(dy)) if biased else None

    def part(block):
        V, dM = _tiles_to_planes(x, *block, OW, start, m), _pixels_to_planes(dy[block], m)
        dU = np.matmul(dM.transpose(0, 2, 1), V, out=_scratch(0, ((m + 2) ** 2, O, C), x))
        return dU, column_sums(matrix(dy[block])) if biased else 0

    pieces = _blocks(dy.shape, C, x.dtype.itemsize, m)
    total, dbias = sum_over_blocks(part, pieces, x, ((m + 2) ** 2, O, C), (O,))
    dU = total.transpose(1, 0, 2)
    blocks.over_rows(lambda some: np.matmul(GG.T, dU[some], out=dtaps[some]), dtaps)
    return dtaps.reshape(weight_shape), dbias if biased else None


def _kernels_outweigh(shape, C, itemsize, m):
    """True where U is large and the tiles are few: U is then made, used and forgotten by slices of its channels."""
    N, OH, OW, O = shape
    places, tiles = (m + 2) ** 2, N * math.ceil(OH / m) * math.ceil(OW / m)
    return tiles * (C + O) <= C * O and places * C * O * itemsize > KERNEL_BYTES


def _blocks(shape, C, itemsize, m):
    """Cut the output (N, OH, OW, O) into blocks (images, rows) of whole tiles whose planes fit the caches."""
    N, OH, OW, O = shape
    places, lines, at_once = (m + 2) ** 2, math.ceil(OH / m), threads.get_num_threads()
    line = places * math.ceil(OW / m) * (C + O) * itemsize  # bytes of V and M for one row of tiles
    kernels = places * C * O * itemsize
    budget = min(max(kernels, BLOCK_BYTES), 4 * BLOCK_BYTES)  # large kernels want more tiles each time they are read
    if lines * line <= budget and at_once <= N:
        return [(images, slice(0, OH)) for images in blocks.fair(N, math.ceil(N * lines * line / budget))]
    count = math.ceil(lines / max(1, min(budget // line, math.ceil(N * lines / at_once))))
    some = math.ceil(lines / count) * m
    return [(slice(n, n + 1), slice(r, min(r + some, OH))) for n in range(N) for r in range(0, OH, some)]


def _scratch(number, shape, like):
    """Planes of one step; the step after the next writes over them while they are still in the cache."""
    return blocks.planes(("winograd 0", "winograd 1", "winograd 2")[number], shape, like)


def _tiles_to_planes(x, images, rows, OW, start, m):
    """V = Bᵀ x B for every tile of q×q pixels under a block of m×m outputs  ->  (q², T, C)"""
    TH, TW, q = math.ceil((rows.stop - rows.start) / m), math.ceil(OW / m), m + 2
    top, left = start[0] + rows.start, start[1]
    slab = image_slab(x, images, (top, top + m * TH + 2), (left, left + m * TW + 2))
    tiles = windows(slab, (q, q), (m, m)).transpose(3, 4, 0, 1, 2, 5)  # (q, q, n, TH, TW, C)
    d = _scratch(0, (q * q, *tiles.shape[2:]), x)
    d.reshape(tiles.shape)[...] = tiles
    V = _scratch(1, (q * q, len(slab) * TH * TW, x.shape[3]), x)
    blocks.product(transforms(m, x.dtype)[0], d.reshape(q * q, -1), out=V.reshape(q * q, -1))
    return V


def _planes_to_pixels(V, U, y, m, bias):
    """y (n, OH, OW, O) = Aᵀ M A + bias with M = U ∘ V: (q², T, C) @ (q², C, O)"""
    M = blocks.product(V, U, out=_scratch(0, (len(V), V.shape[1], U.shape[2]), V))
    Y = _scratch(2, (m * m, M[0].size), V)
    blocks.product(transforms(m, V.dtype)[3], M.reshape(len(M), -1), out=Y)
    n, OH, OW, O = y.shape
    TH, TW = math.ceil(OH / m), math.ceil(OW / m)
    planes = Y.reshape(m, m, n, TH, TW, O)
    whole = (m * TH, m * TW) == (OH, OW) and y.flags.c_contiguous
    grown = y if whole else _scratch(0, (1, n, m * TH, m * TW, O), y)[0]
    if bias is None:
        _as_tiles(grown, m)[...] = planes
    else:
        np.add(planes, bias, out=_as_tiles(grown, m))
    if not whole:  # the last tiles reach beyond the image
        y[...] = grown[:, :OH, :OW]


def _pixels_to_planes(dy, m):
    """dM = A dy Aᵀ for every tile of m×m pixels of dy (n, OH, OW, O)  ->  (q², T, O)"""
    n, OH, OW, O = dy.shape
    TH, TW = math.ceil(OH / m), math.ceil(OW / m)
    if (m * TH, m * TW) != (OH, OW):
        dy = image_slab(dy, slice(0, n), (0, m * TH), (0, m * TW))
    planes = _scratch(0, (m * m, n, TH, TW, O), dy)
    planes.reshape(m, m, n, TH, TW, O)[...] = _as_tiles(dy, m)
    dM = _scratch(2, ((m + 2) ** 2, n * TH * TW, O), dy)
    blocks.product(transforms(m, dy.dtype)[3].T, planes.reshape(m * m, -1), out=dM.reshape(len(dM), -1))
    return dM


def _as_tiles(y, m):
    """y (n, m·TH, m·TW, O) as (m, m, n, TH, TW, O), a view: the plane of each place in the tiles."""
    n, H, W, O = y.shape
    return y.reshape(n, H // m, m, W // m, m, O).transpose(2, 4, 0, 1, 3, 5)
