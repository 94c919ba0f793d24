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
    label_smoothing = fraction("cross_entropy", "label_smoothing", label_smoothing)
    _check_classes("cross_entropy", logits, labels, weight, ignore_index, reduction)
    target, divisor = _target("cross_entropy", logits, labels, weight, ignore_index, label_smoothing, reduction)
    log_p, _ = log_softmax_forward(logits, axis=1)
    scale = 1 - label_smoothing if weight is None else (1 - label_smoothing) * _of_classes(weight, logits)
    return _minus_likelihood(log_p, target, divisor, reduction), (log_p, target, divisor, scale)


def cross_entropy_backward(dy: Array, cache: Any, needs: Needs = (True, False)) -> Gradients:
    """dlogits = dy · (softmax(logits) · Σ target - target) / divisor.   dy ()  ->  dlogits (N, K), None

    With integer labels this is the well-known (softmax - one-hot) / N: every row sums to 0. Probabilities have a
    gradient of their own, dlabels = -dy · log softmax(logits) / divisor, where it is wanted."""
    log_p, target, divisor, scale = cache
    each = (np.expand_dims(dy, 1) if dy.ndim else dy) / divisor
    dlogits = np.exp(log_p)
    dlogits *= target.sum(axis=1, keepdims=True)
    dlogits -= target
    dlogits *= each
    return dlogits, (-each * scale * log_p).astype(log_p.dtype, copy=False) if needs[1] else None


def nll_loss_forward(
    log_p: Array, labels: Array, weight: Array | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> tuple[Array, Any]:
    """loss = -Σ log_p[n, labels[n]], averaged over the batch: the cross-entropy of what is a logarithm already.

    log_p (N, K) or (N, K, ...), labels (N,) or (N, ...) integers  ->  loss (), cache. Options and errors are those
    of `cross_entropy_forward`."""
    _check_classes("nll_loss", log_p, labels, weight, ignore_index, reduction)
    if labels.dtype.kind == "f":
        raise DtypeError("nll_loss: labels must be class numbers (integers), got floating-point numbers")
    target, divisor = _target("nll_loss", log_p, labels, weight, ignore_index, 0, reduction)
    return _minus_likelihood(log_p, target, divisor, reduction), (target, divisor)


def nll_loss_backward(dy: Array, cache: Any, needs: Needs = (True, False)) -> Gradients:
    """dlog_p = -dy · target / divisor.   dy ()  ->  dlog_p (N, K), None"""
    target, divisor = cache
    return target * -((np.expand_dims(dy, 1) if dy.ndim else dy) / divisor), None


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
        loss = loss.mean() if reduction == "mean" else loss.sum()
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


def _check_classes(op, scores, labels, weight, ignore_index, reduction):
    """What is asked of every loss over classes, but for the labels themselves."""
    check_arrays(op, logits=scores, weight=weight)
    check_devices(op, logits=scores, labels=labels)
    if not is_integer(ignore_index):
        raise OptionError(f"{op}: ignore_index must be an integer, got {ignore_index!r}")
    if reduction not in ("mean", "sum", "none"):
        raise OptionError(f'{op}: reduction must be "mean", "sum" or "none", got {reduction!r}')
    if scores.ndim < 2 or scores.shape[1] == 0:
        raise ShapeError(f"{op}: logits must be (N, K) or (N, K, ...) with K > 0, got {tuple(scores.shape)}")
    K = scores.shape[1]
    if weight is not None and tuple(weight.shape) != (K,):
        raise shape_error(op, f"weight needs {K} numbers", logits=("(N, K)", scores), weight=("(K,)", weight))


def _minus_likelihood(log_p, target, divisor, reduction):
    """-Σ target · log_p over the classes, reduced. A class that is no target says nothing, impossible (-inf) or not."""
    loss = 0 - (target * np.where(target != 0, log_p, 0)).sum(axis=1)
    return loss if reduction == "none" else as_array(loss.sum() / divisor)


def _target(op, logits, labels, weight, ignore_index, smoothing, reduction):
    """What every log-probability is multiplied by, (N, K, ...), and the number by which the sum is divided."""
    K = logits.shape[1]
    if labels.dtype.kind == "f":
        if tuple(labels.shape) != tuple(logits.shape):
            raise shape_error(
                op,
                "labels are floats, so they must be probabilities shaped like logits (for class numbers use integers)",
                logits=("(N, K)", logits),
                labels=("(N, K)", labels),
            )
        if ignore_index >= 0:
            raise OptionError(f"{op}: labels are probabilities, of which ignore_index={ignore_index} can ignore none")
        target = labels * (1 - smoothing) + smoothing / K
        target = (target if weight is None else target * _of_classes(weight, logits)).astype(logits.dtype)
        divisor = labels.size // K if reduction == "mean" else 1
        if divisor == 0:
            raise _nothing_to_average(op, labels, ignore_index)
        return target, divisor
    counts, safe = _checked_labels(op, logits, labels, ignore_index)
    classes = _of_classes(np.arange(K, like=labels), logits)
    target = (np.expand_dims(safe, 1) == classes).astype(logits.dtype)
    counts = np.expand_dims(counts, 1).astype(logits.dtype)
    target *= counts
    if weight is not None:
        weight = _of_classes(weight, logits)
        target *= weight
    divisor = target.sum() if reduction == "mean" else 1  # without weights: how many labels count
    if reduction == "mean" and float(divisor) == 0:
        raise _nothing_to_average(op, labels, ignore_index)
    if smoothing:
        target *= 1 - smoothing
        evenly = counts * (smoothing / K)
        target += evenly if weight is None else evenly * weight
    return target, divisor


def _of_classes(numbers, logits):
    """One number for each class, (K,), in the shape that meets logits (N, K, ...)."""
    return numbers.reshape(1, -1, *(1,) * (logits.ndim - 2))


def _nothing_to_average(op, labels, ignore_index):
    if labels.size == 0:
        why = "the batch is empty"
    elif labels.dtype.kind in "iu" and not bool((labels != ignore_index).any()):
        why = f"every label is ignore_index ({ignore_index})"
    else:
        why = "every label that counts has weight 0"
    return OptionError(f'{op}: {why}, so there is no mean; skip this batch or use reduction="sum"')


def _checked_labels(op, logits, labels, ignore_index):
    """(which labels count, labels with the ignored ones replaced by 0), once every label is known to be a class."""
    K = logits.shape[1]
    if labels.dtype.kind not in "iu":
        raise DtypeError(f"{op}: labels must be integers (class numbers) or floats (probabilities), got {labels.dtype}")
    if tuple(labels.shape) != (logits.shape[0], *logits.shape[2:]):
        shown = describe(logits=("(N, K, ...)", logits), labels=("(N, ...)", labels))
        raise ShapeError(f"{op}: one label is needed for each row of logits\n{shown}")
    counts = labels != ignore_index
    wrong = counts & ((labels < 0) | (labels >= K))
    if bool(wrong.any()):
        at = tuple(int(i[0]) for i in np.nonzero(wrong))
        at = at[0] if len(at) == 1 else at
        raise OptionError(f"{op}: labels[{at}] is {int(labels[at])}, but the classes are 0 to {K - 1}")
    return counts, np.where(counts, labels, 0)
