"""Writing a .pth that `torch.load(path, weights_only=True)` opens: the zip layout of today's PyTorch.

The pickle is put together opcode by opcode, from the same short list that the reader knows.
"""

import argparse
import pathlib
import struct
import types
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..device_names import Device
from ..dtypes import bfloat16, dtype
from ..tensors.size import Size
from .plain_data import DTYPES
from .refused import Refused, shown
from .safetensors import little_endian_bytes
from .storages import STORAGE_KINDS
from .unpickle import MAX_DEPTH, MAX_STRING

_STORAGE_NAMES = {kind: f"{name}Storage" for name, kind in STORAGE_KINDS.items()}
KINDS = frozenset(_STORAGE_NAMES) - {"bf16"}
_ALIGNMENT = 64  # torch maps files into memory and likes its storages to begin on a cache line
_LOCAL_HEADER = 30
_NO_HOOKS = b"ccollections\nOrderedDict\n)R"


class ToStore(NamedTuple):
    """A tensor for a file: its numbers, and what else PyTorch's files say of it."""

    array: np.ndarray
    requires_grad: bool = False
    is_parameter: bool = False


def write(file: Any, value: Any, as_tensor: Callable[[Any, str], ToStore | None]) -> None:
    """Write a value to a binary file: dicts, lists, tuples, sets, numbers, text, bytes, None, tensors, NumPy's arrays.

    `as_tensor(value, where)` gives what is to be stored of a tensor, and None of anything else. Raises Refused for
    what PyTorch's files cannot hold without naming code, saying where it is."""
    import zipfile

    pickle = _Pickle(as_tensor)
    parts = pickle.parts(value, ())
    storages, places = _in_storages(pickle.arrays)
    told = [p if isinstance(p, bytes) else _reference(pickle.arrays[p], places[p], storages) for p in parts]
    program = b"".join([b"\x80\x02", *told, b"."])
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _write_record(archive, file, "archive/data.pkl", program)
        _write_record(archive, file, "archive/byteorder", b"little")
        for key, array in enumerate(storages):
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


class _Pickle:
    """Opcodes for a value, with the number of an array, which `arrays` collects, where it is to be referred to."""

    def __init__(self, as_tensor: Callable[[Any, str], ToStore | None]) -> None:
        self.as_tensor = as_tensor
        self.arrays: list[np.ndarray] = []

    def parts(self, value: Any, where: tuple[Any, ...]) -> list[bytes | int]:
        """Opcodes that leave `value` on the stack; `where` are the keys that lead to it."""
        if len(where) >= MAX_DEPTH:
            raise Refused(f"{place(where)} is nested more than {MAX_DEPTH} deep, or contains itself")
        simple = _simple(value, where)
        if simple is not None:
            return [simple]
        stored = self.as_tensor(value, place(where))
        if stored is not None:
            return self._tensor(stored)
        if isinstance(value, np.ndarray):
            return [_numpy_array(value, where)]
        if isinstance(value, Counter):
            return [b"ccollections\nCounter\n", *self._pairs(value, b"}", where), b"\x85R"]
        if isinstance(value, Mapping):
            return self._pairs(value, _NO_HOOKS if isinstance(value, OrderedDict) else b"}", where)
        if type(value) is Size:
            return [b"ctorch\nSize\n", *self.parts(tuple(value), where), b"\x85R"]
        if type(value) in (list, tuple):
            opening, closing = (b"](", b"e") if type(value) is list else (b"(", b"t")
            inner = [part for i, item in enumerate(value) for part in self.parts(item, (*where, i))]
            return [opening, *inner, closing]
        if isinstance(value, (set, frozenset)):
            name = type(value).__name__.encode()
            members = [part for item in value for part in self._key(item, where)]
            return [b"c__builtin__\n", name, b"\n](", *members, b"e\x85R"]
        for module, kind in (("argparse", argparse.Namespace), ("types", types.SimpleNamespace)):
            if type(value) is kind:
                made = f"c{module}\n{kind.__name__}\n".encode() + (b")\x81" if module == "argparse" else b")R")
                return [made, *self._pairs(vars(value), b"}", where), b"b"]
        if hasattr(value, "state_dict"):
            raise Refused(
                f"{place(where)} is a {type(value).__name__}; files hold no objects: save its state_dict() instead"
            )
        raise Refused(f"{place(where)} is a {type(value).__name__}, which is neither plain data nor a tensor")

    def _pairs(self, mapping, opening, where):
        inner = []
        for key, value in mapping.items():
            inner += self._key(key, where)
            inner += self.parts(value, (*where, key))
        return [opening, b"(", *inner, b"u"] if inner else [opening]

    def _key(self, key, where):
        if isinstance(key, np.generic):
            key = key.item()
        if key is not None and type(key) not in (str, int, float, bool, bytes):
            raise Refused(f"{place(where)} has the key {shown(key)}; a key is text or a number")
        return [_simple(key, where)]

    def _tensor(self, stored):
        """_rebuild_tensor_v2(storage, place in it, size, stride, requires_grad, OrderedDict()); what is said of the
        storage is known when all arrays are."""
        flag = b"\x88" if stored.requires_grad else b"\x89"
        self.arrays.append(stored.array)
        tensor = [b"ctorch._utils\n_rebuild_tensor_v2\n((", len(self.arrays) - 1]
        if stored.is_parameter:
            tensor += [b"\x89", _NO_HOOKS, b"tR"]
            return [b"ctorch._utils\n_rebuild_parameter\n(", *tensor, flag, _NO_HOOKS, b"tR"]
        return [*tensor, flag, _NO_HOOKS, b"tR"]


class _Stored(NamedTuple):
    """Where the numbers of an array are: in which storage, from which place on, and in what steps."""

    storage: int
    start: int
    strides: tuple[int, ...]


def _in_storages(arrays):
    """The storages of a file, and for each array what is `_Stored` of it. As in PyTorch those share a storage that
    share memory; the others are in reading order, each alone."""
    storages, places = [], [None] * len(arrays)
    kinds = {}
    for number, array in enumerate(arrays):
        item = array.itemsize
        is_view_of_items = all(step >= 0 and step % item == 0 for step in array.strides)
        kinds.setdefault(array.dtype.str if array.size and is_view_of_items else number, []).append(number)
    for numbers in kinds.values():
        for group in _overlapping(arrays, numbers):
            first = arrays[group[0]]
            alike = all(a.shape == first.shape and a.strides == first.strides for a in (arrays[n] for n in group))
            low = _bounds(first)[0]
            if alike and all(_bounds(arrays[n])[0] == low for n in group):
                places_here = [(0, _strides(first.shape))] * len(group)
                storages.append(first)
            else:
                item, high = first.itemsize, max(_bounds(arrays[n])[1] for n in group)
                places_here = [
                    ((_bounds(a)[0] - low) // item, tuple(step // item for step in a.strides))
                    for a in (arrays[n] for n in group)
                ]
                storages.append(
                    np.lib.stride_tricks.as_strided(first, ((high - low) // item,), (item,), writeable=False)
                )
            for number, (start, strides) in zip(group, places_here, strict=True):
                places[number] = _Stored(len(storages) - 1, start, strides)
    return storages, places


def _overlapping(arrays, numbers):
    """The numbers of arrays in groups, each with those whose memory overlaps, the one that begins first in front."""
    groups, end = [], -1
    for number in sorted(numbers, key=lambda n: (_bounds(arrays[n])[0], n)):
        low, high = _bounds(arrays[number])
        if low < end and (low - _bounds(arrays[groups[-1][0]])[0]) % arrays[number].itemsize == 0:
            groups[-1].append(number)
        else:
            groups.append([number])
        end = max(end, high)
    return groups


def _bounds(array):
    return np.lib.array_utils.byte_bounds(array)


def _reference(array, stored, storages):
    """storage, place in it, size, stride"""
    kind = _STORAGE_NAMES[array.dtype.str[1:]]
    storage = [_text("storage"), f"ctorch\n{kind}\n".encode("ascii"), _text(str(stored.storage)), _text("cpu")]
    storage += [_whole(storages[stored.storage].size), b"tQ"]
    return b"".join([*storage, _whole(stored.start), _shape(array.shape), _shape(stored.strides)])


def place(where: tuple[Any, ...]) -> str:
    """Where something is, as one would write it: state["optimizer"]["lr"]."""
    return "state" + "".join(f"[{shown(key, 40)}]" for key in where[:8])


def _simple(value, where):
    """The opcodes of a plain value, or None."""
    if isinstance(value, np.generic):
        if value.dtype.kind not in "biufc":
            raise Refused(f"{place(where)} is a {type(value).__name__}, which is no number")
        value = value.item()
    if value is None:
        return b"N"
    if isinstance(value, (bool, int)):
        if isinstance(value, bool):
            return b"\x88" if value else b"\x89"
        if not -(1 << 63) <= value < 1 << 63:
            raise Refused(f"{place(where)} is an integer of more than 64 bits; save it as text")
        return _whole(int(value))
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, complex):
        return b"c__builtin__\ncomplex\n(" + b"".join(_simple(v, ()) for v in (value.real, value.imag)) + b"tR"
    if isinstance(value, (str, bytes)) and len(value) > MAX_STRING // 4:
        raise Refused(f"{place(where)} is text of {len(value):,} characters; files hold up to {MAX_STRING // 4:,}")
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bytes):
        return b"c_codecs\nencode\n(" + _text(value.decode("latin-1")) + _text("latin1") + b"tR"
    if isinstance(value, pathlib.PurePath):
        name = type(value).__name__
        return f"cpathlib\n{name}\n(".encode() + b"".join(map(_text, value.parts)) + b"tR"
    if isinstance(value, (np.dtype, dtype)) and (dtype(value) is bfloat16 or dtype(value).name in DTYPES):
        return f"ctorch\n{dtype(value).name}\n".encode()
    if isinstance(value, Device):
        number = _whole(value.index) if value.type == "cuda" else b""
        return b"ctorch\ndevice\n(" + _text(value.type) + number + b"tR"
    return None


def _numpy_array(array, where):
    """The opcodes of an array as NumPy pickles it, for those whose numbers no tensor of PyTorch's files has: an empty
    one, then its state (version, shape, dtype, whether by columns, bytes). NumPy 1 and 2 know the name of its maker."""
    begun = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + _shape((0,)) + _simple(b"b", where) + b"tR"
    little = b"(" + _whole(3) + _text("<") + b"NNN" + b"".join(map(_whole, (-1, -1, 0))) + b"tb"
    kind = b"cnumpy\ndtype\n(" + _text(array.dtype.str[1:]) + b"\x89\x88tR" + little
    numbers = _simple(bytes(little_endian_bytes(array)), where)
    return begun + b"(" + _whole(1) + _shape(array.shape) + kind + b"\x89" + numbers + b"tb"


def _text(value):
    try:
        raw = value.encode("utf-8")
    except UnicodeEncodeError:
        raise Refused(f"the text {shown(value)} cannot be written as UTF-8") from None
    return b"X" + struct.pack("<L", len(raw)) + raw


def _whole(value):
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<l", value)
    return b"\x8a\x08" + struct.pack("<q", value)


def _shape(sizes):
    return b"(" + b"".join(map(_whole, sizes)) + b"t"


def _strides(shape):
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))
