"""Hostile safetensors and npz files, and files of other kinds: part of the corpus of files that must be refused."""

import io
import zlib

import numpy as np

from .hostile_archives import bomb, deflated
from .hostile_pickles import ARRAYS, CALLS, COMMAND, SIX, add
from .layouts import (
    Entry,
    dict_of,
    npy,
    npy_of,
    pickled,
    plain_zip,
    safe_file,
    zipped,
)

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
add("npz: a bomb of 256 MB", lambda: bomb("w.npy"))
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
