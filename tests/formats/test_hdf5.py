"""HDF5: whatever h5py writes in its ways is read as h5py reads it; whatever else is refused, and soon.

`TINYVISION_FUZZ=20000 pytest tests/formats/test_hdf5.py` tries so many mutants of each kind."""

import io
import os
import struct
import time
import tracemalloc

import numpy as np
import pytest

from tinyvision.formats.hdf5 import Hdf5
from tinyvision.formats.hdf5_trees import Cursor, Parts, checksum, tree_leaves
from tinyvision.formats.refused import Refused

from .mutations import mutate

h5py = pytest.importorskip("h5py", reason="the package h5py is not installed")

MUTANTS = int(os.environ.get("TINYVISION_FUZZ", "400"))
KINDS = ["f4", "f8", "f2", "i1", ">f4", ">i4", "u2", "i8"]
KEPT = ["earliest", "v108", "latest"]  # how h5py lays groups and headers out
TEXTS = {"long": "é" * 40_000, "bytes": np.bytes_(b"abc"), "names": [b"a", b"bcd"], "letters": ["é", "zz"], "none": []}


def written(fill, libver="earliest"):
    """The bytes of a file that `fill` has filled."""
    memory = io.BytesIO()
    with h5py.File(memory, "w", libver=libver) as file:
        fill(file)
    return memory.getvalue()


def everything(groups=30, pieces=True):
    """A fill with texts, nested groups, and arrays of all kinds."""

    def fill(file):
        rng = np.random.default_rng(0)
        for name, text in {**TEXTS, **{f"text{k}": str(k) for k in range(20)}}.items():
            file.attrs[name] = text
        for k in range(groups):
            file[f"group{k}/inside/x"] = (9 * rng.standard_normal((k % 5, 3))).astype(KINDS[k % len(KINDS)])
        file["scalar"] = np.float32(3)
        if pieces:
            x = rng.standard_normal((17, 11, 3)).astype("f4")
            file.create_dataset("packed", data=x, chunks=(10, 7, 2), compression="gzip", shuffle=True)
            file.create_dataset("many", data=np.arange(2000), chunks=(7,))
            file.create_dataset("cut", data=np.arange(60, dtype=">u2").reshape(6, 10), chunks=(4, 4))

    return fill


def arrays_of(data):
    """name -> array of all that h5py finds."""
    found = {}
    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(lambda name, what: found.update({name: what[()]} if isinstance(what, h5py.Dataset) else {}))
    return found


@pytest.mark.parametrize("libver", KEPT)
def test_everything_is_as_h5py_reads_it(libver):
    data = written(everything(300, pieces=libver != "latest"), libver)
    file, expected = Hdf5(data, 1 << 30), arrays_of(data)
    assert len(expected) > 300
    with h5py.File(io.BytesIO(data)) as theirs:
        assert sorted(file.names("")) == sorted(theirs)
    for name, array in expected.items():
        for _ in range(2):
            y = file.array(name)
            assert y.dtype == array.dtype.newbyteorder("="), name
            assert y.flags.writeable
            np.testing.assert_array_equal(y, array)
            assert y.shape == array.shape
            y[...] = 1  # nobody else's memory
    assert file.text("", "long").decode() == TEXTS["long"]
    assert file.text("", "bytes") == b"abc"
    assert file.text("", "names") == TEXTS["names"]
    assert [text.decode() for text in file.text("", "letters")] == TEXTS["letters"]
    assert file.text("", "none") == []
    assert file.text("", "text19") == b"19"
    assert file.text("", "nowhere") is None
    assert file.text("nowhere", "long") is None
    assert [file.has(f"group7/{name}") for name in ("inside/x", "outside", "inside/x/y")] == [True, False, False]
    assert file.names("scalar") == file.names("nowhere") == []


@pytest.mark.parametrize("length", range(30))
def test_checksums_are_those_of_the_library(length):
    """A header of the newer kind with a name of each length: the checksum goes over all of it."""
    data = written(lambda file: file.attrs.update({"n" * (length + 1): "x"}), "v108")
    start = data.index(b"OHDR")
    place = start + 6 + (16 if data[start + 5] & 0x20 else 0) + (4 if data[start + 5] & 0x10 else 0)
    width = 1 << (data[start + 5] & 3)
    size = int.from_bytes(data[place : place + width], "little")
    end = place + width + size
    assert checksum(data[start:end]) == int.from_bytes(data[end : end + 4], "little")


def packed_by(**options):
    return lambda file: file.create_dataset("x", data=np.arange(600.0), chunks=(60,), **options)


def unwritten(count, chunk, **options):
    """A fill with an array of which only the first element was ever written."""

    def fill(file):
        file.create_dataset("x", (count,), "f4", chunks=(chunk,), **options)[0] = 1

    return fill


def with_a_named_type(file):
    file["kind"] = np.dtype("f4")
    file.create_dataset("x", (2,), file["kind"])


REFUSED = {
    "lzf": (packed_by(compression="lzf"), "'x': it is packed with lzf; deflate and shuffle are read"),
    "fletcher32": (packed_by(fletcher32=True), "packed with fletcher32"),
    "never written": (lambda f: f.create_dataset("x", (3,), "f4"), "'x': its elements were never written"),
    "partly written": (unwritten(30, 3), "9 of its 10 pieces were never written"),
    "a bomb": (unwritten(1 << 28, 1 << 20, compression="gzip"), "more than such a file can hold"),
    "too many pieces": (unwritten(300, 1), "it is cut into 300 pieces of 4 bytes"),
    "a soft link": (lambda f: f.update({"x": h5py.SoftLink("/y")}), "'x' is a link; it is not followed"),
    "texts": (lambda f: f.create_dataset("x", data=["a"]), "holds no numbers that can be read, but text elsewhere"),
    "booleans": (lambda f: f.create_dataset("x", data=[True]), "holds no numbers that can be read, but enum"),
    "complex": (lambda f: f.create_dataset("x", data=[1j]), "holds no numbers that can be read, but compound"),
    "nothing": (lambda f: f.create_dataset("x", data=h5py.Empty("f4")), "no numbers that can be read, but nothing"),
    "a group": (lambda f: f.create_group("x"), "there is no array 'x'"),
    "a named type": (with_a_named_type, "types that several objects share"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_named(name):
    fill, message = REFUSED[name]
    file = Hdf5(written(fill), 1 << 40)
    with pytest.raises(Refused, match=message):
        file.array("x")


@pytest.mark.parametrize("rank", [0, 1, 3, 255])
def test_pieces_of_another_rank_than_their_array_are_refused(rank):
    data = written(packed_by())
    assert data.count(b"\3\2\2") == 1  # a layout of pieces, of an array of one axis
    file = Hdf5(data.replace(b"\3\2\2", bytes([3, 2, rank])), 1 << 30)
    with pytest.raises(Refused, match="pieces that do not fit it"):
        file.array("x")


def test_an_empty_array_that_numpy_cannot_make_is_refused():
    """Here and in every other format: see is_absurdly_empty."""
    data = written(lambda file: file.create_dataset("x", (0, 7, 11, 13), "f4"))
    axes = struct.pack("<4Q", 0, 7, 11, 13)
    assert Hdf5(data, 1 << 30).array("x").shape == (0, 7, 11, 13)
    for long in ((0, 1 << 40, 1, 1), (1 << 30, 0, 1 << 30, 1 << 30)):
        file = Hdf5(data.replace(axes, struct.pack("<4Q", *long)), 1 << 30)
        with pytest.raises(Refused, match="'x': it is empty, but has an axis of 1,"):
            file.array("x")


def test_a_newer_layout_of_pieces_is_refused_with_its_remedy():
    file = Hdf5(written(packed_by(compression="gzip"), "latest"), 1 << 30)
    with pytest.raises(Refused, match="laid out in a way that is not read; write the file with h5py's own settings"):
        file.array("x")


def test_attributes_that_are_no_texts_are_refused_where_they_are_asked_for():
    file = Hdf5(written(lambda f: f.attrs.update(number=3.0, text="yes")), 1 << 30)
    assert file.text("", "text") == b"yes"
    with pytest.raises(Refused, match="the attribute 'number' holds number, where a text should be"):
        file.text("", "number")


@pytest.mark.parametrize("libver", KEPT)
def test_a_file_that_was_cut_short_says_so(libver):
    data = written(everything(), libver)
    for length in (0, 7, 8, 30, 60, 200, len(data) // 2, len(data) - 1):
        with pytest.raises(Refused, match="damaged HDF5"):
            Hdf5(data[:length], 1 << 30)


def test_a_changed_byte_of_the_newer_kind_has_a_wrong_checksum():
    data = bytearray(written(lambda file: file.attrs.update(text=np.bytes_(b"whole")), "v108"))
    data[data.index(b"whole")] ^= 1
    with pytest.raises(Refused, match="checksum is wrong"):
        Hdf5(bytes(data), 1 << 30).text("", "text")


def node(level, *below):
    """A node of a group's tree."""
    rows = b"".join(struct.pack("<QQ", 0, address) for address in below)
    return b"TREE" + struct.pack("<BBHQQ", 0, level, len(below), 0, 0) + rows


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (node(1, 0), "circle"),
        (node(2, 56, 56) + node(1, 0), "circle"),
        (node(1, 40) + node(1, 0), "out of order"),
        (node(3, *range(200, 5000, 24)) + node(2, *range(300, 5000, 24)) * 9, "damaged"),
        (b"TREE" + struct.pack("<BBHQQ", 0, 0, 65535, 0, 0), "reach beyond the end"),
    ],
)
def test_trees_that_lead_nowhere_end(data, message):
    with pytest.raises(Refused, match=message):
        list(tree_leaves(Parts(data), 0, 0, 8))


def test_nodes_that_lie_over_each_other_cost_no_more_than_the_file_is_long():
    """Each of 10,000 nodes would take in all that follow it."""
    data = b"".join(b"TREE" + struct.pack("<BBHQQ", 0, 0, 9999, 0, 0) for _ in range(20_000))
    parts = Parts(data)
    read = sum(1 for address in range(0, len(data), 24) for _ in leaves_or_nothing(parts, address))
    assert 0 < read * 16 <= len(data)


def leaves_or_nothing(parts, address):
    try:
        return list(tree_leaves(parts, address, 0, 8))
    except Refused:
        return []


def with_one_name_for_all(data):
    """A group whose every name is the long one, in a local heap; each entry may begin anywhere in it."""
    data, long = bytearray(data), data.index(b"n" * 3000)
    heap = data.rindex(b"HEAP", 0, long)
    start = int.from_bytes(data[heap + 24 : heap + 32], "little")
    for at in places(data, b"SNOD"):
        for entry in range(at + 8, at + 8 + 40 * int.from_bytes(data[at + 6 : at + 8], "little"), 40):
            data[entry : entry + 8] = struct.pack("<Q", long - start)
    return bytes(data)


def with_one_part_for_all(data):
    """A group whose every record leads to the long name, in a fractal heap."""
    data = bytearray(data)
    ids = [at + 6 + 11 * k + 4 for at in places(data, b"BTLF\0\5") for k in range(ROOM)]
    ids = [at for at in ids if data[at] == 0 and 0 < int.from_bytes(data[at + 5 : at + 7], "little") < 4096]
    long = max(ids, key=lambda at: data[at + 5 : at + 7][::-1])
    for at in ids:
        data[at : at + 7] = data[long : long + 7]
    return bytes(data)


def with_pieces_up_to_the_end(data):
    """An array whose every piece is said to go on up to the end of the file."""
    data = bytearray(data)
    for node_at in places(data, b"TREE\1\0"):
        for key in range(
            node_at + 24, node_at + 24 + 32 * int.from_bytes(data[node_at + 6 : node_at + 8], "little"), 32
        ):
            address = int.from_bytes(data[key + 24 : key + 32], "little")
            data[key : key + 4] = struct.pack("<I", len(data) - address)
    return bytes(data)


def places(data, signature):
    """Where a signature stands."""
    return [at for at in range(len(data)) if data.startswith(signature, at)]


ROOM = 45  # records in a leaf of 512 bytes


def one_long_name(file):
    for name in ("n" * 3000, *map(str, range(300))):
        file.create_group(name)


def many_small_pieces(file):
    file.create_dataset("x", data=np.arange(2000.0), chunks=(4,), compression="gzip")


OVERLAPPING = {
    "names": (one_long_name, "earliest", with_one_name_for_all, lambda file: file.names("")),
    "parts of a heap": (one_long_name, "v108", with_one_part_for_all, lambda file: file.names("")),
    "pieces": (many_small_pieces, "earliest", with_pieces_up_to_the_end, lambda file: file.array("x")),
}


@pytest.mark.parametrize("name", OVERLAPPING)
def test_what_lies_over_each_other_costs_no_more_than_the_file_is_long(name, monkeypatch):
    """Each of many entries leads to the same bytes: together they would take far more than the file has. Asked once
    more, the file gives the same answer."""
    fill, libver, changed, asked = OVERLAPPING[name]
    whole = written(fill, libver)
    assert len(asked(Hdf5(whole, 1 << 30))) > 300
    monkeypatch.setattr(Cursor, "checked", lambda self, start: self.take(4))
    file = Hdf5(changed(whole), 1 << 30)
    messages = []
    for _ in range(2):
        with pytest.raises(Refused, match="parts that overlap") as reason:
            asked(file)
        messages.append(str(reason.value))
    assert messages[0] == messages[1]


def test_many_texts_that_are_one_are_counted_before_they_are_made():
    data = bytearray(written(lambda file: file.attrs.update(x=["a" * 200_000, *"b" * 3000])))
    (first,) = [
        at
        for at in places(data, struct.pack("<I", 200_000))
        if data.startswith(b"GCOL", int.from_bytes(data[at + 4 : at + 12], "little"))
    ]
    data[first : first + 16 * 3001] = (struct.pack("<I", 199_999) + data[first + 4 : first + 16]) * 3001
    tracemalloc.start()
    with pytest.raises(Refused, match="more than 64 MiB of texts"):
        Hdf5(bytes(data), 1 << 30).text("", "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 << 20


def test_a_damaged_array_is_refused_in_the_same_words_however_often_it_is_asked_for():
    data = bytearray(written(packed_by(compression="gzip")))
    at = places(data, b"TREE\1\0")[0] + 24
    address = int.from_bytes(data[at + 24 : at + 32], "little")
    data[address : address + 4] = b"oops"
    file = Hdf5(bytes(data), 1 << 30)
    for _ in range(3):
        with pytest.raises(Refused, match="'x': damaged HDF5: a piece of an array that cannot be unpacked"):
            file.array("x")


def test_an_array_that_asks_for_too_much_leaves_the_others_their_share():
    file = Hdf5(written(lambda f: f.update(small=np.ones(2), large=np.ones(9000))), 1000)
    with pytest.raises(Refused, match="it asks for 72000 bytes"):
        file.array("large")
    assert file.array("small").tolist() == [1, 1]


def looked_through(data):
    """Ask a file for everything; the number of arrays that it gives."""
    read = 0
    file = Hdf5(data, 1 << 30)
    for name in TEXTS:
        file.text("", name)
    for name in sorted(file.names("")):
        try:
            read += file.array(f"{name}/inside/x" if name.startswith("group") else name).size >= 0
        except Refused:
            continue
    return read


@pytest.mark.parametrize("libver", KEPT)
def test_mutants_are_read_or_refused(libver, monkeypatch):
    """Under checksums that are right, as whoever means harm would make them."""
    monkeypatch.setattr(Cursor, "checked", lambda self, start: self.take(4))
    monkeypatch.setitem(TEXTS, "long", "é" * 300)
    whole = written(everything(12, pieces=libver != "latest"), libver)
    rng, refused, read = np.random.default_rng(7), 0, 0
    for k in range(MUTANTS):
        data = bytes(whole[: rng.integers(len(whole))]) if k % 20 == 19 else mutate(whole, rng)
        if k % 3 == 0:  # where the structure is, not the numbers
            head = data.find(rng.choice([b"TREE", b"SNOD", b"HEAP", b"OHDR", b"FRHP", b"BTLF", b"GCOL", b"\1\0\1\0"]))
            data = data[: max(head, 0)] + mutate(data[max(head, 0) : head + 60], rng) + data[max(head, 0) + 60 :]
        begun = time.process_time()
        try:
            read += looked_through(data)
        except Refused as reason:
            refused += 1
            if len(str(reason)) > 250 or not str(reason).isprintable():
                raise AssertionError(f"a message that is not one short line: {reason}") from reason
        assert time.process_time() - begun < 5, k
    assert refused > MUTANTS // 10
    assert read > MUTANTS
