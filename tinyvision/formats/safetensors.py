"""Safetensors: a length, a JSON header that names every tensor's kind, shape and bytes, and the bytes.

https://github.com/huggingface/safetensors describes the format. Python's `json` alone would take the last of
two equal names, accept NaN and 1.0 for whole numbers, and build far larger objects than the text it reads;
here each of these is refused, and the tensors must cover the data exactly, without gaps or overlaps.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import storages as tensors
from .refused import Refused, shown

_KINDS = {
    "F64": "f8",
    "F32": "f4",
    "F16": "f2",
    "BF16": "bf16",
    "I64": "i8",
    "I32": "i4",
    "I16": "i2",
    "I8": "i1",
    "U64": "u8",
    "U32": "u4",
    "U16": "u2",
    "U8": "u1",
    "BOOL": "b1",
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
KINDS = frozenset(_NAMES) - {"bf16"}  # what NumPy has, and so `save` may write
_MAX_HEADER = 100_000_000  # the specification's own limit
_OBJECT_BYTES = 100  # roughly what one JSON value takes up in Python


def looks_like_safetensors(head: bytes, size: int) -> bool:
    """Whether the first 9 bytes of a file of `size` bytes are the beginning of such a file."""
    return len(head) >= 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8


def read(file: Any, size: int) -> Any:
    """(arrays by name, metadata) of a safetensors file, given as a binary file and its length."""
    entries, metadata, start = read_header(file, size)
    arrays = {}
    for name, (kind, shape, begin, end) in entries.items():
        raw: Any = np.empty(end - begin, np.uint8)
        file.seek(start + begin)
        if file.readinto(memoryview(raw)) != raw.size:
            raise Refused("the file ends in the middle")
        arrays[name] = tensors.elements(raw, kind).reshape(shape)
    return arrays, metadata


def read_header(file: Any, size: int) -> Any:
    """({name: (kind, shape, first byte, byte after the last)}, metadata, where the data begin), all checked."""
    file.seek(0)
    head = file.read(8)
    length = int.from_bytes(head, "little")
    if len(head) < 8 or not 2 <= length <= min(size - 8, _MAX_HEADER):
        raise Refused(f"a header of {length:,} bytes in a file of {size:,}")
    text = file.read(length)
    if len(text) != length:
        raise Refused("the file ends in the middle")
    header = _parse(text, size)
    metadata = _checked_metadata(header.pop("__metadata__", {}))
    entries = {name: _checked_entry(name, entry) for name, entry in header.items()}
    position = 0
    for name, (_, _, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if begin != position:
            raise Refused(f"tensor {shown(name)} begins at {shown(begin)} instead of {position:,}: a gap or an overlap")
        position = end
    if position != size - 8 - length:
        raise Refused(f"tensors of {position:,} bytes with {size - 8 - length:,} bytes of data")
    return entries, metadata, 8 + length


def _parse(text, size):
    if text[:1] != b"{":
        raise Refused("a header that does not begin with '{'")
    values = sum(text.count(mark) for mark in (b",", b"[", b"{"))
    if values * _OBJECT_BYTES > (32 << 20) + 4 * size:
        raise Refused(f"a header of {values:,} values, far more than its tensors need")
    try:
        header = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=_whole_number,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except (ValueError, RecursionError) as reason:
        raise Refused(f"a header that is not JSON: {shown(str(reason), 100)}") from None
    return header


def _unique(pairs):
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Refused("a header that uses a name twice")
    return result


def _whole_number(digits):
    if len(digits) > 19:
        raise Refused(f"a number of {len(digits):,} digits")
    return int(digits)


def _no_number(text):
    raise Refused(f"{shown(text)} where a whole number should be")


def _checked_metadata(metadata):
    if type(metadata) is not dict or any(type(value) is not str for value in metadata.values()):
        raise Refused("__metadata__ that is not a dict of text")
    return metadata


def _checked_entry(name, entry):
    if type(entry) is not dict or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Refused(f"tensor {shown(name)} is not described by dtype, shape and data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if type(kind) is not str or kind not in _KINDS:
        raise Refused(f"tensor {shown(name)} has dtype {shown(kind)}")
    numbers = [*shape, *offsets] if type(shape) is list and type(offsets) is list else [None]
    if not all(map(tensors.is_index, numbers)) or len(shape) > tensors.MAX_RANK or len(offsets) != 2:
        raise Refused(f"tensor {shown(name)} has a shape or offsets that are no such thing")
    begin, end = offsets
    expected = tensors.itemsize(_KINDS[kind]) * math.prod(shape)
    if end - begin != expected:
        raise Refused(f"tensor {shown(name)} should take {shown(expected)} bytes, but has {shown(end - begin)}")
    if tensors.is_absurdly_empty(shape):
        raise Refused(f"tensor {shown(name)} is empty, but has an axis of {max(shape):,}")
    return _KINDS[kind], tuple(shape), begin, end


def write(file: Any, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None) -> None:
    """Write arrays by name, and a dict of text, to a binary file."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    # The data lie in order of falling element size, so that every array is aligned in a mapped file.
    by_size = sorted(arrays, key=lambda name: -arrays[name].itemsize)
    offsets, position = {}, 0
    for name in by_size:
        offsets[name] = [position, position + arrays[name].nbytes]
        position += arrays[name].nbytes
    for name, array in arrays.items():
        kind = _NAMES[array.dtype.str[1:]]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": offsets[name]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in by_size:
        file.write(little_endian_bytes(arrays[name]))


def little_endian_bytes(array: np.ndarray) -> Any:
    """The elements of an array in C order and little-endian, as something that can be written to a file."""
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return array.reshape(-1).view(np.uint8).data
