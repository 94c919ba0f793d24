"""The losses of vectors that belong together or apart, and of scores that a margin must lie between."""

from typing import Any

import numpy as np

from ...errors import OptionError, ShapeError
from ...tensors import taped as F
from ...tensors.inputs import tensor_input
from ...tensors.tensor import Tensor
from .distance import pairwise_distance
from .loss import reduced

__all__ = [
    "arcface", "batch_hard_triplet_loss", "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss",
    "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip

# What PyTorch adds to the square of a length before its root divides.
LEAST_SQUARE = 1e-12


def _of_equal_rank(name, **tensors):
    """Raises ShapeError for tensors that are not all (N, ...) alike: broadcast, they would meet across the batch."""
    if len({t.ndim for t in tensors.values()}) > 1:
        given = " and ".join(f"{key} {tuple(t.shape)}" for key, t in tensors.items())
        raise ShapeError(f"{name}: {given} must have equally many axes")


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
    name = "margin_ranking_loss"
    input1, input2 = tensor_input(name, "input1", input1), tensor_input(name, "input2", input2)
    target = tensor_input(name, "target", target)
    _of_equal_rank(name, input1=input1, input2=input2, target=target)
    loss = clipped_at_0(-(input1 - input2) * target + margin)
    return reduced(name, loss, size_average, reduce, reduction)


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
    if not target.ndim + 1 == input1.ndim == input2.ndim <= 2:
        given = f"input1 {tuple(input1.shape)}, input2 {tuple(input2.shape)} and target {tuple(target.shape)}"
        raise ShapeError(f"{name}: vectors (N, D) have a target (N,), vectors (D,) a target (); got {given}")
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
    _of_equal_rank("triplet_margin_loss", anchor=anchor, positive=positive, negative=negative)
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
    _of_equal_rank("triplet_margin_with_distance_loss", anchor=anchor, positive=positive, negative=negative)
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = F.minimum(far, distance(positive, negative))
    loss = clipped_at_0(near - far + margin)
    return reduced("triplet_margin_with_distance_loss", loss, None, None, reduction)


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


def clipped_at_0(x: Tensor) -> Tensor:
    """max(x, 0), which passes the gradient on at 0 as well: PyTorch's `clamp_min(0)`, not its ReLU."""
    return F.clamp(x, low=0.0)
