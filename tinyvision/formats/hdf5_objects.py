"""What HDF5 says of an object: the messages of its header, and those of them that describe numbers, texts and links."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .hdf5_trees import UNDEFINED, Cursor, Parts, tree_leaves
from .refused import Refused, shown
from .storages import is_absurdly_empty

DATASPACE, LINK_INFO, DATATYPE, LINK, EXTERNAL, LAYOUT, FILTERS = 0x01, 0x02, 0x03, 0x06, 0x07, 0x08, 0x0B
ATTRIBUTE, SYMBOL_TABLE, ATTRIBUTE_INFO = 0x0C, 0x11, 0x15
_CONTINUATION = 0x10
_SHARED = 2  # the flag of a message that only says where another lies
_DEFLATE, _SHUFFLE = 1, 2
_OTHER_FILTERS = {3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
_LARGEST_RANK = 32
# (bytes, bits, where the exponent stands, its bits, where the mantissa stands, its bits, bias) of IEEE's numbers.
_FLOATS = {(2, 16, 10, 5, 0, 10, 15), (4, 32, 23, 8, 0, 23, 127), (8, 64, 52, 11, 0, 52, 1023)}
_REMEDY = "; write the file with h5py's own settings, as Keras does"


# ---------------------------------------------------------------------------------------------- the header


def messages(parts: Parts, address: int) -> list[tuple[int, bytes]]:
    """(kind, content) of each message in the header of the object at an address."""
    return list(_newer(parts, address) if parts.data[address : address + 4] == b"OHDR" else _older(parts, address))


def _older(parts, address) -> Iterator[tuple[int, bytes]]:
    head = parts.open(address, 16)
    if head.number(1) != 1:
        raise Refused("damaged HDF5: no object where one should be")
    head.take(7)
    blocks = [(address + 16, head.number(4))]
    while blocks:
        block = parts.open(*blocks.pop(0))
        while block.place + 8 <= block.end:
            kind, length, flags = block.number(2), block.number(2), block.number(1)
            block.take(3)
            content = _content(kind, flags, block.take(length))
            if kind == _CONTINUATION:
                place, size = Cursor(content).numbers(2)
                blocks.append((place, size))
            else:
                yield kind, content


def _newer(parts, address) -> Iterator[tuple[int, bytes]]:
    head = parts.open(address, 6)
    head.signed_by(b"OHDR", (2,))
    flags = head.number(1)
    parts.longer(head, (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0) + (1 << (flags & 3)))
    head.place = head.end - (1 << (flags & 3))
    parts.longer(head, Cursor(parts.data, head.place).number(1 << (flags & 3)) + 4)
    head.take(1 << (flags & 3))
    own = 6 if flags & 4 else 4  # bytes before a message
    blocks = [(address, head)]
    while blocks:
        begun, block = blocks.pop(0)
        Cursor(parts.data, block.end - 4).checked(begun)
        while block.place + own + 4 <= block.end:
            kind, length, shared = block.number(1), block.number(2), block.number(1)
            block.take(own - 4)
            content = _content(kind, shared, block.take(length))
            if kind == _CONTINUATION:
                place, size = Cursor(content).numbers(2)
                blocks.append((place, parts.open(place, size)))
                if blocks[-1][1].take(4) != b"OCHK":
                    raise Refused("damaged HDF5: a header that does not go on where it says")
            else:
                yield kind, content


def _content(kind, flags, data):
    if flags & _SHARED and kind in (DATASPACE, DATATYPE, FILTERS, ATTRIBUTE):
        raise Refused("HDF5 with types that several objects share, which is not read" + _REMEDY)
    return data


def attribute(data: bytes) -> tuple[str, tuple[int, ...] | None, bytes, bytes]:
    """(name, shape, type, elements) of an attribute; the shape is None where there are no elements at all."""
    cursor = Cursor(data)
    version, flags = cursor.number(1), cursor.number(1)
    if version not in (1, 2, 3) or (version > 1 and flags):
        raise Refused("HDF5 with an attribute that is not as h5py writes it")
    sizes = cursor.numbers(3, 2)
    cursor.take(1 if version == 3 else 0)
    fields = []
    for size in sizes:
        fields.append(cursor.take(size))
        cursor.place += -size % 8 if version == 1 else 0
    name, kind, space = fields
    return text_of(name.split(b"\0")[0]), shape(space), kind, cursor.data[cursor.place :]


def link(data: bytes) -> tuple[str, int | None]:
    """(name, address) of a member of a group; the address is None where it leads elsewhere by a name."""
    cursor = Cursor(data)
    version, flags = cursor.number(1), cursor.number(1)
    kind = cursor.number(1) if flags & 8 else 0
    cursor.take((8 if flags & 4 else 0) + (1 if flags & 0x10 else 0))
    name = text_of(cursor.take(cursor.number(1 << (flags & 3))))
    if version != 1:
        raise Refused("damaged HDF5: a member of a group that is none")
    return name, None if kind else cursor.number(8)


def text_of(data: bytes) -> str:
    """A name; bytes that are no UTF-8 are replaced."""
    return data.decode("utf-8", "replace")


# ---------------------------------------------------------------------------------------------- the numbers


class _Type(NamedTuple):
    """What elements are: `kind` is "number", "text" (of `size` bytes), "text elsewhere", or what else is not read."""

    kind: str
    size: int
    dtype: np.dtype | None = None


def shape(data: bytes) -> tuple[int, ...] | None:
    """The lengths of all axes; None where there are no elements at all."""
    cursor = Cursor(data)
    version, rank = cursor.number(1), cursor.number(1)
    if version not in (1, 2) or rank > _LARGEST_RANK:
        raise Refused("damaged HDF5: a shape that is none")
    cursor.take(1)
    nothing = cursor.number(1) == 2 and version == 2
    cursor.take(4 if version == 1 else 0)
    return None if nothing else tuple(cursor.numbers(rank))


def type_of(data: bytes) -> _Type:
    """What the elements are. Raises Refused where the description itself is cut short."""
    cursor = Cursor(data)
    first, bits = cursor.number(1), cursor.number(3)
    size = cursor.number(4)
    order = ">" if bits & 1 else "<"
    match first & 15:
        case 0 if cursor.numbers(2, 2) == [0, 8 * size] and size in (1, 2, 4, 8):
            return _Type("number", size, np.dtype(f"{order}{'i' if bits & 8 else 'u'}{size}"))
        case 1 if not bits & 64:
            offset, precision, *fields = *cursor.numbers(2, 2), *cursor.numbers(4, 1), cursor.number(4)
            if offset == 0 and (size, precision, *fields) in _FLOATS:
                return _Type("number", size, np.dtype(f"{order}f{size}"))
        case 3:
            return _Type("text", size)
        case 9 if bits & 15 == 1:
            return _Type("text elsewhere", size)
    kinds = ("odd whole numbers", "odd numbers", "times", "text", "bits", "opaque", "compound", "references", "enum")
    return _Type((*kinds, "lists", "arrays", "complex numbers")[min(first & 15, 11)], size)


class Array:
    """An array of numbers in a file: what it holds, and where, by the messages of its header."""

    def __init__(self, described: list[tuple[int, bytes]]) -> None:
        found = dict(described)
        kind, axes = type_of(found[DATATYPE]), shape(found[DATASPACE])
        if kind.dtype is None or axes is None:
            raise Refused(f"it holds no numbers that can be read, but {'nothing' if axes is None else kind.kind}")
        self.dtype, self.shape = kind.dtype, axes
        self.layout, self.filters = found[LAYOUT], found.get(FILTERS)
        if EXTERNAL in found or self.layout[1:2] == b"\3":
            raise Refused("it holds no numbers of this file; they lie in another")

    @property
    def nbytes(self) -> int:
        """Bytes of all elements, unpacked."""
        return math.prod(self.shape) * self.dtype.itemsize

    def elements(self, parts: Parts) -> np.ndarray:
        """The array, in the file's byte order: a read-only view of the file's bytes where they lie in one piece."""
        dtype, axes = self.dtype, self.shape
        if not self.nbytes:
            if is_absurdly_empty(axes):
                raise Refused(f"it is empty, but has an axis of {max(axes):,}")
            return np.empty(axes, dtype)
        cursor = Cursor(self.layout)
        version, kind = cursor.number(1), cursor.number(1)
        if version not in (3, 4) or (version == 4 and kind == 2):
            raise Refused("HDF5 with an array laid out in a way that is not read" + _REMEDY)
        if kind == 2:
            return self._pieces(parts, cursor)
        if self.filters is not None:
            raise Refused("damaged HDF5: an array in one piece that is said to be packed")
        if kind == 0:
            data, start = cursor.take(cursor.number(2)), 0
        else:
            data, start = parts.data, cursor.number(8)
            if start == UNDEFINED:
                raise Refused("its elements were never written")
        if start + self.nbytes > len(data):
            raise Refused("it reaches beyond the end of the file")
        return np.frombuffer(data, dtype, math.prod(axes), start).reshape(axes)

    def _pieces(self, parts, cursor):
        """An array that was cut into pieces of one size, each packed by itself."""
        axes, dtype = self.shape, self.dtype
        rank, tree = cursor.number(1), cursor.number(8)
        if rank != len(axes) + 1:
            raise Refused("damaged HDF5: an array cut into pieces that do not fit it")
        *piece, width = cursor.numbers(rank, 4)
        if width != dtype.itemsize or not all(piece):
            raise Refused("damaged HDF5: an array cut into pieces that do not fit it")
        if tree == UNDEFINED:
            raise Refused("its elements were never written")
        number, size = math.prod(-(-n // p) for n, p in zip(axes, piece, strict=True)), math.prod(piece) * width
        if number * 24 > len(parts.data) or number * size > 64 * self.nbytes + (1 << 20):
            raise Refused(f"it is cut into {number:,} pieces of {size:,} bytes, more than such a file can hold")
        steps, y, done = _steps(self.filters), np.empty(axes, dtype), set()
        for place, address in tree_leaves(parts, tree, 1, 8 + 8 * rank):
            key = Cursor(parts.data, place)
            packed, skipped = key.number(4), key.number(4)
            at = key.numbers(rank - 1)
            if any(a % p or a >= n for a, p, n in zip(at, piece, axes, strict=True)) or tuple(at) in done:
                raise Refused("damaged HDF5: an array with a piece where none should be")
            done.add(tuple(at))
            parts.spend(packed)
            data = Cursor(parts.data, address).take(packed)
            for turn in reversed(range(len(steps))):
                if not skipped >> turn & 1:
                    data = _unpacked(data, steps[turn], size, width)
            if len(data) != size:
                raise Refused("damaged HDF5: an array with a piece of another size")
            inside = tuple(slice(a, min(a + p, n)) for a, p, n in zip(at, piece, axes, strict=True))
            part = np.frombuffer(data, dtype).reshape(piece)
            y[inside] = part[tuple(slice(s.stop - s.start) for s in inside)]
        if len(done) != number:
            raise Refused(f"{number - len(done):,} of its {number:,} pieces were never written")
        return y


def _steps(data):
    """The numbers of the filters that an array's pieces went through, in order."""
    if data is None:
        return []
    cursor = Cursor(data)
    version, count = cursor.number(1), cursor.number(1)
    cursor.take(6 if version == 1 else 0)
    steps = []
    for _ in range(count):
        kind = cursor.number(2)
        named = cursor.number(2) if version == 1 or kind >= 256 else 0
        _, values = cursor.numbers(2, 2)
        cursor.take(named + 4 * values + (4 if version == 1 and values % 2 else 0))
        if kind not in (_DEFLATE, _SHUFFLE):
            raise Refused(f"it is packed with {_OTHER_FILTERS.get(kind, shown(kind))}; deflate and shuffle are read")
        steps.append(kind)
    return steps


def _unpacked(data, step, size, width):
    if step == _DEFLATE:
        unpacker = zlib.decompressobj()
        try:
            return unpacker.decompress(data, size + 1)
        except zlib.error:
            raise Refused("damaged HDF5: a piece of an array that cannot be unpacked") from None
    if len(data) % width:
        raise Refused("damaged HDF5: an array with a piece of another size")
    return np.frombuffer(data, np.uint8).reshape(width, -1).T.tobytes()
