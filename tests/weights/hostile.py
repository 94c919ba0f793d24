"""The corpus: files that must be refused. `CASES` is a dict of name -> function that makes the bytes.

Every program below that would do something if it were run would create the file CANARY.
"""

import io
import os
import struct
import tempfile
import zlib

import numpy as np

from .layouts import (
    MAGIC,
    ORDERED_DICT,
    TAR_SYSTEM,
    Entry,
    dict_of,
    legacy_bytes,
    legacy_file,
    name,
    npy,
    npy_of,
    number,
    parameter,
    pickled,
    plain_zip,
    records,
    safe_file,
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

CANARY = os.path.join(tempfile.gettempdir(), "tinyvision-canary")
COMMAND = f"touch {CANARY}"
SIX = np.arange(6, dtype="<f4").tobytes()
ARRAYS = {"weight": np.arange(6, dtype="<f4").reshape(2, 3), "steps": np.array(3)}
GOOD = tensor(storage())

CASES = {}


def add(label, make):
    if label in CASES:
        raise KeyError(label)
    CASES[label] = make


def add_pickle(label, *parts, raw=None):
    """The same program in all three containers."""
    program = pickled(*parts) if raw is None else raw
    add(f"zip: {label}", lambda: zipped(records(program, {"0": SIX})))
    add(f"legacy: {label}", lambda: legacy_bytes(program, {"0": (6, SIX)}))
    members = tar_members_of(ARRAYS)
    add(f"tar: {label}", lambda: tarred(members | {"pickle": program}))


def add_value(label, value):
    """A state dict with a value that does not belong there."""
    add_pickle(label, dict_of({"weight": value}))


# ------------------------------------------------------------------------------ code that would like to run

CALLS = {
    "os system": name("os", "system") + tuple_of(text(COMMAND)) + b"R",
    "posix system": name("posix", "system") + tuple_of(text(COMMAND)) + b"R",
    "builtins exec": name("builtins", "exec") + tuple_of(text(f"open({CANARY!r}, 'w')")) + b"R",
    "builtins eval": name("builtins", "eval") + tuple_of(text(f"open({CANARY!r}, 'w')")) + b"R",
    "python 2 eval": name("__builtin__", "eval") + tuple_of(text(f"open({CANARY!r}, 'w')")) + b"R",
    "builtins open": name("builtins", "open") + tuple_of(text(CANARY), text("w")) + b"R",
    "builtins getattr": name("builtins", "getattr") + tuple_of(GOOD, text("numpy")) + b"R",
    "subprocess": name("subprocess", "check_output") + tuple_of(tuple_of(text("touch"), text(CANARY))) + b"R",
    "runpy": name("runpy", "_run_code") + tuple_of(text("pass"), b"}") + b"R",
    "torch.load": name("torch", "load") + tuple_of(text("other.pth")) + b"R",
    "torch.hub": name("torch.hub", "load") + tuple_of(text("a/b"), text("c")) + b"R",
    "torch.storage from_bytes": name("torch.storage", "_load_from_bytes") + tuple_of(b"U\x01a") + b"R",
    "torch jit": name("torch.jit._serialization", "load") + tuple_of(text("x")) + b"R",
    "torch rebuild v3": name("torch._utils", "_rebuild_tensor_v3") + tuple_of() + b"R",
    "torch meta": name("torch._utils", "_rebuild_meta_tensor_no_storage") + tuple_of() + b"R",
    "torch sparse": name("torch._utils", "_rebuild_sparse_tensor") + tuple_of() + b"R",
    "torch Size": name("torch", "Size") + tuple_of(tuple_of(number(2))) + b"R",
    "numpy object": name("numpy.core.multiarray", "_reconstruct") + tuple_of() + b"R",
    "numpy scalar": name("numpy.core.multiarray", "scalar") + tuple_of() + b"R",
    "codecs": name("_codecs", "encode") + tuple_of(text("a"), text("latin1")) + b"R",
    "copyreg": name("copyreg", "_reconstructor") + tuple_of() + b"R",
    "operator": name("operator", "attrgetter") + tuple_of(text("__class__")) + b"R",
    "defaultdict": name("collections", "defaultdict") + tuple_of(name("os", "system")) + b"R",
    "dotted name": name("collections", "OrderedDict.__init__") + b")R",
    "name with a blank": name("collections OrderedDict", "") + b")R",
    "class alone": name("torch.nn.modules.linear", "Linear") + b")\x81",
    "escape in a name": name("os\x1b[2J", "system\x07") + b")R",
}
for _label, _program in CALLS.items():
    add_value(f"call of {_label}", _program)
add_value("PyTorch's old safe list: os.system by NEWOBJ", name("os", "system") + tuple_of(text(COMMAND)) + b"\x81")

# --------------------------------------------------------------------------- opcodes that are not on the list

OPCODES = {
    "INST": b"(" + text(COMMAND) + b"ios\nsystem\n",
    "OBJ": b"(" + name("os", "system") + text(COMMAND) + b"o",
    "STACK_GLOBAL": text("os") + text("system") + b"\x93" + tuple_of(text(COMMAND)) + b"R",
    "NEWOBJ_EX": name("collections", "OrderedDict") + b")}\x92",
    "EXT1": b"\x82\x01",
    "EXT2": b"\x83\x01\0",
    "EXT4": b"\x84\x01\0\0\0",
    "PERSID": b"Pstorage\n",
    "FRAME": b"\x95" + bytes(8) + number(1),
    "MEMOIZE": number(1) + b"\x94",
    "DUP": number(1) + b"2",
    "POP": number(1) + number(2) + b"0",
    "POP_MARK": number(1) + b"(1",
    "INT": b"I1\n",
    "LONG": b"L1L\n",
    "LONG4": b"\x8b\x01\0\0\0\x01",
    "FLOAT": b"F1.0\n",
    "STRING": b"S'a'\n",
    "UNICODE": b"Va\n",
    "BINUNICODE8": b"\x8d\x01" + bytes(7) + b"a",
    "SHORT_BINUNICODE": b"\x8c\x01a",
    "BINBYTES": b"B\x01\0\0\0a",
    "BYTEARRAY8": b"\x96\x01" + bytes(7) + b"a",
    "NEXT_BUFFER": b"\x97",
    "EMPTY_SET": b"\x8f",
    "FROZENSET": b"(\x91",
    "PUT": number(1) + b"p0\n",
    "GET": b"g0\n",
    "DICT": b"(d",
    "LIST": b"(l",
    "unknown": b"\xff",
    "a second PROTO": b"\x80\x02" + number(1),
    "reduce with a list": name("collections", "OrderedDict") + b"]R",
    "reduce of a text": text("os.system") + b")R",
    "reduce of a dict": b"})R",
    "reduce of a call's result": ORDERED_DICT + b")R",
    "ordered dict of pairs": name("collections", "OrderedDict") + tuple_of(b"](](" + text("a") + GOOD + b"ee") + b"R",
    "new ordered dict": name("collections", "OrderedDict") + b")\x81",
    "build on a plain dict": b"}}b",
    "build on a list": b"]}b",
    "build with a tuple": ORDERED_DICT + b"N}\x86b",
    "build with a list": ORDERED_DICT + b"]b",
    "build on a tensor": GOOD + b"}b",
    "build on a number": number(1) + b"}b",
    "append to a dict": b"}" + number(1) + b"a",
    "append to a tuple": b")" + number(1) + b"a",
    "appends to a tensor": GOOD + b"(" + number(1) + b"e",
    "setitem on a list": b"]" + number(0) + number(1) + b"s",
    "setitem on a tensor": GOOD + text("a") + number(1) + b"s",
    "setitems on a storage": storage() + b"(" + text("a") + number(1) + b"u",
    "setitems of an odd number": b"}(" + text("a") + b"u",
    "a list as a key": b"}(]" + number(1) + b"u",
    "a tensor as a key": b"}(" + GOOD + number(1) + b"u",
    "a tuple as a key": b"}()" + number(1) + b"u",
    "a storage as a value": storage(),
    "a class as a value": name("collections", "OrderedDict"),
    "a storage in a tuple": storage() + b"\x85",
    "text that is not utf-8": b"X\x02\0\0\0\xff\xfe",
    "python 2 text that is not utf-8": b"U\x02\xff\xfe",
    "integer of 255 bytes": b"\x8a\xff" + b"\x7f" * 255,
    "integer of 65 bits": number(1 << 64),
    "text of 2 GB": b"X\xff\xff\xff\x7fabc",
    "text of 4 GB": b"T\xff\xff\xff\xffabc",
    "text of 2 MB": b"X" + struct.pack("<L", 1 << 21) + b"a" * (1 << 21),
    "memo entry that was never made": b"h\x07",
    "memo entry far away": number(1) + b"r\xff\xff\xff\x7f",
    "memo of nothing": b"(q\0t",
    "mark never set": b"t",
    "tuple of nothing": b"(\x87t",
    "endless global": b"c" + b"a" * 100_000,
    "a list that contains itself": b"]q\x01h\x01a",
    "a dict that contains itself": b"}q\x01(" + text("a") + b"h\x01u",
    "a cycle through two lists": b"]q\x01]q\x02h\x01ah\x01h\x02ae",
    "1,000 nested lists": b"]" * 1000 + b"a" * 999,
    "1,000 nested tuples": b")" + b"\x85" * 1000,
    "1,000 nested dicts": (b"}" + text("a")) * 1000 + number(1) + b"s" * 1000,
    "1,000 marks": b"(" * 1000 + b"t" * 1000,
    "nesting added afterwards": b"]q\x01]h\x01a" + b"h\x01]a",
}
for _label, _program in OPCODES.items():
    add_value(_label, _program)

PROGRAMS = {
    "nothing": b"",
    "protocol alone": b"\x80\x02",
    "stop alone": b"\x80\x02.",
    "no protocol": dict_of({"weight": GOOD}) + b".",
    "protocol 0": b"\x80\x00" + dict_of({"weight": GOOD}) + b".",
    "protocol 5": b"\x80\x05" + dict_of({"weight": GOOD}) + b".",
    "no stop": b"\x80\x02" + dict_of({"weight": GOOD}),
    "two values": pickled(number(1), dict_of({"weight": GOOD})),
    "an open mark": pickled(b"(", dict_of({"weight": GOOD})),
    "bytes after the stop": pickled(dict_of({"weight": GOOD})) + b"x",
    "a second pickle": pickled(dict_of({"weight": GOOD})) * 2,
    "a number": pickled(number(1)),
    "None": pickled(b"N"),
    "a text": pickled(text("state_dict")),
    "a list": pickled(b"](" + GOOD + b"e"),
    "a tensor": pickled(GOOD),
    "a dict of numbers": pickled(dict_of({"epoch": number(3)})),
    "two tensors of one name": pickled(ORDERED_DICT, b"(", text("a"), GOOD, text("a"), GOOD, b"u"),
    "a million empty lists": pickled(b"](" + b"]" * 1_000_000 + b"e"),
    "a million memo entries": pickled(b"](N" + b"r\1\0\0\0" * 1_000_000 + b"e"),
    "a laugh of shared dicts": pickled(
        dict_of(
            {"w": GOOD, "k": dict_of({"x": GOOD}) + b"q\1"}
            | {f"k{i}": dict_of({"a": b"h\1", "b": b"h\1"}) + b"q\1" for i in range(60)}
        )
    ),
}
for _label, _program in PROGRAMS.items():
    add_pickle(_label, raw=_program)

add(
    "zip: four million constants",
    lambda: zipped(records(pickled(b"](" + b"N" * 4_000_000 + b"e"), {"0": SIX})),
)

# ------------------------------------------------------------------------------------- tensors and storages


def one_tensor(made, storages=None):
    return zipped(records(pickled(dict_of({"weight": made})), {"0": SIX} if storages is None else storages))


TENSORS = {
    "offset outside": tensor(storage(), offset=1),
    "offset negative": tensor(storage(), offset=-1),
    "offset huge": tensor(storage(), offset=(1 << 63) - 1),
    "offset is True": tensor(storage()).replace(number(0) + b"(", b"\x88(", 1),
    "size outside": tensor(storage(), size=(3, 3)),
    "size negative": tensor(storage(), size=(-2, 3)),
    "two negative sizes": tensor(storage(), size=(-2, -3)),
    "size that wraps around": tensor(storage(), size=(1 << 62, 4), stride=(4, 1)),
    "size of a float": tensor(storage()).replace(tuple_of(number(2), number(3)), tuple_of(b"G" + bytes(8), b"K\3")),
    "size is a list": tensor(storage()).replace(tuple_of(number(2), number(3)), b"](K\2K\3e"),
    "size is missing": tensor(storage()).replace(tuple_of(number(2), number(3)), b"N"),
    "stride outside": tensor(storage(), stride=(4, 1)),
    "stride negative": tensor(storage(), stride=(-3, 1), offset=3),
    "stride that wraps around": tensor(storage(), size=(3, 1), stride=((1 << 63) - 1, 1)),
    "stride that wraps to zero": tensor(storage(), size=(5, 1), stride=(1 << 62, 1)),
    "stride too short": tensor(storage(), stride=(3,)),
    "33 axes": tensor(storage(), size=(1,) * 33, stride=(1,) * 33),
    "repeated to 4 EB": tensor(storage(numel=1), size=(1 << 62,), stride=(0,)),
    "repeated to 1 TB": tensor(storage(), size=(1 << 38, 6), stride=(0, 1)),
    "repeated to 100 MB": tensor(storage(), size=(1 << 22, 6), stride=(0, 1)),
    "empty with a huge axis": tensor(storage(), size=(0, 1 << 62), stride=(1, 1)),
    "a text for a storage": tensor(text("0")),
    "a tensor for a storage": tensor(GOOD),
    "no offset": name("torch._utils", "_rebuild_tensor_v2") + tuple_of(storage()) + b"R",
    "no arguments": name("torch._utils", "_rebuild_tensor_v2") + b")R",
    "eight arguments": tensor(storage(), end=b"\x89" + ORDERED_DICT + b"NN"),
    "hooks": tensor(storage(), end=b"\x89" + dict_of({"hook": number(1)})),
    "metadata": tensor(storage(), end=b"\x89" + ORDERED_DICT + dict_of({"conj": b"\x88"}, b"}")),
    "a flag that is a number": tensor(storage(), end=number(1) + ORDERED_DICT),
    "parameter of a number": parameter(number(1)),
    "parameter of a storage": parameter(storage()),
    "parameter of two": name("torch._utils", "_rebuild_parameter") + tuple_of(GOOD, b"\x88") + b"R",
    "parameter with hooks": name("torch._utils", "_rebuild_parameter")
    + tuple_of(GOOD, b"\x88", dict_of({"a": number(1)}))
    + b"R",
    "old parameter without state": name("torch.nn.parameter", "Parameter") + b")\x81",
    "old parameter with arguments": name("torch.nn.parameter", "Parameter") + tuple_of(GOOD) + b"\x81",
    "old parameter with a gradient": tar_parameter(0, tuple_of(GOOD, GOOD, b"N", b"\x88", b"\x89")),
    "old parameter built twice": tar_parameter(0, tuple_of(GOOD, b"N", b"N", b"\x88", b"\x89")) * 1
    + tuple_of(GOOD, b"N", b"N", b"\x88", b"\x89")
    + b"b",
    "old parameter of four fields": tar_parameter(0, tuple_of(GOOD, b"N", b"N", b"\x88")),
    "key missing": tensor(storage("7")),
    "key that escapes": tensor(storage("../version")),
    "key that is a number": tensor(storage().replace(text("0"), number(0))),
    "key of another case": tensor(storage("0 ")),
    "unknown kind": tensor(storage(kind="ComplexFloat")),
    "kind is a text": tensor(storage().replace(name("torch", "FloatStorage"), text("FloatStorage"))),
    "kind is a function": tensor(
        storage().replace(name("torch", "FloatStorage"), name("torch._utils", "_rebuild_tensor"))
    ),
    "device is a number": tensor(storage().replace(text("cpu"), number(1))),
    "numel too large": tensor(storage(numel=7)),
    "numel too small": tensor(storage(numel=5), size=(5,), stride=(1,)),
    "numel negative": tensor(storage(numel=-6), size=(0,), stride=(1,)),
    "numel huge": tensor(storage(numel=1 << 62)),
    "numel is True": tensor(
        tuple_of(text("storage"), name("torch", "ByteStorage"), text("0"), text("cpu"), b"\x88") + b"Q"
    ),
    "another kind of the same size": tensor(storage(kind="Double", numel=6)),
    "persistent id is a text": tensor(text("0") + b"Q"),
    "persistent id of three": tensor(tuple_of(text("storage"), name("torch", "FloatStorage"), text("0")) + b"Q"),
    "persistent id of another sort": tensor(storage().replace(text("storage"), text("module"))),
    "persistent id is a number": number(1) + b"Q",
    "view outside": tensor(storage(view=tuple_of(text("1"), number(4), number(6)))),
    "view negative": tensor(storage(view=tuple_of(text("1"), number(-1), number(6)))),
    "view of a text": tensor(storage(view=text("1"))),
}
for _label, _made in TENSORS.items():
    add(f"tensor: {_label}", lambda made=_made: one_tensor(made))
add(
    "tensor: one storage of two kinds",
    lambda: zipped(records(pickled(dict_of({"a": GOOD, "b": tensor(storage(kind="Int"))})), {"0": SIX})),
)
add(
    "tensor: one storage of two lengths",
    lambda: zipped(records(pickled(dict_of({"a": GOOD, "b": tensor(storage(numel=5), (1,), (1,))})), {"0": SIX})),
)
add("tensor: boolean 7", lambda: one_tensor(tensor(storage(kind="Bool"), (6,), (1,)), {"0": b"\0\1\0\1\0\7"}))
add(
    "tensor: many large repeats",
    lambda: zipped(
        records(
            pickled(dict_of({f"t{i}": tensor(storage(), (1 << 18, 6), (0, 1)) for i in range(12)})),
            {"0": SIX},
        )
    ),
)
add(
    "tensor: bad one in the optimizer",
    lambda: zipped(
        records(
            pickled(
                dict_of(
                    {
                        "state_dict": dict_of({"w": GOOD}),
                        "optimizer": dict_of({"m": tensor(storage(), offset=9)}),
                    }
                )
            ),
            {"0": SIX},
        )
    ),
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
add("zip: ZIP64 that disagrees", lambda: _patched(zip_file(ARRAYS), -22 - 20 - 56 + 32, b"\x09"))
add("zip: ZIP64 locator that disagrees", lambda: _patched(zip_file(ARRAYS), -22 - 20 + 8, b"\x09"))
add("zip: some other zip", lambda: plain_zip([Entry("readme.txt", b"hello")]))
for _cut in (1, 21, 22, 30, 100, 300):
    add(f"zip: cut by {_cut} bytes", lambda cut=_cut: zip_file(ARRAYS)[:-cut])
add("zip: cut in half", lambda: zip_file(ARRAYS)[: len(zip_file(ARRAYS)) // 2])
add("zip: a flipped bit in a storage", lambda: zip_file(ARRAYS).replace(SIX, b"\x01" + SIX[1:]))
add("zip: a deflated bomb of 256 MB", lambda: _bomb("archive/data/0", "archive/data.pkl"))


def _patched(data, place, new):
    place %= len(data)
    return data[:place] + new + data[place + len(new) :]


def _bomb(*names, size=1 << 28):
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

# --------------------------------------------------------------------------------------------- safetensors

F32 = '"dtype":"F32","shape":[2,3],"data_offsets":[0,24]'


def add_safe(label, header, data=SIX, **options):
    add(f"safetensors: {label}", lambda: safe_file(header, data, **options))


add_safe("header too long for the file", "{" + f'"w":{{{F32}}}' + "}", length=1 << 40)
add_safe("header of 2^64 - 1", "{" + f'"w":{{{F32}}}' + "}", length=(1 << 64) - 1)
add_safe("header too short", "{" + f'"w":{{{F32}}}' + "}", length=10)
add_safe("header of one byte", "{", length=1)
add_safe("not json", "{'w': 1}")
add_safe("not utf-8", b'{"\xff": 1}')
add_safe("a list", "[]")
add_safe("two values", "{}{}")
add_safe("two equal names", f'{{"w":{{{F32}}},"w":{{{F32}}}}}')
add_safe("two equal keys", '{"w":{"dtype":"F32","dtype":"I32","shape":[2,3],"data_offsets":[0,24]}}')
add_safe("a key missing", '{"w":{"dtype":"F32","shape":[2,3]}}')
add_safe("a key too many", f'{{"w":{{{F32},"evil":1}}}}')
add_safe("an entry that is a list", '{"w":[1,2,3]}')
add_safe("an entry that is a number", '{"w":1}')
for _kind in ('"F8_E4M3"', '"C64"', '"f32"', '"object"', "1", "null", '["F32"]', "{}"):
    add_safe(f"dtype {_kind}", f'{{"w":{{"dtype":{_kind},"shape":[2,3],"data_offsets":[0,24]}}}}')
for _shape in (
    "[2,-3]",
    "[-2,-3]",
    "[2.0,3]",
    "[true,6]",
    '["6"]',
    "6",
    "null",
    "[[6]]",
    "[NaN]",
    "[Infinity]",
    "[7]",
    "[5]",
):
    add_safe(f"shape {_shape}", f'{{"w":{{"dtype":"F32","shape":{_shape},"data_offsets":[0,24]}}}}')
add_safe(
    "a shape that wraps around",
    '{"w":{"dtype":"F32","shape":[4294967296,4294967296,6],"data_offsets":[0,24]}}',
)
add_safe("a shape of 33 axes", '{"w":{"dtype":"F32","shape":[' + "1," * 32 + '6],"data_offsets":[0,24]}}')
add_safe("a shape of 5,000 digits", '{"w":{"dtype":"F32","shape":[' + "9" * 5000 + '],"data_offsets":[0,24]}}')
add_safe("a shape in exponents", '{"w":{"dtype":"F32","shape":[6e0],"data_offsets":[0,24]}}')
add_safe(
    "an empty shape of 2^62",
    '{"w":{"dtype":"F32","shape":[0,4611686018427387904],"data_offsets":[0,0]}}',
    b"",
)
for _offsets in (
    "[0,25]",
    "[0,20]",
    "[1,25]",
    "[24,0]",
    "[-24,0]",
    "[0]",
    "[0,24,24]",
    "[0.0,24]",
    "[false,24]",
    "24",
    "null",
):
    add_safe(f"offsets {_offsets}", f'{{"w":{{"dtype":"F32","shape":[2,3],"data_offsets":{_offsets}}}}}')
add_safe("offsets past the end", '{"w":{"dtype":"F32","shape":[8],"data_offsets":[0,32]}}')
add_safe(
    "a gap",
    '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[16,24]}}',
)
add_safe(
    "an overlap",
    '{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}',
)
add_safe("the same bytes twice", f'{{"a":{{{F32}}},"b":{{{F32}}}}}')
add_safe("bytes at the end", "{" + f'"w":{{{F32}}}' + "}", SIX + b"x")
add_safe("data missing", "{" + f'"w":{{{F32}}}' + "}", b"")
add_safe("metadata of numbers", f'{{"__metadata__":{{"a":1}},"w":{{{F32}}}}}')
add_safe("metadata that is a list", f'{{"__metadata__":["a"],"w":{{{F32}}}}}')
add_safe("metadata nested", f'{{"__metadata__":{{"a":{{}}}},"w":{{{F32}}}}}')
add_safe("100,000 nested lists", '{"a":' + "[" * 100_000 + "]" * 100_000 + "}", b"")
add_safe("100,000 nested dicts", '{"a":' * 100_000 + "1" + "}" * 100_000, b"")
add_safe("four million empty lists", '{"a":[' + "[]," * 4_000_000 + "[]]}", b"")
add_safe("boolean 7", '{"w":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}', b"\1\7")
add_safe("blanks first", " {" + f'"w":{{{F32}}}' + "}")
add_safe("a byte-order mark", b"\xef\xbb\xbf{}", b"")

# ----------------------------------------------------------------------------------------------------- npz


def add_npz(label, *entries, **options):
    add(
        f"npz: {label}",
        lambda: plain_zip([Entry(f"w{i}.npy", data) for i, data in enumerate(entries)], **options),
    )


def npy_header(descr="'<f4'", order="False", shape="(2, 3)"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


def object_npz():
    file = io.BytesIO()
    np.savez(file, w=np.array([{"a": 1}, None], dtype=object))
    return file.getvalue()


add("npz: objects", object_npz)
add(
    "npz: objects, named so",
    lambda: plain_zip([Entry("w.npy", npy(npy_header("'|O'"), pickled(CALLS["os system"])))]),
)
for _descr in (
    "'<U4'",
    "'|S4'",
    "'<M8[s]'",
    "'|V4'",
    "'<c8'",
    "'<f16'",
    "'<i3'",
    "[('a', '<f4')]",
    "('<f4', (2,))",
    "'<f4 '",
    "1",
    "__import__('os')",
):
    add_npz(f"descr {_descr}", npy(npy_header(_descr), SIX))
for _shape in (
    "(2, -3)",
    "(2.0, 3)",
    "[2, 3]",
    "6",
    "(True, 6)",
    "(1 + 1, 3)",
    "(2, 4)",
    "(2, 2)",
    "(9999999999999999999,)",
    "(" + "1, " * 32 + "6)",
    "(" * 500 + "6" + ",)" * 500,
):
    add_npz(f"shape {_shape[:40]}", npy(npy_header(shape=_shape), SIX))
add_npz("a shape that wraps around", npy(npy_header(shape="(4294967296, 4294967296, 6)"), SIX))
add_npz("an empty shape of 2^62", npy(npy_header(shape="(0, 4611686018427387904)")))
for _order in ("1", "None", "'C'", "Maybe"):
    add_npz(f"order {_order}", npy(npy_header(order=_order), SIX))
add_npz("no header", b"")
add_npz("magic alone", b"\x93NUMPY")
add_npz("another magic", npy(npy_header(), SIX, magic=b"\x93NUMPX"))
add_npz("version 9", npy(npy_header(), SIX, version=b"\x09\0"))
add_npz("header longer than the record", npy(npy_header(), SIX, length=60_000))
add_npz("header of 4 GB", npy(npy_header(), SIX, version=b"\2\0", length=(1 << 32) - 1))
add_npz("header of 1 MB", npy(npy_header() + " " * (1 << 20), SIX, version=b"\2\0"))
add_npz("a header that is a call", npy(f"__import__('os').system({COMMAND!r})", SIX))
add_npz("a header with more keys", npy(npy_header().replace(", }", ", 'a': 1, }"), SIX))
add_npz("a header with fewer keys", npy("{'descr': '<f4', 'shape': (2, 3), }", SIX))
add_npz("data missing", npy(npy_header(), SIX[:-1]))
add_npz("data too long", npy(npy_header(), SIX + b"x"))
add_npz("boolean 7", npy(npy_header("'|b1'", shape="(2,)"), b"\1\7"))
add_npz("a comment", npy_of(ARRAYS["weight"]), comment=b"hello")
add(
    "npz: another file beside",
    lambda: plain_zip([Entry("w.npy", npy_of(ARRAYS["weight"])), Entry("a.txt", b"x")]),
)
add(
    "npz: two arrays of one name",
    lambda: plain_zip([Entry("w.npy", npy_of(ARRAYS["weight"]))] * 1 + [Entry("w.npy", npy_of(ARRAYS["steps"]))]),
)
add("npz: a name that escapes", lambda: plain_zip([Entry("../w.npy", npy_of(ARRAYS["weight"]))]))
add("npz: a bomb of 256 MB", lambda: _bomb("w.npy"))
add("npz: deflated to more than promised", lambda: _deflated_npz(length=100))
add("npz: deflated to less than promised", lambda: _deflated_npz(length=200))
add("npz: deflated and damaged", lambda: _deflated_npz(damage=True))
add("npz: deflated with bytes behind", lambda: _deflated_npz(after=b"\0\0\0"))
add("npz: deflated, wrong checksum", lambda: _deflated_npz(crc=1))


def _deflated_npz(length=None, damage=False, after=b"", crc=None):
    plain = npy_of(ARRAYS["weight"])
    packed = deflated(plain) + after
    if damage:
        packed = packed[:4] + b"\xff\xff\xff" + packed[7:]
    length = len(plain) if length is None else length
    crc = zlib.crc32(plain) if crc is None else crc
    figures = (crc, len(packed), length)
    return zipped([Entry("w.npy", packed, 0, method=8, crc=crc, length=length, local_figures=figures)], zip64=False)


# ---------------------------------------------------------------------------------- something else entirely

OTHERS = {
    "empty": b"",
    "one byte": b"P",
    "zeros": bytes(4096),
    "a web page": b"<!DOCTYPE html><html><body>404</body></html>",
    "a git lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "a bare pickle": pickled(dict_of({"w": CALLS["os system"]})),
    "a protocol 4 pickle": b"\x80\x04\x95" + bytes(40),
    "a text": b"hello\n" * 100,
    "gzip": b"\x1f\x8b\x08" + bytes(100),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "one npy": npy_of(ARRAYS["weight"]),
    "random": np.random.default_rng(0).bytes(10_000),
}
for _label, _data in OTHERS.items():
    add(f"other: {_label}", lambda data=_data: data)
