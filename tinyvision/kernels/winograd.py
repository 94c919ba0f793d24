"""Winograd's convolution F(4×4, 3×3) in full FP32 (winograd.cu): a quarter of the multiplications, as 36 products that
cuBLAS does in one strided-batched call.

Why 4×4 and not 2×2, whose rounding error is four times smaller? F(2×2) moves four times as many numbers as image and
output hold, for 2.25 times less arithmetic: where a byte costs as much as 16 operations, that buys nothing. And an
error of 5e-6 of the largest result is far below the noise of a gradient from one batch, and a hundred times below
that of TF32, with which networks train as well."""

import math

import numpy as np

from ..device import get_precision
from ..ops.convolution.sliding import Sliding
from ..types import Array, Pair, Shape
from . import conv, moments
from . import launch as gpu
from .ways import ACTIVATIONS, Way, drop_ins

FEWEST_CHANNELS = 64
FLOP_PER_BYTE = 16  # which a large GPU does in FP32 while it moves a byte (H100: 47 TFLOP/s beside 3 TB/s)
CHANNELS, LANES = 32, 8  # as in winograd.cu
WORKSPACE = 256 << 20  # bytes of V and M; more images than fit are taken in several passes

POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)  # and ∞, as in winograd.cu


def matrices(points: tuple[float, ...] = POINTS) -> tuple[Array, Array, Array]:
    """(Bᵀ (6, 6), G (6, 3), Aᵀ (4, 6)) for these points and ∞, where polynomials are evaluated: Toom and Cook's way
    (Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016). For the simple kernels."""
    B, G, A = np.zeros((6, 6)), np.zeros((6, 3)), np.zeros((6, 4))
    for row, point in enumerate(points):
        others = [p for p in points if p != point]
        B[row, :5] = np.poly(others)[::-1]
        G[row] = np.array([1, point, point**2]) / math.prod(point - p for p in others)
        A[row] = [1, point, point**2, point**3]
    B[5], G[5, 2], A[5, 3] = np.poly(points)[::-1], 1, 1
    return B, G, A.T


def applies(x: Array, weight: Array, output: Pair, sliding: Sliding, finished: bool) -> bool:
    """Whether this is a 3×3 convolution at stride 1 in full FP32, outside of a capture, with enough channels to pay by
    the arithmetic of `pays` (a prediction; not yet measured)."""
    if tuple(weight.shape[2:]) != (3, 3) or get_precision() != "ieee" or gpu.without_cublas():
        return False  # in TF32, tensor cores win
    if not conv.applies(x, weight, output, sliding, finished=True):
        return False
    if sliding.stride != (1, 1) or sliding.dilation != (1, 1) or sliding.groups != 1:
        return False
    return pays(x.shape, (x.shape[0], weight.shape[0], *output))


def pays(x_shape: Shape, y_shape: Shape) -> bool:
    """Whether 36 multiplications a tile, and the bytes that the transforms move, take less time than 9 an output."""
    (N, C, H, W), (_, O, OH, OW) = x_shape, y_shape
    tiles = math.ceil(OH / 4) * math.ceil(OW / 4)
    if min(C, O) < FEWEST_CHANNELS or not gpu.fits((36 * tiles * C, 36 * tiles * O, 36 * C * O)):
        return False
    moved = 4 * (N * (H * W * C + OH * OW * O) + 2 * 36 * (N * tiles * (C + O) + C * O))
    return 2 * 36 * N * tiles * C * O + FLOP_PER_BYTE * moved < 2 * 9 * N * OH * OW * C * O


def transformed(weight: Array, turned: bool = False, simple: bool = False) -> Array:
    """U (36, C, O) of weight (O, C, 3, 3), in whatever order its memory is; turned: (36, O, C) of the kernels turned by
    180°, for the image's gradient."""
    if weight.strides[2] != 3 * weight.strides[3]:  # the nine taps must be evenly spaced
        weight = gpu.aligned(weight)
    (O, C), (out, into, _, tap) = weight.shape[:2], (stride // 4 for stride in weight.strides)
    if turned:
        (O, C), (out, into) = (C, O), (into, out)
    U = gpu.empty(weight, (36, C, O))
    taps = gpu.structure(into=into, out=out, tap=tap, turned=int(turned), C=C, O=O)
    if simple:
        gpu.launch("winograd", "winograd_kernel_simple", gpu.blocks(U.size), weight, U, taps, _matrix(1))
    else:
        gpu.launch("winograd", "winograd_kernel", gpu.blocks(C * O), weight, U, taps)
    return U


def correlate(
    x: Array,
    U: Array,
    y: Array,
    start: Pair,
    scale: Array | None = None,
    shift: Array | None = None,
    skip: Array | None = None,
    activation: str | None = None,
    simple: bool = False,
    measured: bool = False,
) -> None:
    """Fill y (N, OH, OW, O) with x (N, H, W, C) correlated with the kernels behind U (36, C, O).

    measured: leave its moments for a batch-norm (see moments.py), if all images fit one pass; the sums get no more than
    a shift then."""
    (N, H, W, C), (_, OH, OW, O) = x.shape, y.shape
    TH, TW = math.ceil(OH / 4), math.ceil(OW / 4)
    several = max(1, min(N, WORKSPACE // (4 * 36 * TH * TW * (C + O))))
    vectors = [v if v is None else gpu.aligned(v) for v in (scale, shift)]
    for first in range(0, N, several):
        some = slice(first, min(first + several, N))
        images, out = x[some], y[some]
        tiles = len(images) * TH * TW
        geometry = gpu.structure(
            N=len(images), H=H, W=W, C=C, OH=OH, OW=OW, O=O, TH=TH, TW=TW,
            start_h=start[0], start_w=start[1], activation=ACTIVATIONS[activation],
        )  # fmt: skip
        V = gpu.empty(x, (36, tiles, C))
        if simple:
            gpu.launch("winograd", "winograd_image_simple", gpu.blocks(V.size), images, V, geometry, _matrix(0))
        else:
            gpu.launch("winograd", "winograd_image", gpu.blocks(tiles * C), images, V, geometry)
        M = V @ U  # (36, T, C) @ (36, C, O)
        if measured and several == N:
            tiles_each, rows = _chunk(N, TH, TW, OH, OW, O)
            grid = (math.ceil(O / CHANNELS), math.ceil(tiles / tiles_each), 1)
            partial = gpu.empty(x, (grid[1], 2, O))
            sums = (M, vectors[1], y, partial, geometry, np.int32(tiles_each))
            gpu.launch("winograd", "winograd_output_measured", grid, *sums)
            moments.leave(y, partial, rows)
            return
        arguments = (M, *vectors, skip if skip is None else skip[some], out, geometry)
        if simple:
            gpu.launch("winograd", "winograd_output_simple", gpu.blocks(out.size), *arguments, _matrix(2))
        else:
            gpu.launch("winograd", "winograd_output", gpu.blocks(tiles * O), *arguments)


def _chunk(N, TH, TW, OH, OW, O):
    """(tiles, pixels) of the chunks whose moments are left, for eight blocks a multiprocessor of a large GPU: rows of
    tiles where each has four rows of pixels, else images, so many that all lanes of a block have a tile."""
    (unit, pixels), units = ((TW, 4 * OW), N * TH) if OH % 4 == 0 else ((TH * TW, OH * OW), N)
    wanted = max(1, 8 * conv.MULTIPROCESSORS // math.ceil(O / CHANNELS))
    several = min(units, max(math.ceil(units / wanted), math.ceil(LANES / unit)))
    return several * unit, several * pixels


def _matrix(which):
    """The structure `Matrix` of winograd.cu."""
    matrix = np.zeros((), [("at", np.float32, 36)])
    flat = matrices()[which].ravel()
    matrix["at"][: flat.size] = flat
    return matrix


def _correlate(x, U, y, sliding, **finish):
    correlate(x, U, y, sliding.start, measured=moments.asked(), **finish)


def _image_gradient(dy, weight, dx, sliding, onto=None):
    """A correlation with the turned kernels, at stride 1 as well."""
    correlate(dy, transformed(weight, turned=True), dx, sliding.turned((3, 3)).start, skip=onto)


# The weight's gradient is left to the kernel that computes it without Winograd.
DROP_INS = drop_ins(
    Way(applies, _correlate, _image_gradient, conv.dweight, lambda weight, groups: transformed(weight), adds=True),
    "winograd",
    "winograd",
)
