"""Softmax and cross-entropy fused (loss.cu), for logits (N, K) and integer labels (N,), or one for each pixel, without
class weights. Signatures are those of `ops.loss`; the cache holds two numbers per row in place of all probabilities."""

from typing import Any

import numpy as np

from ..ops import loss as ops_loss
from ..types import Array, Gradients, Needs
from . import DropIn
from . import launch as gpu

MOST = 256  # classes that one thread goes through


def cross_entropy_forward(
    logits: Array,
    labels: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple[Array, Any]:
    """As `ops.cross_entropy_forward`. While a CUDA graph is captured nothing can be read back, so a label that is no
    class makes the loss NaN there instead of raising OptionError."""
    rows = gpu.aligned(logits) if logits.ndim == 2 else gpu.channels_last(logits).reshape(-1, logits.shape[1])
    flat = gpu.aligned(labels.astype(np.int64, copy=False)).reshape(-1)
    (N, K), mean, smoothing = rows.shape, np.int32(reduction == "mean"), np.float32(label_smoothing)
    log_sums, wrong = gpu.empty(rows, (N, 2)), gpu.empty(rows, (1,), np.int32)
    loss, divisor = gpu.empty(rows, (1,)), gpu.empty(rows, (1,))
    sizes = (np.int32(N), np.int32(K), np.int64(ignore_index))
    if logits.ndim == 2:
        losses = gpu.empty(rows, (N,))
        gpu.launch("loss", "cross_entropy_rows", (N, 1, 1), rows, flat, log_sums, losses, *sizes, smoothing)
        gpu.launch("loss", "cross_entropy_mean", (1, 1, 1), losses, flat, loss, divisor, wrong, *sizes, mean)
    else:
        grid = gpu.blocks(N)
        partial = gpu.empty(rows, (grid[0], 3))
        gpu.launch("loss", "cross_entropy_pixels", grid, rows, flat, log_sums, partial, *sizes, smoothing)
        parts = np.int32(grid[0])
        gpu.launch("loss", "cross_entropy_joined", (1, 1, 1), partial, loss, divisor, wrong, parts, mean)
    if not gpu.capturing() and int(wrong[0]):
        options = (weight, ignore_index, label_smoothing, reduction)
        return ops_loss.cross_entropy_forward(logits, labels, *options)  # which says what is wrong
    return loss.reshape(()), (rows, flat, log_sums, divisor, sizes, smoothing, logits.shape)


def cross_entropy_backward(dy: Array, cache: Any, needs: Needs = (True, False)) -> Gradients:
    """As `ops.cross_entropy_backward`."""
    logits, labels, log_sums, divisor, sizes, smoothing, shape = cache
    dlogits = gpu.empty(logits, logits.shape)
    arrays = (gpu.aligned(dy.reshape(1)), logits, labels, log_sums, divisor, dlogits)
    gpu.launch("loss", "cross_entropy_gradient", gpu.blocks(logits.size), *arrays, *sizes, smoothing)
    if len(shape) > 2:
        dlogits = gpu.channels_first(dlogits.reshape(shape[0], *shape[2:], shape[1]))
    return dlogits, None


def _applies(logits, labels, weight=None, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    if logits.ndim < 2 or labels.dtype.kind not in "iu":
        return False
    if tuple(labels.shape) != (logits.shape[0], *logits.shape[2:]) or (logits.ndim > 2 and logits.shape[1] > MOST):
        return False
    plain = weight is None and reduction in ("mean", "sum") and 0 <= label_smoothing <= 1
    return plain and logits.size > 0 and gpu.fits((logits.size,)) and labels.size < 2**24


DROP_INS = (
    DropIn(
        "cross_entropy",
        (ops_loss.cross_entropy_forward, ops_loss.cross_entropy_backward),
        cross_entropy_forward,
        cross_entropy_backward,
        _applies,
        integers=(1,),
    ),
)
