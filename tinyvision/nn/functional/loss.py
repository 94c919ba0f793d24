"""The losses. The pairs give the loss of every number; `reduced` adds up or averages, as PyTorch's arguments say."""

import math
import warnings
from typing import Any

import numpy as np

from ...errors import DtypeError, OptionError, ShapeError
from ...sharing import note_derived
from ...tape import Variable
from ...tensors import taped as F
from ...tensors.arranging import broadcast_tensors
from ...tensors.conversion import cast
from ...tensors.inputs import tensor_input
from ...tensors.operands import result_type
from ...tensors.tensor import Tensor

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "box_iou_loss", "cross_entropy", "dice_loss",
    "gaussian_nll_loss", "huber_loss", "kl_div", "l1_loss", "mse_loss", "multi_margin_loss",
    "multilabel_soft_margin_loss", "nll_loss", "poisson_nll_loss", "sigmoid_focal_loss", "smooth_l1_loss",
    "soft_margin_loss",
]  # fmt: skip

REDUCTIONS = ("mean", "sum", "none")


def reduction_of(name: str, size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that PyTorch's arguments ask for: size_average and reduce, where given, are the old spelling of it,
    with PyTorch's warning. Raises OptionError for an unknown one."""
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            UserWarning,
            stacklevel=4,
        )
    if reduction not in REDUCTIONS:
        raise OptionError(f'{name}: reduction must be "mean", "sum" or "none", got {reduction!r}')
    return reduction


def reduced(name: str, loss: Any, size_average: bool | None, reduce: bool | None, reduction: str) -> Tensor:
    """The losses themselves, their sum or their mean."""
    reduction = reduction_of(name, size_average, reduce, reduction)
    return loss if reduction == "none" else F.sum(loss) if reduction == "sum" else F.mean(loss)


def _of_one_kind(name, input, target):
    """Both in the dtype in which their numbers meet, as these losses of PyTorch's have it: whole numbers beside
    floats become floats."""
    input, target = tensor_input(name, "input", input), tensor_input(name, "target", target)
    if input.dtype == target.dtype:
        return input, target
    kind = result_type(input, target)
    return cast(input, kind), cast(target, kind)


def _side_by_side(name, input, target):
    """Both in one dtype and of one shape. What differs in shape is broadcast, with a warning, as PyTorch does it: of
    (N, 1) and (N,) it makes (N, N), which hardly anybody means. Raises ShapeError."""
    input, target = tensor_input(name, "input", input), tensor_input(name, "target", target)
    if input.shape == target.shape:
        return _of_one_kind(name, input, target)
    warnings.warn(
        f"{name}: input {tuple(input.shape)} and target {tuple(target.shape)} differ in shape and are broadcast, which "
        "may give every pair of numbers a loss; make their shapes the same",
        UserWarning,
        stacklevel=3,
    )
    return _of_one_kind(name, *_broadcast(name, input, target))  # a target without axes has some by now, and counts


def _broadcast(name, input, target):
    try:
        return broadcast_tensors(input, target)
    except ShapeError:
        given = f"input {tuple(input.shape)} and target {tuple(target.shape)}"
        raise ShapeError(f"{name}: {given} differ in shape, and cannot be broadcast") from None


def _weighted(name, loss, weight, input, exactly=False):
    """Each loss times its weight, which may be broadcast to the input's shape unless it must have it `exactly`, but
    makes it no larger. Raises ShapeError."""
    if weight is None:
        return loss
    weight = tensor_input(name, "weight", weight)
    try:
        weighted = loss * weight
    except ShapeError:
        weighted = None
    fits = weight.shape == tuple(input.shape) if exactly else weighted is not None and weighted.shape == loss.shape
    if weighted is None or not fits:
        raise ShapeError(f"{name}: weight {tuple(weight.shape)} does not fit input {tuple(input.shape)}")
    return weighted


def _row(input, target):
    """Scores (K,) with their class number, () or (1,), as a batch of one."""
    if target.shape != (1,) or target.array.dtype.kind == "f":
        target = F.reshape(target, shape=(1, *target.shape))
    return F.reshape(input, shape=(1, *input.shape)), target


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-Σ target · log softmax(input), averaged over the batch (see `ops.cross_entropy_forward`).

    input (N, K), (N, K, ...) or (K,); target class numbers (N,), (N, ...) or (), or probabilities like input."""
    input, target = tensor_input("cross_entropy", "input", input), tensor_input("cross_entropy", "target", target)
    reduction = reduction_of("cross_entropy", size_average, reduce, reduction)
    weight = weight.array if isinstance(weight, Variable) else weight
    alone = input.ndim == 1
    if alone:
        input, target = _row(input, target)
    options = {"ignore_index": ignore_index, "label_smoothing": label_smoothing, "reduction": reduction}
    loss = F.cross_entropy(input, target, weight=weight, **options)
    return F.reshape(loss, shape=()) if alone and reduction == "none" else loss


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-input[n, target[n]], averaged over the batch: the cross-entropy of log-probabilities, as log_softmax gives them.

    input (N, K), (N, K, ...) or (K,), target (N,), (N, ...) or () class numbers. See `ops.nll_loss_forward`."""
    reduction = reduction_of("nll_loss", size_average, reduce, reduction)
    weight = weight.array if isinstance(weight, Variable) else weight
    input, target = tensor_input("nll_loss", "input", input), tensor_input("nll_loss", "target", target)
    alone = input.ndim == 1
    if alone:
        input, target = _row(input, target)
    loss = F.nll_loss(input, target, weight=weight, ignore_index=ignore_index, reduction=reduction)
    return F.reshape(loss, shape=()) if alone and reduction == "none" else loss


def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Tensor:
    """The mean of (input - target)², weighted where there is a weight, shaped like input."""
    name, reduction = "mse_loss", reduction_of("mse_loss", size_average, reduce, reduction)
    one, two = _side_by_side(name, input, target)
    if weight is None:
        return F.mse(one, two, reduction=reduction)
    return _weighted_mean(name, F.mse(one, two, reduction="none"), weight, input, reduction)


def l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Tensor:
    """The mean of |input - target|, weighted where there is a weight, shaped like input."""
    loss = F.l1(*_side_by_side("l1_loss", input, target))
    if weight is None:
        return reduced("l1_loss", loss, size_average, reduce, reduction)
    reduction = reduction_of("l1_loss", size_average, reduce, reduction)
    return _weighted_mean("l1_loss", loss, weight, input, reduction)


def _weighted_mean(name, loss, weight, input, reduction):
    """Losses with weights, reduced; their mean is Σ weight · loss / Σ weight."""
    weighted = _weighted(name, loss, weight, input, exactly=True)
    if reduction == "mean":
        return F.sum(weighted) / F.sum(tensor_input(name, "weight", weight))
    return reduced(name, weighted, None, None, reduction)


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """d² / (2 · beta) where d = |input - target| < beta, else d - beta / 2; the mean."""
    return reduced(
        "smooth_l1_loss",
        F.smooth_l1(*_side_by_side("smooth_l1_loss", input, target), beta=beta),
        size_average,
        reduce,
        reduction,
    )


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Tensor:
    """d² / 2 where d = |input - target| < delta, else delta · (d - delta / 2), times a weight shaped like
    input; the mean."""
    loss = F.huber(*_side_by_side("huber_loss", input, target), delta=delta)
    loss = loss.to(input.dtype) if isinstance(input, Tensor) and input.dtype.kind == "f" else loss  # as PyTorch has it
    loss = _weighted("huber_loss", loss, weight, input, exactly=True)
    return reduced("huber_loss", loss, None, None, reduction)


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-target · log(input) - (1 - target) · log(1 - input), of probabilities; the mean. A log is -100 at least."""
    loss = _weighted("binary_cross_entropy", F.bce(input, target), weight, input)
    return reduced("binary_cross_entropy", loss, size_average, reduce, reduction)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Tensor:
    """The binary cross-entropy of sigmoid(input), without overflow; pos_weight multiplies the part of target 1."""
    pos_weight = pos_weight.array if isinstance(pos_weight, Variable) else pos_weight
    loss = _weighted("binary_cross_entropy_with_logits", F.bce_with_logits(input, target, pos_weight), weight, input)
    return reduced("binary_cross_entropy_with_logits", loss, size_average, reduce, reduction)


def kl_div(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """target · (log(target) - input), input a logarithm already. "batchmean" divides the sum by N: the divergence.

    "mean" divides by all numbers, as in PyTorch, which warns that this is not it."""
    input, target = tensor_input("kl_div", "input", input), tensor_input("kl_div", "target", target)
    rows = input.shape[0] if input.ndim else 1
    loss = note_derived(F.kl_div(*_broadcast("kl_div", input, target), log_target=log_target), input, target)
    if reduction == "batchmean":
        return F.sum(loss) / max(rows, 1)
    if reduction == "mean" and size_average is None and reduce is None:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    return reduced("kl_div", loss, size_average, reduce, reduction)


def soft_margin_loss(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Tensor:
    """log(1 + exp(-target · input)), target 1 or -1; the mean."""
    margin = tensor_input("soft_margin_loss", "input", input) * tensor_input("soft_margin_loss", "target", target)
    if margin.shape != input.shape:
        raise ShapeError(f"soft_margin_loss: target {tuple(target.shape)} does not fit input {tuple(input.shape)}")
    loss = F.softplus(-margin, threshold=np.inf)
    loss = loss.to(input.dtype) if input.dtype.kind == "f" else loss  # as PyTorch has it
    return reduced("soft_margin_loss", loss, size_average, reduce, reduction)


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """exp(input) - target · input, of a count's logarithm; or input - target · log(input + eps); the mean.

    `full` adds Stirling's approximation of log(target!) where target is above 1."""
    input, target = _of_one_kind("poisson_nll_loss", input, target)
    loss = F.exp(input) - target * input if log_input else input - target * F.log(input + eps)
    if full:
        t = F.clamp(target, low=1.0)
        stirling = t * F.log(t) - t + 0.5 * F.log(2 * math.pi * t)
        loss = loss + F.where(stirling, np.zeros_like(stirling.array), condition=target.array > 1)
    return reduced("poisson_nll_loss", loss, size_average, reduce, reduction)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(log(var) + (input - target)² / var) / 2, var no smaller than eps; the mean. `full` adds log(2π) / 2."""
    input, target = (tensor_input("gaussian_nll_loss", n, a) for n, a in (("input", input), ("target", target)))
    var = tensor_input("gaussian_nll_loss", "var", var)
    if var.shape == input.shape[:-1] and var.ndim < input.ndim:
        var = F.reshape(var, shape=(*var.shape, 1))
    elif var.ndim != input.ndim or sum(n for n, of in zip(var.shape, input.shape, strict=True) if n != of) > 1:
        raise ShapeError(
            f"gaussian_nll_loss: var {tuple(var.shape)} must be shaped like input {tuple(input.shape)}, or have 1 for "
            "one of its axes, or be without the last"
        )
    if bool((var.array < 0).any()):
        raise OptionError("gaussian_nll_loss: var must not be negative")
    least = var + np.maximum(eps - var.array, np.zeros_like(var.array))  # its slope is that of var itself
    difference = input - target
    loss = (F.log(least) + difference * difference / least) * 0.5
    return reduced("gaussian_nll_loss", loss + 0.5 * math.log(2 * math.pi) if full else loss, None, None, reduction)


def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The binary cross-entropy of scores (N, C), averaged over the classes; the mean over the batch."""
    name = "multilabel_soft_margin_loss"
    input, target = _of_one_kind(name, input, target)
    if not input.ndim:
        raise ShapeError(f"{name}: input must be (N, C) or (C,), got ()")
    loss = _weighted(name, note_derived(F.bce_with_logits(input, target), input, target), weight, input)
    return reduced(name, F.mean(loss, axis=-1), size_average, reduce, reduction)


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ over the wrong classes of max(0, margin - input[target] + input[k])^p / K; the mean.

    input (N, K) or (K,), target (N,) or () class numbers, weight (K,). Raises ShapeError, OptionError, DtypeError."""
    name = "multi_margin_loss"
    input, target = tensor_input(name, "input", input), tensor_input(name, "target", target)
    given, weight = target.shape, weight.array if isinstance(weight, Variable) else weight
    if input.ndim == 1:
        input, target = _row(input, target)
    labels, K = target.array, input.shape[-1] if input.ndim else 0
    if p not in (1, 2):
        raise OptionError(f"{name}: p is 1 or 2, got {p!r}")
    if labels.dtype.kind not in "iu":
        raise DtypeError(f"{name}: target holds {labels.dtype} numbers, but class numbers are integers")
    if input.ndim != 2 or labels.shape != input.shape[:1] or (weight is not None and tuple(weight.shape) != (K,)):
        shown = f"input {tuple(input.shape)}, target {tuple(labels.shape)}"
        shown += "" if weight is None else f" and weight {tuple(weight.shape)}"
        raise ShapeError(f"{name}: input must be (N, K), target (N,) and weight (K,), got {shown}")
    right = F.gather(input, np.expand_dims(labels, 1), axis=1)
    wrong = np.expand_dims(labels, 1) != np.arange(K, like=labels)
    short = margin - right + input
    loss = F.where(short, np.zeros_like(input.array), condition=wrong & (short.array > 0))
    loss = loss * loss if p == 2 else loss
    if weight is not None:
        loss = loss * np.expand_dims(weight[labels], 1)
    loss = reduced(name, F.mean(loss, axis=1), size_average, reduce, reduction)
    return F.reshape(loss, shape=given) if loss.ndim else loss


def sigmoid_focal_loss(
    input: Any, target: Any, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none"
) -> Tensor:
    """alpha · q^gamma · binary cross-entropy, q how far sigmoid(input) is from the target (see `ops.focal_forward`)."""
    return reduced("sigmoid_focal_loss", F.focal(input, target, gamma=gamma, alpha=alpha), None, None, reduction)


def dice_loss(input: Any, target: Any, smooth: float = 1.0, reduction: str = "mean") -> Tensor:
    """1 - (2 · Σ input · target + smooth) / (Σ input + Σ target + smooth): how little two masks overlap.

    input holds probabilities (N, C, ...), target is of the same shape; sums go over each plane, then the mean. `smooth`
    keeps a plane on which nothing is from dividing by 0."""
    input, target = tensor_input("dice_loss", "input", input), tensor_input("dice_loss", "target", target)
    if input.shape != target.shape or input.ndim < 3:
        raise ShapeError(f"dice_loss: both must be (N, C, ...), got {tuple(input.shape)} and {tuple(target.shape)}")
    axes = tuple(range(2, input.ndim))
    both, one, two = (F.sum(a, axis=axes) for a in (input * target, input, target))
    return reduced("dice_loss", 1 - (both * 2 + smooth) / (one + two + smooth), None, None, reduction)


def box_iou_loss(input: Any, target: Any, generalized: bool = True, reduction: str = "none") -> Tensor:
    """1 - IoU, or 1 - GIoU, of boxes (..., 4) as (x1, y1, x2, y2), pair by pair (see `ops.box_agreement_forward`)."""
    loss = 1 - F.box_agreement(
        tensor_input("box_iou_loss", "input", input),
        tensor_input("box_iou_loss", "target", target),
        generalized=generalized,
    )
    return reduced("box_iou_loss", loss, None, None, reduction)
