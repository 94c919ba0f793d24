"""Writing a .pth that `torch.load(path, weights_only=True)` opens: the zip layout of today's PyTorch.

The pickle is put together opcode by opcode, from the same short list that the reader knows.
"""

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from .safetensors import little_endian_bytes
from .storages import STORAGE_KINDS

_STORAGE_NAMES = {kind: f"{name}Storage" for name, kind in STORAGE_KINDS.items()}
KINDS = frozenset(_STORAGE_NAMES) - {"bf16"}
_ALIGNMENT = 64  # torch maps files into memory and likes its storages to begin on a cache line
_LOCAL_HEADER = 30


def write(file: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name to a binary file, one storage per array."""
    import zipfile

    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _write_record(archive, file, "archive/data.pkl", _pickled(arrays))
        _write_record(archive, file, "archive/byteorder", b"little")
        for key, array in enumerate(arrays.values()):
            _write_record(archive, file, f"archive/data/{key}", little_endian_bytes(array))
        _write_record(archive, file, "archive/version", b"3\n")


def _write_record(archive, file, name, data):
    import zipfile

    record = zipfile.ZipInfo(name)
    record.file_size = len(data)
    start = file.tell() + _LOCAL_HEADER + len(name) + 4
    padding = -start % _ALIGNMENT
    record.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
    with archive.open(record, "w") as out:
        out.write(data)


def _pickled(arrays):
    """OrderedDict of name -> _rebuild_tensor_v2(storage, 0, size, stride, False, OrderedDict())"""
    parts = [b"\x80\x02ccollections\nOrderedDict\n)R("]
    for key, (name, array) in enumerate(arrays.items()):
        kind = _STORAGE_NAMES[array.dtype.str[1:]]
        parts += [_text(name), b"ctorch._utils\n_rebuild_tensor_v2\n(("]
        parts += [_text("storage"), f"ctorch\n{kind}\n".encode("ascii"), _text(str(key)), _text("cpu")]
        parts += [_whole(array.size), b"tQ", _whole(0)]
        parts += [_shape(array.shape), _shape(_strides(array.shape)), b"\x89ccollections\nOrderedDict\n)RtR"]
    return b"".join([*parts, b"u."])


def _text(value):
    raw = value.encode("utf-8")
    return b"X" + struct.pack("<L", len(raw)) + raw


def _whole(value):
    return b"J" + struct.pack("<l", value) if value < 1 << 31 else b"\x8a\x08" + struct.pack("<q", value)


def _shape(sizes):
    return b"(" + b"".join(map(_whole, sizes)) + b"t"


def _strides(shape):
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))
