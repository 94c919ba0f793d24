"""The IDX format of MNIST and its relatives: a magic number, the sizes, the numbers."""

from __future__ import annotations

import math
from itertools import chain

import numpy as np

from .gzip import gunzip, is_gzip
from .source import SPARE, Source, count, fill, read_bytes, refuse, unpack_limit

# The third byte of the magic number names the type; numbers are stored most significant byte first.
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_AXES = 32
_DEFLATE_LIMIT = 1032  # no deflate stream grows by more than this factor


def read_idx(source: Source) -> np.ndarray:
    """The array in an IDX file, gzipped or not (the content tells, not the name), in the machine's byte order.

    `source` is a path, or the file's bytes. All six types are read: uint8, int8, int16, int32, float32,
    float64. Raises DataError for a file that is missing, empty, cut short, too long, or no IDX file, and for a
    compressed one that would unpack to more than 256 MiB and fifty times its own size.

    Format: http://yann.lecun.com/exdb/mnist/ ("The IDX file format")."""
    data, name = read_bytes(source)
    if not is_gzip(data):
        shape, dtype, start = _header(data, name)
        size = math.prod(shape) * dtype.itemsize
        if len(data) - start != size:
            problem = "is cut short" if len(data) - start < size else "is too long"
            refuse(name, f"{problem}: {len(data) - start:,} bytes of numbers where {shape} needs {size:,}")
        return _array(np.frombuffer(data, dtype, offset=start), shape, name)

    pieces = gunzip(data, name)
    head = b""
    while len(head) < 4 + 4 * _MAX_AXES and (piece := next(pieces, b"")):
        head += piece
    shape, dtype, start = _header(head, name)
    size = math.prod(shape) * dtype.itemsize
    if size > _DEFLATE_LIMIT * len(data):
        refuse(name, f"is cut short: {len(data):,} compressed bytes cannot hold the {size:,} that it announces")
    if size > (limit := unpack_limit(len(data))):
        refuse(name, f"would unpack to {size:,} bytes; the most that is allowed is {limit:,}")
    if size > SPARE + 4 * len(data):
        # It grows so much that a false file could cost real memory: look through it once before keeping anything.
        count(gunzip(data, name), start + size, name)
    return _array(fill(chain([head[start:]], pieces), size, name).view(dtype), shape, name)


def _header(data: bytes, name: str) -> tuple[tuple[int, ...], np.dtype, int]:
    """(sizes, type, where the numbers begin) of an IDX file's first bytes."""
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES:
        refuse(name, f"is not an IDX file: it begins with the bytes {data[:4].hex(' ')}")
    axes = data[3]
    if not 1 <= axes <= _MAX_AXES:
        refuse(name, f"announces {axes} axes; an IDX file has 1 to {_MAX_AXES}")
    start = 4 + 4 * axes
    if len(data) < start:
        refuse(name, f"is cut short: its header has {len(data)} of {start} bytes")
    return tuple(np.frombuffer(data, ">u4", axes, 4).tolist()), np.dtype(_TYPES[data[2]]), start


def _array(flat: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    try:
        return flat.reshape(shape).astype(flat.dtype.newbyteorder("="), copy=not flat.flags.writeable)
    except (ValueError, MemoryError) as error:  # an empty array whose other sizes overflow; no memory left
        refuse(name, f"cannot hold an array of shape {shape}: {error}", error)
