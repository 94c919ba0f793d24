"""Writers of the file layouts, byte by byte, so that each byte can also be written wrongly.

The zip writer follows torchvision's published files: local headers without checksum and lengths, 16-byte
data descriptors, an `FB` extra field that aligns the data to 64 bytes, and a ZIP64 tail in front of the
ordinary one.
The tar writer follows the pax files of 2017.
"""

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np

KINDS = {
    "f8": "Double",
    "f4": "Float",
    "f2": "Half",
    "i8": "Long",
    "i4": "Int",
    "i2": "Short",
    "i1": "Char",
    "u1": "Byte",
    "b1": "Bool",
}

# ------------------------------------------------------------------------------------------------- pickles


def text(value):
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<L", len(raw)) + raw


def number(n):
    if 0 <= n < 256:
        return b"K" + bytes([n])
    if 0 <= n < 65536:
        return b"M" + struct.pack("<H", n)
    if -(1 << 31) <= n < 1 << 31:
        return b"J" + struct.pack("<l", n)
    raw = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def tuple_of(*parts):
    return b"(" + b"".join(parts) + b"t"


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode("latin-1")


ORDERED_DICT = name("collections", "OrderedDict") + b")R"


def storage(key="0", kind="Float", numel=6, device="cpu", view=b""):
    fields = (text("storage"), name("torch", f"{kind}Storage"), text(key), text(device), number(numel))
    return tuple_of(*fields, *([view] if view else [])) + b"Q"


def tensor(stored, size=(2, 3), stride=(3, 1), offset=0, end=b"\x89" + ORDERED_DICT):
    sizes = (tuple_of(*map(number, size)), tuple_of(*map(number, stride)))
    return name("torch._utils", "_rebuild_tensor_v2") + tuple_of(stored, number(offset), *sizes, end) + b"R"


def parameter(made):
    arguments = tuple_of(made, b"\x88", ORDERED_DICT)
    return name("torch._utils", "_rebuild_parameter") + arguments + b"R"


def dict_of(entries, start=ORDERED_DICT):
    """entries: {name: bytes that leave a value}"""
    return start + b"(" + b"".join(text(key) + value for key, value in entries.items()) + b"u"


def pickled(*parts):
    return b"\x80\x02" + b"".join(parts) + b"."


def described(arrays, with_parameters=False):
    """The pickle of a state dict whose storages are keyed '0', '1', ... in order."""
    entries = {}
    for key, (label, array) in enumerate(arrays.items()):
        strides = tuple(step // array.itemsize for step in np.empty(array.shape, array.dtype).strides)
        made = tensor(storage(str(key), KINDS[array.dtype.str[1:]], array.size), array.shape, strides)
        entries[label] = parameter(made) if with_parameters and array.dtype.kind == "f" else made
    return pickled(dict_of(entries))


# ----------------------------------------------------------------------------------------------------- zip


@dataclass
class Entry:
    """A record of a zip file; whatever is not given is as PyTorch writes it."""

    name: str
    data: bytes
    flags: int = 0x0808
    local_flags: int | None = None
    method: int = 0
    local_method: int | None = None
    crc: int | None = None
    length: int | None = None
    packed: int | None = None
    local_name: bytes | None = None
    local_figures: tuple = (0, 0, 0)
    descriptor: bytes | None = None
    offset: int | None = None
    extra: bytes = b""
    disk: int = 0
    placed: int = field(default=0, init=False)


def zipped(entries, *, zip64=True, comment=b"", count=None, start=None, length=None, before_end=b"", after=b""):
    """The bytes of a zip file with these entries."""
    out = bytearray()
    for entry in entries:
        if not isinstance(entry, Entry):
            raise TypeError(entry)
        raw = entry.name.encode("utf-8", "surrogateescape")
        local = raw if entry.local_name is None else entry.local_name
        entry.placed = len(out)
        figures = (zlib.crc32(entry.data), len(entry.data), len(entry.data))
        entry.crc = figures[0] if entry.crc is None else entry.crc
        entry.packed = figures[1] if entry.packed is None else entry.packed
        entry.length = figures[2] if entry.length is None else entry.length
        padding = -(len(out) + 30 + len(local) + 4) % 64
        extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
        flags = entry.flags if entry.local_flags is None else entry.local_flags
        method = entry.method if entry.local_method is None else entry.local_method
        head = (
            "<4s5H3L2H",
            b"PK\x03\x04",
            0,
            flags,
            method,
            0,
            0,
            *entry.local_figures,
            len(local),
            len(extra),
        )
        out += struct.pack(*head) + local + extra + entry.data
        if entry.descriptor is not None:
            out += entry.descriptor
        elif flags & 8:
            out += struct.pack("<4s3L", b"PK\x07\x08", entry.crc, entry.packed, entry.length)
    directory = b"".join(_central(entry) for entry in entries)
    start = len(out) if start is None else start
    length = len(directory) if length is None else length
    count = len(entries) if count is None else count
    out += directory + before_end
    if zip64:
        place = len(out)
        out += struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, length, start)
        out += struct.pack("<4sLQL", b"PK\x06\x07", 0, place, 1)
    few = min(count, 0xFFFF)
    out += struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, few, few, length, start, len(comment)) + comment
    return bytes(out + after)


def _central(entry):
    raw = entry.name.encode("utf-8", "surrogateescape")
    offset = entry.placed if entry.offset is None else entry.offset
    figures = (entry.crc, entry.packed, entry.length, len(raw), len(entry.extra), 0, entry.disk, 0, 0, offset)
    head = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 0, 0, entry.flags, entry.method, 0, 0, *figures)
    return head + raw + entry.extra


def records(pickle, storages, prefix="archive/", extra=()):
    """Entries in torchvision's order: the pickle, the storages by key, the version, further (name, bytes)."""
    entries = [Entry(f"{prefix}data.pkl", pickle)]
    entries += [Entry(f"{prefix}data/{key}", data) for key, data in sorted(storages.items())]
    entries += [Entry(f"{prefix}version", b"3\n")]
    return entries + [Entry(f"{prefix}{label}", data) for label, data in extra]


def zip_file(arrays, **options):
    """A whole .pth file in the zip format from {name: array}."""
    storages = {str(key): array.tobytes() for key, array in enumerate(arrays.values())}
    return zipped(records(described(arrays, with_parameters=True), storages), **options)


# -------------------------------------------------------------------------------------------------- legacy

MAGIC = pickled(number(0x1950A86A20F9469CFC6C))
PROTOCOL = pickled(number(1001))
SYSTEM = pickled(
    dict_of(
        {
            "protocol_version": number(1001),
            "little_endian": b"\x88",
            "type_sizes": dict_of({"short": number(2), "int": number(4), "long": number(4)}, b"}"),
        },
        b"}",
    )
)


def legacy_bytes(pickle, storages, *, keys=None, magic=MAGIC, protocol=PROTOCOL, system=SYSTEM, after=b""):
    """storages: {key: (numel, bytes)}"""
    if not isinstance(keys, bytes):
        keys = pickled(b"](", *map(text, storages if keys is None else keys), b"e")
    data = b"".join(struct.pack("<q", numel) + raw for numel, raw in storages.values())
    return magic + protocol + system + pickle + keys + data + after


def legacy_file(arrays):
    """A whole .pth file in the magic-number format from {name: array}; ids have the sixth field."""
    entries, storages = {}, {}
    for key, (label, array) in enumerate(arrays.items()):
        strides = tuple(step // array.itemsize for step in np.empty(array.shape, array.dtype).strides)
        stored = storage(str(key), KINDS[array.dtype.str[1:]], array.size, view=b"N")
        entries[label] = tensor(stored, array.shape, strides)
        storages[str(key)] = (array.size, array.tobytes())
    return legacy_bytes(pickled(dict_of(entries)), storages)


# ----------------------------------------------------------------------------------------------------- tar


def tar_header(label, length, kind=b"0", checksum=None, prefix=b""):
    head = bytearray(512)
    head[:100] = label.encode().ljust(100, b"\0")
    head[100:108], head[108:116], head[116:124] = b"0000600\0", b"0001750\0", b"0001750\0"
    head[124:136] = length if isinstance(length, bytes) else b"%011o\0" % length
    head[136:148] = b"13034225776\0"
    head[156:157] = kind
    head[257:265] = b"ustar\x0000"
    head[345 : 345 + len(prefix)] = prefix
    total = sum(head[:148]) + 8 * 32 + sum(head[156:])
    head[148:156] = b"%06o\0 " % (total if checksum is None else checksum)
    return bytes(head)


def tar_member(label, data, kind=b"0", pax=b"28 mtime=1483719550.9896603\n", **options):
    out = b""
    if pax:
        out += tar_header("././@PaxHeader", len(pax), b"x") + pax.ljust(512, b"\0")
    return out + tar_header(label, len(data), kind, **options) + data + bytes(-len(data) % 512)


def tarred(members):
    """members: {name: bytes}, or a list of such pairs"""
    pairs = members.items() if isinstance(members, dict) else members
    body = b"".join(tar_member(label, data) for label, data in pairs) + bytes(1024)
    return body + bytes(-len(body) % 10240)


TAR_SYSTEM = pickled(dict_of({"little_endian": b"\x88", "protocol_version": number(1000), "type_sizes": b"}"}, b"}"))


def tar_tensor_entry(key, storage_key, kind, size, stride, offset=0, junk=b"\x07\0\0\0"):
    head = pickled(number(key), number(storage_key), name("torch", f"{kind}Tensor"), b"\x87")
    numbers = struct.pack(f"<{2 * len(size) + 1}q", *size, *stride, offset)
    return head + struct.pack("<i", len(size)) + junk + numbers


def tar_storage_entry(key, kind, numel, raw, device="cpu"):
    head = pickled(number(key), text(device), name("torch", f"{kind}Storage"), b"\x87")
    return head + struct.pack("<q", numel) + raw


def tar_parameter(key, state=None):
    made = name("torch.nn.parameter", "Parameter") + b")\x81"
    if state is None:
        state = tuple_of(text(str(key)) + b"Q", b"N", b"N", b"\x88", b"\x89")
    return made + state + b"b"


def tar_members_of(arrays):
    """{member: bytes} of a state dict; floating-point tensors are parameters, the others buffers."""
    tensors, storages, entries = pickled(number(len(arrays))), pickled(number(len(arrays))), {}
    for index, (label, array) in enumerate(arrays.items()):
        key, storage_key = 404_999_536 + 16 * index, 26_000_000 + 16 * index
        kind = KINDS[array.dtype.str[1:]]
        strides = tuple(step // array.itemsize for step in np.empty(array.shape, array.dtype).strides)
        tensors += tar_tensor_entry(key, storage_key, kind, array.shape, strides)
        storages += tar_storage_entry(storage_key, kind, array.size, array.tobytes())
        buffer = "running" in label or array.dtype.kind != "f"
        entries[label] = text(str(key)) + b"Q" if buffer else tar_parameter(key)
    return {
        "sys_info": TAR_SYSTEM,
        "pickle": pickled(dict_of(entries)),
        "tensors": tensors,
        "storages": storages + pickled(b"]"),
    }


def tar_file(arrays):
    """A whole .pth file in the tar format from {name: array}."""
    return tarred(tar_members_of(arrays))


# -------------------------------------------------------------------------------------- safetensors and npz


def safe_file(header, data=b"", length=None, padding=0):
    """header: text or bytes"""
    raw = header.encode() if isinstance(header, str) else header
    raw += b" " * padding
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def npy(header, data=b"", version=b"\1\0", magic=b"\x93NUMPY", length=None):
    raw = header.encode("latin-1")
    raw += b" " * (-(len(raw) + 11) % 64) + b"\n"
    size = struct.pack("<H" if version == b"\1\0" else "<L", len(raw) if length is None else length)
    return magic + version + size + raw + data


def npy_of(array):
    order = "True" if array.flags.f_contiguous and not array.flags.c_contiguous else "False"
    header = f"{{'descr': '{array.dtype.str}', 'fortran_order': {order}, 'shape': {array.shape}, }}"
    return npy(header, array.tobytes("A"))


def plain_zip(entries, **options):
    """A zip file as Python's zipfile writes it: checksums and lengths in the local headers."""
    for entry in entries:
        entry.flags, crc = 0, zlib.crc32(entry.data)
        entry.local_figures = (crc, len(entry.data), len(entry.data))
    return zipped(entries, zip64=False, **options)
