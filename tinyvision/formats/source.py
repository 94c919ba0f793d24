"""Bytes from files that we do not trust.

Every reader of this package takes its bytes from here, so that the dull dangers are met once: a folder
where a file should be, a named pipe that never answers, a gzip file that unpacks to a thousand times its
size. Whatever goes wrong is a `DataError` of one line that names the file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NoReturn

import numpy as np

from ..errors import DataError
from ..printable import printable

Source = str | os.PathLike[str] | bytes | bytearray | memoryview

MAX_FILE = 4 << 30  # bytes; larger than any file that the readers here are meant for
SPARE = 32 << 20  # bytes that may be unpacked however small the file is


def refuse(name: str, reason: str, cause: BaseException | None = None) -> NoReturn:
    """Raise DataError `name: reason`, as one printable line of at most 300 characters or so."""
    raise DataError(f"{name}: {printable(reason, 200)}") from cause


def source_name(source: object) -> str:
    """What to call `source` in an error: its path, or "<bytes>"."""
    return "<bytes>" if isinstance(source, (bytes, bytearray, memoryview)) else printable(source, 150)


def read_bytes(source: Source, limit: int = MAX_FILE) -> tuple[bytes, str]:
    """All bytes of `source` (a path, or the bytes themselves) and the name to call it by.

    Raises DataError for what is missing, empty, not a regular file, unreadable, or longer than `limit` bytes."""
    name = source_name(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        data = _read_regular(source, name, limit)
    else:
        refuse(name, f"expected a path or bytes, got {type(source).__name__}")
    if not data:
        refuse(name, "the file is empty")
    return data, name


def _read_regular(path: str | os.PathLike[str], name: str, limit: int) -> bytes:
    # Opening a named pipe waits for a writer, so open without waiting and look at what it is first.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        if os.path.isdir(path):
            refuse(name, "is a folder, not a file")
        descriptor = os.open(path, flags)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                refuse(name, "is not a regular file")
            if status.st_size > limit:
                refuse(name, f"has {status.st_size:,} bytes, more than the {limit:,} that are allowed")
            return file.read(status.st_size)
    except DataError:  # which is a ValueError, too
        raise
    except FileNotFoundError as error:
        refuse(name, "no such file", error)
    except OSError as error:
        refuse(name, f"cannot be read: {error.strerror or error}", error)
    except (ValueError, MemoryError) as error:  # a NUL in the path; a file too large for this machine
        refuse(name, f"cannot be read: {error or type(error).__name__}", error)


def read_text(source: Source, limit: int = MAX_FILE) -> tuple[str, str]:
    """The text in a file of UTF-8, without a mark of byte order, and the name to call it by. Raises DataError."""
    data, name = read_bytes(source, limit)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{name}, line {line}: is no text in UTF-8; save it as UTF-8") from None
    return text, name


def unpack_limit(packed: int) -> int:
    """The most bytes that a compressed file of `packed` bytes may unpack to.

    Photographs shrink tenfold at best, and looking through a bomb costs time even where it costs no memory."""
    return min((256 << 20) + 50 * packed, MAX_FILE)


def fill(pieces: Iterator[bytes], size: int, name: str) -> np.ndarray:
    """Exactly `size` bytes out of `pieces`, as a uint8 array (size,). Raises DataError for too few or too many.

    Memory is touched only as bytes arrive, so a false promise of size costs nothing."""
    try:
        room = np.empty(size, np.uint8)
    except (MemoryError, ValueError) as error:
        refuse(name, f"{size:,} bytes do not fit into this machine's memory", error)
    used = 0
    for piece in pieces:
        if used + len(piece) > size:
            refuse(name, f"holds more than the {size:,} bytes that its header announces")
        room[used : used + len(piece)] = np.frombuffer(piece, np.uint8)
        used += len(piece)
    if used < size:
        refuse(name, f"is cut short: {used:,} bytes where the header announces {size:,}")
    return room


def count(pieces: Iterator[bytes], size: int, name: str) -> None:
    """Check that `pieces` hold exactly `size` bytes without keeping any. Raises DataError as `fill` does."""
    used = 0
    for piece in pieces:
        used += len(piece)
        if used > size:
            refuse(name, f"holds more than the {size:,} bytes that its header announces")
    if used < size:
        refuse(name, f"is cut short: {used:,} bytes where the header announces {size:,}")
