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
for F(2×2), four times as large for F(4×4). Gradients: dx is such a convolution itself, with the turned kernel; dweight
goes through the same matrices, transposed.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from .. import parallel
from ..hints import Array, Pair, Shape
from .im2col import image_slab, windows

# With fewer channels than this, transforming the image costs more than the saved multiplications.
FEWEST_CHANNELS = 32

# What making U and reading it costs for each of its numbers, in multiplications, if it fits into the caches and if not
# (measured).
KERNEL_BYTES = 4 << 20
MAKING, READING = (35, 50), (5, 30)

# BLAS multiplies small matrices at twice the speed if none is transposed; larger ones are not worth a copy (measured).
SMALL_KERNELS = 1 << 14

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


def tile_size(
    x: Array, y_shape: Shape, weight_shape: Shape, stride: Pair, dilation: Pair, groups: int, keeps: bool = False
) -> int:
    """m, where F(m×m, 3×3) is defined (3×3, stride 1, no dilation, no groups) and pays (CPU, many channels), else 0.

    keeps: U is made once for many calls."""
    O, KH, KW, C = weight_shape
    if (KH, KW) != (3, 3) or stride != (1, 1) or dilation != (1, 1) or groups != 1 or not parallel.on_cpu(x):
        return 0
    if min(O, C) < FEWEST_CHANNELS:
        return 0
    N, OH, OW = y_shape[:3]
    costs = {0: 9 * N * OH * OW * C * O}  # multiplications; below, of the two transforms, the products, the kernels
    for m in (2, 4):
        tiles, q = N * math.ceil(OH / m) * math.ceil(OW / m), m + 2
        U = q**2 * C * O
        large = U * x.dtype.itemsize > KERNEL_BYTES
        costs[m] = tiles * (q**4 * C + U + m**2 * q**2 * O) + U * (READING[large] + (0 if keeps else MAKING[large]))
    return min(costs, key=lambda m: costs[m])


def correlate(
    x: Array, weight: Array, y: Array, start: Pair, m: int, finish: Callable[[Array, slice, slice], None],
    kept: dict[Any, Array] | None,
) -> None:
    """Fill y (N, OH, OW, O) with x (N, H, W, C) correlated with weight (O, 3, 3, C), as `conv.correlate` does."""
    U = kept.get(m) if kept else None
    if U is None:
        U = _kernels(weight, transforms(m, x.dtype)[1]).transpose(0, 2, 1)  # (q², C, O)
        if U[0].size <= SMALL_KERNELS or kept is not None:
            U = U.copy()
        if kept is not None:
            kept[m] = U
    _correlate(x, U, y, start, m, finish)


def image_gradient(dy: Array, weight: Array, dx: Array, start: Pair, m: int) -> None:
    """Fill dx (N, H, W, C) with dy (N, OH, OW, O) correlated with the turned weight (O, 3, 3, C)."""
    _correlate(dy, _kernels(weight, transforms(m, dy.dtype)[2]), dx, start, m)


def _kernels(weight, GG):
    """U = G g Gᵀ of every kernel: weight (O, 3, 3, C)  ->  (q², O, C)"""
    O, C = weight.shape[0], weight.shape[3]
    taps, U = weight.reshape(O, 9, C), np.empty((len(GG), O, C), weight.dtype)
    parallel.over_rows(lambda some: np.matmul(GG, taps[some], out=U[:, some].transpose(1, 0, 2)), taps)
    return U


def _correlate(x, U, y, start, m, finish=None):
    """y = Aᵀ [U ∘ (Bᵀ x B)] A, with U (q², C, O); the product ∘ is a matrix product (T, C) @ (C, O) over T tiles."""
    BB, _, _, AA = transforms(m, x.dtype)
    (places, C, O) = U.shape

    def work(block):
        images, rows = block
        V = _tiles_to_planes(x, images, rows, y.shape[2], start, m, BB)  # (q², T, C)
        M = _scratch(0, (places, V.shape[1], O), x)
        parallel.product(V, U, out=M)
        Y = _scratch(1, (m * m, V.shape[1] * O), x)
        parallel.product(AA, M.reshape(places, -1), out=Y)
        out = y[images, rows]
        _scatter(Y, out, m)
        if finish is not None:
            finish(out, images, rows)

    parallel.run(work, _blocks(y.shape, C, x.dtype.itemsize, m))


def weight_gradient(x: Array, dy: Array, start: Pair, m: int) -> Array:
    """dweight (O, 3, 3, C) = Gᵀ (Σ over tiles of dMᵀ V) G, with V = Bᵀ x B as in the forward pass and dM = A dy Aᵀ."""
    O, C = dy.shape[3], x.shape[3]
    BB, GG, _, AA = transforms(m, x.dtype)
    blocks = _blocks(dy.shape, C, x.dtype.itemsize, m)

    def work(blocks):
        total = np.empty((len(BB), O, C), x.dtype)
        for number, (images, rows) in enumerate(blocks):
            V = _tiles_to_planes(x, images, rows, dy.shape[2], start, m, BB)  # (q², T, C)
            dY = _gather(dy[images, rows], m, _scratch(0, (m * m, V.shape[1] * O), x))
            dM = _scratch(2, (len(BB), V.shape[1] * O), x)
            parallel.product(AA.T, dY, out=dM)
            target = total if number == 0 else _scratch(0, total.shape, x)
            parallel.product(dM.reshape(len(BB), -1, O).transpose(0, 2, 1), V, out=target)  # (q², O, T) @ (q², T, C)
            if number:
                total += target
        return total

    share = math.ceil(len(blocks) / parallel.get_num_threads())
    totals = parallel.run(work, [blocks[i : i + share] for i in range(0, len(blocks), share)])
    dU, dtaps = sum(totals[1:], totals[0]).transpose(1, 0, 2), np.empty((O, 9, C), x.dtype)
    parallel.over_rows(lambda some: np.matmul(GG.T, dU[some], out=dtaps[some]), dtaps)  # (9, q²) @ (O, q², C)
    return dtaps.reshape(O, 3, 3, C)


def _blocks(shape, C, itemsize, m):
    """Cut the output (N, OH, OW, O) into blocks (images, rows) of whole tiles whose planes fit the caches."""
    N, OH, OW, O = shape
    places, lines, threads = (m + 2) ** 2, math.ceil(OH / m), parallel.get_num_threads()
    line = places * math.ceil(OW / m) * (C + O) * itemsize  # bytes of V and M for one row of tiles
    kernels = places * C * O * itemsize
    budget = min(max(kernels, BLOCK_BYTES), 4 * BLOCK_BYTES)  # large kernels want more tiles each time they are read
    if lines * line <= budget and threads <= N:
        if kernels >= 4 * BLOCK_BYTES and N * lines * line <= budget:
            return [(slice(0, N), slice(0, OH))]  # the kernels are read once and each product shared out
        return [(images, slice(0, OH)) for images in parallel.fair(N, math.ceil(N * lines * line / budget))]
    count = math.ceil(lines / max(1, min(budget // line, math.ceil(N * lines / threads))))
    some = math.ceil(lines / count) * m
    return [(slice(n, n + 1), slice(r, min(r + some, OH))) for n in range(N) for r in range(0, OH, some)]


def _scratch(number, shape, like):
    """Planes of one step; the step after the next writes over them while they are still in the cache."""
    return parallel.scratch(("winograd 0", "winograd 1", "winograd 2")[number], shape, like)


def _tiles_to_planes(x, images, rows, OW, start, m, BB):
    """V = Bᵀ x B for every tile of q×q pixels under a block of m×m outputs  ->  (q², T, C)"""
    TH, TW, q = math.ceil((rows.stop - rows.start) / m), math.ceil(OW / m), m + 2
    top, left = start[0] + rows.start, start[1]
    slab = image_slab(x, images, (top, top + m * TH + 2), (left, left + m * TW + 2))
    tiles = windows(slab, (q, q), (m, m)).transpose(3, 4, 0, 1, 2, 5)  # (q, q, n, TH, TW, C)
    d = _scratch(0, tiles.shape, x)
    d[...] = tiles
    V = _scratch(1, (q * q, len(slab) * TH * TW, x.shape[3]), x)
    parallel.product(BB, d.reshape(q * q, -1), out=V.reshape(q * q, -1))
    return V


def _as_tiles(y, m):
    """y (n, m·TH, m·TW, O) as (m, m, n, TH, TW, O), a view: the plane of each place in the tiles."""
    n, H, W, O = y.shape
    return y.reshape(n, H // m, m, W // m, m, O).transpose(2, 4, 0, 1, 3, 5)


def _scatter(Y, y, m):
    """Write planes Y (m², T·O) to y (n, OH, OW, O); what the last tiles compute beyond the image is dropped."""
    n, OH, OW, O = y.shape
    TH, TW = math.ceil(OH / m), math.ceil(OW / m)
    planes = Y.reshape(m, m, n, TH, TW, O)
    whole = (m * TH, m * TW) == (OH, OW) and y.flags.c_contiguous
    grown = y if whole else parallel.scratch("winograd grown", (n, m * TH, m * TW, O), y)
    _as_tiles(grown, m)[...] = planes
    if not whole:
        y[...] = grown[:, :OH, :OW]


def _gather(y, m, planes):
    """The inverse of `_scatter`, with zeros beyond the image: y (n, OH, OW, O)  ->  planes (m², T·O)"""
    n, OH, OW, O = y.shape
    TH, TW = math.ceil(OH / m), math.ceil(OW / m)
    if (m * TH, m * TW) != (OH, OW):
        y = image_slab(y, slice(0, n), (0, m * TH), (0, m * TW))
    planes.reshape(m, m, n, TH, TW, O)[...] = _as_tiles(y, m)
    return planes
