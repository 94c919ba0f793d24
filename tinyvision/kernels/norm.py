"""Batch normalisation in one pass over memory per direction and purpose (norm.cu), with ReLU, or
ReLU6, and a skip path fused in. Signatures and caches are those of `ops.norm`."""

import math
import sys
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..ops import norm
from ..types import Array, Gradients, Needs
from . import launch as gpu
from . import stand_ins
from .moments import taken

CHANNELS, JOINED = 32, 8  # as in norm.cu: of a block that looks after rows, and of one that joins the chunks' sums


def batch_moments(x: Array) -> tuple[Array, Array]:
    """As `ops.norm.batch_moments`."""
    return running_moments(x, None, None)


def running_moments(
    x: Array,
    running_mean: Array | None,
    running_var: Array | None,
    counter: Array | None = None,
    momentum: float = 0.1,
) -> tuple[Array, Array]:
    """As `ops.norm.running_moments`: each chunk of rows in one block; what joins the chunks also sees to the averages
    and the counter, which would be seven launches of a few numbers each."""
    on, images = _on(x.shape), gpu.channels_last(x)
    mean, var, left = gpu.empty(x, on.vector), gpu.empty(x, on.vector), taken(images)
    if left is not None:  # the convolution in front has been through them
        partial, chunk, chunks = left.partial, np.int32(left.rows), np.int32(len(left.partial))
    else:
        partial, chunk, chunks = gpu.empty(x, on.partial), on.chunk, on.chunks
        gpu.launch("norm", "moments_of_chunks" + on.wide, on.grid, images, partial, *on.sizes, chunk)
    kept = (running_mean, running_var, None if counter is None else counter.reshape(1), np.float32(momentum))
    gpu.launch("norm", "moments_joined", on.joined, partial, mean, var, *on.sizes, chunk, chunks, *kept)
    return mean, var


def batchnorm_train_forward(
    x: Array, weight: Array, bias: Array, eps: float = 1e-5, moments: tuple[Array, Array] | None = None
) -> tuple[Array, Any]:
    """As `ops.batchnorm_train_forward`."""
    mean, var = batch_moments(x) if moments is None else moments
    return _normalized(x, None, weight, bias, mean, var, eps), (x, weight, mean, var, eps)


def batchnorm_train_backward(dy: Array, cache: Any, needs: Needs = (True, True, True)) -> Gradients:
    """As `ops.batchnorm_train_backward`."""
    return _gradients(dy, None, cache, needs)[:3]


def batchnorm_frozen_forward(
    x: Array, weight: Array, bias: Array, mean: Array, var: Array, eps: float = 1e-5
) -> tuple[Array, Any]:
    """As `ops.batchnorm_frozen_forward`."""
    return _normalized(x, None, weight, bias, mean, var, eps), (x, weight, mean, var, eps)


def folded(
    weight: Array, bias: Array, mean: Array, var: Array, shift: Array | None = None, eps: float = 1e-5
) -> tuple[Array, Array]:
    """As `ops.norm.folded`."""
    C = len(weight)
    scale, out = gpu.empty(weight, (C,)), gpu.empty(weight, (C,))
    vectors = (None if v is None else gpu.aligned(v) for v in (weight, bias, mean, var, shift))
    gpu.launch("norm", "folded", gpu.blocks(C), *vectors, scale, out, np.int32(C), np.float32(eps))
    return scale, out


def batchnorm_relu_forward(
    x: Array,
    weight: Array,
    bias: Array,
    skip: Array | None = None,
    eps: float = 1e-5,
    moments: tuple[Array, Array] | None = None,
    top: float = math.inf,
) -> tuple[Array, Any]:
    """As `ops.batchnorm_relu_forward`."""
    mean, var = batch_moments(x) if moments is None else moments
    y = _normalized(x, skip, weight, bias, mean, var, eps, top)
    return y, (y, top, skip is not None, (x, weight, mean, var, eps))


def batchnorm_relu_backward(dy: Array, cache: Any, needs: Needs = (True, True, True, True)) -> Gradients:
    """As `ops.batchnorm_relu_backward`."""
    y, top, has_skip, inner = cache
    return _gradients(dy, y, inner, (*needs, False)[:4] if has_skip else (*needs[:3], False), top)


class On(NamedTuple):
    """What the launches for images of one shape have in common. The kernels see the images, channels last, as a matrix
    of M rows for C channels, which they share out in chunks of rows."""

    wide: str  # behind a kernel's name: the version that reads four channels at once, where there are whole fours
    grid: tuple[int, int, int]
    joined: tuple[int, int, int]  # the grid that joins the chunks' sums
    partial: tuple[int, int, int]  # the shape of these sums
    vector: tuple[int]
    images: tuple[int, ...]
    sizes: tuple[np.int32, np.int32]  # M, C
    chunk: np.int32
    chunks: np.int32


@lru_cache(4096)
def _on(shape):
    """`On` for x (N, C, ...)."""
    N, C, *sides = shape
    M = N * math.prod(sides)
    chunk, chunks = _chunks(M, C)
    return On(
        wide="" if C % 4 else "_four",
        grid=(math.ceil(C / CHANNELS), chunks, 1),
        joined=(math.ceil(C / JOINED), 1, 1),
        partial=(chunks, 2, C),
        vector=(C,),
        images=(N, *sides, C),
        sizes=(np.int32(M), np.int32(C)),
        chunk=np.int32(chunk),
        chunks=np.int32(chunks),
    )


def _chunks(M, C):
    """(rows in a chunk, chunks): four blocks for each multiprocessor of a large GPU, at least 64 rows each."""
    wanted = max(1, 528 // math.ceil(C / CHANNELS))
    chunk = max(64, math.ceil(M / wanted))
    return chunk, math.ceil(M / chunk)


@lru_cache(64)
def _ends(top):
    """(whether there is a ReLU, where it ends), as the kernels take them: for no ReLU (None), one that ends nowhere
    (inf), or one that does."""
    return np.int32(top is not None), np.float32(math.nan if top in (None, math.inf) else top)


def _normalized(x, skip, weight, bias, mean, var, eps, top=None):
    on = _on(x.shape)
    y, skip = gpu.empty(x, on.images), None if skip is None else gpu.channels_last(skip)
    vectors = [gpu.aligned(v) for v in (mean, var, weight, bias)]
    numbers = (*on.sizes, on.chunk, np.float32(eps), *_ends(top))
    gpu.launch("norm", "normalize" + on.wide, on.grid, gpu.channels_last(x), skip, *vectors, y, *numbers)
    return gpu.channels_first(y)


def _gradients(dy, y, cache, needs, top=None):
    """(dx, dweight, dbias, dskip), of which dx and dskip only if needed; y, if given, is the output of a ReLU."""
    x, weight, mean, var, eps = cache
    on, weight, mean, var = _on(x.shape), gpu.aligned(weight), gpu.aligned(mean), gpu.aligned(var)
    images, dimages, results = gpu.channels_last(x), gpu.channels_last(dy), None if y is None else gpu.channels_last(y)
    partial, factors = gpu.empty(x, on.partial), gpu.empty(x, (3, *on.vector))
    dweight, dbias = gpu.empty(x, on.vector), gpu.empty(x, on.vector)
    arrays, sizes = (dimages, results, images, mean), (*on.sizes, on.chunk, _ends(top)[1])
    gpu.launch("norm", "gradient_sums_of_chunks" + on.wide, on.grid, *arrays, partial, *sizes)
    vectors = (var, weight, dweight, dbias, factors)
    gpu.launch("norm", "gradient_sums_joined", on.joined, partial, *vectors, *on.sizes, on.chunks, np.float32(eps))
    dx = gpu.empty(x, on.images) if needs[0] else None
    dskip = gpu.empty(x, on.images) if len(needs) > 3 and needs[3] else None
    if dx is not None or dskip is not None:
        gpu.launch("norm", "gradient_applied" + on.wide, on.grid, *arrays, factors, dx, dskip, *sizes)
    dx, dskip = (None if g is None else gpu.channels_first(g) for g in (dx, dskip))
    return dx, dweight if needs[1] else None, dbias if needs[2] else None, dskip


def _applies(x, *vectors, eps=1e-5, moments=None):
    """Whether x is (N, C, ...) with M ≥ 2 rows and fits 32-bit offsets, and every vector is (C,)."""
    if x.ndim < 2 or x.size < 1 or x.size // x.shape[1] < 2 or not gpu.fits((x.size,)):
        return False
    return all(tuple(v.shape) == (x.shape[1],) for v in vectors)


def _applies_with_skip(x, weight, bias, skip=None, eps=1e-5, moments=None, top=math.inf):
    return _applies(x, weight, bias) and (skip is None or tuple(skip.shape) == tuple(x.shape))


def _applies_to_vectors(*vectors, eps=1e-5):
    """Whether these are vectors of one length, and not of none."""
    shapes = {tuple(v.shape) for v in vectors if v is not None}
    return len(shapes) == 1 and len(*shapes) == 1 and shapes != {(0,)}


def _applies_to_running(x, running_mean, running_var, counter=None, momentum=0.1):
    """Whether the averages can be written to where they are: (C,) without gaps, and a counter of 64 bits."""
    kept = [v for v in (running_mean, running_var) if v is not None]
    if counter is not None and (counter.dtype != np.int64 or counter.size != 1):
        return False
    return _applies(x, *kept) and all(v.flags.c_contiguous for v in kept)


DROP_INS = stand_ins(
    "batchnorm",
    norm,
    sys.modules[__name__],
    {
        "batch_moments": _applies,
        "batchnorm_train": _applies,
        "batchnorm_frozen": _applies,
        "batchnorm_relu": _applies_with_skip,
        "folded": _applies_to_vectors,
        "running_moments": _applies_to_running,
    },
)
