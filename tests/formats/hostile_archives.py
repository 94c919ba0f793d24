"""Hostile zip archives, legacy files and tar archives: part of the corpus of files that must be refused."""

import struct
import zlib

from .hostile_pickles import ARRAYS, CALLS, GOOD, SIX, add
from .layouts import (
    MAGIC,
    TAR_SYSTEM,
    Entry,
    dict_of,
    legacy_bytes,
    legacy_file,
    name,
    number,
    pickled,
    plain_zip,
    records,
    storage,
    tar_file,
    tar_header,
    tar_member,
    tar_members_of,
    tar_parameter,
    tar_storage_entry,
    tar_tensor_entry,
    tarred,
    tensor,
    text,
    tuple_of,
    zip_file,
    zipped,
)

# ----------------------------------------------------------------------------------------------------- zip

PICKLE = pickled(dict_of({"weight": GOOD}))


def add_zip(label, change=None, **options):
    def make():
        entries = records(PICKLE, {"0": SIX})
        if change:
            entries = change(entries) or entries
        return zipped(entries, **options)

    add(f"zip: {label}", make)


def field_of(index, **values):
    def change(entries):
        for key, value in values.items():
            setattr(entries[index], key, value)

    return change


def deflated(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


add_zip("wrong checksum of a storage", field_of(1, crc=1))
add_zip("wrong checksum of the pickle", field_of(0, crc=1))
add_zip("wrong checksum of the version", field_of(2, crc=1))
add_zip("encrypted", field_of(1, flags=0x0809))
add_zip("encrypted in the local header only", field_of(1, local_flags=0x0809))
add_zip("strong encryption", field_of(1, flags=0x0848))
add_zip("masked headers", field_of(1, flags=0x2808))
for _method in (1, 8, 9, 12, 14, 93, 99):
    add_zip(f"method {_method}", field_of(1, method=_method))
add_zip("method 8 in the local header only", field_of(1, local_method=8))
add_zip("another local name", field_of(1, local_name=b"archive/data/1"))
add_zip("local name cut", field_of(1, local_name=b"archive/data/"))
add_zip("local figures that disagree", field_of(1, local_figures=(1, 2, 3), local_flags=0x0800))
add_zip("descriptor that disagrees", field_of(1, descriptor=struct.pack("<4s3L", b"PK\7\x08", 1, 24, 24)))
add_zip("no descriptor", field_of(1, descriptor=b""))
add_zip("length larger than packed", field_of(1, length=1 << 31))
add_zip("bytes behind a stored record", field_of(1, data=SIX + bytes(8), length=24, crc=zlib.crc32(SIX)))
add_zip("both lengths too large", field_of(1, length=1 << 20, packed=1 << 20))
add_zip("both lengths too small", field_of(1, length=8, packed=8))
add_zip("both lengths ZIP64 without an extra field", field_of(1, length=0xFFFFFFFF, packed=0xFFFFFFFF))
add_zip(
    "lengths of 8 EB",
    field_of(1, length=0xFFFFFFFF, packed=0xFFFFFFFF, extra=struct.pack("<2H2Q", 1, 16, 1 << 63, 1 << 63)),
)
add_zip(
    "cut ZIP64 extra field",
    field_of(1, length=0xFFFFFFFF, packed=0xFFFFFFFF, extra=struct.pack("<2HL", 1, 16, 9)),
)
add_zip("another disk", field_of(1, disk=1))
add_zip("records that overlap", field_of(1, offset=0))
add_zip("a record outside", field_of(1, offset=1 << 30))
add_zip("a record inside of another", field_of(2, offset=70))
add_zip("two records of one name", lambda e: [*e, Entry("archive/data/0", bytes(24))])
add_zip("two pickles of one name", lambda e: [*e, Entry("archive/data.pkl", PICKLE)])
add_zip("two pickles in two folders", lambda e: [*e, Entry("other/data.pkl", PICKLE)])
for _label in ("../evil", "archive/../../evil", "/etc/evil", "C:/evil", "archive\\..\\evil", "a\0b", ""):
    add_zip(f"a record named {_label!r}", lambda e, label=_label: [*e, Entry(label, b"x")])
add_zip("a name that is not utf-8", lambda e: [*e, Entry("archive/\udcff", b"x")])
add_zip("no pickle", lambda e: e[1:])
add_zip("no storage", lambda e: [e[0], e[2]])
add_zip("storage under another prefix", field_of(1, name="other/data/0"))
add_zip("an unknown byte order", lambda e: [*e, Entry("archive/byteorder", b"middle")])
add_zip("a byte order of 1 MB", lambda e: [*e, Entry("archive/byteorder", b"l" * (1 << 20))])
add_zip("TorchScript", lambda e: [*e, Entry("archive/constants.pkl", pickled(b")"))])
add_zip("a comment", comment=b"hello")
add_zip("a comment with another directory", comment=zipped([])[-22:])
add_zip("bytes at the end", after=b"\0")
add_zip("bytes before the end", before_end=b"\0" * 8)
add_zip("too many records", count=9)
add_zip("too few records", count=2)
add_zip("65,535 records", count=0xFFFF)
add_zip("directory elsewhere", start=0)
add_zip("directory outside", start=1 << 31)
add_zip("directory too long", length=1 << 31)
add_zip("directory without ZIP64 elsewhere", zip64=False, start=64)
add_zip("directory without ZIP64 too short", zip64=False, length=10)
add("zip: bytes in front", lambda: b"PK\3\4" + bytes(60) + zip_file(ARRAYS))
add("zip: nothing but an end", lambda: b"PK\3\4" + zipped([])[-22:])
add("zip: signature alone", lambda: b"PK\3\4")
add("zip: two archives", lambda: zip_file(ARRAYS) * 2)
add("zip: ZIP64 that disagrees", lambda: patched(zip_file(ARRAYS), -22 - 20 - 56 + 32, b"\x09"))
add("zip: ZIP64 locator that disagrees", lambda: patched(zip_file(ARRAYS), -22 - 20 + 8, b"\x09"))
add("zip: some other zip", lambda: plain_zip([Entry("readme.txt", b"hello")]))
for _cut in (1, 21, 22, 30, 100, 300):
    add(f"zip: cut by {_cut} bytes", lambda cut=_cut: zip_file(ARRAYS)[:-cut])
add("zip: cut in half", lambda: zip_file(ARRAYS)[: len(zip_file(ARRAYS)) // 2])
add("zip: a flipped bit in a storage", lambda: zip_file(ARRAYS).replace(SIX, b"\x01" + SIX[1:]))
add("zip: a deflated bomb of 256 MB", lambda: bomb("archive/data/0", "archive/data.pkl"))


def patched(data, place, new):
    place %= len(data)
    return data[:place] + new + data[place + len(new) :]


def bomb(*names, size=1 << 28):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(1 << 24)) for _ in range(size >> 24)) + packer.flush()
    entries = [Entry(label, PICKLE) for label in names[1:]] + [Entry(names[0], packed)]
    plain_zip(entries)
    entries[-1].method, entries[-1].length, entries[-1].crc = 8, size, 7
    entries[-1].local_figures = (7, len(packed), size)
    return zipped(entries, zip64=False)


# ------------------------------------------------------------------------------------------- legacy and tar

LEGACY = {
    "protocol 1000": lambda: legacy_bytes(PICKLE, {"0": (6, SIX)}, protocol=pickled(number(1000))),
    "protocol is a text": lambda: legacy_bytes(PICKLE, {"0": (6, SIX)}, protocol=pickled(text("1001"))),
    "no system": lambda: legacy_bytes(PICKLE, {"0": (6, SIX)}, system=pickled(b"N")),
    "a call in the system": lambda: legacy_bytes(PICKLE, {"0": (6, SIX)}, system=pickled(CALLS["os system"])),
    "a call in the keys": lambda: legacy_bytes(PICKLE, {"0": (6, SIX)}, keys=pickled(CALLS["os system"])),
    "no keys": lambda: legacy_bytes(PICKLE, {"0": (6, SIX)}, keys=[]),
    "a key too many": lambda: legacy_bytes(PICKLE, {"0": (6, SIX)}, keys=["0", "1"]),
    "a key twice": lambda: legacy_bytes(PICKLE, {"0": (6, SIX)}, keys=["0", "0"]),
    "another key": lambda: legacy_bytes(PICKLE, {"0": (6, SIX)}, keys=["1"]),
    "keys that are numbers": lambda: legacy_bytes(PICKLE, {"0": (6, SIX)}, keys=pickled(b"](K\0e")),
    "keys that are a dict": lambda: legacy_bytes(PICKLE, {"0": (6, SIX)}, keys=pickled(b"}")),
    "storage too long": lambda: legacy_bytes(PICKLE, {"0": (7, SIX + bytes(4))}),
    "storage of 2^62": lambda: legacy_bytes(PICKLE, {"0": (1 << 62, SIX)}),
    "storage of -6": lambda: legacy_bytes(PICKLE, {"0": (-6, SIX)}),
    "storage cut": lambda: legacy_bytes(PICKLE, {"0": (6, SIX[:-1])}),
    "bytes at the end": lambda: legacy_bytes(PICKLE, {"0": (6, SIX)}, after=b"\0"),
    "magic alone": lambda: MAGIC,
    "another magic": lambda: legacy_bytes(PICKLE, {"0": (6, SIX)}, magic=pickled(number(0x1950A86A20F9469CFC6D))),
    "a storage that nobody sees": lambda: legacy_bytes(PICKLE, {"0": (6, SIX), "1": (6, SIX)}),
    "a view twice": lambda: legacy_bytes(
        pickled(
            dict_of(
                {
                    "a": tensor(storage(view=tuple_of(text("v"), number(0), number(6)))),
                    "b": tensor(storage(view=tuple_of(text("v"), number(1), number(5))), (1,), (1,)),
                }
            )
        ),
        {"0": (6, SIX)},
    ),
}
for _label, _make in LEGACY.items():
    add(f"legacy: {_label}", _make)
for _cut in (1, 40, 200):
    add(f"legacy: cut by {_cut} bytes", lambda cut=_cut: legacy_file(ARRAYS)[:-cut])

KEY, STORAGE_KEY = 404_999_536, 26_000_000  # the first numbers that tar_members_of gives
ONE = {"weight": ARRAYS["weight"]}


def add_tar(label, **members):
    add(f"tar: {label}", lambda: tarred(tar_members_of(ONE) | members))


def tensors_member(*entries, count=None):
    return pickled(number(len(entries) if count is None else count)) + b"".join(entries)


def storages_member(*entries, count=None, views=b"]"):
    return pickled(number(len(entries) if count is None else count)) + b"".join(entries) + pickled(views)


def tar_view(*fields):
    return b"](" + tuple_of(*map(number, fields)) + b"e"


WHOLE = tar_tensor_entry(KEY, STORAGE_KEY, "Float", (2, 3), (3, 1))
STORED = tar_storage_entry(STORAGE_KEY, "Float", 6, SIX)
add_tar("protocol 999", sys_info=TAR_SYSTEM.replace(number(1000), number(999)))
add_tar("system is a list", sys_info=pickled(b"]"))
add_tar("a call in the system", sys_info=pickled(CALLS["os system"]))
add_tar("a call in the tensors", tensors=pickled(CALLS["os system"]))
add_tar("a call in the storages", storages=pickled(CALLS["os system"]))
add_tar("a class among the storages", storages=storages_member(STORED.replace(b"FloatStorage", b"ShipStorage")))
add_tar("no tensors", tensors=tensors_member())
add_tar("a tensor twice", tensors=tensors_member(WHOLE, WHOLE))
add_tar("more tensors promised", tensors=tensors_member(WHOLE, count=5))
add_tar("2^62 tensors promised", tensors=tensors_member(WHOLE, count=1 << 62))
add_tar("-1 tensors", tensors=tensors_member(WHOLE, count=-1))
add_tar("bytes after the tensors", tensors=tensors_member(WHOLE) + b"x")
add_tar("tensor of 2^31 axes", tensors=tensors_member(WHOLE.replace(b"\2\0\0\0\7", b"\0\0\0\x80\7")))
add_tar(
    "tensor of 33 axes",
    tensors=tensors_member(tar_tensor_entry(KEY, STORAGE_KEY, "Float", (1,) * 33, (1,) * 33)),
)
add_tar("tensor outside", tensors=tensors_member(tar_tensor_entry(KEY, STORAGE_KEY, "Float", (2, 4), (3, 1))))
add_tar(
    "tensor with a negative stride",
    tensors=tensors_member(tar_tensor_entry(KEY, STORAGE_KEY, "Float", (2, 3), (-3, 1), 3)),
)
add_tar(
    "tensor with a negative offset",
    tensors=tensors_member(tar_tensor_entry(KEY, STORAGE_KEY, "Float", (2, 3), (3, 1), -1)),
)
add_tar(
    "tensor of another kind",
    tensors=tensors_member(tar_tensor_entry(KEY, STORAGE_KEY, "Int", (2, 3), (3, 1))),
)
add_tar("tensor of another storage", tensors=tensors_member(tar_tensor_entry(KEY, 1, "Float", (2, 3), (3, 1))))
add_tar("tensor cut", tensors=tensors_member(WHOLE[:-1]))
add_tar("a storage twice", storages=storages_member(STORED, STORED))
add_tar("storage too long", storages=storages_member(tar_storage_entry(STORAGE_KEY, "Float", 1 << 40, SIX)))
add_tar("storage negative", storages=storages_member(tar_storage_entry(STORAGE_KEY, "Float", -6, SIX)))
add_tar("storage too short", storages=storages_member(tar_storage_entry(STORAGE_KEY, "Float", 5, SIX[:20])))
add_tar("2^62 storages promised", storages=storages_member(STORED, count=1 << 62))
add_tar("no views", storages=pickled(number(1)) + STORED)
add_tar("views are a number", storages=storages_member(STORED, views=number(1)))
add_tar("a view outside", storages=storages_member(STORED, views=tar_view(1, STORAGE_KEY, 3, 6)))
add_tar("a view of nothing", storages=storages_member(STORED, views=tar_view(1, 2, 0, 6)))
add_tar("a view of itself", storages=storages_member(STORED, views=tar_view(STORAGE_KEY, STORAGE_KEY, 0, 6)))
add_tar(
    "a view of a view",
    storages=storages_member(
        STORED, views=tar_view(1, STORAGE_KEY, 0, 6)[:-1] + tuple_of(*map(number, (2, 1, 0, 6))) + b"e"
    ),
)
add_tar("a view of three", storages=storages_member(STORED, views=tar_view(1, STORAGE_KEY, 3)))
add_tar("a view negative", storages=storages_member(STORED, views=tar_view(1, STORAGE_KEY, -1, 3)))
add_tar("an unknown tensor", pickle=pickled(dict_of({"weight": tar_parameter(5)})))
add_tar("a tensor named by words", pickle=pickled(dict_of({"weight": text("os.system") + b"Q"})))
add_tar(
    "a tensor named by a tuple",
    pickle=pickled(dict_of({"weight": tuple_of(name("collections", "OrderedDict"), text("f"), text("c")) + b"Q"})),
)
add_tar("a tensor named by 5,000 digits", pickle=pickled(dict_of({"weight": text("9" * 5000) + b"Q"})))
add_tar(
    "a parameter of a number",
    pickle=pickled(dict_of({"weight": tar_parameter(5, tuple_of(number(5), b"N", b"N", b"\x88", b"\x89"))})),
)

TAR_PARTS = [(label, data) for label, data in tar_members_of(ONE).items()]
add("tar: a member twice", lambda: tarred([*TAR_PARTS, TAR_PARTS[1]]))
add("tar: a member too many", lambda: tarred([*TAR_PARTS, ("evil", b"x")]))
add("tar: a member that escapes", lambda: tarred([*TAR_PARTS, ("../evil", b"x")]))
add("tar: a member missing", lambda: tarred(TAR_PARTS[:-1]))
for _kind in (b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"L", b"K", b"g", b"S", b"V"):
    add(
        f"tar: a member of type {_kind.decode()}",
        lambda kind=_kind: tar_member("sys_info", TAR_SYSTEM, kind) + tarred(TAR_PARTS[1:]),
    )
add("tar: a wrong checksum", lambda: tar_member("sys_info", TAR_SYSTEM, checksum=1) + tarred(TAR_PARTS[1:]))
add("tar: a folder in front", lambda: tar_member("sys_info", TAR_SYSTEM, prefix=b"..") + tarred(TAR_PARTS[1:]))
for _label, _pax in {
    "path": b"17 path=evil.txt\n",
    "size": b"13 size=9999\n",
    "linkpath": b"17 linkpath=/etc\n",
    "GNU.sparse.size": b"26 GNU.sparse.size=99999 \n",
    "nothing": b"x",
    "a wrong length": b"99 mtime=1\n",
    "length 0": b"0 mtime=1\n",
}.items():
    add(
        f"tar: pax header with {_label}",
        lambda pax=_pax: tar_member("sys_info", TAR_SYSTEM, pax=pax) + tarred(TAR_PARTS[1:]),
    )
add("tar: a member of 8 GB", lambda: tar_header("sys_info", 0o77777777777) + tarred(TAR_PARTS))
add(
    "tar: a length in base 256",
    lambda: tar_header("sys_info", b"\x80" + bytes(10) + b"\1") + tarred(TAR_PARTS),
)
add("tar: no end", lambda: tar_file(ONE).rstrip(b"\0"))
add("tar: cut in half", lambda: tar_file(ONE)[:2048])
add("tar: bytes after the end", lambda: tar_file(ONE) + b"x" * 512)
