"""Winograd's convolution for 3×3 kernels at stride 1: 16 multiplications where the definition takes 36.

Take two outputs of a 1-D convolution with taps g: y₀ = d₀g₀ + d₁g₁ + d₂g₂ and y₁ = d₁g₀ + d₂g₁ + d₃g₂. Six products,
but with

    m₀ = (d₀ - d₂)·g₀    m₁ = (d₁ + d₂)·(g₀ + g₁ + g₂)/2    m₂ = (d₂ - d₁)·(g₀ - g₁ + g₂)/2    m₃ = (d₁ - d₃)·g₂

four are enough: y₀ = m₀ + m₁ + m₂ and y₁ = m₁ - m₂ - m₃. In matrices, y = Aᵀ[(G g) ∘ (Bᵀ d)]. Done along rows and
columns, a tile of 4×4 pixels gives 2×2 outputs for 4·4 products (Winograd 1980; Lavin and Gray, "Fast algorithms for
convolutional neural networks", 2016, where this is F(2×2, 3×3)). The sums over channels turn the 16 products into 16
matrix products.

It is the same convolution, rounded a little differently (in float32 the error is about twice that of the definition),
and where there are enough channels to pay for the additions it takes 0.6 to 0.75 of the time. Gradients: dx is such a
convolution itself, with the turned kernel; dweight goes through the same three matrices, transposed.
"""

import math
from collections.abc import Callable

import numpy as np

from .. import parallel
from ..hints import Array, Pair, Shape
from .im2col import image_slab

# Kernels: U = G g Gᵀ, (3, 3) -> (4, 4), for all nine taps at once. The turned kernel only reverses the columns of G.
_G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_GG = np.kron(_G, _G)  # (16, 9)
_GG_TURNED = np.kron(_G[:, ::-1], _G[:, ::-1])

# With fewer channels than this, transforming the image costs more than the saved multiplications; and transforming the
# kernels costs as much as this many multiplications for every pair of channels (both measured).
FEWEST_CHANNELS = 32
KERNEL_COST = 600


def applies(x: Array, y_shape: Shape, weight_shape: Shape, stride: Pair, dilation: Pair, groups: int) -> bool:
    """True if this way is defined (3×3, stride 1, no dilation, no groups) and pays (CPU, many channels and pixels)."""
    O, KH, KW, C = weight_shape
    if (KH, KW) != (3, 3) or stride != (1, 1) or dilation != (1, 1) or groups != 1 or not parallel.on_cpu(x):
        return False
    N, OH, OW = y_shape[:3]
    saved = N * (9 * OH * OW - 16 * math.ceil(OH / 2) * math.ceil(OW / 2))  # multiplications for a pair of channels
    return min(O, C) >= FEWEST_CHANNELS and saved >= KERNEL_COST


def correlate(x: Array, weight: Array, y: Array, start: Pair, finish: Callable[[Array, slice, slice], None]) -> None:
    """Fill y (N, OH, OW, O) with x (N, H, W, C) correlated with weight (O, 3, 3, C), as `conv.correlate` does."""
    O, C = weight.shape[0], weight.shape[3]
    U = _GG.astype(weight.dtype) @ weight.reshape(O, 9, C)  # (O, 16, C)
    _correlate(x, U.transpose(1, 2, 0), y, start, finish)


def image_gradient(dy: Array, weight: Array, dx: Array, start: Pair) -> None:
    """Fill dx (N, H, W, C) with dy (N, OH, OW, O) correlated with the turned weight (O, 3, 3, C)."""
    O, C = weight.shape[0], weight.shape[3]
    U = _GG_TURNED.astype(weight.dtype) @ weight.reshape(O, 9, C)  # (O, 16, C)
    _correlate(dy, U.transpose(1, 0, 2), dx, start)


def _correlate(x, U, y, start, finish=None):
    """y = Aᵀ [U ∘ (Bᵀ x B)] A; the product at each of the 16 places is a matrix product (T, C) @ (C, O) over T tiles.

    One row of Bᵀ at a time, so that no more than a quarter of the 16 planes is in the cache at once."""
    U = U.reshape(4, 4, *U.shape[1:])

    def work(block):
        images, rows = block
        out = y[images, rows]
        slab, tiles = _slab(x, images, rows, y.shape[2], start)
        sums = parallel.scratch("winograd sums", (2, 4, math.prod(tiles), U.shape[3]), x)
        M = parallel.scratch("winograd M", sums.shape[1:], x)
        for i, target in enumerate((sums[0], sums[1], M, M)):
            parallel.product(_image_to_tiles(slab, i, tiles), U[i], out=target)  # (4, T, C) @ (4, C, O)
            if i == 1:
                sums[0] += sums[1]
            elif i == 2:
                sums[0] += M
                sums[1] -= M
            elif i == 3:
                sums[1] -= M
        _sums_to_output(sums, out, tiles)
        if finish is not None:
            finish(out, images, rows)

    parallel.run(work, _blocks(y.shape, x.shape[3], x.dtype.itemsize))


def weight_gradient(x: Array, dy: Array, start: Pair) -> Array:
    """dweight (O, 3, 3, C) = Gᵀ (Σ over tiles of dMᵀ V) G, with V = Bᵀ x B as in the forward pass and dM = A dy Aᵀ."""
    O, C = dy.shape[3], x.shape[3]
    blocks = _blocks(dy.shape, C, x.dtype.itemsize)

    def work(blocks):
        total = np.zeros((4, 4, O, C), x.dtype)
        product = parallel.scratch("winograd product", (4, O, C), x)
        for number, (images, rows) in enumerate(blocks):
            slab, tiles = _slab(x, images, rows, dy.shape[2], start)
            grown = _whole_tiles(dy[images, rows], tiles)
            for i in range(4):
                dM, V = _output_to_tiles(grown, i, tiles), _image_to_tiles(slab, i, tiles)
                target = product if number else total[i]
                parallel.product(dM.transpose(0, 2, 1), V, out=target)  # (4, O, T) @ (4, T, C)
                if number:
                    total[i] += product
        return total

    share = math.ceil(len(blocks) / parallel.get_num_threads())
    totals = parallel.run(work, [blocks[i : i + share] for i in range(0, len(blocks), share)])
    dU = totals[0].reshape(16, O, C)
    for more in totals[1:]:
        dU += more.reshape(dU.shape)
    return (_GG.T.astype(dU.dtype) @ dU.transpose(1, 0, 2)).reshape(O, 3, 3, C)  # (9, 16) @ (O, 16, C)


def _blocks(shape, C, itemsize):
    """Cut the output (N, OH, OW, O) into blocks (images, rows) of whole tiles whose V and M fit the caches."""
    N, OH, OW, O = shape
    line = 4 * math.ceil(OW / 2) * (C + 3 * O) * itemsize  # bytes of V, M and the sums for one row of tiles
    kernels = 16 * C * O * itemsize
    budget = min(max(4 * kernels, 4 << 20), 8 << 20)  # large kernels want more tiles to meet each time they are read
    lines = math.ceil(OH / 2)
    threads = parallel.get_num_threads()
    if lines * line <= budget and threads <= N:
        # Kernels beyond the caches are read once for all images and each product shared out, not once a thread.
        most = N if kernels >= 8 << 20 else math.ceil(N / threads)
        images = max(1, min(budget // (lines * line), most))
        return [(slice(n, min(n + images, N)), slice(0, OH)) for n in range(0, N, images)]
    some = max(1, min(lines, budget // line, math.ceil(N * lines / threads)))
    return [(slice(n, n + 1), slice(2 * r, min(2 * (r + some), OH))) for n in range(N) for r in range(0, lines, some)]


def _slab(x, images, rows, OW, start):
    """The pixels under a block of outputs, 4×4 under every 2×2 tile  ->  (n, 2·TH + 2, 2·TW + 2, C), (n, TH, TW)"""
    TH, TW = math.ceil((rows.stop - rows.start) / 2), math.ceil(OW / 2)
    top, left = start[0] + rows.start, start[1]
    slab = image_slab(x, images, (top, top + 2 * TH + 2), (left, left + 2 * TW + 2))
    return slab, (len(slab), TH, TW)


def _image_to_tiles(slab, i, tiles):
    """Row i of V = Bᵀ d B for every tile  ->  (4, T, C);   Bᵀ d = (d₀ - d₂, d₁ + d₂, d₂ - d₁, d₁ - d₃)"""
    (n, TH, TW), (W, C) = tiles, slab.shape[2:]
    d = [slab[:, k : k + 2 * TH : 2] for k in range(4)]
    half = _row_of_four(d, i, parallel.scratch("winograd half", (n, TH, W, C), slab))
    V = parallel.scratch("winograd V", (4, n, TH, TW, C), slab)
    d = [half[:, :, k : k + 2 * TW : 2] for k in range(4)]
    for j in range(4):
        _row_of_four(d, j, V[j])
    return V.reshape(4, n * TH * TW, C)


def _row_of_four(d, i, out):
    """Row i of Bᵀ d = (d₀ - d₂, d₁ + d₂, d₂ - d₁, d₁ - d₃)"""
    combine = np.add if i == 1 else np.subtract
    first, second = ((0, 2), (1, 2), (2, 1), (1, 3))[i]
    return combine(d[first], d[second], out=out)


def _sums_to_output(sums, y, tiles):
    """y (n, OH, OW, O) from sums (2, 4, T, O) over rows; what is left is (s₀ + s₁ + s₂, s₁ - s₂ - s₃) for columns."""
    (n, TH, TW), O = tiles, y.shape[3]
    whole = y.shape[1:3] == (2 * TH, 2 * TW) and y.flags.c_contiguous
    out = y if whole else parallel.scratch("winograd y", (n, 2 * TH, 2 * TW, O), y)
    place = out.reshape(n, TH, 2, TW, 2, O)
    for a in (0, 1):
        s = sums[a]
        s[0] += s[1]
        s[1] -= s[2]
        s = s.reshape(4, n, TH, TW, O)
        np.add(s[0], s[2], out=place[:, :, a, :, 0])
        np.subtract(s[1], s[3], out=place[:, :, a, :, 1])
    if not whole:  # an odd row or column of tiles reaches beyond the image
        y[...] = out[:, : y.shape[1], : y.shape[2]]


def _whole_tiles(dy, tiles):
    """dy (n, OH, OW, O) with zeros up to whole tiles of 2×2."""
    n, TH, TW = tiles
    if dy.shape[1:3] == (2 * TH, 2 * TW):
        return dy
    grown = parallel.scratch("winograd y", (n, 2 * TH, 2 * TW, dy.shape[3]), dy)
    grown[:, dy.shape[1] :] = 0
    grown[:, :, dy.shape[2] :] = 0
    grown[:, : dy.shape[1], : dy.shape[2]] = dy
    return grown


def _output_to_tiles(dy, i, tiles):
    """Row i of dM = A dy Aᵀ for every 2×2 tile of dy  ->  (4, T, O)"""
    (n, TH, TW), O = tiles, dy.shape[3]
    half = _row_of_two(dy[:, 0::2], dy[:, 1::2], i, parallel.scratch("winograd half", (n, TH, 2 * TW, O), dy))
    dM = parallel.scratch("winograd M", (4, n, TH, TW, O), dy)
    for j in range(4):
        _row_of_two(half[:, :, 0::2], half[:, :, 1::2], j, dM[j])
    return dM.reshape(4, n * TH * TW, O)


def _row_of_two(first, second, i, out):
    """Row i of A dy = (dy₀, dy₀ + dy₁, dy₀ - dy₁, -dy₁)"""
    if i == 0:
        out[...] = first
    elif i == 3:
        np.negative(second, out=out)
    else:
        (np.add if i == 1 else np.subtract)(first, second, out=out)
    return out
