"""Tar archives read front to back: nothing is extracted, nothing is written.

The standard library's reader keeps whatever an archive's extended headers promise, and has been led astray
by links and names more than once. Reading data needs so little of the format that it is written out here:
POSIX.1-2017's "ustar Interchange Format" and pax headers, and GNU's long names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .refused import Refused, shown

_BLOCK = 512
_MAX_EXTENDED = 1 << 16  # bytes of an extended header
_MAX_MEMBERS = 10_000
_PLAIN = b"0\0"
_NO_DATA = b"123456"  # links, devices, folders, pipes: whatever size they state, nothing follows
_EXTENDED = b"xgLK"
# What a pax header may say without anything here being read differently; others come from vendors ("SCHILY.dev").
_PAX_WORDS = (b"mtime", b"atime", b"ctime", b"uid", b"gid", b"uname", b"gname", b"comment")


class Pieces:
    """A stream of at most `limit` bytes made of pieces, of which only the present one is held."""

    def __init__(self, pieces: Iterator[bytes], limit: int) -> None:
        self._pieces, self._held, self._limit = pieces, memoryview(b""), limit
        self.position = 0

    def _next(self) -> bool:
        if not self._held:
            self._held = memoryview(next(self._pieces, b""))
        return len(self._held) > 0

    def _take(self, count: int) -> memoryview:
        taken, self._held = self._held[:count], self._held[count:]
        self.position += len(taken)
        if self.position > self._limit:
            raise Refused(f"unpacks to more than the {self._limit:,} bytes that are allowed")
        return taken

    def peek(self) -> bytes:
        """The first 512 bytes of the piece at hand, without moving on; b"" at the end."""
        return bytes(self._held[:_BLOCK]) if self._next() else b""

    def read(self, count: int) -> bytes:
        """The next `count` bytes, or as many as there are."""
        taken = bytearray()
        while len(taken) < count and self._next():
            taken += self._take(count - len(taken))
        return bytes(taken)

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes. Raises Refused if there are fewer."""
        taken = self.read(count)
        if len(taken) < count:
            raise Refused("a tar archive that is cut short inside a member")
        return taken

    def skip(self, count: int) -> None:
        """Pass over `count` bytes. Raises Refused if there are fewer."""
        while count > 0:
            if not self._next():
                raise Refused("a tar archive that is cut short inside a member")
            count -= len(self._take(count))

    def only_zeros(self) -> bool:
        """Pass over the rest, so that what checks a stream's end gets to see it; whether it is all zeros."""
        while self._next():
            if any(self._take(len(self._held))):
                return False
        return True


@dataclass(frozen=True)
class Member:
    """A member of an archive: its name, whether it is a plain file, and its `length` bytes from `start` on."""

    name: str
    is_plain: bool
    start: int
    length: int
    _stream: Pieces = field(repr=False)

    def read(self) -> bytes:
        """Its bytes; to be called, if at all, before the next member is asked for."""
        return self._stream.exactly(self.length)


def is_tar(head: bytes) -> bool:
    """Whether a file that begins with these 512 bytes, or more, is a tar archive."""
    return len(head) >= _BLOCK and head[257:263] in (b"ustar\0", b"ustar ")


def tar_members(stream: Pieces) -> Iterator[Member]:
    """The members of a tar archive, in order.

    Raises Refused for archives that are damaged, cut short or followed by anything but zeros; for sparse
    members and other rare kinds; for extended headers that set a size; for absurd sizes and numbers of members."""
    long_name = None
    for _ in range(_MAX_MEMBERS):
        header = stream.read(_BLOCK)
        if len(header) < _BLOCK:
            raise Refused("a tar archive that is cut short: it has no end")
        if not any(header):
            if not stream.only_zeros():
                raise Refused("bytes after the end of the tar archive")
            return
        _check(header)
        kind = header[156:157]
        if kind in _EXTENDED:
            length = _octal(header[124:136])
            if length > _MAX_EXTENDED:
                raise Refused(f"a tar archive with an extended header of {length:,} bytes")
            content = stream.exactly(length)
            stream.skip(-length % _BLOCK)
            if kind == b"L":
                long_name = content.rstrip(b"\0")
            elif kind in b"xg":
                long_name = _pax_path(content) or long_name
            continue
        raw_name, long_name = long_name or _name(header), None
        name = raw_name.decode("utf-8", "replace")
        if kind not in _PLAIN + _NO_DATA:
            raise Refused(f"a tar archive whose member {shown(name)} is of type {shown(kind)}")
        length = _octal(header[124:136]) if kind in _PLAIN else 0
        member = Member(name, kind in _PLAIN, stream.position, length, stream)
        yield member
        stream.skip(member.start + length + -length % _BLOCK - stream.position)
    raise Refused(f"a tar archive of more than {_MAX_MEMBERS:,} members")


def _check(header: bytes) -> None:
    if not is_tar(header):
        raise Refused("a damaged tar header")
    if _octal(header[148:156]) != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise Refused("a tar header with a wrong checksum: the archive is damaged")


def _octal(field: bytes) -> int:
    digits = field.strip(b"\0 ")
    if not digits or digits.strip(b"01234567"):
        raise Refused("a tar header with something else than a number: the archive is damaged")
    return int(digits, 8)


def _name(header: bytes) -> bytes:
    base, prefix = (part.split(b"\0")[0] for part in (header[:100], header[345:500]))
    return prefix + b"/" + base if prefix and header[257:263] == b"ustar\0" else base


def _pax_path(content: bytes) -> bytes | None:
    """The path in an extended header, if it has one; records look like "18 path=some/file\\n"."""
    path = None
    while content:
        digits = content[:20].split(b" ")[0]
        length = int(digits) if digits.isdigit() else 0
        record, content = content[len(digits) + 1 : length], content[length:]
        key, equals, value = record[:-1].partition(b"=")
        if not equals or record[-1:] != b"\n" or len(digits) + 1 + len(record) != length:
            raise Refused("a tar archive with a malformed extended header")
        if key == b"path":
            path = value
        elif key not in _PAX_WORDS and (b"." not in key or key.startswith(b"GNU.sparse")):
            raise Refused(f"a tar archive with an extended header that sets {shown(key)}")
    return path
