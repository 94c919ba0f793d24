"""save: the three formats, what they refuse, and what is left when the disk fails."""

import copy
import errno
import os
import signal
import zipfile

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import atomic
from tinyvision.errors import WeightsError
from tinyvision.weights import load_arrays as load
from tinyvision.weights import save

torch = pytest.importorskip("torch")

SUFFIXES = [".safetensors", ".npz", ".pth", ".pt"]
ARRAYS = {
    "conv.weight": np.random.default_rng(0).standard_normal((4, 3, 2, 2)),
    "float": np.arange(6, dtype="f4").reshape(2, 3),
    "transposed": np.arange(6, dtype="f4").reshape(2, 3).T,
    "big": np.arange(6, dtype=">f4"),
    "half": np.arange(3, dtype="f2"),
    "steps": np.array(7),
    "scalar": np.array(2.5, np.float32),
    "bool": np.array([True, False]),
    "empty": np.empty((0, 3), "f4"),
    "ünï code": np.arange(3, dtype="i2"),
}


def equal(state, arrays):
    assert list(state) == list(arrays)
    for name, array in arrays.items():
        array = np.asarray(array)
        assert state[name].dtype == array.dtype.newbyteorder("=")
        np.testing.assert_array_equal(state[name], array, strict=array.dtype.isnative)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_round_trip(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    save(ARRAYS, path)
    equal(load(path), ARRAYS)
    save(ARRAYS, str(path))
    save({}, path)
    with pytest.raises(WeightsError, match=r"no tensors|without arrays"):
        load(path)  # whoever gets {} fits nothing to a network, and thinks that it was all
    assert [p.name for p in tmp_path.iterdir()] == [f"a{suffix}"]


def test_torch_opens_our_pth(tmp_path):
    torch = pytest.importorskip("torch")
    save(ARRAYS, tmp_path / "a.pth")
    for mmap in (False, True):
        loaded = torch.load(tmp_path / "a.pth", weights_only=True, mmap=mmap)
        assert list(loaded) == list(ARRAYS)
        for name, tensor in loaded.items():
            np.testing.assert_array_equal(tensor.numpy(), np.asarray(ARRAYS[name]))
            assert tensor.is_contiguous()
    with zipfile.ZipFile(tmp_path / "a.pth") as archive:
        assert archive.testzip() is None


def test_torch_tensors_and_parameters_are_taken(tmp_path):
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(3, 2)
    for suffix in SUFFIXES:
        save(dict(model.named_parameters()), tmp_path / f"a{suffix}")
        equal(load(tmp_path / f"a{suffix}"), {k: v.numpy() for k, v in model.state_dict().items()})


def test_tensors_of_ours_are_taken(tmp_path):
    tinyvision = pytest.importorskip("tinyvision")
    tensor = tinyvision.tensor([[1.0, 2.0]], requires_grad=True)
    save({"w": tensor}, tmp_path / "a.npz")
    assert load(tmp_path / "a.npz")["w"].tolist() == [[1, 2]]


class OnADevice:
    """As CuPy's arrays show themselves."""

    __cuda_array_interface__ = {}  # noqa: RUF012 (CuPy's own is a property)

    def get(self):
        return np.arange(3.0)


def test_arrays_on_a_gpu_are_fetched(tmp_path):
    save({"w": OnADevice()}, tmp_path / "a.npz")
    assert load(tmp_path / "a.npz")["w"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("suffix", [".safetensors", ".npz"])
@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([np.ones(2)], "not a dict"),
        ({"": np.ones(2)}, "a name is text"),
        ({3: np.ones(2)}, "a name is text"),
        ({"\ud800": np.ones(2)}, "a name is text"),
        ({"w": [1, 2]}, "is a list"),
        ({"w": None}, "is a NoneType"),
        ({"w": 3}, "is a int"),
        ({"ok": np.ones(2), "w": {"a": np.ones(2)}}, "is a dict"),
    ],
)
def test_what_formats_of_arrays_alone_cannot_hold(tmp_path, suffix, state, message):
    with pytest.raises(WeightsError, match=message):
        save(state, tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"w": np.ones(2, complex)}, "dtype complex128"),
        ({"w": np.array([None])}, "dtype object"),
        ({"w": np.array(["a"])}, "dtype <U1"),
        ({"w": np.ones(2, "f4,i4")}, "dtype"),
        ({"w": np.ma.ones(2)}, "is a MaskedArray"),
    ],
)
def test_what_cannot_be_saved(tmp_path, suffix, state, message):
    with pytest.raises(WeightsError, match=message):
        save(state, tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../w", "/w", "a\\b", "a:b", "a\0b"])
def test_names_that_no_archive_should_hold(tmp_path, name):
    with pytest.raises(WeightsError, match="cannot be the name"):
        save({name: np.ones(2)}, tmp_path / "a.npz")
    for suffix in (".safetensors", ".pth"):
        save({name: np.ones(2)}, tmp_path / f"a{suffix}")
        assert list(load(tmp_path / f"a{suffix}")) == [name]


def test_a_reserved_name(tmp_path):
    with pytest.raises(WeightsError, match="__metadata__"):
        save({"__metadata__": np.ones(2)}, tmp_path / "a.safetensors")


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64", ">u4"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)], ids=str)
def test_unsigned_numbers_that_pytorchs_storages_have_not_stay_numpys(tmp_path, dtype, shape, rng):
    largest = np.iinfo(dtype).max
    array = rng.integers(0, largest, shape, dtype=np.dtype(dtype).newbyteorder("="), endpoint=True).astype(dtype)
    save({"w": array.astype(array.dtype.newbyteorder("="))}, tmp_path / "a.safetensors")
    for value in (array, np.asfortranarray(array), array.T):
        save({"w": value, "seed": 3}, tmp_path / "a.pth")
        for found in (tv.load(tmp_path / "a.pth"), torch.load(tmp_path / "a.pth", weights_only=False)):
            assert type(found["w"]) is np.ndarray
            assert found["seed"] == 3
            np.testing.assert_array_equal(found["w"], value)
            assert found["w"].dtype == np.dtype(dtype).newbyteorder("=")


def test_the_state_of_numpys_random_numbers_comes_back(tmp_path):
    random = np.random.RandomState(5)
    random.standard_normal(3)
    for legacy in (True, False):
        save({"numpy": random.get_state(legacy=legacy), "epoch": 2}, tmp_path / "a.ckpt")
        expected = np.random.RandomState(5)
        expected.standard_normal(3)
        for found in (tv.load(tmp_path / "a.ckpt"), torch.load(tmp_path / "a.ckpt", weights_only=False)):
            again = np.random.RandomState()
            again.set_state(found["numpy"])
            np.testing.assert_array_equal(again.standard_normal(9), copy.deepcopy(expected).standard_normal(9))


@pytest.mark.parametrize("where", ["missing/a", "folder"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_places_that_cannot_be_written(tmp_path, where, suffix):
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(WeightsError, match="cannot write"):
        save(ARRAYS, tmp_path / (where + suffix))


class FailingDisk:
    """A file that takes `allowed` writes and then fails."""

    def __init__(self, file, allowed, fail):
        self.file, self.allowed, self.fail = file, allowed, fail

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, data):
        self.allowed -= 1
        if self.allowed < 0:
            self.fail()
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


def count_writes(monkeypatch, path, arrays):
    made = []
    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, "fdopen", Fdopen(os.fdopen, 1 << 30, None, made))
        save(arrays, path)
    return (1 << 30) - made[0].allowed


class Fdopen:
    def __init__(self, real, allowed, fail, made):
        self.real, self.allowed, self.fail, self.made = real, allowed, fail, made

    def __call__(self, *args, **kwargs):
        self.made.append(FailingDisk(self.real(*args, **kwargs), self.allowed, self.fail))
        return self.made[-1]


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pth"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_at_any_write(tmp_path, monkeypatch, suffix, number):
    old, new = {"w": np.zeros(5)}, {"v": np.ones(7), "w": np.ones(3)}
    path = tmp_path / f"a{suffix}"
    save(old, path)
    writes = count_writes(monkeypatch, tmp_path / f"count{suffix}", new)
    assert writes >= 2
    (tmp_path / f"count{suffix}").unlink()

    def fail():
        raise OSError(number, os.strerror(number))

    for allowed in range(writes):
        with monkeypatch.context() as patch:
            patch.setattr(atomic.os, "fdopen", Fdopen(os.fdopen, allowed, fail, []))
            with pytest.raises(WeightsError, match="cannot write"):
                save(new, path)
        equal(load(path), old)
        assert [p.name for p in tmp_path.iterdir()] == [path.name]
    save(new, path)
    equal(load(path), new)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pth"])
def test_a_process_killed_at_any_write(tmp_path, monkeypatch, suffix):
    old, new = {"w": np.zeros(5)}, {"v": np.ones(7)}
    path = tmp_path / f"a{suffix}"
    writes = count_writes(monkeypatch, tmp_path / f"count{suffix}", new)
    for allowed in range(writes):
        save(old, path)
        child = os.fork()
        if child == 0:
            atomic.os.fdopen = Fdopen(os.fdopen, allowed, lambda: os.kill(os.getpid(), signal.SIGKILL), [])
            save(new, path)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        equal(load(path), old)
