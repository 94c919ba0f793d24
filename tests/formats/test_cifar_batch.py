"""CIFAR's pickled batches, written here as Python 2 wrote them, and what must be refused in them."""

import os
import struct

import numpy as np
import pytest

from tinyvision.formats.cifar_batch import read_cifar_batch
from tinyvision.formats.refused import Refused

from .hostile import CALLS, CANARY
from .layouts import name, number, pickled, text, tuple_of

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3072), np.uint8)


def old(raw):
    """A string of Python 2."""
    raw = raw.encode("latin-1") if isinstance(raw, str) else raw
    return b"U" + bytes([len(raw)]) + raw if len(raw) < 256 else b"T" + struct.pack("<l", len(raw)) + raw


def dtype(kind="u1", order="|", flags=b"K\0K\1"):
    state = tuple_of(b"K\3", old(order), b"NNN", number(-1), number(-1), b"K\0")
    return name("numpy", "dtype") + b"(" + old(kind) + flags + b"tR" + state + b"b"


def array(shape=IMAGES.shape, data=None, kind=None, fortran=b"\x89", module="numpy.core.multiarray"):
    made = name(module, "_reconstruct") + name("numpy", "ndarray") + b"K\0\x85" + old("b") + b"\x87R"
    sizes = tuple_of(*map(number, shape))
    return (
        made + tuple_of(b"K\1", sizes, kind or dtype(), fortran, old(IMAGES.tobytes() if data is None else data)) + b"b"
    )


def batch(**entries):
    """A batch with these entries (bytes of pickle) in addition to, or instead of, the usual ones."""
    usual = {
        "batch_label": old("training batch 1 of 5"),
        "labels": b"](" + b"K\1K\2K\3K\4K\5" + b"e",
        "data": array(),
        "filenames": b"](" + b"".join(old(f"caf\xe9_{i}.png") for i in range(5)) + b"e",
    }
    return pickled(b"}(" + b"".join(old(key) + value for key, value in (usual | entries).items()) + b"u")


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_a_batch_as_python_2_wrote_it(module):
    found = read_cifar_batch(batch(data=array(module=module)))
    assert list(found) == ["batch_label", "labels", "data", "filenames"]
    np.testing.assert_array_equal(found["data"], IMAGES, strict=True)
    assert found["labels"] == [1, 2, 3, 4, 5]
    assert found["filenames"] == [f"café_{i}.png" for i in range(5)]
    assert found["batch_label"] == "training batch 1 of 5"


def test_fortran_order_and_the_flags_of_newer_numpy():
    data = batch(data=array(data=IMAGES.tobytes("F"), fortran=b"\x88", kind=dtype(flags=b"\x89\x88")))
    np.testing.assert_array_equal(read_cifar_batch(data)["data"], IMAGES)


def test_a_batch_as_python_3_writes_it():
    """In protocol 2 its bytes are Latin-1 text, to be encoded."""
    latin = IMAGES.tobytes().decode("latin-1")
    encoded = name("_codecs", "encode") + text(latin) + text("latin1") + b"\x86R"
    data = batch(data=array().replace(old(IMAGES.tobytes()), encoded))
    np.testing.assert_array_equal(read_cifar_batch(data)["data"], IMAGES)
    for wrong in (text("caf\u2603"), number(1)):
        call = name("_codecs", "encode") + wrong + text("latin1") + b"\x86R"
        with pytest.raises(Refused, match="Latin-1"):
            read_cifar_batch(batch(labels=call))
    with pytest.raises(Refused, match="Latin-1"):
        read_cifar_batch(batch(labels=name("_codecs", "encode") + text("a") + text("rot13") + b"\x86R"))


def test_meta_files_without_an_array():
    meta = pickled(b"}(" + old("num_vis") + number(3072) + old("label_names") + b"](" + old("airplane") + b"eu")
    assert read_cifar_batch(meta) == {"num_vis": 3072, "label_names": ["airplane"]}


BAD_ARRAYS = {
    "another dtype": array(kind=dtype("f4")),
    "objects": array(kind=dtype("O8")),
    "a byte order": array(kind=dtype(order=">")),
    "flags of a dtype": array(kind=dtype(flags=b"K\2K\1")),
    "a dtype that is a text": array(kind=old("u1")),
    "3071 columns": array((5, 3071)),
    "three axes": array((5, 3, 1024)),
    "a negative size": array((-5, 3072)),
    "a size that is True": array().replace(tuple_of(number(5), b"M\0\x0c"), tuple_of(b"\x88", b"M\0\x0c")),
    "too few bytes": array(data=IMAGES.tobytes()[:-1]),
    "too many rows": array((6, 3072)),
    "2^40 rows": array((1 << 40, 3072)),
    "text for bytes": array().replace(old(IMAGES.tobytes()), text("abc")),
    "an order that is a number": array(fortran=b"K\0"),
    "an array without state": array().rsplit(b"(", 1)[0][:0] + array().split(b"(K\1", 1)[0],
    "an array built twice": array() + tuple_of(b"K\1", b"K\5K\6\x86", dtype(), b"\x89", old("")) + b"b",
    "another class": array().replace(b"ndarray", b"matrix"),
    "a filled shape": array().replace(b"K\0\x85", b"K\7\x85"),
}


@pytest.mark.parametrize("label", BAD_ARRAYS)
def test_arrays_that_are_refused(label):
    with pytest.raises(Refused):
        read_cifar_batch(batch(data=BAD_ARRAYS[label]))


@pytest.mark.parametrize("label", [label for label in CALLS if label not in ("numpy object", "codecs")])
def test_calls_are_refused(label):
    with pytest.raises(Refused, match="global"):
        read_cifar_batch(batch(labels=CALLS[label]))
    assert not os.path.exists(CANARY)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02.",
        batch()[:-1],
        batch()[: len(batch()) // 2],
        batch() + b"x",
        pickled(b"]"),
        pickled(b"}(" + number(1) + number(2) + b"u"),
        pickled(b"}(" + old("a") + number(1) + old("a") + number(2) + b"u"),
        pickled(b"}(" + b"".join(old(f"{i}") + b"N" for i in range(1000)) + b"u"),
        batch(labels=b"]](K\1ea"),
        batch(labels=b"}"),
        batch(labels=b")"),
        batch(labels=old("x")[:1] + b"\xff"),
        b"\x80\x04" + batch()[2:],
    ],
)
def test_files_that_are_refused(data):
    with pytest.raises(Refused):
        read_cifar_batch(data)
