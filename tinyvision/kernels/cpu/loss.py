"""Softmax and cross-entropy over class numbers: a row of scores at a time, while it is in the cache."""

import math
from typing import Any

import numpy as np

from ...ops import loss as ops_loss
from ...ops.checks import is_integer, is_number
from ...types import Array, Gradients, Needs
from .. import DropIn
from .activation import exp_of_less
from .compiled import loop, part
from .lines import channels_are_last, done_in_parts, first, last, matrix


@part
def added_up(values: Array) -> float:
    """Σ values in float64, as a hundred thousand terms in float32 lose a digit: four sums, which need not wait."""
    whole, p, q, r, s = values.size // 4 * 4, 0.0, 0.0, 0.0, 0.0
    for k in range(0, whole, 4):
        p += np.float64(values[k])
        q += np.float64(values[k + 1])
        r += np.float64(values[k + 2])
        s += np.float64(values[k + 3])
    for k in range(whole, values.size):
        p += np.float64(values[k])
    return (p + q) + (r + s)


@loop("void(f4[:, ::1], i8[::1], f4[:, ::1], f4[::1], i8, f4, i8, i8)", "log_p losses")
def likelihoods(
    scores: Array,
    labels: Array,
    log_p: Array,
    losses: Array,
    ignored: int,
    smoothing: float,
    begin: int,
    end: int,
) -> None:
    """log_p = scores - log Σ exp(scores) and losses = -Σ target · log_p, for rows begin to end."""
    K = scores.shape[1]
    for n in range(begin, end):
        row, out, largest = scores[n], log_p[n], scores[n, 0]
        for k in range(1, K):
            if row[k] > largest or row[k] != row[k]:
                largest = row[k]
        for k in range(K):
            out[k] = exp_of_less(row[k] - largest)
        shift = np.float32(math.log(added_up(out)))
        for k in range(K):
            out[k] = (row[k] - largest) - shift
        loss = np.float64(0)
        if labels[n] != ignored and smoothing < 1:
            loss -= (np.float32(1) - smoothing) * out[labels[n]]
        if labels[n] != ignored and smoothing > 0:
            loss -= smoothing / K * added_up(out)
        losses[n] = loss


@loop("void(f4[:, ::1], i8[::1], f4[:, ::1], f4[::1], i8, f4, i8, i8)", "dscores")
def off_target(
    log_p: Array,
    labels: Array,
    dscores: Array,
    dlosses: Array,
    ignored: int,
    smoothing: float,
    begin: int,
    end: int,
) -> None:
    """dscores = dloss · (exp(log_p) - target) for rows begin to end; dlosses has a number for each, or one for all."""
    K = log_p.shape[1]
    for n in range(begin, end):
        row, out = log_p[n], dscores[n]
        counts, dloss, even = np.float32(labels[n] != ignored), dlosses[n if dlosses.size > 1 else 0], smoothing / K
        for k in range(K):
            out[k] = dloss * (counts * (exp_of_less(row[k]) - even))
        if labels[n] != ignored:
            right = labels[n]
            out[right] = dloss * (exp_of_less(row[right]) - (even + (np.float32(1) - smoothing)))


def cross_entropy_forward(
    logits: Array,
    labels: Array,
    weight: None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple[Array, Any]:
    """As `ops.cross_entropy_forward`, for class numbers without weights."""
    rows, numbers = matrix(last(logits)), np.ascontiguousarray(labels, np.int64).reshape(-1)
    ignored = numbers == ignore_index
    counting = len(numbers) - int(np.count_nonzero(ignored))
    inside = np.count_nonzero((numbers >= 0) & (numbers < rows.shape[1]) | ignored) == len(numbers)
    if not inside or (reduction == "mean" and not counting):  # the op says what is wrong
        return ops_loss.cross_entropy_forward(logits, labels, weight, ignore_index, label_smoothing, reduction)
    log_p, losses = np.empty_like(rows), np.empty(len(rows), np.float32)
    options = ignore_index, np.float32(label_smoothing)
    done_in_parts(likelihoods, len(rows), rows.nbytes, rows, numbers, log_p, losses, *options)
    divisor = np.float32(counting if reduction == "mean" else 1)
    loss = losses.reshape(labels.shape) if reduction == "none" else np.asarray(losses.sum() / divisor)
    return loss, (log_p, numbers, divisor, logits.shape, options)


def cross_entropy_backward(dy: Array, cache: Any, needs: Needs = (True, False)) -> Gradients:
    """As `ops.cross_entropy_backward`."""
    log_p, labels, divisor, (N, K, *size), options = cache
    dlogits, dlosses = np.empty_like(log_p), (np.asarray(dy, np.float32) / divisor).reshape(-1)
    done_in_parts(off_target, len(log_p), log_p.nbytes, log_p, labels, dlogits, dlosses, *options)
    return first(dlogits.reshape(N, *size, K)), None


def _applies(logits, labels, weight=None, ignore_index=-100, label_smoothing=0.0, reduction="mean"):
    if (
        logits.ndim < 2
        or labels.dtype.kind not in "iu"
        or labels.dtype == np.uint64
        or labels.shape != (logits.shape[0], *logits.shape[2:])
    ):
        return False
    if weight is not None or reduction not in ("mean", "sum", "none"):
        return False
    numbers = is_number(label_smoothing) and 0 <= label_smoothing <= 1 and is_integer(ignore_index)
    return bool(numbers and abs(ignore_index) < 2**63 and logits.size > 0 and channels_are_last(logits))


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
