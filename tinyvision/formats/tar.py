"""Tar archives read front to back in memory: nothing is extracted, nothing is written.

The standard library's reader keeps whatever an archive's extended headers promise, and has been led astray
by links and names more than once. Reading data needs so little of the format that it is written out here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from .source import refuse

_BLOCK = 512
_MAX_EXTENDED = 1 << 20  # bytes of an extended header
_MAX_MEMBERS = 10_000
_NO_DATA = b"123456"  # links, devices, folders, pipes: whatever size they state, nothing follows

Member = tuple[str, bool, int, Callable[[], bytes]]


def is_tar(head: bytes) -> bool:
    """Whether the first 512 bytes are the header of a tar member."""
    return len(head) >= _BLOCK and _checksum_holds(head[:_BLOCK])


def tar_members(stream: Pieces, name: str) -> Iterator[Member]:
    """(member's name, whether it is a plain file, its size, a function that reads it) for each member, in
    order.

    The function must be called before the next member is asked for, if at all.
    Raises DataError for archives that are damaged or cut short, sparse members, and absurd sizes.
    Format: POSIX.1-2017, pax, "ustar Interchange Format"."""
    long_name = None
    for _ in range(_MAX_MEMBERS):
        header = stream.read(_BLOCK)
        if len(header) < _BLOCK:
            refuse(name, "the archive is cut short: it has no end")
        if not any(header):
            return stream.drain()
        if not _checksum_holds(header):
            refuse(name, "the archive is damaged: the checksum of a header is wrong")
        kind, size = header[156:157], _number(header[124:136], name)
        if kind in b"xgLK":
            if size > _MAX_EXTENDED:
                refuse(name, f"an extended header of {size:,} bytes")
            content = stream.exactly(size, name)
            stream.exactly(-size % _BLOCK, name)
            if kind == b"L":
                long_name = content.rstrip(b"\0")
            elif kind in b"xg":
                long_name = _pax_path(content, name) or long_name
            continue
        member, long_name = long_name or _name(header), None
        size = 0 if kind in _NO_DATA else size
        start = stream.position
        yield (
            member.decode("utf-8", "replace"),
            kind in b"0\x007",
            size,
            partial(stream.exactly, size, name),
        )
        stream.skip(start + size + -size % _BLOCK - stream.position, name)
    refuse(name, f"has more than {_MAX_MEMBERS:,} members")


class Pieces:
    """A stream of at most `limit` bytes made of pieces, of which only the present one is held."""

    def __init__(self, pieces: Iterator[bytes], name: str, limit: int) -> None:
        self._pieces, self._held, self._name = pieces, memoryview(b""), name
        self._limit = limit
        self.position = 0

    def _next(self) -> bool:
        if not self._held:
            self._held = memoryview(next(self._pieces, b""))
        return len(self._held) > 0

    def _take(self, count: int) -> memoryview:
        taken, self._held = self._held[:count], self._held[count:]
        self.position += len(taken)
        if self.position > self._limit:
            refuse(self._name, f"unpacks to more than the {self._limit:,} bytes that are allowed")
        return taken

    def peek(self) -> bytes:
        """The piece at hand, without moving on; b"" at the end."""
        return bytes(self._held[:_BLOCK]) if self._next() else b""

    def read(self, count: int) -> bytes:
        """The next `count` bytes, or as many as there are."""
        taken = bytearray()
        while len(taken) < count and self._next():
            taken += self._take(count - len(taken))
        return bytes(taken)

    def exactly(self, count: int, name: str) -> bytes:
        """The next `count` bytes. Raises DataError if there are fewer."""
        taken = self.read(count)
        if len(taken) < count:
            refuse(name, "the archive is cut short inside a member")
        return taken

    def skip(self, count: int, name: str) -> None:
        """Pass over `count` bytes. Raises DataError if there are fewer."""
        while count > 0:
            if not self._next():
                refuse(name, "the archive is cut short inside a member")
            count -= len(self._take(count))

    def drain(self) -> None:
        """Pass over the rest, so that what checks a stream's end gets to see it."""
        while self._next():
            self._take(len(self._held))


def _checksum_holds(header: bytes) -> bool:
    digits = header[148:156].strip(b"\0 ")
    stated = int(digits, 8) if digits and not digits.strip(b"01234567") else -1
    return sum(header) - sum(header[148:156]) + 8 * 0x20 == stated


def _number(field: bytes, name: str) -> int:
    digits = field.strip(b"\0 ")
    if not digits.strip(b"01234567"):
        return int(digits or b"0", 8)
    if field[0] == 0x80:  # GNU's binary numbers, for members beyond 8 GiB
        return int.from_bytes(field[1:], "big")
    refuse(name, "the archive is damaged: a size is no number")


def _name(header: bytes) -> bytes:
    base, prefix = (part.split(b"\0")[0] for part in (header[:100], header[345:500]))
    return prefix + b"/" + base if prefix and header[257:263] == b"ustar\0" else base


def _pax_path(content: bytes, name: str) -> bytes | None:
    """The path in an extended header, if it has one; records look like "18 path=some/file\\n"."""
    path, position = None, 0
    while position < len(content):
        digits = content[position : position + 20].split(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        record = content[position + len(digits) + 1 : position + length]
        if length <= len(digits) + 1 or not record.endswith(b"\n"):
            refuse(name, "the archive is damaged: an extended header is malformed")
        key, _, value = record[:-1].partition(b"=")
        if key == b"size" or key.startswith(b"GNU.sparse"):
            refuse(name, "the archive uses sparse or very large members, which are not read")
        path = value if key == b"path" else path
        position += length
    return path
