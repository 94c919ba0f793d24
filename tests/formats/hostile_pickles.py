"""Hostile pickles and tensors, in each of PyTorch's containers: part of the corpus of files that must be refused.

Every program here that would do something if it were run would create the file CANARY.
"""

import os
import struct
import tempfile

import numpy as np

from .layouts import (
    ORDERED_DICT,
    dict_of,
    legacy_bytes,
    name,
    number,
    parameter,
    pickled,
    records,
    storage,
    tar_members_of,
    tar_parameter,
    tarred,
    tensor,
    text,
    tuple_of,
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
