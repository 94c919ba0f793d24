"""NumPy's `.npz` archives, read without NumPy's own loader, which can be talked into running code."""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Iterator
from typing import IO

import numpy as np

from ..errors import DataError
from ..formats.source import MAX_FILE, SPARE, Source, count, fill, printable, read_bytes, refuse, unpack_limit

_MAX_DIRECTORY = 1 << 20  # bytes of a zip file's table of contents: some ten thousand arrays
_FIELDS = (
    re.compile(r"'descr': *'([<>|=][a-zA-Z]\d{1,4})'"),
    re.compile(r"'fortran_order': *(True|False)"),
    re.compile(r"'shape': *\(([\d, ]{0,400})\)"),
)


def read_npz(source: Source) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` file by name. `source` is a path, or the file's bytes.

    Numbers, booleans and strings of fixed length are read; Python objects never are. Raises DataError if
    the file is missing, empty, damaged, cut short, encrypted, no such archive, or holds object or
    structured arrays, or two arrays of one name. Format:
    https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"""
    data, name = read_bytes(source)
    _check_directory(data, name)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _arrays(archive, len(data), name)
    except DataError:
        raise
    except Exception as error:  # zipfile raises a dozen types on damaged archives
        refuse(name, f"is not a readable .npz archive: {str(error) or type(error).__name__}", error)


def _check_directory(data: bytes, name: str) -> None:
    """Refuse a huge table of contents: zipfile spends far more memory on an entry than the file does."""
    if data[:4] not in (b"PK\x03\x04", b"PK\x05\x06"):
        refuse(name, f"is not an .npz archive: it begins with the bytes {data[:4].hex(' ')}")
    end = data.rfind(b"PK\x05\x06")
    if end < 0 or len(data) < end + 22:
        refuse(name, "is cut short: it has no table of contents")
    if end > _MAX_DIRECTORY and data.count(b"PK\x01\x02") > _MAX_DIRECTORY // 46:
        refuse(name, "has too many entries")


def _arrays(archive: zipfile.ZipFile, file_size: int, name: str) -> dict[str, np.ndarray]:
    infos: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        key = info.filename.removesuffix(".npy")
        if key == info.filename:
            refuse(name, f"holds {printable(ascii(key), 60)}, which is no .npy array")
        if key in infos:
            refuse(name, f"holds two arrays named {printable(ascii(key), 60)}")
        if info.flag_bits & 1:
            refuse(name, "is encrypted")
        infos[key] = info
    total = sum(info.file_size for info in infos.values())
    if total > (limit := unpack_limit(file_size)):
        refuse(name, f"would unpack to {total:,} bytes; the most that is allowed is {limit:,}")
    if total > SPARE + 4 * file_size:
        # It grows so much that a false file could cost real memory: look through it once before keeping
        # anything.
        for key, info in infos.items():
            with archive.open(info) as stream:
                where = f"{name}: {printable(ascii(key), 60)}"
                count(_pieces(stream), _header(stream, where)[3], where)
    return {key: _array(archive, info, f"{name}: {printable(ascii(key), 60)}") for key, info in infos.items()}


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> np.ndarray:
    with archive.open(info) as stream:
        dtype, fortran, shape, size = _header(stream, where)
        raw = fill(_pieces(stream), size, where)
    if dtype.kind == "b":
        raw = (raw != 0).view(np.uint8)  # a byte of 2 would be neither True nor False
    if dtype.kind == "U" and (raw.view(dtype.byteorder.replace("|", "=") + "u4") > 0x10FFFF).any():
        refuse(where, "holds text with characters that do not exist")
    flat = raw.view(dtype)
    try:
        array = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
        return array.astype(dtype.newbyteorder("="), copy=False)
    except ValueError as error:  # an empty array whose other sizes overflow
        refuse(where, f"cannot hold an array of shape {shape}", error)


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: stream.read(1 << 20), b"")


def _header(stream: IO[bytes], where: str) -> tuple[np.dtype, bool, tuple[int, ...], int]:
    """(type, column-major?, shape, bytes) of one .npy array.

    NumPy's own reader evaluates this text as Python source; here three fixed patterns are looked for."""
    magic = stream.read(8)
    if magic[:6] != b"\x93NUMPY" or magic[6:7] not in (b"\x01", b"\x02"):
        refuse(where, "is not a NumPy array")
    length = int.from_bytes(stream.read(2 if magic[6] == 1 else 4), "little")
    text = stream.read(min(length, 10_000)).decode("latin-1")
    if "|O" in text:
        refuse(where, "holds Python objects, which are never read; store numbers")
    found, rest = [], text
    for field in _FIELDS:
        found += field.findall(rest)
        rest = field.sub("", rest)
    if len(text) != length or len(found) != 3 or rest.translate({32: None, 44: None}) not in ("{}", "{}\n"):
        refuse(where, "has a header that is damaged, or describes structured data")
    descr, order, sizes_text = found
    if descr[1] not in "biufcSU":
        refuse(where, f"has the type {descr}; numbers, booleans and strings are read")
    try:
        dtype = np.dtype(descr)
    except TypeError as error:
        refuse(where, f"has the unknown type {descr}", error)
    sizes = [part.strip() for part in sizes_text.split(",")]
    if sizes[-1] == "":
        sizes.pop()
    if not all(part.isascii() and part.isdigit() and len(part) < 20 for part in sizes) or len(sizes) > 32:
        refuse(where, "has a damaged shape")
    shape = tuple(int(part) for part in sizes)
    size = math.prod(shape) * dtype.itemsize
    if size > MAX_FILE:
        refuse(where, f"announces {size:,} bytes; the most that is allowed is {MAX_FILE:,}")
    return dtype, order == "True", shape, size
