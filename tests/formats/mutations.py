"""Structure-aware mutants of well-formed files: checksums are repaired, so that mutants reach the interpreter.

`python -m tests.formats.mutations 200000` tries so many of each kind and prints what became of them.
"""

import struct
import sys
import tempfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from tinyvision.errors import WeightsError
from tinyvision.weights import load_arrays as load

from . import layouts
from .layouts import Entry

ARRAYS = {
    "conv.weight": np.arange(24, dtype="f4").reshape(2, 3, 2, 2),
    "bn.running_mean": np.arange(3, dtype="f8"),
    "half": np.arange(5, dtype="f2"),
    "steps": np.array(7, "i8"),
    "mask": np.array([True, False, True]),
    "empty": np.empty((0, 2), "f4"),
}
STORAGES = {str(key): array.tobytes() for key, array in enumerate(ARRAYS.values())}

# Pieces of programs, to be put where they do not belong.
FRAGMENTS = [
    *(bytes([code]) for code in b".()0123]}NIKMJGXUTqrhjcRbQasetud\x80\x81\x82\x85\x86\x87\x88\x89\x8a\x8c\x93\x94"),
    layouts.ORDERED_DICT,
    layouts.name("os", "system"),
    layouts.name("builtins", "eval") + layouts.text("1") + b"\x85R",
    layouts.name("torch._utils", "_rebuild_tensor_v2"),
    layouts.name("torch.nn.parameter", "Parameter") + b")\x81",
    layouts.name("torch", "FloatStorage"),
    layouts.storage(),
    layouts.tensor(layouts.storage()),
    layouts.number(1 << 62),
    layouts.number(-1),
    layouts.number(0x1950A86A20F9469CFC6C),
    b"q\0",
    b"h\0",
    b"r\xff\xff\xff\x7f",
    b"X\xff\xff\xff\xff",
    b"(" * 50,
    b"]" * 50,
    b")\x85" * 30,
]
EXTREMES = [0, 1, 2, 3, 0x7F, 0x80, 0xFF]
NUMBERS = [
    0,
    1,
    2,
    5,
    24,
    1 << 15,
    (1 << 31) - 1,
    1 << 31,
    (1 << 32) - 1,
    1 << 62,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
]


def base_pickle():
    """A state dict with a memo, a parameter, a `_metadata` and values of every kind."""
    entries = {
        name: layouts.tensor(
            layouts.storage(str(key), layouts.KINDS[array.dtype.str[1:]], array.size),
            array.shape,
            tuple(step // array.itemsize for step in np.empty(array.shape, array.dtype).strides),
        )
        for key, (name, array) in enumerate(ARRAYS.items())
    }
    entries["conv.weight"] = layouts.parameter(entries["conv.weight"]) + b"q\1"
    entries["tied"] = b"h\1"
    metadata = b"}" + layouts.text("_metadata") + layouts.ORDERED_DICT + b"sb"
    return layouts.dict_of(
        {
            "state_dict": layouts.dict_of(entries) + metadata,
            "epoch": layouts.number(3),
            "best": b"G" + struct.pack(">d", 0.5),
            "list": b"](K\1M\1\1J\1\0\0\0\x88\x89NU\1aT\1\0\0\0ae",
        },
        b"}",
    )


PICKLE = layouts.pickled(base_pickle())


def mutate(data, rng, fragments=FRAGMENTS):
    """A few changes to a string of bytes."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        place = int(rng.integers(len(data) + 1))
        length = int(rng.integers(1, 12))
        other = int(rng.integers(len(data) + 1))
        kind = rng.integers(8)
        if kind == 0 and place < len(data):
            data[place] ^= 1 << int(rng.integers(8))
        elif kind == 1 and place < len(data):
            data[place] = EXTREMES[rng.integers(len(EXTREMES))]
        elif kind == 2:
            data[place:place] = fragments[rng.integers(len(fragments))]
        elif kind == 3:
            data[place : place + length] = b""
        elif kind == 4:
            data[place:place] = data[other : other + length]
        elif kind == 5:
            data[place : place + length] = data[other : other + length]
        elif kind == 6:
            width = int(rng.choice([1, 2, 4, 8]))
            number = NUMBERS[rng.integers(len(NUMBERS))]
            data[place : place + width] = (number % (1 << 8 * width)).to_bytes(width, "little")
        else:
            data[place : place + length] = rng.bytes(length)
    return bytes(data)


def zip_mutant(rng):
    """The pickle, a name, a figure in a header, or raw bytes of the archive."""
    choice = rng.integers(8)
    pickle = mutate(PICKLE, rng) if choice < 5 else PICKLE
    entries = layouts.records(pickle, STORAGES, extra=[("byteorder", b"little")])
    if choice >= 5:
        entry = entries[rng.integers(len(entries))]
        field = rng.choice(["name", "flags", "method", "length", "packed", "crc", "offset", "disk", "data", "extra"])
        if field == "name":
            entry.name = mutate(entry.name.encode(), rng, [b"/", b"..", b"\\", b"\0"]).decode(
                "utf-8", "surrogateescape"
            )
        elif field in ("data", "extra"):
            setattr(entry, field, mutate(getattr(entry, field) or b"\1\0\x08\0" + bytes(8), rng))
        else:
            limit = 1 << (16 if field in ("flags", "method", "disk") else 32)
            setattr(entry, field, NUMBERS[rng.integers(len(NUMBERS))] % limit)
    data = layouts.zipped(entries, zip64=bool(rng.integers(2)))
    return mutate(data, rng) if choice == 7 else data


LEGACY_PICKLE = layouts.pickled(base_pickle().replace(b"tQ", b"NtQ"))


def legacy_mutant(rng):
    parts = [layouts.PROTOCOL, layouts.SYSTEM, LEGACY_PICKLE]
    index = rng.choice([0, 1, 2, 2, 2, 2])
    parts[index] = mutate(parts[index], rng)
    storages = {str(key): (array.size, array.tobytes()) for key, array in enumerate(ARRAYS.values())}
    data = layouts.legacy_bytes(parts[2], storages, protocol=parts[0], system=parts[1])
    return data if rng.integers(4) else layouts.MAGIC + mutate(data[len(layouts.MAGIC) :], rng)


TAR_MEMBERS = layouts.tar_members_of(ARRAYS)


def tar_mutant(rng):
    members = dict(TAR_MEMBERS)
    label = rng.choice(["pickle", "tensors", "storages", "sys_info"], p=[0.3, 0.3, 0.3, 0.1])
    members[label] = mutate(members[label], rng)
    data = bytearray(layouts.tarred(members))
    if not rng.integers(4):  # a header, with its checksum repaired
        place = 512 * int(rng.integers(12))
        head = bytearray(mutate(data[place : place + 512], rng)[:512].ljust(512, b"\0"))
        head[148:156] = b"%06o\0 " % (sum(head[:148]) + 256 + sum(head[156:]))
        data[place : place + 512] = head
    return bytes(data)


SAFE_HEADER = (
    b'{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},'
    b'"b":{"dtype":"BF16","shape":[],"data_offsets":[24,26]},"c":{"dtype":"BOOL","shape":[2],"data_offsets":[26,28]}}'
)
SAFE_FRAGMENTS = [
    b'"',
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b"-",
    b".",
    b"e9",
    b"NaN",
    b"null",
    b"true",
    b"\\ud800",
    b"\xff",
]
SAFE_FRAGMENTS += [
    b'"a":{"dtype":"F32","shape":[0],"data_offsets":[24,24]},',
    b"[" * 40,
    b"0",
    b"9" * 30,
    b"I64",
    b"U8",
]


def safe_mutant(rng):
    header = mutate(SAFE_HEADER, rng, SAFE_FRAGMENTS)
    data = layouts.safe_file(header, bytes(24) + b"\x80\x3f\1\0")
    return data if rng.integers(4) else mutate(data, rng, SAFE_FRAGMENTS)


NPY_FRAGMENTS = [b"'", b"(", b")", b"{", b"}", b",", b" ", b"-", b"L", b"True", b"|O", b">f8", b"1, ", b"9" * 25, b"\n"]


def npz_mutant(rng):
    entries = []
    for name, array in ARRAYS.items():
        whole = layouts.npy_of(array)
        head, data = whole[:128], whole[128:]
        if rng.integers(len(ARRAYS)) == 0:
            head = mutate(head, rng, NPY_FRAGMENTS)
        entries.append(Entry(f"{name}.npy", head + data))
    data = layouts.plain_zip(entries)
    if rng.integers(2):
        return data if rng.integers(4) else mutate(data, rng)
    for entry in entries:  # deflated, with one stream changed and the checksum of the plain data
        plain = entry.data
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        entry.data = packer.compress(plain) + packer.flush()
        entry.method, entry.length, entry.crc = 8, len(plain), zlib.crc32(plain)
        if rng.integers(len(ARRAYS)) == 0:
            entry.data = mutate(entry.data, rng)
        entry.packed = len(entry.data)
        entry.local_figures = (entry.crc, entry.packed, entry.length)
    return layouts.zipped(entries, zip64=False)


KINDS = {"zip": zip_mutant, "legacy": legacy_mutant, "tar": tar_mutant, "safetensors": safe_mutant, "npz": npz_mutant}


def outcome(path, data):
    """'read' or 'refused'; any other exception passes through. What is read is looked at, to the last element."""
    path.write_bytes(data)
    try:
        state = load(path)
    except WeightsError as error:
        message = str(error)
        if len(message) > 300 or not message.isascii() or not message.isprintable():
            raise AssertionError(f"a message that is not one short line: {message!r}") from error
        return "refused"
    for name, array in state.items():
        if type(name) is not str or not isinstance(array, np.ndarray) or array.dtype.hasobject:
            raise AssertionError(f"{name!r} is a {type(array)}")
        if len(array.tobytes()) != array.nbytes:
            raise AssertionError(f"{name!r} cannot be copied")
    return "read"


def try_mutants(kind, count, path, seed=0):
    """Counter of outcomes of `count` mutants, each written to `path`."""
    rng = np.random.default_rng([seed, *kind.encode()])
    outcomes = Counter()
    for _ in range(count):
        outcomes[outcome(path, KINDS[kind](rng))] += 1
    return outcomes


if __name__ == "__main__":
    place = Path(tempfile.gettempdir()) / "mutant.pth"  # after a failure, the guilty file is there
    for chosen in sys.argv[2:] or KINDS:
        print(chosen, dict(try_mutants(chosen, int(sys.argv[1]), place, seed=1)), flush=True)
