"""Writes that read what they write: `x[1:] += x[:-1]`. What comes of them depends on the order of the numbers.

PyTorch writes one number after the other while it reads, and refuses only some of these. Here a result is computed
first and written then: where that gives another result than one walk through memory, upwards, it is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import address_of, is_array
from ..device import to_numpy
from ..errors import OptionError
from .operands import fits

# What is written at one place is computed from numbers of others.
_MIXED = {
    "addmm_", "addmv_", "addr_", "baddbmm_", "index_add_", "index_copy_", "index_put_", "masked_scatter_", "scatter_",
    "scatter_add_",
}  # fmt: skip
# Functions that write to `out=` before they have read all: in PyTorch, sums begin there, products and extremes.
_WRITTEN_EARLY = {
    "addbmm", "addmm", "addmv", "all", "amax", "amin", "any", "baddbmm", "bmm", "matmul", "max along an axis",
    "mean", "min along an axis", "mm", "mv", "nansum", "prod", "sum",
}  # fmt: skip


def is_read_from(name: str, x: Any, value: Any, index: Any = ..., anew: bool = True) -> bool:
    """Whether the value looks at memory of x[index], which is about to be written over, number by number.

    anew   whether what is written is computed from `value`, and not just its numbers
    Raises OptionError where a number is read, for another place, after it would have been written over."""
    target, source = x.array, value.array
    if type(target) is not type(source) or not np.may_share_memory(target, source):
        return False
    if name in _MIXED or name in _WRITTEN_EARLY:
        return _refuse(name) if np.shares_memory(target, source) else False
    if index is ...:
        if not np.shares_memory(target, source):
            return False
        if _lies_on_or_behind(target, source):
            return True
    if source.size == 1 and not anew:
        return True
    written = _addresses(target)[_on_the_cpu(index)]
    if not fits(source.shape, written.shape):
        return True  # which is told elsewhere
    if target.itemsize != source.itemsize:
        _refuse(name)
    read = np.broadcast_to(_addresses(source), written.shape)
    changed = written if anew else written[written != read]
    late = read[read < written] if index is ... else read  # upwards, what lies behind is read before it is written
    if np.isin(late, changed).any():
        _refuse(name)
    return True


def _lies_on_or_behind(target, source):
    """Whether every number of the source is the target's own, or the same way further in memory."""
    alike = target.shape == source.shape and target.strides == source.strides and target.dtype == source.dtype
    return alike and address_of(source) >= address_of(target)


def _on_the_cpu(index):
    return tuple(to_numpy(part) if is_array(part) else part for part in index) if isinstance(index, tuple) else index


def _addresses(array):
    """Where in memory each number of an array lies."""
    places = np.full(array.shape, address_of(array), np.int64)
    for axis, (n, stride) in enumerate(zip(array.shape, array.strides, strict=True)):
        places += (np.arange(n) * stride).reshape(-1, *[1] * (array.ndim - axis - 1))
    return places


def _refuse(name):
    raise OptionError(
        f"{name}: some numbers that are read are written over in the same call, so that the result would depend on "
        f"their order; read from a .clone()"
    )
