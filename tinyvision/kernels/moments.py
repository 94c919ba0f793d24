"""What a convolution leaves for the batch-norm behind it: the moments of every tile of its results, taken while they
are still in registers. Batch-norm joins them, and reads the results once instead of twice.

A convolution does not know what follows. Whoever calls both says so, `with measured():`, and inside of that block a
kernel that can leave moments does. Batch-norm takes them if they are those of the very memory that it was handed;
where the convolution was computed in another way, it finds none and goes through its input, as always.
"""

import threading
from typing import Any, NamedTuple

from ..types import Array
from . import launch as gpu


class Left(NamedTuple):
    """Moments of y (N, OH, OW, C): partial (chunks, 2, C) holds, of every `rows` rows of it (of fewer in the last),
    their mean and the sum of their squared distances from it."""

    y: Array
    partial: Array
    rows: int


class _Here(threading.local):
    asked = False
    left: Left | None = None


_here = _Here()


class measured:
    """`with measured():` a convolution is called, and the batch-norm that normalises what it gives."""

    def __enter__(self) -> None:
        _here.asked = True

    def __exit__(self, *error: Any) -> None:
        _here.asked, _here.left = False, None


def asked() -> bool:
    """Whether a batch-norm is to follow, in this thread."""
    return _here.asked


def leave(y: Array, partial: Array, rows: int) -> None:
    """Put moments down for who takes them next. As long as they lie here, nothing else can be where y is."""
    _here.left = Left(y, partial, rows)


def taken(images: Array) -> Left | None:
    """The moments of these images (N, H, W, C) without gaps, or None; once."""
    left, _here.left = _here.left, None
    if left is None or left.y.shape != images.shape or gpu.address(left.y) != gpu.address(images):
        return None
    return left
