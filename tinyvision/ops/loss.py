"""Softmax and the losses. Classes are axis 1, as in PyTorch: logits are (N, K) or (N, K, H, W)."""

import numpy as np

from ..errors import DtypeError, OptionError, ShapeError
from .door import check_arrays, check_devices, describe, shape_error


def softmax_forward(x, axis=-1):
    """y = exp(x) / Σ exp(x) along one axis.   x any shape  ->  y the same shape, cache"""
    check_arrays("softmax", x=x)
    _check_axis("softmax", x, axis)
    y = np.exp(x - x.max(axis=axis, keepdims=True))  # subtracting the largest changes nothing but the overflow
    y /= y.sum(axis=axis, keepdims=True)
    return y, (y, axis)


def softmax_backward(dy, cache, needs=(True,)):
    """dx = y · (dy - Σ dy·y): raising one score lowers all other probabilities.   dy  ->  dx"""
    y, axis = cache
    return (y * (dy - (dy * y).sum(axis=axis, keepdims=True)),)


def log_softmax_forward(x, axis=-1):
    """y = x - log Σ exp(x) along one axis, computed without overflow.   x any shape  ->  y the same shape, cache"""
    check_arrays("log_softmax", x=x)
    _check_axis("log_softmax", x, axis)
    y = x - x.max(axis=axis, keepdims=True)
    y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return y, (y, axis)


def log_softmax_backward(dy, cache, needs=(True,)):
    """dx = dy - softmax(x) · Σ dy.   dy  ->  dx"""
    y, axis = cache
    return (dy - np.exp(y) * dy.sum(axis=axis, keepdims=True),)


def cross_entropy_forward(logits, labels, weight=None, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    """loss = -Σ target · log softmax(logits), averaged over the batch.

    logits (N, K) or (N, K, ...); labels (N,) or (N, ...) integers 0 ... K-1, or probabilities of the shape of logits
    ->  loss (), cache.   With reduction="none" the loss keeps the shape of the labels; "sum" adds it up.

    `weight` (K,) multiplies every class; the mean then divides by the sum of the weights of the labels that count.
    Labels equal to ignore_index count nothing. `label_smoothing` ε moves ε of the target evenly onto all K classes
    (Szegedy et al., 2016). Raises ShapeError, DtypeError, OptionError, and names a label that is no class."""
    check_arrays("cross_entropy", logits=logits, weight=weight)
    check_devices("cross_entropy", logits=logits, labels=labels)
    if not 0 <= label_smoothing <= 1:
        raise OptionError(f"cross_entropy: label_smoothing must be from 0 to 1, got {label_smoothing!r}")
    if reduction not in ("mean", "sum", "none"):
        raise OptionError(f'cross_entropy: reduction must be "mean", "sum" or "none", got {reduction!r}')
    if logits.ndim < 2:
        raise ShapeError(f"cross_entropy: logits must be (N, K), got {tuple(logits.shape)}")
    K = logits.shape[1]
    if weight is not None and tuple(weight.shape) != (K,):
        raise shape_error("cross_entropy", f"weight needs {K} numbers", logits=("(N, K)", logits), weight=("(K,)", weight))
    target, divisor = _target(logits, labels, weight, ignore_index, label_smoothing, reduction)
    log_p, _ = log_softmax_forward(logits, axis=1)
    loss = -(target * log_p).sum(axis=1)
    if reduction != "none":
        loss = np.asarray(loss.sum() / divisor, dtype=loss.dtype, like=loss)
    return loss, (log_p, target, divisor)


def cross_entropy_backward(dy, cache, needs=(True, False)):
    """dlogits = dy · (softmax(logits) · Σ target - target) / divisor.   dy ()  ->  dlogits (N, K), None

    With integer labels this is the well-known (softmax - one-hot) / N: every row sums to 0."""
    log_p, target, divisor = cache
    dlogits = np.exp(log_p)
    dlogits *= target.sum(axis=1, keepdims=True)
    dlogits -= target
    dlogits *= (np.expand_dims(dy, 1) if dy.ndim else dy) / divisor
    return dlogits, None


def mse_forward(x, target, reduction="mean"):
    """loss = mean of (x - target)².   x, target any one shape  ->  loss (), cache; reduction as in cross_entropy

    Raises ShapeError: unlike NumPy, it does not broadcast, because a (N, 1) against a (N,) is always a mistake."""
    check_arrays("mse", x=x, target=target)
    if tuple(x.shape) != tuple(target.shape):
        raise shape_error("mse", "x and target differ in shape", x=("(...)", x), target=("(...)", target))
    if reduction not in ("mean", "sum", "none"):
        raise OptionError(f'mse: reduction must be "mean", "sum" or "none", got {reduction!r}')
    difference = x - target
    loss = difference * difference
    divisor = max(x.size, 1) if reduction == "mean" else 1
    if reduction != "none":
        loss = np.asarray(loss.sum() / divisor, dtype=loss.dtype, like=loss)
    return loss, (difference, divisor)


def mse_backward(dy, cache, needs=(True, True)):
    """dx = dy · 2 (x - target) / size, dtarget = -dx.   dy ()  ->  dx, dtarget"""
    difference, divisor = cache
    dx = difference * (2 / divisor) * dy
    return dx if needs[0] else None, -dx if needs[1] else None


def _check_axis(op, x, axis):
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"{op}: axis {axis} does not exist in {tuple(x.shape)}")


def _target(logits, labels, weight, ignore_index, smoothing, reduction):
    """What every log-probability is multiplied by, (N, K, ...), and the number by which the sum is divided."""
    K = logits.shape[1]
    shape = (1, K) + (1,) * (logits.ndim - 2)
    if labels.dtype.kind == "f":
        if tuple(labels.shape) != tuple(logits.shape):
            raise shape_error(
                "cross_entropy", "labels are floats, so they must be probabilities shaped like logits "
                "(for class numbers use integers)", logits=("(N, K)", logits), labels=("(N, K)", labels),
            )
        target = labels * (1 - smoothing) + smoothing / K
        divisor = labels.size // K
        target = target.astype(logits.dtype) if weight is None else (target * weight.reshape(shape)).astype(logits.dtype)
        return target, max(divisor, 1) if reduction == "mean" else 1
    counts, safe = _checked_labels(logits, labels, ignore_index)
    classes = np.arange(K, like=labels).reshape(shape)
    target = (np.expand_dims(safe, 1) == classes).astype(logits.dtype)
    if weight is None:
        divisor = counts.sum() if reduction == "mean" else 1
        if smoothing:
            target = target * (1 - smoothing) + smoothing / K
    else:
        weight = weight.reshape(shape)
        divisor = (target * weight * np.expand_dims(counts, 1)).sum() if reduction == "mean" else 1
        target = target * weight * (1 - smoothing) + weight * (smoothing / K)
    target = target * np.expand_dims(counts, 1)
    return target.astype(logits.dtype), divisor


def _checked_labels(logits, labels, ignore_index):
    """(which labels count, labels with the ignored ones replaced by 0), after every label has been found to be a class."""
    K = logits.shape[1]
    if labels.dtype.kind not in "iu":
        raise DtypeError(f"cross_entropy: labels must be integers (class numbers) or floats (probabilities), got {labels.dtype}")
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
