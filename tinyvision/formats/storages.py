"""From the description of a tensor to a NumPy array: storages, views into them, and the checks between the two.

A *storage* is a row of numbers of one kind; a *tensor* is a window onto it: first element, size and stride
per axis. Several tensors may look at one storage (tied weights, slices), and their arrays then share memory
as well.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .refused import Refused, shown
from .unpickle import Node

MAX_RANK = 32

# The kinds of storages that PyTorch has had since 0.1, and how their elements look in a file (little-endian).
STORAGE_KINDS = {
    "Double": "f8",
    "Float": "f4",
    "Half": "f2",
    "BFloat16": "bf16",
    "Long": "i8",
    "Int": "i4",
    "Short": "i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "b1",
}


def itemsize(kind: Any) -> int:
    """Bytes per element of a kind such as 'f4' or 'bf16'."""
    return 2 if kind == "bf16" else int(kind[1:])


class Storage(Node):
    """`length` elements of a kind, from element `start` on, of the data that is filed under `key`.

    `total` is the number of elements under that key; only a view has other values than 0 and `total`. `device` is
    the word for where the elements were when the file was written."""

    __slots__ = ("device", "key", "kind", "length", "start", "total")

    def __init__(
        self, key: str, kind: Any, total: int, start: int = 0, length: Any = None, device: str = "cpu"
    ) -> None:
        self.key, self.kind, self.total, self.start, self.device = key, kind, total, start, device
        self.length = total if length is None else length
        if min(total, start, self.length) < 0 or start + self.length > total:
            raise Refused(f"a view of {shown(length)} elements from {shown(start)} on a storage of {shown(total)}")


class Tensor(Node):
    """A window onto a storage, checked to lie inside of it."""

    __slots__ = ("offset", "requires_grad", "size", "storage", "stride")
    is_value = True

    def __init__(self, storage: Any, offset: int, size: Any, stride: Any, requires_grad: bool = False) -> None:
        if len(size) != len(stride) or len(size) > MAX_RANK:
            raise Refused(f"a tensor with {len(size)} sizes and {len(stride)} strides")
        if any(not is_index(number) for number in (offset, *size, *stride)):
            raise Refused("a tensor with a negative or absurd offset, size or stride")
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride
        self.requires_grad = requires_grad
        # Python's integers cannot wrap around, so this is the true last element, however large the figures are.
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if 0 not in size and last >= storage.length:
            where = f"reaches element {shown(last)} of a storage of {storage.length:,}"
            raise Refused(f"a tensor of size {shown(size)} and stride {shown(stride)} {where}")

    @property
    def nominal_bytes(self) -> int:
        """What a copy of the tensor takes up; far more than its storage if it repeats elements (stride 0)."""
        return itemsize(self.storage.kind) * math.prod(n or 1 for n in self.size)


def is_index(value: Any) -> bool:
    """Whether a value is a whole number from 0 to 2**63 - 1 (which True and False are not)."""
    return type(value) is int and 0 <= value < 1 << 63


def is_absurdly_empty(shape: Sequence[int]) -> bool:
    """Whether an array without elements has axes so long that NumPy cannot make one of its shape."""
    return 0 in shape and (max(shape) >= 1 << 31 or math.prod(n or 1 for n in shape) >= 1 << 48)


def check_total(tensors: Any, file_size: int) -> None:
    """Refuse tensors which, copied one by one, would take up far more memory than the file they come from."""
    most = (32 << 20) + 4 * file_size
    total = sum(tensor.nominal_bytes for tensor in tensors)
    if total > most:
        raise Refused(f"tensors of {shown(total)} bytes in a file of {file_size:,} (repeated elements)")


def elements(raw: np.ndarray, kind: Any, big_endian: bool = False) -> Any:
    """Bytes (a uint8 array that nobody else uses) -> a flat array of native numbers; bfloat16 becomes float32.

    Works in place where it can. Raises Refused for booleans that are neither 0 nor 1."""
    if kind == "bf16":
        halves = raw.view(">u2" if big_endian else "<u2")
        wide = halves.astype(np.uint32)
        wide <<= 16  # a bfloat16 is the upper half of a float32
        return wide.view(np.float32)
    if kind == "b1" and raw.size and raw.max() > 1:
        raise Refused("booleans that are neither 0 nor 1")
    array = raw.view((">" if big_endian else "<") + kind)
    native = array.dtype.newbyteorder("=")
    return array if array.dtype == native else array.byteswap(inplace=True).view(native)


def view(tensor: Any, flat: Any) -> Any:
    """The array of a tensor, as a view of its storage's elements (read-only where elements are repeated)."""
    if 0 in tensor.size:
        return np.empty(tensor.size, flat.dtype)
    start = tensor.storage.start + tensor.offset
    size, stride = tensor.size, tensor.stride
    if _is_contiguous(size, stride):
        return flat[start : start + math.prod(size)].reshape(size)
    # An axis of one element may have any stride; one that no pointer could hold must not reach NumPy.
    steps = tuple(step * flat.itemsize if n > 1 else 0 for n, step in zip(size, stride, strict=True))
    return np.lib.stride_tricks.as_strided(flat[start:], size, steps, writeable=not _repeats(size, stride))


def _is_contiguous(size, stride):
    expected = 1
    for n, step in zip(reversed(size), reversed(stride), strict=True):
        if n > 1 and step != expected:
            return False
        expected *= n
    return True


def _repeats(size, stride):
    """Whether two positions may be the same element: then writing to one would change the other."""
    reach = 0
    for step, n in sorted((step, n) for n, step in zip(size, stride, strict=True) if n > 1):
        if step <= reach:
            return True
        reach += (n - 1) * step
    return False
