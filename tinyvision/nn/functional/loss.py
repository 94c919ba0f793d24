"""The losses. The pairs give the loss of every number; `reduced` adds up or averages, as PyTorch's arguments say."""

import math
import warnings
from typing import Any

import numpy as np

from ...errors import OptionError, ShapeError
from ...sharing import note_derived
from ...tape import Variable
from ...tensors import taped as F
from ...tensors.arranging import broadcast_tensors
from ...tensors.conversion import cast
from ...tensors.inputs import tensor_input
from ...tensors.operands import result_type
from ...tensors.tensor import Tensor
from .distance import pairwise_distance

__all__ = [
    "arcface", "batch_hard_triplet_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "box_iou_loss", "cosine_embedding_loss", "cross_entropy", "dice_loss", "gaussian_nll_loss",
    "hinge_embedding_loss", "huber_loss", "kl_div", "l1_loss", "margin_ranking_loss", "mse_loss",
    "multi_margin_loss", "multilabel_soft_margin_loss", "nll_loss", "poisson_nll_loss", "sigmoid_focal_loss",
    "smooth_l1_loss", "soft_margin_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip

# What PyTorch adds to the square of a length before its root divides.
LEAST_SQUARE = 1e-12

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
    input, target = _of_one_kind(name, input, target)
    if input.shape == target.shape:
        return input, target
    warnings.warn(
        f"{name}: input {tuple(input.shape)} and target {tuple(target.shape)} differ in shape and are broadcast, which "
        "may give every pair of numbers a loss; make their shapes the same",
        UserWarning,
        stacklevel=3,
    )
    return _broadcast(name, input, target)


def _broadcast(name, input, target):
    try:
        return broadcast_tensors(input, target)
    except ShapeError:
        given = f"input {tuple(input.shape)} and target {tuple(target.shape)}"
        raise ShapeError(f"{name}: {given} differ in shape, and cannot be broadcast") from None


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
        input, target = (F.reshape(a, shape=(1, *a.shape)) for a in (input, target))
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

    input (N, K) or (N, K, ...), target (N,) or (N, ...) class numbers. See `ops.nll_loss_forward`."""
    reduction = reduction_of("nll_loss", size_average, reduce, reduction)
    weight = weight.array if isinstance(weight, Variable) else weight
    return F.nll_loss(input, target, weight=weight, ignore_index=ignore_index, reduction=reduction)


def mse_loss(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Tensor:
    """The mean of (input - target)²."""
    input, target = _side_by_side("mse_loss", input, target)
    return F.mse(input, target, reduction=reduction_of("mse_loss", size_average, reduce, reduction))


def l1_loss(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Tensor:
    """The mean of |input - target|."""
    return reduced("l1_loss", F.l1(*_side_by_side("l1_loss", input, target)), size_average, reduce, reduction)


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
    """d² / 2 where d = |input - target| < delta, else delta · (d - delta / 2); the mean."""
    loss = F.huber(*_side_by_side("huber_loss", input, target), delta=delta)
    loss = loss if weight is None else loss * weight
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
    loss = F.bce(input, target)
    loss = loss if weight is None else loss * weight
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
    loss = F.bce_with_logits(input, target, pos_weight)
    loss = loss if weight is None else loss * weight
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
    return reduced("soft_margin_loss", F.softplus(-margin, threshold=np.inf), size_average, reduce, reduction)


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The distance itself where target is 1, max(0, margin - distance) where it is -1; the mean."""
    input, target = (tensor_input("hinge_embedding_loss", n, a) for n, a in (("input", input), ("target", target)))
    apart = clipped_at_0(margin - input)
    near = F.where(input, np.zeros_like(input.array), condition=target.array != -1)
    far = F.where(apart, np.zeros_like(input.array), condition=target.array != 1)
    return reduced("hinge_embedding_loss", near + far, size_average, reduce, reduction)


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -target · (input1 - input2) + margin): target 1 wants the first ranked higher; the mean."""
    input1 = tensor_input("margin_ranking_loss", "input1", input1)
    loss = clipped_at_0(-(input1 - input2) * target + margin)
    return reduced("margin_ranking_loss", loss, size_average, reduce, reduction)


def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos where target is 1, max(0, cos - margin) where it is -1, for vectors (N, D) or (D,); the mean."""
    name = "cosine_embedding_loss"
    input1, input2 = tensor_input(name, "input1", input1), tensor_input(name, "input2", input2)
    target = tensor_input(name, "target", target)
    product, one, two = (F.sum(a, axis=-1) for a in (input1 * input2, input1 * input1, input2 * input2))
    cosine = product / F.power((one + LEAST_SQUARE) * (two + LEAST_SQUARE), exponent=0.5)
    zero = np.zeros_like(cosine.array)
    near = F.where(1 - cosine, zero, condition=target.array == 1)
    far = F.where(clipped_at_0(cosine - margin), zero, condition=target.array == -1)
    return reduced(name, near + far, size_average, reduce, reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, |anchor - positive| - |anchor - negative| + margin); the mean (Schroff et al., "FaceNet", 2015).

    `swap` takes |positive - negative| where that is smaller. Raises OptionError for a margin that is not positive."""
    if not margin > 0:
        raise OptionError(f"triplet_margin_loss: margin must be positive, got {margin!r}")
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = F.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced("triplet_margin_loss", clipped_at_0(near - far + margin), size_average, reduce, reduction)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Any = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of one's own: a function of two batches of vectors."""
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = F.minimum(far, distance(positive, negative))
    loss = clipped_at_0(near - far + margin)
    return reduced("triplet_margin_with_distance_loss", loss, None, None, reduction)


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
    input, target = (tensor_input("poisson_nll_loss", n, a) for n, a in (("input", input), ("target", target)))
    loss = F.exp(input) - target * input if log_input else input - target * F.log(input + eps)
    if full:
        t = np.maximum(target.array, 1)
        stirling = t * np.log(t) - t + 0.5 * np.log(2 * math.pi * t)
        loss = loss + np.where(target.array > 1, stirling, np.zeros_like(stirling))
    return reduced("poisson_nll_loss", loss, size_average, reduce, reduction)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(log(var) + (input - target)² / var) / 2, var no smaller than eps; the mean. `full` adds log(2π) / 2."""
    input, target = (tensor_input("gaussian_nll_loss", n, a) for n, a in (("input", input), ("target", target)))
    var = tensor_input("gaussian_nll_loss", "var", var)
    if var.ndim == input.ndim - 1:
        var = F.reshape(var, shape=(*var.shape, 1))
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
    loss = note_derived(F.bce_with_logits(input, target), input, target)
    loss = loss if weight is None else loss * weight
    return reduced("multilabel_soft_margin_loss", F.mean(loss, axis=-1), size_average, reduce, reduction)


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
    """Σ over the wrong classes of max(0, margin - input[target] + input[k])^p / K, for scores (N, K); the mean."""
    name = "multi_margin_loss"
    input, target = tensor_input(name, "input", input), tensor_input(name, "target", target)
    if input.ndim != 2 or p not in (1, 2):
        raise ShapeError(f"{name}: input must be (N, K) and p 1 or 2, got {tuple(input.shape)} and {p!r}")
    labels = target.array.astype(np.int64)
    right = F.gather(input, np.expand_dims(labels, 1), axis=1)
    wrong = np.expand_dims(labels, 1) != np.arange(input.shape[1], like=labels)
    short = margin - right + input
    loss = F.where(short, np.zeros_like(input.array), condition=wrong & (short.array > 0))
    loss = loss * loss if p == 2 else loss
    if weight is not None:
        weight = weight.array if isinstance(weight, Variable) else weight
        loss = loss * np.expand_dims(weight[labels], 1)
    return reduced(name, F.mean(loss, axis=1), size_average, reduce, reduction)


def sigmoid_focal_loss(
    input: Any, target: Any, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none"
) -> Tensor:
    """alpha · q^gamma · binary cross-entropy, q how far sigmoid(input) is from the target (see `ops.focal_forward`)."""
    return reduced("sigmoid_focal_loss", F.focal(input, target, gamma=gamma, alpha=alpha), None, None, reduction)


def arcface(cosines: Any, labels: Any, margin: float = 0.5, scale: float = 30.0) -> Tensor:
    """Scores (N, K) for a cross-entropy out of cosines (N, K) with the classes' centres: the own class is held back by
    an angle `margin`, and all are multiplied by `scale` (see `ops.arcface_forward`)."""
    return F.arcface(tensor_input("arcface", "cosines", cosines), tensor_input("arcface", "labels", labels).array,
                     margin=margin, scale=scale)  # fmt: skip


def batch_hard_triplet_loss(input: Any, labels: Any, margin: float = 0.2) -> Tensor:
    """How much further the furthest of one's own class is than the nearest of another, and `margin`; the mean over the
    batch's anchors, for embeddings (N, E) and labels (N,) (see `ops.triplet_forward`)."""
    name = "batch_hard_triplet_loss"
    return F.triplet(tensor_input(name, "input", input), tensor_input(name, "labels", labels).array, margin=margin)


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


def clipped_at_0(x: Tensor) -> Tensor:
    """max(x, 0), which passes the gradient on at 0 as well: PyTorch's `clamp_min(0)`, not its ReLU."""
    return F.clamp(x, low=0.0)
