import io
import struct
import zipfile

import numpy as np
import pytest

from tinyvision.data import read_npz
from tinyvision.errors import DataError

from .hostile_data import npz_bytes

ARRAYS = {
    "bytes": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "columns first": np.asfortranarray(np.random.default_rng(0).random((3, 4, 5))),
    "scalar": np.array(3.5),
    "flags": np.array([True, False]),
    "text": np.array(["cat", "dög"]),
    "nothing": np.zeros((0, 3), np.int16),
    "big-endian": np.array([1, 2], ">f4"),
    "half": np.array([2], np.float16),
}


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_come_back(compressed):
    found = read_npz(npz_bytes(compressed, **ARRAYS))
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype.newbyteorder("=")


def _npy(header, body=b"", version=b"\x01\x00"):
    size = struct.pack("<H" if version[:1] == b"\x01" else "<I", len(header))
    return b"\x93NUMPY" + version + size + header + body


def _zip(*members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members:
            with pytest.warns(UserWarning, match="Duplicate") if name in archive.namelist() else _nothing():
                archive.writestr(name, data)
    return out.getvalue()


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def _one(descr, length, body):
    """An archive of one array."""
    return _zip(
        ("a.npy", _npy(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({length},), }}".encode(), body))
    )


GOOD = _npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n", b"abc")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (npz_bytes(a=np.array([{}], dtype=object)), "Python objects"),
        (npz_bytes(a=np.zeros(2, [("x", "f4")])), "structured"),
        (npz_bytes(a=np.zeros(2, "M8[s]")), "damaged"),
        (_zip(("a.npy", GOOD), ("a.npy", GOOD)), "two records"),
        (_zip(("a.txt", b"hello")), "no .npy array"),
        (_zip(("../a.npy", GOOD)), "a zip record with the name"),
        (_zip(("a.npy", GOOD[:-1])), "should take 3 bytes, but has 2"),
        (_zip(("a.npy", GOOD + b"x")), "should take 3 bytes, but has 4"),
        (_zip(("a.npy", b"\x93NUMPY\x04\x00" + GOOD[8:])), "not in NumPy's format"),
        (_zip(("a.npy", _npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (-3,), }"))), "damaged"),
        (
            _zip(("a.npy", _npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999999,), }"))),
            "should take",
        ),
        (_zip(("a.npy", _npy(b"{'descr': '|u1', 'fortran_order': False}"))), "damaged"),
        (_zip(("a.npy", _npy(b"__import__('os').system('true')"))), "damaged"),
        (_zip(("a.npy", _npy(b"(" * 9000))), "damaged"),
        (_one("|b1", 2, b"\1\2"), "neither 0 nor 1"),
        (_one("<U1", 1, b"\0\0\x11\0"), "do not exist"),
        (_one("<c8", 1, bytes(8)), "type 'c8'"),
        (npz_bytes(a=np.arange(9))[:-10], "cut off|does not end"),
        (b"PK\x03\x04" + bytes(40), "cut off"),
        (b"\x93NUMPY", "not an .npz"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_files(data, reason):
    with pytest.raises(DataError, match=reason):
        read_npz(data)


def test_flipped_bits_are_found():
    data = bytearray(npz_bytes(compressed=False, a=np.arange(1000)))
    data[2000] ^= 1
    with pytest.raises(DataError, match="checksum"):
        read_npz(bytes(data))


def test_an_encrypted_member_is_refused():
    data = bytearray(_zip(("a.npy", GOOD)))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(DataError, match="encrypted"):
        read_npz(bytes(data))


def test_a_bomb_costs_little_memory():
    resource = pytest.importorskip("resource")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as member:
        member.write(_npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d,), }" % (250 << 20)))
        for _ in range(249):
            member.write(bytes(1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="unpack to"):
        read_npz(out.getvalue())
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < (64 << 20) + 6 * len(out.getvalue())
