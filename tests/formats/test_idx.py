import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyvision.data import read_idx
from tinyvision.errors import DataError

from .hostile_data import idx_bytes

TYPES = ["u1", "i1", "<i2", "<i4", "<f4", "<f8"]


@given(
    hnp.arrays(st.sampled_from(TYPES).map(np.dtype), hnp.array_shapes(min_dims=1, max_dims=4, max_side=5)),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_every_type_and_shape_comes_back_bit_for_bit(array, packed):
    data = idx_bytes(array)
    found = read_idx(gzip.compress(data) if packed else data)
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()
    assert found.flags.writeable


def test_the_content_decides_whether_it_is_packed(tmp_path):
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for name, data in (("a.gz", idx_bytes(array)), ("b", gzip.compress(idx_bytes(array)))):
        (tmp_path / name).write_bytes(data)
        np.testing.assert_array_equal(read_idx(tmp_path / name), array)
        np.testing.assert_array_equal(read_idx(str(tmp_path / name)), array)


GOOD = idx_bytes(np.arange(24, dtype="<i2").reshape(2, 3, 4))


@pytest.mark.parametrize("wrap", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (GOOD[:-1], "cut short"),
        (GOOD[:10], "cut short"),
        (GOOD[:4], "cut short"),
        (GOOD + b"\0", "too long|more than"),
        (b"\1" + GOOD[1:], "not an IDX file"),
        (GOOD[:2] + b"\x0a" + GOOD[3:], "not an IDX file"),
        (GOOD[:3] + b"\0" + GOOD[4:], "announces 0 axes"),
        (GOOD[:3] + b"\xff" + GOOD[4:], "announces 255 axes"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "cut short"),
        (b"\0\0\x0e\x04" + struct.pack(">4I", 0, 2**32 - 1, 2**32 - 1, 2**32 - 1), "cannot hold"),
        (b"<!DOCTYPE html><html>", "not an IDX file"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_files(wrap, data, reason):
    with pytest.raises(DataError, match=reason):
        read_idx(wrap(data))


def test_a_file_that_really_is_all_zeros():
    found = read_idx(gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 60_000, 28, 28) + bytes(60_000 * 784)))
    assert found.shape == (60_000, 28, 28)
    assert not found.any()


def test_a_bomb_costs_little_memory():
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = 250 << 20
    packer = __import__("zlib").compressobj(1, wbits=31)
    bomb = packer.compress(b"\0\0\x08\x01" + struct.pack(">I", size))
    bomb += b"".join(packer.compress(bytes(1 << 20)) for _ in range(249)) + packer.flush()  # one MiB too few
    with pytest.raises(DataError, match="cut short"):
        read_idx(bomb)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < (64 << 20) + 6 * len(bomb)
