"""Dropout, whose masks come from `tinyvision.random.generator()`."""

from typing import Any

import numpy as np

from ... import random
from ...device import device_of, to_device
from ...errors import ShapeError
from ...ops.checks import fraction
from ...tensors import taped as F
from ...tensors.tensor import Tensor
from ..inputs import tensor_input


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drop each number with probability p and scale the rest by 1 / (1 - p); evaluation passes everything through.

    `inplace` changes nothing that can be seen."""
    input = tensor_input("dropout", "input", input)
    return _dropout(input, input.shape, p, training)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drop whole channels of (N, C, H, W) with probability p and scale the rest by 1 / (1 - p). Raises ShapeError."""
    input = tensor_input("dropout2d", "input", input)
    if input.ndim != 4:
        raise ShapeError(f"dropout2d: input must be (N, C, H, W), got {tuple(input.shape)}")
    return _dropout(input, (*input.shape[:2], 1, 1), p, training)


def _dropout(input, shape, p, training):
    p = fraction("dropout", "p", p)
    if not training or p == 0:
        return input
    mask = np.broadcast_to(random.generator().random(shape, dtype=np.float32) >= p, input.shape)
    return F.dropout(input, to_device(mask, device_of(input.array)), p=p)
