"""The memory of the emulated GPU: arrays between guard zones, filled with NaN."""

from typing import Any

import numpy as np

from ...types import Array, DType, Shape

GUARD = 64  # numbers before and after each array; a multiple of 4, so that alignment is kept


class Memory:
    """Arrays for kernels. A kernel that forgets to write a number leaves a NaN, one that writes beyond the end damages
    a guard, and one that reads beyond the end of an input gets a NaN."""

    def __init__(self) -> None:
        self._guarded: list[tuple[Array, int, int]] = []

    def empty(self, shape: Shape, dtype: DType = np.float32) -> Array:
        """An array of NaN (or of a large odd integer) between guard zones."""
        dtype = np.dtype(dtype)
        size = int(np.prod(shape, dtype=np.int64))
        raw = np.empty((size + 2 * GUARD) * dtype.itemsize + 16, np.uint8)
        raw[:] = 0xFF
        skip = -raw.ctypes.data % 16
        block = raw[skip : skip + (size + 2 * GUARD) * dtype.itemsize].view(dtype)
        self._guarded.append((block.view(np.uint8), size * dtype.itemsize, dtype.itemsize))
        return block[GUARD : GUARD + size].reshape(shape)

    def array(self, values: Any) -> Array:
        """A guarded copy of an input."""
        values = np.asarray(values)
        out = self.empty(values.shape, values.dtype)
        out[...] = values
        return out

    def damaged(self) -> int | None:
        """How many numbers the array has beside which something was written, or None."""
        for block, size, item in self._guarded:
            if not (block[: GUARD * item] == 0xFF).all() or not (block[GUARD * item + size :] == 0xFF).all():
                return size // item
        return None


def never_written(array: Array) -> Array:
    """Where an array from `Memory.empty` is as it was handed out: a mask of its shape."""
    bits = np.ascontiguousarray(array).view(np.uint8).reshape(*array.shape, array.dtype.itemsize)
    return (bits == 0xFF).all(-1)
