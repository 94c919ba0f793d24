"""Safetensors: what the safetensors library writes is read, and what we write it reads."""

import json

import numpy as np
import pytest

from tinyvision.errors import OptionError, WeightsError
from tinyvision.weights import load_arrays as load
from tinyvision.weights import load_with_metadata, save

from .layouts import safe_file

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]


def sample(dtype, shape=(3, 4, 5)):
    array = np.frombuffer(np.random.default_rng(7).bytes(int(np.prod(shape)) * np.dtype(dtype).itemsize), dtype)
    return array.reshape(shape) if dtype != "?" else (array.view("u1") % 2).astype(bool).reshape(shape)


ARRAYS = {f"layer.{dtype}": sample(dtype) for dtype in DTYPES} | {
    "scalar": np.array(3.5),
    "empty": np.empty((0, 3), "f4"),
    "ünï/ code": np.arange(3),
}


def equal(state, arrays):
    assert set(state) == set(arrays)
    for name, array in arrays.items():
        assert state[name].dtype == array.dtype
        assert state[name].shape == array.shape
        assert state[name].tobytes() == array.tobytes()


def test_what_the_library_writes(tmp_path):
    library = pytest.importorskip("safetensors.numpy")
    metadata = {"format": "np", "note": "größer"}
    library.save_file(ARRAYS, tmp_path / "a.safetensors", metadata)
    state, found = load_with_metadata(tmp_path / "a.safetensors")
    equal(state, ARRAYS)
    assert found == metadata


def test_bfloat16(tmp_path):
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    tensor = torch.arange(-8, 8).to(torch.bfloat16) / 3
    library.save_file({"w": tensor}, tmp_path / "a.safetensors")
    np.testing.assert_array_equal(load(tmp_path / "a.safetensors")["w"], tensor.float().numpy())


def test_the_library_reads_what_we_write(tmp_path):
    library = pytest.importorskip("safetensors")
    path = tmp_path / "a.safetensors"
    save(ARRAYS, path, metadata={"epoch": "3"})
    with library.safe_open(path, "np") as file:
        assert file.metadata() == {"epoch": "3"}
        equal({name: file.get_tensor(name) for name in file.keys()}, ARRAYS)  # noqa: SIM118 (not a dict)


def test_order_and_alignment(tmp_path):
    path = tmp_path / "a.safetensors"
    save({"b": np.ones(3, "u1"), "a": np.ones(2, "f8")}, path)
    assert list(load(path)) == ["b", "a"]
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert (8 + length + header["a"]["data_offsets"][0]) % 8 == 0


def test_blanks_and_another_order_of_keys(tmp_path):
    header = '{ "w" : {"data_offsets": [0, 8],\n "shape": [ 2 ], "dtype": "F32"} }'
    path = tmp_path / "a.safetensors"
    path.write_bytes(safe_file(header, np.arange(2, dtype="<f4").tobytes(), padding=13))
    assert load(path)["w"].tolist() == [0, 1]


def test_no_tensors_and_no_metadata(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(safe_file("{}"))
    for _ in range(2):
        with pytest.raises(WeightsError, match="it is whole, but holds no tensors"):
            load_with_metadata(path)
        save({}, path)


def test_ten_thousand_tensors(tmp_path):
    path = tmp_path / "a.safetensors"
    arrays = {f"layer{i}": np.full(1, i, "i4") for i in range(10_000)}
    save(arrays, path)
    equal(load(path), arrays)


@pytest.mark.parametrize("metadata", [{"a": 1}, {1: "a"}, "text", ["a"], {"a": "\ud800"}])
def test_metadata_that_are_not_text(tmp_path, metadata):
    with pytest.raises(OptionError, match="metadata"):
        save({"w": np.ones(2)}, tmp_path / "a.safetensors", metadata=metadata)
    assert list(tmp_path.iterdir()) == []


def test_metadata_in_other_formats_are_refused(tmp_path):
    with pytest.raises(OptionError, match="cannot keep metadata"):
        save({"w": np.ones(2)}, tmp_path / "a.npz", metadata={"a": "b"})
