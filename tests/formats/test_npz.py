"""NumPy's archives: every dtype, order and version of NumPy's own writer; NumPy is the oracle."""

import io

import numpy as np
import pytest

from tinyvision.data import read_npz
from tinyvision.errors import DataError, WeightsError
from tinyvision.formats.npz import read_npy
from tinyvision.formats.refused import Refused
from tinyvision.weights import load_arrays as load
from tinyvision.weights import save

from .layouts import Entry, npy, plain_zip

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]


def sample(dtype, shape=(3, 4, 5)):
    array = np.frombuffer(np.random.default_rng(7).bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize), dtype)
    return array.reshape(shape) if dtype != "?" else (array.view("u1") % 2).astype(bool).reshape(shape)


def equal(state, arrays):
    assert list(state) == list(arrays)
    for name, array in arrays.items():
        native = array.astype(array.dtype.newbyteorder("="))
        assert state[name].dtype == native.dtype
        assert state[name].dtype.isnative
        assert state[name].shape == array.shape
        assert state[name].tobytes() == native.tobytes()


@pytest.mark.parametrize("savez", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_and_layouts(tmp_path, savez, dtype):
    array = sample(dtype)
    arrays = {
        "plain": array,
        "fortran": np.asfortranarray(array),
        "swapped": array.astype(array.dtype.newbyteorder(">")),
        "view": array[::2, :, 1],
        "scalar": array[1, 2, 3, None].reshape(()),
        "empty": array[:0],
        "a/b.c": array[0],
        "ünï": array[1],
    }
    savez(tmp_path / "a.npz", **arrays)
    equal(load(tmp_path / "a.npz"), arrays)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_of_the_header(tmp_path, version):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.arange(6).reshape(2, 3), version=version)
    (tmp_path / "a.npz").write_bytes(plain_zip([Entry("w.npy", file.getvalue())]))
    equal(load(tmp_path / "a.npz"), {"w": np.arange(6).reshape(2, 3)})


def test_python_2_wrote_long_integers(tmp_path):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }"
    data = np.arange(6, dtype="<f4")
    (tmp_path / "a.npz").write_bytes(plain_zip([Entry("w.npy", npy(header, data.tobytes()))]))
    equal(load(tmp_path / "a.npz"), {"w": data.reshape(2, 3)})


def test_an_archive_without_arrays(tmp_path):
    np.savez(tmp_path / "a.npz")
    with pytest.raises(WeightsError, match="an archive without arrays"):
        load(tmp_path / "a.npz")
    with pytest.raises(DataError, match="an archive without arrays"):
        read_npz(tmp_path / "a.npz")


def test_compressed_weights_within_the_bound(tmp_path):
    """Nine in ten weights pruned away: such files deflate best, and are still read."""
    rng = np.random.default_rng(0)
    array = rng.standard_normal(1 << 20, "f4") * (rng.random(1 << 20) < 0.1)
    np.savez_compressed(tmp_path / "a.npz", w=array)
    equal(load(tmp_path / "a.npz"), {"w": array})


def test_compressed_beyond_the_bound(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", w=np.zeros(16 << 20, "f4"))
    with pytest.raises(WeightsError, match="save them uncompressed"):
        load(tmp_path / "a.npz")


def test_numpy_reads_what_we_write(tmp_path):
    arrays = {dtype.replace("?", "bool"): sample(dtype) for dtype in DTYPES} | {
        "file": np.array(1.5),
        "a/b": np.ones((2, 0)),
    }
    save(arrays, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as loaded:
        equal(dict(loaded), arrays)
    equal(load(tmp_path / "a.npz"), arrays)


def test_arrays_are_the_callers_own(tmp_path):
    np.savez(tmp_path / "a.npz", w=np.arange(3.0))
    state = load(tmp_path / "a.npz")
    state["w"] += 1
    assert state["w"].tolist() == [1, 2, 3]


def test_an_empty_array_of_many_long_axes_is_refused():
    """NumPy can make none of that shape, though each axis alone is no longer than others."""
    long = "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 1073741824, 1073741824, 1073741824), }"
    with pytest.raises(Refused, match="is empty, but has an axis of 1,073,741,824"):
        read_npy(npy(long, b""), "x")
