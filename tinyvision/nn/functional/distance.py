"""Lengths of vectors, distances and angles between them, and class numbers as vectors. Put together from other ops."""

from typing import Any

import numpy as np

from ...errors import DtypeError, OptionError
from ...ops.checks import is_integer
from ...tensors import taped as F
from ...tensors.arranging import broadcast_tensors
from ...tensors.inputs import tensor_input
from ...tensors.reductions import norm
from ...tensors.tensor import Tensor

__all__ = ["cosine_similarity", "normalize", "one_hot", "pairwise_distance"]


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(|x|, eps), with the p-norm along dim."""
    input = tensor_input("normalize", "input", input)
    return input / F.clamp(norm(input, p, dim, keepdim=True), low=eps)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 · x2 / (max(|x1|, eps) · max(|x2|, eps)) along dim."""
    x1, x2 = tensor_input("cosine_similarity", "x1", x1), tensor_input("cosine_similarity", "x2", x2)
    x1, x2 = broadcast_tensors(x1, x2)  # along dim too, before the lengths are taken
    lengths = [F.clamp(norm(x, 2, dim, keepdim=True), low=eps) for x in (x1, x2)]
    return F.sum((x1 / lengths[0]) * (x2 / lengths[1]), axis=dim)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis."""
    x1, x2 = tensor_input("pairwise_distance", "x1", x1), tensor_input("pairwise_distance", "x2", x2)
    return norm(x1 - x2 + eps, p, -1, keepdim)


def one_hot(tensor: Any, num_classes: int = -1) -> Tensor:
    """Class numbers (...) as vectors (..., num_classes) of int64 that hold one 1. Without a number of classes there
    are as many as the largest needs. Raises DtypeError, OptionError."""
    tensor = tensor_input("one_hot", "tensor", tensor)
    labels = tensor.array
    if labels.dtype.kind not in "iu":
        raise DtypeError(f"one_hot: class numbers must be integers, got {labels.dtype}")
    if not is_integer(num_classes) or num_classes < 1:
        if num_classes != -1 or not labels.size:
            raise OptionError(f"one_hot: num_classes must be positive, or -1 to be found, got {num_classes!r}")
        num_classes = labels.max() + 1
    num_classes = int(num_classes)
    if labels.size and bool(((labels < 0) | (labels >= num_classes)).any()):
        raise OptionError(f"one_hot: the classes are 0 to {num_classes - 1}, but there are others among the labels")
    classes = np.arange(num_classes, like=labels)
    return tensor.like((np.expand_dims(labels, -1) == classes).astype(np.int64))
