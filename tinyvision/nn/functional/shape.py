"""What only moves numbers about."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...arrays import check_is_array
from ...errors import OptionError, ShapeError
from ...ops.checks import is_integer
from ...tape import Variable
from ...tensors import taped as F
from ...tensors.tensor import Tensor


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from start_dim to end_dim merged into one. Raises ShapeError for an axis that is not there."""
    if not isinstance(input, Variable):
        check_is_array("flatten", "input", input)
    rank = input.ndim
    if not -rank <= start_dim < rank or not -rank <= end_dim < rank or start_dim % rank > end_dim % rank:
        raise ShapeError(f"flatten: there are no axes {start_dim} to {end_dim} in {tuple(input.shape)}")
    start, end = start_dim % rank, end_dim % rank
    if end == rank - 1:
        return F.flatten(input, start=start)
    shape = input.shape
    return F.reshape(input, shape=(*shape[:start], int(np.prod(shape[start : end + 1])), *shape[end + 1 :]))


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float = 0) -> Tensor:
    """Zeros around the last two axes.   (N, C, H, W) -> (N, C, H', W')

    pad is (left, right, top, bottom) or (left, right). Raises OptionError."""
    if mode != "constant" or value:
        raise OptionError(f"pad: only zeros can be put around an image, got mode={mode!r}, value={value!r}")
    if not isinstance(pad, (tuple, list)) or len(pad) not in (2, 4) or not all(is_integer(n) for n in pad):
        raise OptionError(f"pad: expected (left, right) or (left, right, top, bottom), got {pad!r}")
    return F.pad(input, padding=(*pad, 0, 0)[:4])
