"""Gzip files unpacked piece by piece, so that a bomb is noticed before it costs memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from .source import refuse

_SLICE = 1 << 13  # compressed bytes handed to zlib at a time; it copies what it leaves, so keep them few
_PIECE = 1 << 20  # unpacked bytes at a time


def is_gzip(data: bytes) -> bool:
    """Whether `data` begins as a gzip file does."""
    return data[:2] == b"\x1f\x8b"


def gunzip(data: bytes, name: str) -> Iterator[bytes]:
    """The unpacked content of a gzip file (RFC 1952), in pieces of at most 1 MiB, checksums verified.

    Raises DataError when the stream is damaged, cut short, or followed by something else."""
    position, size = 0, len(data)
    while position < size:
        if not data[position] and not data[position:].strip(b"\0"):
            return  # zero padding, as tape and disk tools leave it
        if data[position : position + 2] != b"\x1f\x8b":
            refuse(name, f"unexpected bytes after the gzip data, at {position:,}")
        unpacker, pending = zlib.decompressobj(wbits=31), b""
        while not unpacker.eof:
            if not pending:
                pending = data[position : position + _SLICE]
                position += len(pending)
            if not pending:
                refuse(name, "the gzip data is cut short")
            try:
                piece = unpacker.decompress(pending, _PIECE)
            except zlib.error as error:
                refuse(name, f"the gzip data is damaged ({error})", error)
            pending = unpacker.unconsumed_tail
            if piece:
                yield piece
        position -= len(unpacker.unused_data)
