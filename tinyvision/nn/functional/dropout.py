"""Dropout, whose masks come from `tinyvision.random.generator()`."""

import math
import warnings
from typing import Any

import numpy as np

from ...errors import ShapeError
from ...kernels import dispatched
from ...ops import dropout as ops
from ...ops.checks import fraction
from ...tensors import taped as F
from ...tensors.tensor import Tensor
from .activation import SELU_ALPHA, SELU_SCALE
from .in_place import applied

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d"]

_mask, _drawn = dispatched(ops.kept), dispatched(ops.drawn)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drop each number with probability p and scale the rest by 1 / (1 - p); evaluation passes everything through,
    and so does p = 0, of an input that could not be written to as well."""
    return applied(_dropout, input, inplace and training and p != 0, p=p, training=training)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drop whole channels of (N, C, L) or (C, L). Raises ShapeError."""
    return applied(_dropout_channels, input, inplace, p=p, training=training, name="dropout1d", axes="L")


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drop whole channels of (N, C, H, W) with probability p and scale the rest by 1 / (1 - p).

    Of (N, C) a number is a channel, and of (N, C, L) a row, each with a warning. Raises ShapeError."""
    return applied(_dropout_channels, input, inplace, p=p, training=training, name="dropout2d", axes="H, W")


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drop whole channels of (N, C, D, H, W). Raises ShapeError."""
    return applied(_dropout_channels, input, inplace, p=p, training=training, name="dropout3d", axes="D, H, W")


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout for SELU: what is dropped becomes SELU's lowest value, and scale and shift keep mean 0 and variance 1."""
    return applied(_alpha_dropout, input, inplace and training and p != 0, p=p, training=training)


def _dropout(input, p, training, shape=None):
    p = fraction("dropout", "p", p)
    if not training or p == 0:
        return input
    if shape is not None:
        return F.dropout(input, _kept(input, p, shape), p=p)
    mask, y = _drawn(input.array, p=p)
    return F.dropout(input, mask, p=p) if y is None else F.dropout(input, mask, p=p, y=y)


def _dropout_channels(input, p, training, name, axes):
    rank = 2 + len(axes.split(","))
    if rank == 4 and input.ndim in (2, 3):  # PyTorch takes the second axis for the channels of these as well
        warnings.warn(f"{name}: expected (N, C, {axes}), got {tuple(input.shape)}, read as (N, C, ...)", stacklevel=3)
        rank = input.ndim
    elif input.ndim != rank and not (rank != 4 and input.ndim == rank - 1):
        raise ShapeError(f"{name}: input must be (N, C, {axes}), got {tuple(input.shape)}")
    channels = input.ndim - rank + 2
    return _dropout(input, p, training, (*input.shape[:channels], *(1 for _ in input.shape[channels:])))


def _alpha_dropout(input, p, training):
    p = fraction("alpha_dropout", "p", p)
    if not training or p == 0:
        return input
    if p == 1:
        return input * 0
    lowest = -SELU_ALPHA * SELU_SCALE
    scale = 1 / math.sqrt((1 - p) * (1 + p * lowest * lowest))
    kept = _kept(input, p, input.shape)
    dropped = F.where(input, np.full_like(input.array, lowest), condition=kept)
    return dropped * scale - scale * p * lowest


def _kept(input, p, shape):
    return np.broadcast_to(_mask(input.array, p=p, shape=tuple(shape)), input.shape)
