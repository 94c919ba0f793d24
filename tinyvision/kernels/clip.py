"""Gradients clipped by their norm without anybody waiting for it (clip.cu). To read, there is `nn.clip_grad_norm_`."""

from collections.abc import Sequence

import numpy as np

from ..device import device_of, use
from ..types import Array
from . import is_on, on_gpu_in_float32
from . import launch as gpu
from .sgd import MOST, packed, structure, table

GRADIENTS = structure(("gradient",))


def clipped(gradients: Sequence[Array], most: float) -> Array:
    """Scale all gradients, in place, so that their Euclidean norm is at most `most`; the norm before, (), on the GPU.

    A norm that is not finite changes nothing. Squares are added up in float64, in an order that hangs on sizes only."""
    use(device_of(gradients[0]))
    tables = [
        table(GRADIENTS, {"gradient": gradients[start : start + MOST]}) for start in range(0, len(gradients), MOST)
    ]
    where, parts = gpu.place(gradients[0]), [blocks for _, blocks in tables]
    partial, result = gpu.empty(gradients[0], (sum(parts),), np.float64), gpu.empty(gradients[0], (2,))
    done = 0
    for p, blocks in tables:
        gpu.launch_on(where, "clip", "clip_squares", (blocks, 1, 1), p, partial[done : done + blocks])
        done += blocks
    gpu.launch_on(where, "clip", "clip_joined", (1, 1, 1), partial, result, np.int32(done), np.float32(most))
    for p, blocks in tables:
        gpu.launch_on(where, "clip", "clip_scaled", (blocks, 1, 1), p, result)
    return result[:1].reshape(())


def applies(arrays: Sequence[Array]) -> bool:
    """Whether gradients like these arrays can be clipped so: float32 on one GPU, none with gaps, each in memory of its
    own, which no other shares."""
    if not is_on("clip") or not arrays or not on_gpu_in_float32(arrays):
        return False
    if len({gpu.place(a) for a in arrays}) > 1 or len({gpu.address(a) for a in arrays}) < len(arrays):
        return False
    return all(a.size and gpu.fits((a.size,)) and packed(a) for a in arrays)
