"""How HDF5 finds its parts again: trees of addresses, and heaps in which names and texts lie.

Groups as they have been since 1998 keep their members in a B-tree and their names in a local heap; groups and
attributes by the hundred go into a B-tree of the second kind and a fractal heap; texts of any length lie in global
heaps. Parts of a whole file never overlap: none is opened twice, and all together, with the names and pieces that lie
between them, are no longer than the file, so that every walk ends, and soon.
"""

from __future__ import annotations

from collections.abc import Iterator

from .refused import Refused

UNDEFINED = (1 << 64) - 1  # the address of what was never written
_MASK = 0xFFFFFFFF


class Cursor:
    """The bytes of a file, read one after the other from a place on; numbers are little-endian."""

    def __init__(self, data: bytes, place: int = 0, end: int | None = None) -> None:
        self.data, self.place = data, place
        self.end = len(data) if end is None else min(end, len(data))

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises Refused if there are fewer."""
        start, self.place = self.place, self.place + count
        if self.place > self.end:
            raise Refused("damaged HDF5: a part that reaches beyond the end of the file, or of the part it lies in")
        return self.data[start : self.place]

    def number(self, width: int) -> int:
        """The next `width` bytes as an unsigned number; 8 of them are an address or a length."""
        return int.from_bytes(self.take(width), "little")

    def numbers(self, count: int, width: int = 8) -> list[int]:
        """So many numbers, one after the other."""
        data = self.take(count * width)
        return [int.from_bytes(data[at : at + width], "little") for at in range(0, len(data), width)]

    def signed_by(self, signature: bytes, versions: tuple[int, ...] = (0,)) -> int:
        """Pass over a part's four letters and its version, which is the result."""
        if self.take(4) != signature or (version := self.number(1)) not in versions:
            raise Refused(f"damaged HDF5: no {signature.decode()} where one should be")
        return version

    def checked(self, start: int) -> None:
        """Pass over the checksum of the bytes since `start`. Raises Refused if it is another's."""
        if checksum(self.data[start : self.place]) != self.number(4):
            raise Refused("damaged HDF5: a part whose checksum is wrong")


class Parts:
    """The parts of a file that hold addresses; each is opened once, and `left` bytes of the file are still unread."""

    def __init__(self, data: bytes) -> None:
        self.data, self.opened, self.left = data, set[int](), len(data)

    def open(self, place: int, count: int) -> Cursor:
        """A part whose first `count` bytes are there; the cursor ends behind them. Raises Refused for a second time."""
        if place in self.opened:
            raise Refused("damaged HDF5: parts that lead in a circle")
        self.opened.add(place)
        cursor = Cursor(self.data, place, place)
        self.longer(cursor, count)
        return cursor

    def longer(self, cursor: Cursor, count: int) -> None:
        """Let an opened part go on for `count` bytes more."""
        self.spend(count)
        cursor.end += count
        if cursor.end > len(self.data):
            raise Refused("damaged HDF5: a part that reaches beyond the end of the file")

    def spend(self, count: int) -> None:
        """Count bytes that are read: no byte of a whole file is read for two things. Raises Refused for more than the
        file has."""
        self.left -= count
        if self.left < 0:
            raise Refused("damaged HDF5: parts that overlap, or reach beyond the end of the file")


def checksum(data: bytes) -> int:
    """Bob Jenkins's lookup3 of some bytes, which HDF5 keeps behind parts of its newer kinds."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    for start in range(0, len(data), 12):
        words = [int.from_bytes(data[at : at + 4], "little") for at in (start, start + 4, start + 8)]
        a, b, c = (a + words[0]) & _MASK, (b + words[1]) & _MASK, (c + words[2]) & _MASK
        if start + 12 < len(data):
            for turn in (4, 6, 8, 16, 19, 4):
                a = (a - c & _MASK) ^ _turned(c, turn)
                a, b, c = b, c + b & _MASK, a  # each number's part in turn
    if not data:
        return c
    for turn in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - _turned(b, turn) & _MASK
        a, b, c = b, c, a
    return b


def _turned(number, by):
    return (number << by | number >> 32 - by) & _MASK


# ------------------------------------------------------------------------------------------------ the trees


def tree_leaves(parts: Parts, address: int, kind: int, key: int) -> Iterator[tuple[int, int]]:
    """(where its key stands, the address below it) of each entry at the bottom of a B-tree of the first kind.

    kind  0 for the members of a group, 1 for the pieces of an array
    key   bytes of a key"""
    waiting = [(address, -1)]
    while waiting:
        place, expected = waiting.pop()
        node = parts.open(place, 24)
        if node.take(4) != b"TREE" or node.number(1) != kind:
            raise Refused("damaged HDF5: no TREE where one should be")
        level, used = node.number(1), node.number(2)
        if expected not in (-1, level):
            raise Refused("damaged HDF5: a tree whose levels are out of order")
        node.take(16)  # its neighbours
        parts.longer(node, used * (key + 8))
        rows = [(at, Cursor(parts.data, at + key).number(8)) for at in range(node.place, node.end, key + 8)]
        if level:
            waiting += [(child, level - 1) for _, child in reversed(rows)]
        else:
            yield from rows


def records(parts: Parts, address: int, kind: int) -> Iterator[bytes]:
    """The records of a B-tree of the second kind, which are of the type `kind`; they come in no order."""
    head = parts.open(address, 38)
    head.signed_by(b"BTHD")
    found, size, record, depth = head.number(1), head.number(4), head.number(2), head.number(2)
    head.take(2)
    root, at_root = head.number(8), head.number(2)
    head.take(8)
    head.checked(address)
    if found != kind or not record or size < 32 + record or depth > 8:
        raise Refused("damaged HDF5: a tree of records that is none")
    # How many records a node can have at each depth, and the bytes of such numbers, which lie in the nodes above.
    most = [(size - 10) // record]
    total, wide, wide_total = most[0], _bytes_for(most[0]), [0]
    for level in range(1, depth + 1):
        pointer = 8 + wide + wide_total[level - 1]
        most.append((size - 10 - pointer) // (record + pointer))
        total = (most[level] + 1) * total + most[level]
        wide_total.append(_bytes_for(total))
    waiting = [(root, at_root, depth)] if root != UNDEFINED else []
    while waiting:
        place, count, level = waiting.pop()
        if not 0 <= count <= most[level]:
            raise Refused("damaged HDF5: a tree with too many records")
        below = count + 1 if level else 0
        node = parts.open(place, 10 + count * record + below * (8 + wide + wide_total[level - 1]))
        node.signed_by(b"BTIN" if level else b"BTLF")
        node.take(1)
        yield from [node.take(record) for _ in range(count)]
        for _ in range(below):
            child, inside = node.number(8), node.number(wide)
            node.take(wide_total[level - 1])
            waiting.append((child, inside, level - 1))
        node.checked(place)


def _bytes_for(number):
    return max(number.bit_length() + 7 >> 3, 1)


# ------------------------------------------------------------------------------------------------ the heaps


def local_heap(parts: Parts, address: int) -> tuple[int, int]:
    """Where the names of a group begin and end."""
    head = parts.open(address, 32)
    head.signed_by(b"HEAP")
    head.take(3)
    size = head.number(8)
    head.take(8)
    start = head.number(8)
    return start, min(start + size, len(parts.data))


def global_heap(parts: Parts, address: int) -> dict[int, bytes]:
    """Number -> bytes of everything in one global heap."""
    heap = parts.open(address, 16)
    heap.signed_by(b"GCOL", (1,))
    heap.take(3)
    parts.longer(heap, max(heap.number(8) - 16, 0))
    found = {}
    while heap.place + 16 <= heap.end:
        index = heap.number(2)
        heap.take(6)
        size = heap.number(8)
        if index == 0:  # the rest is free
            break
        found[index] = heap.take(size)
        heap.place += -size % 8
    return found


class FractalHeap:
    """Blocks that double in size, in which small parts lie; each is found by its distance from the heap's beginning."""

    def __init__(self, parts: Parts, address: int) -> None:
        self.data = parts.data
        head = parts.open(address, 146)
        head.signed_by(b"FRHP")
        self.id_size, packed, flags, largest = head.number(2), head.number(2), head.number(1), head.number(4)
        head.take(96)  # what is free, and what is too large for it
        self.width, self.first, self.largest_block = head.number(2), head.number(8), head.number(8)
        bits = head.number(2)
        head.take(2)
        self.root, self.rows = head.number(8), head.number(2)
        if packed:
            raise Refused("HDF5 whose attributes or names are compressed, which is not read")
        head.checked(address)
        self.has_checksums = bool(flags & 2)
        self.offset_size = bits + 7 >> 3
        self.length_size = _bytes_for(min(self.largest_block, largest))
        if not 0 < self.first <= self.largest_block < 1 << 40 or not 0 < self.width < 1 << 10 or bits > 64:
            raise Refused("damaged HDF5: a heap of impossible sizes")
        self.spend = parts.spend

    def part(self, identity: bytes) -> bytes:
        """What an identity of `id_size` bytes stands for."""
        cursor = Cursor(identity)
        kind = cursor.number(1) >> 4
        if kind == 2:  # so small that it stands in the identity
            return cursor.take((identity[0] & 15) + 1)
        if kind:
            raise Refused("HDF5 with a name or an attribute of more than a few kilobytes in a heap, which is not read")
        offset, length = cursor.number(self.offset_size), cursor.number(self.length_size)
        start, place, size = self._block(offset)
        if offset - start + length > size:
            raise Refused("damaged HDF5: a part that reaches beyond the block it lies in")
        self.spend(length)
        return Cursor(self.data, place + offset - start).take(length)

    def _block(self, offset):
        """(where it begins in the heap, in the file, its size) of the block with this distance."""
        place, start, rows = self.root, 0, self.rows
        if not rows:
            return 0, place, self.first
        for _ in range(64):
            block = Cursor(self.data, place)
            block.signed_by(b"FHIB")
            block.take(8 + self.offset_size)
            for row in range(rows):
                size = self.first << max(row - 1, 0)
                if offset < start + size * self.width:
                    break
                start += size * self.width
            else:
                raise Refused("damaged HDF5: a part outside of its heap")
            column = (offset - start) // size
            start += column * size
            block.place += 8 * (row * self.width + column)
            place = block.number(8)
            if size <= self.largest_block:
                return start, place, size
            rows = (size // (self.first * self.width)).bit_length()
        raise Refused("damaged HDF5: a heap without end")
