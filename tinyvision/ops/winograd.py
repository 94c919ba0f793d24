"""Winograd's convolution for 3×3 kernels at stride 1: 16 multiplications where the definition takes 36.

Take two outputs of a 1-D convolution with taps g: y₀ = d₀g₀ + d₁g₁ + d₂g₂ and y₁ = d₁g₀ + d₂g₁ + d₃g₂. Six products, but with

    m₀ = (d₀ - d₂)·g₀    m₁ = (d₁ + d₂)·(g₀ + g₁ + g₂)/2    m₂ = (d₂ - d₁)·(g₀ - g₁ + g₂)/2    m₃ = (d₁ - d₃)·g₂

four are enough: y₀ = m₀ + m₁ + m₂ and y₁ = m₁ - m₂ - m₃. In matrices, y = Aᵀ[(G g) ∘ (Bᵀ d)]. Done along rows and columns, a
tile of 4×4 pixels gives 2×2 outputs for 4·4 products (Winograd 1980; Lavin and Gray, "Fast algorithms for convolutional
neural networks", 2016, where this is F(2×2, 3×3)). The sums over channels turn the 16 products into 16 matrix products.

It is the same convolution, rounded a little differently (in float32 the error is about twice that of the definition), and
where there are enough channels to pay for the additions it takes 0.6 to 0.75 of the time. Gradients: dx is such a
convolution itself, with the turned kernel; dweight goes through the same three matrices, transposed.
"""

import math

import numpy as np

from .. import parallel
from .im2col import image_slab

# Kernels: U = G g Gᵀ, (3, 3) -> (4, 4), for all nine taps at once.
_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_GG = np.kron(_G, _G)  # (16, 9)

# With fewer channels than this the transforms cost more than the saved multiplications (measured).
FEWEST_CHANNELS = 32


def applies(x, weight_shape, stride, dilation, groups):
    """True if this way is defined (3×3, stride 1, no dilation, no groups) and pays (CPU, enough channels)."""
    O, KH, KW, C = weight_shape
    plain = (KH, KW) == (3, 3) and stride == dilation == (1, 1) and groups == 1
    return plain and min(O, C) >= FEWEST_CHANNELS and parallel.on_cpu(x)


def correlate(x, weight, y, start, finish):
    """Fill y (N, OH, OW, O) with x (N, H, W, C) correlated with weight (O, 3, 3, C), as `conv.correlate` does."""
    O, C = weight.shape[0], weight.shape[3]
    U = (_GG.astype(weight.dtype) @ weight.reshape(O, 9, C)).transpose(1, 2, 0)  # (16, C, O)

    def work(block):
        images, rows = block
        V, tiles = _image_to_tiles(x, images, rows, y.shape, start)
        M = parallel.scratch("winograd M", (16, V.shape[1], O), x)
        np.matmul(V, U, out=M)  # (16, T, C) @ (16, C, O)
        _tiles_to_output(M, y[images, rows], tiles)
        finish(y[images, rows], images, rows)

    parallel.run(work, _blocks(y.shape, C, x.dtype.itemsize))


def weight_gradient(x, dy, start):
    """dweight (O, 3, 3, C) = Gᵀ (Σ over tiles of dMᵀ V) G, with dM = A dy Aᵀ and V as in the forward pass."""
    O, C = dy.shape[3], x.shape[3]
    blocks = _blocks(dy.shape, C, x.dtype.itemsize)

    def work(blocks):
        total = None
        for images, rows in blocks:
            V, tiles = _image_to_tiles(x, images, rows, dy.shape, start)
            dM = _output_to_tiles(dy[images, rows], tiles)  # (16, T, O)
            product = np.matmul(dM.transpose(0, 2, 1), V)  # (16, O, T) @ (16, T, C)
            total = product if total is None else np.add(total, product, out=total)
        return total

    share = math.ceil(len(blocks) / parallel.get_num_threads())
    totals = parallel.run(work, [blocks[i : i + share] for i in range(0, len(blocks), share)])
    dU = totals[0]
    for more in totals[1:]:
        dU += more
    dweight = np.empty((O, 9, C), dU.dtype)
    np.matmul(_GG.T.astype(dU.dtype), dU.transpose(1, 0, 2), out=dweight)  # (9, 16) @ (O, 16, C)
    return dweight.reshape(O, 3, 3, C)


def _blocks(shape, C, itemsize):
    """Cut the output (N, OH, OW, O) into blocks (images, rows) of whole tiles whose V and M fit the caches."""
    N, OH, OW, O = shape
    line = 16 * math.ceil(OW / 2) * (C + O) * itemsize  # bytes of V and M for one row of tiles
    kernels = 16 * C * O * itemsize
    budget = min(max(4 * kernels, 2 << 20), 8 << 20)  # large kernels want more tiles to meet each time they are read
    lines = math.ceil(OH / 2)
    threads = parallel.get_num_threads()
    if lines * line <= budget and N >= threads:
        images = max(1, min(budget // (lines * line), math.ceil(N / threads)))
        return [(slice(n, min(n + images, N)), slice(0, OH)) for n in range(0, N, images)]
    some = max(1, min(lines, budget // line, math.ceil(N * lines / threads)))
    return [(slice(n, n + 1), slice(2 * r, min(2 * (r + some), OH))) for n in range(N) for r in range(0, lines, some)]


def _image_to_tiles(x, images, rows, shape, start):
    """V = Bᵀ d B for the 4×4 pixels d under every 2×2 tile of a block of outputs  ->  V (16, T, C), (n, TH, TW)"""
    TH, TW = math.ceil((rows.stop - rows.start) / 2), math.ceil(shape[2] / 2)
    top, left = start[0] + rows.start, start[1]
    slab = image_slab(x, images, (top, top + 2 * TH + 2), (left, left + 2 * TW + 2))  # (n, 2·TH + 2, 2·TW + 2, C)
    n, _, W, C = slab.shape
    half = parallel.scratch("winograd half", (4, n, TH, W, C), x)
    _four_of_four([slab[:, i : i + 2 * TH : 2] for i in range(4)], half)
    V = parallel.scratch("winograd V", (4, 4, n, TH, TW, C), x)
    _four_of_four([half[:, :, :, j : j + 2 * TW : 2] for j in range(4)], V.transpose(1, 0, 2, 3, 4, 5))
    return V.reshape(16, n * TH * TW, C), (n, TH, TW)


def _four_of_four(d, out):
    """out = Bᵀ d = (d₀ - d₂, d₁ + d₂, d₂ - d₁, d₁ - d₃)"""
    np.subtract(d[0], d[2], out=out[0])
    np.add(d[1], d[2], out=out[1])
    np.subtract(d[2], d[1], out=out[2])
    np.subtract(d[1], d[3], out=out[3])


def _tiles_to_output(M, y, tiles):
    """y (n, OH, OW, O) = Aᵀ M A for every tile: rows first, (m₀ + m₁ + m₂, m₁ - m₂ - m₃), then columns."""
    (n, TH, TW), O = tiles, M.shape[2]
    M = M.reshape(4, 4, n, TH, TW, O)
    whole = y.shape[1] == 2 * TH and y.shape[2] == 2 * TW and y.flags.c_contiguous
    out = y if whole else parallel.scratch("winograd y", (n, 2 * TH, 2 * TW, O), y)
    place = out.reshape(n, TH, 2, TW, 2, O)
    half = parallel.scratch("winograd half", (2, 4, n, TH, TW, O), y)
    _two_of_four(M, half)
    for a in (0, 1):
        _two_of_four(half[a], place[:, :, a].transpose(3, 0, 1, 2, 4))
    if not whole:  # an odd row or column of tiles reaches beyond the image
        y[...] = out[:, : y.shape[1], : y.shape[2]]


def _two_of_four(m, out):
    """out = Aᵀ m = (m₀ + m₁ + m₂, m₁ - m₂ - m₃)"""
    np.add(m[0], m[1], out=out[0])
    out[0] += m[2]
    np.subtract(m[1], m[2], out=out[1])
    out[1] -= m[3]


def _output_to_tiles(dy, tiles):
    """dM = A dy Aᵀ for every 2×2 tile of dy (n, OH, OW, O), the way back of `_tiles_to_output`  ->  dM (16, T, O)"""
    (n, TH, TW), O = tiles, dy.shape[3]
    if dy.shape[1:3] != (2 * TH, 2 * TW):
        padded = parallel.scratch("winograd y", (n, 2 * TH, 2 * TW, O), dy)
        padded[:, dy.shape[1] :] = 0
        padded[:, :, dy.shape[2] :] = 0
        padded[:, : dy.shape[1], : dy.shape[2]] = dy
        dy = padded
    half = parallel.scratch("winograd half", (4, n, TH, 2 * TW, O), dy)
    _four_of_two([dy[:, 0::2], dy[:, 1::2]], half)
    dM = parallel.scratch("winograd M", (4, 4, n, TH, TW, O), dy)
    _four_of_two([half[:, :, :, 0::2], half[:, :, :, 1::2]], dM.transpose(1, 0, 2, 3, 4, 5))
    return dM.reshape(16, n * TH * TW, O)


def _four_of_two(dy, out):
    """out = A dy = (dy₀, dy₀ + dy₁, dy₀ - dy₁, -dy₁)"""
    out[0] = dy[0]
    np.add(dy[0], dy[1], out=out[1])
    np.subtract(dy[0], dy[1], out=out[2])
    np.negative(dy[1], out=out[3])
