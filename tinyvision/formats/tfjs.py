"""Weights as TensorFlow.js keeps them: NAME-weights_manifest.json, and beside it files of bare numbers.

The manifest is a list of groups {"paths": [files], "weights": [{"name", "shape", "dtype", "quantization"}]}. The files
of a group, put together, are its arrays one behind the other, little-endian. A quantised array is kept as whole numbers
q of 8 or 16 bits and means q · scale + min, or is kept as float16.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from ..ops.checks import is_integer, is_number
from ..printable import printable
from .source import read_bytes, refuse

_LARGEST = 1 << 30  # bytes of all arrays together
_DTYPES = {"float32": "<f4", "int32": "<i4", "uint8": "u1", "bool": "u1"}
_QUANTISED = {"uint8": "u1", "uint16": "<u2", "float16": "<f2"}


def read_manifest(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a manifest by name, quantised ones as float32. Raises DataError naming file and entry."""
    data, name = read_bytes(path, 1 << 24)
    try:
        groups = json.loads(data)
    except (ValueError, RecursionError) as error:
        refuse(name, f"is not JSON: {error}", error)
    arrays: dict[str, np.ndarray] = {}
    if not isinstance(groups, list) or not groups:
        refuse(name, "a manifest of weights is a list of groups, each with paths and weights")
    for number, group in enumerate(groups):
        where = f"{name}: group {number}"
        if not isinstance(group, dict) or not all(isinstance(group.get(k), list) for k in ("paths", "weights")):
            refuse(where, 'needs the lists "paths" and "weights"')
        content = b"".join(_shard(Path(path).parent, file, where) for file in group["paths"])
        begin = 0
        for index, entry in enumerate(group["weights"]):
            key, array, begin = _array(entry, content, begin, f"{where}, weights[{index}]")
            if key in arrays:
                refuse(f"{where}, weights[{index}]", f"the name {key} is there twice")
            arrays[key] = array
        if begin != len(content):
            refuse(where, f"its files have {len(content):,} bytes, its weights need {begin:,}")
    return arrays


def _shard(folder: Path, file: Any, where: str) -> bytes:
    if not isinstance(file, str) or Path(file).is_absolute() or ".." in Path(file).parts:
        refuse(where, f"paths must be names of files beside the manifest, got {printable(file, 60)!r}")
    return read_bytes(folder / file, _LARGEST)[0]


def _array(entry: Any, content: bytes, begin: int, where: str) -> tuple[str, np.ndarray, int]:
    """(name, array, where the next one begins)"""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        refuse(where, 'has no "name"')
    where += f" ({printable(entry['name'], 60)})"
    shape, dtype, packed = entry.get("shape"), entry.get("dtype"), entry.get("quantization")
    if not isinstance(shape, list) or not all(is_integer(n) and 0 <= n <= _LARGEST for n in shape):
        refuse(where, f"shape must be a list of whole numbers, got {printable(shape, 60)}")
    if packed is not None and not isinstance(packed, dict):
        refuse(where, f"quantization must be an object, got {printable(packed, 60)}")
    kinds, kind = (_DTYPES, dtype) if packed is None else (_QUANTISED, packed.get("dtype"))
    if not isinstance(kind, str) or kind not in kinds:
        refuse(where, f"dtype {printable(kind, 30)!r} is unknown here (known: {', '.join(kinds)})")
    stored, count = np.dtype(kinds[kind]), math.prod(shape)
    end = begin + count * stored.itemsize
    if end > len(content):
        refuse(where, f"ends at byte {end:,} of {len(content):,}; a file is cut off or missing")
    array = np.frombuffer(content, stored, count, begin).reshape(shape)
    if packed is not None and kind != "float16":
        scale, low = (packed.get(key, math.nan) for key in ("scale", "min"))
        if not all(is_number(v) and math.isfinite(v) for v in (scale, low)):
            refuse(where, f"quantization needs finite numbers scale and min, got {printable((scale, low), 60)}")
        array = array * np.float32(scale) + np.float32(low)
    native = array.astype(np.float32) if packed is not None else array.astype(stored.newbyteorder("="))
    return entry["name"], native, end
