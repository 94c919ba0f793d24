"""Softmax and the losses. Classes are axis 1, as in PyTorch: logits are (N, K) or (N, K, H, W)."""

from typing import Any

import numpy as np

from ..errors import DtypeError, OptionError, ShapeError
from ..types import Array, Gradients, Needs
from .checks import as_array, check_arrays, check_devices, describe, fraction, is_integer, one_axis, shape_error


def softmax_forward(x: Array, axis: int = -1) -> tuple[Array, Any]:
    """y = exp(x) / Σ exp(x) along one axis.   x any shape  ->  y the same shape, cache"""
    axis = _axis("softmax", x, axis)
    y = np.exp(x - x.max(axis=axis, keepdims=True))  # subtracting the largest changes nothing but the overflow
    y /= y.sum(axis=axis, keepdims=True)
    return y, (y, axis)


def softmax_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = y · (dy - Σ dy·y): raising one score lowers all other probabilities.   dy  ->  dx"""
    y, axis = cache
    return (y * (dy - (dy * y).sum(axis=axis, keepdims=True)),)


def log_softmax_forward(x: Array, axis: int = -1) -> tuple[Array, Any]:
    """y = x - log Σ exp(x) along one axis, computed without overflow.   x any shape  ->  y the same shape, cache"""
    axis = _axis("log_softmax", x, axis)
    y = x - x.max(axis=axis, keepdims=True)
    y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return y, (y, axis)


def log_softmax_backward(dy: Array, cache: Any, needs: Needs = (True,)) -> Gradients:
    """dx = dy - softmax(x) · Σ dy.   dy  ->  dx"""
    y, axis = cache
    return (dy - np.exp(y) * dy.sum(axis=axis, keepdims=True),)


def cross_entropy_forward(
    logits: Array,
    labels: Array,
    weight: Array | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple[Array, Any]:
    """loss = -Σ target · log softmax(logits), averaged over the batch.

    logits (N, K) or (N, K, ...); labels (N,) or (N, ...) integers 0 ... K-1, or probabilities of the shape of logits
    ->  loss (), cache.   With reduction="none" the loss keeps the shape of the labels; "sum" adds it up.

    `weight` (K,) multiplies every class; the mean then divides by the sum of the weights of the labels that count.
    Labels equal to ignore_index count nothing. `label_smoothing` ε moves ε of the target evenly onto all K classes
    (Szegedy et al., 2016). Raises ShapeError, DtypeError, DeviceError, OptionError, and names a label that is no class;
    a mean over no label at all is an error too, where a silent nan would spoil every weight."""
    check_arrays("cross_entropy", logits=logits, weight=weight)
    check_devices("cross_entropy", logits=logits, labels=labels)
    label_smoothing = fraction("cross_entropy", "label_smoothing", label_smoothing)
    if not is_integer(ignore_index):
        raise OptionError(f"cross_entropy: ignore_index must be an integer, got {ignore_index!r}")
    if reduction not in ("mean", "sum", "none"):
        raise OptionError(f'cross_entropy: reduction must be "mean", "sum" or "none", got {reduction!r}')
    if logits.ndim < 2 or logits.shape[1] == 0:
        raise ShapeError(f"cross_entropy: logits must be (N, K) or (N, K, ...) with K > 0, got {tuple(logits.shape)}")
    K = logits.shape[1]
    if weight is not None and tuple(weight.shape) != (K,):
        raise shape_error(
            "cross_entropy", f"weight needs {K} numbers", logits=("(N, K)", logits), weight=("(K,)", weight)
        )
    target, divisor = _target(logits, labels, weight, ignore_index, label_smoothing, reduction)
    log_p, _ = log_softmax_forward(logits, axis=1)
    loss = -(target * log_p).sum(axis=1)
    if reduction != "none":
        loss = as_array(loss.sum() / divisor)
    return loss, (log_p, target, divisor)


def cross_entropy_backward(dy: Array, cache: Any, needs: Needs = (True, False)) -> Gradients:
    """dlogits = dy · (softmax(logits) · Σ target - target) / divisor.   dy ()  ->  dlogits (N, K), None

    With integer labels this is the well-known (softmax - one-hot) / N: every row sums to 0."""
    log_p, target, divisor = cache
    dlogits = np.exp(log_p)
    dlogits *= target.sum(axis=1, keepdims=True)
    dlogits -= target
    dlogits *= (np.expand_dims(dy, 1) if dy.ndim else dy) / divisor
    return dlogits, None


def mse_forward(x: Array, target: Array, reduction: str = "mean") -> tuple[Array, Any]:
    """loss = mean of (x - target)².   x, target any one shape  ->  loss (), cache; reduction as in cross_entropy

    Raises ShapeError: unlike NumPy, it does not broadcast, because a (N, 1) against a (N,) is always a mistake."""
    check_arrays("mse", x=x, target=target)
    if tuple(x.shape) != tuple(target.shape):
        raise shape_error("mse", "x and target differ in shape", x=("(...)", x), target=("(...)", target))
    if reduction not in ("mean", "sum", "none"):
        raise OptionError(f'mse: reduction must be "mean", "sum" or "none", got {reduction!r}')
    difference = x - target
    loss = difference * difference
    if reduction == "mean" and x.size == 0:
        raise ShapeError(
            f'mse: there is nothing to average in {tuple(x.shape)}; reduction="sum" takes empty batches too'
        )
    divisor = x.size if reduction == "mean" else 1
    if reduction != "none":
        loss = loss.sum() / divisor
    return as_array(loss), (difference, divisor)


def mse_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dx = dy · 2 (x - target) / size, dtarget = -dx.   dy ()  ->  dx, dtarget"""
    difference, divisor = cache
    dx = as_array(difference * (2 / divisor) * dy)
    return dx if needs[0] else None, as_array(-dx) if needs[1] else None


def _axis(op, x, axis):
    check_arrays(op, x=x)
    axis = one_axis(op, x, axis)
    if x.shape[axis] == 0:
        raise ShapeError(f"{op}: axis {axis} of {tuple(x.shape)} is empty")
    return axis


def _target(logits, labels, weight, ignore_index, smoothing, reduction):
    """What every log-probability is multiplied by, (N, K, ...), and the number by which the sum is divided."""
    K = logits.shape[1]
    shape = (1, K) + (1,) * (logits.ndim - 2)
    if labels.dtype.kind == "f":
        if tuple(labels.shape) != tuple(logits.shape):
            raise shape_error(
                "cross_entropy",
                "labels are floats, so they must be probabilities shaped like logits (for class numbers use integers)",
                logits=("(N, K)", logits),
                labels=("(N, K)", labels),
            )
        target = labels * (1 - smoothing) + smoothing / K
        target = (target if weight is None else target * weight.reshape(shape)).astype(logits.dtype)
        divisor = labels.size // K if reduction == "mean" else 1
        if divisor == 0:
            raise _nothing_to_average(labels, ignore_index)
        return target, divisor
    counts, safe = _checked_labels(logits, labels, ignore_index)
    classes = np.arange(K, like=labels).reshape(shape)
    target = (np.expand_dims(safe, 1) == classes).astype(logits.dtype)
    counts = np.expand_dims(counts, 1).astype(logits.dtype)
    target *= counts
    if weight is not None:
        weight = weight.reshape(shape)
        target *= weight
    divisor = target.sum() if reduction == "mean" else 1  # without weights: how many labels count
    if reduction == "mean" and float(divisor) == 0:
        raise _nothing_to_average(labels, ignore_index)
    if smoothing:
        target *= 1 - smoothing
        evenly = counts * (smoothing / K)
        target += evenly if weight is None else evenly * weight
    return target, divisor


def _nothing_to_average(labels, ignore_index):
    if labels.size == 0:
        why = "the batch is empty"
    elif labels.dtype.kind in "iu" and not bool((labels != ignore_index).any()):
        why = f"every label is ignore_index ({ignore_index})"
    else:
        why = "every label that counts has weight 0"
    return OptionError(f'cross_entropy: {why}, so there is no mean; skip this batch or use reduction="sum"')


def _checked_labels(logits, labels, ignore_index):
    """(which labels count, labels with the ignored ones replaced by 0), once every label is known to be a class."""
    K = logits.shape[1]
    if labels.dtype.kind not in "iu":
        raise DtypeError(
            f"cross_entropy: labels must be integers (class numbers) or floats (probabilities), got {labels.dtype}"
        )
    if tuple(labels.shape) != (logits.shape[0], *logits.shape[2:]):
        shown = describe(logits=("(N, K, ...)", logits), labels=("(N, ...)", labels))
        raise ShapeError(f"cross_entropy: one label is needed for each row of logits\n{shown}")
    counts = labels != ignore_index
    wrong = counts & ((labels < 0) | (labels >= K))
    if bool(wrong.any()):
        at = tuple(int(i[0]) for i in np.nonzero(wrong))
        at = at[0] if len(at) == 1 else at
        raise OptionError(f"cross_entropy: labels[{at}] is {int(labels[at])}, but the classes are 0 to {K - 1}")
    return counts, np.where(counts, labels, 0)
