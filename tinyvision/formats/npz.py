"""NumPy's .npz: a zip archive of .npy records, each a short header and the elements.

numpy.lib.format describes .npy. Arrays of Python objects, which NumPy itself stores as pickles, are refused,
as is everything else but numbers and, where a caller wants it, text. `np.savez_compressed` deflates its
records; they are read as long as all of them together unpack to at most 48 MiB + 6 times the file's size.
Weights and photographs compress far less than that.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from . import storages as tensors
from .refused import Refused, shown
from .safetensors import little_endian_bytes
from .zip import ZipArchive

_MAGIC = b"\x93NUMPY"
_MAX_NPY_HEADER = 1 << 16
# The header is a Python dict display, but of one shape only; it is matched, never evaluated.
_HEADER = re.compile(
    r"\{'descr': '([<>|=]?)([a-zA-Z]\d{1,4})', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,19}L?, )*(?:\d{1,19}L?,?)?)\),? ?\}\s*"
)
_KINDS = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})
_LAST_CHARACTER = 0x10FFFF


class _Header(NamedTuple):
    """What the header of an array tells; its elements begin at byte `start`."""

    start: int
    kind: str
    big_endian: bool
    fortran: bool
    shape: tuple[int, ...]

    @property
    def is_text(self) -> bool:
        return self.kind[0] in "SU"


def is_npz(archive: ZipArchive) -> bool:
    """Whether a zip archive looks like one of NumPy's."""
    return all(name.endswith(".npy") for name in archive.records)


def read(archive: ZipArchive, *, text: bool = False) -> Any:
    """Arrays by name from an opened ZipArchive, in the machine's byte order; strings of fixed length too with `text`.

    Raises Refused for everything else that an array can hold, and for arrays that unpack to too much."""
    if not archive.records:
        raise Refused("an archive without arrays")
    total = sum(record.length for record in archive.records.values())
    most = (48 << 20) + 6 * archive.size
    if total > most:
        raise Refused(f"arrays that unpack to {total:,} bytes, more than {most:,}; save them uncompressed")
    return {name[: -len(".npy")]: _read_array(archive, name, text) for name in archive.records}


def _read_array(archive, name, text):
    record = archive.records[name]
    head = b""
    for piece in archive.pieces(name):
        head += bytes(piece[: _MAX_NPY_HEADER + 16])
        if len(head) > _MAX_NPY_HEADER or len(head) >= record.length:
            break
    header = _checked_header(head, record.length, name, text)
    raw = np.empty(record.length - header.start, np.uint8)
    archive.read_into(name, memoryview(bytearray(header.start)), memoryview(raw))
    return _array(raw, header, name)


def read_npy(data: bytes, name: str) -> np.ndarray:
    """The array in the bytes of a single .npy file, in the machine's byte order; `name` is what to call it.

    Raises Refused for everything but numbers and booleans, and for a header that does not fit the file's length."""
    header = _checked_header(data[: _MAX_NPY_HEADER + 16], len(data), name, text=False)
    return _array(np.frombuffer(bytearray(memoryview(data)[header.start :]), np.uint8), header, name)


def _checked_header(head, length, name, text):
    """The header of an array of which all fits into `length` bytes, and is of a kind that is read."""
    header = _parse_header(head, name)
    if header.kind not in _KINDS and not (text and header.is_text):
        wanted = "numbers, booleans and strings" if text else "numbers and booleans"
        raise Refused(f"array {shown(name)} has the type {shown(header.kind)}; {wanted} are read")
    size = np.dtype(header.kind).itemsize * math.prod(header.shape)
    if header.start + size != length:
        raise Refused(f"array {shown(name)} should take {shown(size)} bytes, but has {length - header.start:,}")
    return header


def _array(raw, header, name):
    kind, big_endian = header.kind, header.big_endian
    flat = _strings(raw, kind, big_endian, name) if header.is_text else tensors.elements(raw, kind, big_endian)
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


def _strings(raw, kind, big_endian, name):
    if kind == "U0" or kind == "S0":
        raise Refused(f"array {shown(name)} holds strings without characters")
    order = ">" if big_endian else "<"
    if kind[0] == "U" and raw.size and raw.view(f"{order}u4").max() > _LAST_CHARACTER:
        raise Refused(f"array {shown(name)} holds text with characters that do not exist")
    return raw.view(order + kind).astype(f"={kind}", copy=False)


def _parse_header(head, name):
    if head[:6] != _MAGIC or head[6:8] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise Refused(f"record {shown(name)} is not in NumPy's format")
    width = 2 if head[6] == 1 else 4
    start = 8 + width + int.from_bytes(head[8 : 8 + width], "little")
    if start > min(len(head), _MAX_NPY_HEADER):
        raise Refused(f"record {shown(name)} has a header of {start:,} bytes")
    text = head[8 + width : start].decode("latin-1")
    match = _HEADER.fullmatch(text)
    if not match:
        if "|O" in text:
            raise Refused(f"array {shown(name)} holds Python objects, which are never read; store numbers")
        raise Refused(f"array {shown(name)} has a header that is damaged, or describes structured data")
    order, kind, fortran, shape = match.groups()
    shape = tuple(int(digits.strip(" L")) for digits in shape.split(",") if digits.strip())
    if len(shape) > tensors.MAX_RANK or not all(map(tensors.is_index, shape)):
        raise Refused(f"array {shown(name)} has {len(shape)} axes, or one that is too long")
    if tensors.is_absurdly_empty(shape):
        raise Refused(f"array {shown(name)} is empty, but has an axis of {max(shape):,}")
    return _Header(start, kind, order == ">", fortran == "True", shape)


def write(file: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name to a binary file, as `np.savez` does."""
    import zipfile

    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            record = zipfile.ZipInfo(f"{name}.npy")
            header = _npy_header(array)
            record.file_size = len(header) + array.nbytes
            with archive.open(record, "w") as out:
                out.write(header)
                out.write(little_endian_bytes(array))


def _npy_header(array):
    kind = array.dtype.newbyteorder("<").str
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {tuple(array.shape)}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return _MAGIC + b"\1\0" + len(text).to_bytes(2, "little") + text.encode("ascii")
