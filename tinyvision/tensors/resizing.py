"""A tensor that takes on another size, as scripts from PyTorch's first years fill their buffers:
`noise.resize_(64, 100, 1, 1).normal_()`, `inputs.resize_as_(batch).copy_(batch)`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import address_of, is_array, memory_of
from ..errors import GraphError, ShapeError
from .arguments import shape_of

if TYPE_CHECKING:
    from .tensor import Tensor


def resize_(x: Tensor, *shape: Any) -> Tensor:
    """x itself in another shape: its memory from its first number on, read in rows, as far as that goes.

    Where the memory is too short the tensor gets a longer one, with 0 for what is new (in PyTorch, what stood there).
    Raises GraphError for a tensor that asks for a gradient, or that would need longer memory while views share its own;
    ShapeError for a negative size."""
    sizes = shape_of(shape)
    if x.requires_grad:
        raise GraphError("resize_: a tensor that requires a gradient keeps its size; make a new one, or use reshape")
    if any(n < 0 for n in sizes):
        raise ShapeError(f"resize_: sizes must not be negative, got {tuple(sizes)}; -1 is for reshape")
    wanted = math.prod(sizes)
    if tuple(sizes) == tuple(x.shape):
        return x
    flat = _from_its_first(x.array)
    if len(flat) < wanted:
        if x.origin is not None or x.views:
            raise GraphError("resize_: views share this memory, which is too short; make a new tensor")
        longer = np.zeros_like(flat, shape=(wanted,))
        longer[: len(flat)] = flat
        flat = longer
    x.array = flat[:wanted].reshape(sizes)
    return x


def _from_its_first(array: Any) -> Any:
    """All numbers of the memory that an array looks at, from its own first one on, as a view."""
    owner = memory_of(array)
    if is_array(owner) and owner.dtype == array.dtype:
        return owner.ravel(order="K")[(address_of(array) - address_of(owner)) // array.itemsize :]
    if not array.flags.c_contiguous:
        raise GraphError("resize_: these numbers do not lie in rows, in memory of another's; resize_ a clone()")
    return array.reshape(-1)
