"""What may stand in the brackets of `x[...]`, in two steps as PyTorch takes them.

First everything that only looks: slices, integers, None and Ellipsis give a view. Then whatever chooses, masks and
arrays of integers, and that gives a copy. NumPy takes integers for chosen ones too, and puts the axes elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import check_is_array, full_name, is_array, looks_like_an_array
from ..errors import DtypeError, ShapeError
from ..tape import Variable
from ..types import Array


def steps_of(index: Any, ndim: int) -> tuple[Any, Any]:
    """An index as (what looks, what chooses), each an index of its own; None for a step that there is not.

    Raises DtypeError, ShapeError."""
    if type(index) is int:
        return (index,), None
    several = isinstance(index, tuple) or _is_meant_as_tuple(index)
    parts = [_plain(part) for part in (index if several else (index,))]
    if not any(_chooses(part) for part in parts):
        return tuple(parts), None
    taken = sum(_axes(part) for part in parts)
    if taken > ndim:
        raise ShapeError(f"index: {taken} axes are named, but the tensor has {ndim}")
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    looks: list[Any] = []
    chooses: list[Any] = []
    for part in parts:
        if part is Ellipsis:
            looks += [slice(None)] * (ndim - taken)
            chooses += [slice(None)] * (ndim - taken)
        elif _chooses(part):
            looks += [slice(None)] * _axes(part)
            chooses.append(part)
        else:
            looks.append(part)
            chooses += [] if isinstance(part, int) else [slice(None)]
    trivial = all(isinstance(part, slice) and part == slice(None) for part in looks)
    return None if trivial else tuple(looks), tuple(chooses)


def _plain(part):
    """A part of an index with arrays for tensors and lists, and integers for what is a single one."""
    if type(part) is slice:
        return slice(*(_bound(n) for n in (part.start, part.stop, part.step)))
    if type(part) is int or part is None or part is Ellipsis:
        return part
    if isinstance(part, Variable):
        part = part.array
    elif isinstance(part, Sequence) and not isinstance(part, (str, bytes)):  # lists, tuples, ranges
        part = np.asarray(part)
    if isinstance(part, (bool, np.bool_)):
        return np.asarray(part)
    if not is_array(part):
        if looks_like_an_array(part):
            check_is_array("index", "index", part)  # says whose it is, and what to do
        if not hasattr(
            part, "__index__"
        ):  # NumPy would take it for what chooses, and give a copy that looks like a view
            raise DtypeError(f"index: expected integers, slices, None, ... or tensors of them, got {full_name(part)}")
        return int(part.__index__())
    if part.size == 0 and isinstance(part, np.ndarray) and part.dtype.kind == "f":  # an empty list
        return part.astype(np.int64)
    if part.dtype.kind not in "biu":
        raise DtypeError(f"index: masks hold truth values and places are integers, got {part.dtype}")
    return int(part) if part.ndim == 0 and part.dtype.kind in "iu" else part


def _is_meant_as_tuple(index):
    """Whether a list says one thing for every axis, `x[[rows, columns]]`, and not places along the first: if it holds
    more than numbers. PyTorch has kept this from older NumPys, for lists of less than 32."""
    if type(index) in (slice, tuple) or isinstance(index, (Variable, str)) or not isinstance(index, Sequence):
        return False
    return len(index) < 32 and any(
        part is None
        or part is Ellipsis
        or isinstance(part, (slice, Variable, Sequence))
        or (is_array(part) and not isinstance(part, np.generic))
        for part in index
    )


def _bound(n):
    return int(n) if isinstance(n, Variable) else n


def _chooses(part: Any) -> bool:
    return is_array(part)


def _axes(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if is_array(part) and part.dtype.kind == "b" else 1


def own_index(index: Any) -> Any:
    """An index whose arrays nobody else can change."""
    return tuple(part.copy() if is_array(part) else part for part in index) if isinstance(index, tuple) else index


def without_ones(array: Array, ndim: int) -> Array:
    """The array without as many axes of size 1 in front as it has more than `ndim`."""
    while array.ndim > ndim and array.shape[0] == 1:
        array = array[0]
    return array
