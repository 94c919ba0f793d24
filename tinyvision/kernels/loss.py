"""Softmax and cross-entropy fused (loss.cu), for logits (N, K) and integer labels (N,) without class weights.
Signatures are those of `ops.loss`; the cache holds two numbers per row in place of all probabilities."""

from typing import Any

import numpy as np

from ..errors import OptionError
from ..ops import loss as ops_loss
from ..types import Array, Gradients, Needs
from . import DropIn
from . import launch as gpu


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
    N, K = logits.shape
    logits, labels = gpu.aligned(logits), gpu.aligned(labels.astype(np.int64, copy=False))
    log_sums, losses, wrong = gpu.empty(logits, (N, 2)), gpu.empty(logits, (N,)), gpu.empty(logits, (1,), np.int32)
    loss, divisor = gpu.empty(logits, (1,)), gpu.empty(logits, (1,))
    sizes = (np.int32(N), np.int32(K), np.int64(ignore_index))
    smoothing = np.float32(label_smoothing)
    gpu.launch("loss", "cross_entropy_rows", (N, 1, 1), logits, labels, log_sums, losses, *sizes, smoothing)
    mean = np.int32(reduction == "mean")
    gpu.launch("loss", "cross_entropy_mean", (1, 1, 1), losses, labels, loss, divisor, wrong, *sizes, mean)
    if not gpu.capturing() and int(wrong[0]):
        bad = (labels != ignore_index) & ((labels < 0) | (labels >= K))
        at = int(np.nonzero(bad)[0][0])
        raise OptionError(f"cross_entropy: labels[{at}] is {int(labels[at])}, but the classes are 0 to {K - 1}")
    return loss.reshape(()), (logits, labels, log_sums, divisor, sizes, smoothing)


def cross_entropy_backward(dy: Array, cache: Any, needs: Needs = (True, False)) -> Gradients:
    """As `ops.cross_entropy_backward`."""
    logits, labels, log_sums, divisor, sizes, smoothing = cache
    dlogits = gpu.empty(logits, logits.shape)
    arrays = (gpu.aligned(dy.reshape(1)), logits, labels, log_sums, divisor, dlogits)
    gpu.launch("loss", "cross_entropy_gradient", gpu.blocks(logits.size), *arrays, *sizes, smoothing)
    return dlogits, None


def _applies(logits, labels, weight=None, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    if logits.ndim != 2 or labels.dtype.kind not in "iu" or tuple(labels.shape) != logits.shape[:1]:
        return False
    plain = weight is None and reduction in ("mean", "sum") and 0 <= label_smoothing <= 1
    return plain and logits.size > 0 and gpu.fits((logits.size,)) and logits.shape[0] < 2**24


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
