"""Checkpoints of training scripts: everything that was saved comes back, here and in PyTorch."""

import argparse
import collections
import io
import pathlib

import numpy as np
import pytest

import tinyvision as tv
from tinyvision import nn, optim
from tinyvision.errors import DeviceError, WeightsError
from tinyvision.nn.matching import named_tensors
from tinyvision.weights import load_arrays

torch = pytest.importorskip("torch")


def same(mine, theirs):
    """The same tree of the same kinds; tensors are compared bit for bit."""
    if isinstance(theirs, torch.Tensor):
        assert isinstance(mine, tv.Tensor)
        np.testing.assert_array_equal(mine.detach().numpy(), theirs.detach().numpy(), strict=True)
        assert mine.requires_grad == theirs.requires_grad
    elif isinstance(theirs, np.ndarray):
        np.testing.assert_array_equal(mine, theirs, strict=True)
    elif isinstance(theirs, dict):
        assert type(mine) is type(theirs)
        assert list(mine) == list(theirs)
        for key in theirs:
            same(mine[key], theirs[key])
    elif type(theirs) in (list, tuple):
        assert type(mine) is type(theirs)
        assert len(mine) == len(theirs)
        for a, b in zip(mine, theirs, strict=True):
            same(a, b)
    elif isinstance(theirs, argparse.Namespace):
        same(vars(mine), vars(theirs))
    elif isinstance(theirs, (torch.dtype, torch.device)):
        assert str(mine) == str(theirs)
    else:
        assert type(mine) is type(theirs) or isinstance(theirs, torch.Size)
        assert mine == theirs or (mine != mine and theirs != theirs)


def checkpoint(library, cross_entropy):
    """What a script saves after three steps."""
    model = library.nn.Sequential(library.nn.Linear(3, 4), library.nn.ReLU(), library.nn.Linear(4, 2))
    optimizer = library.optim.Adam(model.parameters(), lr=0.01)
    schedule = library.optim.lr_scheduler.StepLR(optimizer, 2)
    for _ in range(3):
        optimizer.zero_grad()
        cross_entropy(model(library.ones(5, 3)), library.zeros(5, dtype=library.int64)).backward()
        optimizer.step()
        schedule.step()
    return {
        "epoch": 3,
        "arch": "größer",
        "best": 0.25,
        "nan": float("nan"),
        "none": None,
        "flags": (True, False, ()),
        "losses": [1.0, 2, [3, {"four": 2**40, 5: -7}]],
        "bytes": b"\x00\xff",
        "names": {"cat"},
        "counts": collections.Counter({3: 1, 5: 2}),
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": schedule.state_dict(),
        "dtype": library.float32,
        "tensor": library.arange(6).reshape(2, 3),
    }


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("suffix", [".ckpt", ".pth.tar", ".pt", ".pth", ""])
def test_ours_is_read_by_both(tmp_path, suffix):
    path = tmp_path / f"last{suffix}"
    saved = checkpoint(tv, nn.functional.cross_entropy)
    tv.save(saved, path)
    mine, theirs = tv.load(path), torch.load(path, weights_only=True)
    same(mine, theirs)
    assert mine.keys() == saved.keys()
    assert mine["losses"] == saved["losses"]
    assert mine["counts"] == saved["counts"]
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    model.load_state_dict(mine["state_dict"])
    optimizer = optim.Adam(model.parameters(), lr=1.0)
    optimizer.load_state_dict(mine["optimizer"])
    assert optimizer.param_groups[0]["lr"] == saved["optimizer"]["param_groups"][0]["lr"]
    twin = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    twin.load_state_dict(theirs["state_dict"])
    torch.optim.Adam(twin.parameters()).load_state_dict(theirs["optimizer"])


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("legacy", [False, True])
def test_theirs_is_read_here(tmp_path, legacy):
    path = tmp_path / "last.tar"
    saved = checkpoint(torch, torch.nn.functional.cross_entropy)
    saved |= {
        "args": argparse.Namespace(lr=0.1, layers=[1, 2], name="x", sub=argparse.Namespace(a=None)),
        "history": collections.defaultdict(list, {"loss": [1.0]}),
        "path": pathlib.Path("runs") / "a",
        "np": np.float64(0.5),
        "np32": np.float32(0.1),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "array": np.arange(6, dtype="<i4").reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">f4").astype("f4"),
        "complex": 1 + 2j,
        "size": torch.Size([2, 3]),
        "device": torch.device("cuda:1"),
        "rng": torch.get_rng_state(),
        "numpy rng": np.random.RandomState(3).get_state(),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    torch.save(saved, path, _use_new_zipfile_serialization=not legacy)
    mine = tv.load(path)
    same(mine, torch.load(path, weights_only=False))
    assert isinstance(mine["parameter"], nn.Parameter)
    assert isinstance(mine["args"], argparse.Namespace)
    same(tv.load(path, weights_only=False), torch.load(path, weights_only=False))


def test_dtypes_without_a_storage_class(tmp_path):
    torch.save({"w": torch.arange(5).to(torch.uint16)}, tmp_path / "a.pt")
    assert tv.load(tmp_path / "a.pt")["w"].numpy().tolist() == [0, 1, 2, 3, 4]


def test_tied_tensors_stay_tied(tmp_path):
    weight = tv.ones(2, 3)
    tv.save({"a": weight, "b": [weight]}, tmp_path / "a.pt")
    for library, loaded in ((tv, tv.load(tmp_path / "a.pt")), (torch, torch.load(tmp_path / "a.pt"))):
        with library.no_grad():
            loaded["a"][0, 0] = 7
        assert float(loaded["b"][0][0, 0]) == 7


@pytest.mark.parametrize("value", [3, [1, "a"], (None,), "text", {}, {"epoch": 3}, 2.5])
def test_anything_plain(tmp_path, value):
    tv.save(value, tmp_path / "a.pt")
    same(tv.load(tmp_path / "a.pt"), torch.load(tmp_path / "a.pt", weights_only=True))
    assert tv.load(tmp_path / "a.pt") == value


def test_open_files():
    buffer = io.BytesIO()
    tv.save({"w": tv.ones(2)}, buffer)
    buffer.seek(0)
    assert torch.load(buffer)["w"].tolist() == [1, 1]
    buffer.seek(0)
    assert tv.load(buffer)["w"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"model": nn.Linear(2, 2)}, r"state\['model'\] is a Linear.*save its state_dict\(\) instead"),
        ({"a": [1, object()]}, r"state\['a'\]\[1\] is a object, which is neither plain data nor a tensor"),
        ({(1, 2): 3}, "has the key"),
        ({"a": 2**70}, "more than 64 bits"),
        ({"f": len}, r"state\['f'\]"),
    ],
)
def test_what_no_file_holds(tmp_path, value, message):
    with pytest.raises(WeightsError, match=message):
        tv.save(value, tmp_path / "a.pt")
    assert not list(tmp_path.iterdir())


def test_what_contains_itself(tmp_path):
    endless = []
    endless.append(endless)
    with pytest.raises(WeightsError, match="contains itself"):
        tv.save(endless, tmp_path / "a.pt")


def test_a_pickled_model_is_refused_with_the_remedy(tmp_path):
    torch.save({"net": torch.nn.Linear(2, 2)}, tmp_path / "a.pt")
    with pytest.raises(WeightsError, match=r"Linear.*save its state_dict\(\) instead"):
        tv.load(tmp_path / "a.pt", weights_only=False)


def test_where_tensors_go(tmp_path):
    tv.save({"w": tv.ones(2)}, tmp_path / "a.pt")
    for where in ("cpu", tv.device("cpu"), {"cuda:0": "cpu"}, {"cpu": "cpu"}, lambda storage, where: storage):
        assert str(tv.load(tmp_path / "a.pt", map_location=where)["w"].device) == "cpu"
    with pytest.raises(DeviceError):
        tv.load(tmp_path / "a.pt", map_location="moon")


def test_storages_that_were_on_a_gpu(tmp_path):
    """PyTorch before 1.6 wrote torch.cuda.FloatStorage, where it now writes torch.FloatStorage."""
    torch.save({"w": torch.arange(3.0)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    data = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "b.pt").write_bytes(data.replace(b"ctorch\nFloatStorage\n", b"ctorch.cuda\nFloatStorage\n"))
    assert tv.load(tmp_path / "b.pt")["w"].tolist() == [0, 1, 2]


PREFIXES = ["module.", "_orig_mod.", "model.", "net.", "module._orig_mod.", "model.module.net."]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("key", [None, "state_dict", "model", "net", "weird"])
def test_a_checkpoint_is_matched_to_the_model(prefix, key):
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    state = {prefix + name: value for name, value in other.state_dict().items()}
    with pytest.warns(UserWarning, match=f"removed the prefix '{prefix}' from 2 names") as seen:
        result = model.load_state_dict(state if key is None else {key: state, "epoch": 3})
    assert key is None or f"took its entry '{key}'" in str(seen[0].message)
    assert result == ([], [])
    assert model.weight.tolist() == other.weight.tolist()


def test_averaged_weights_beside_the_last_ones_are_a_choice_that_is_said(tmp_path, recwarn):
    model, last, mean = nn.Linear(3, 2), nn.Linear(3, 2), nn.Linear(3, 2)
    both = {"model_ema": mean.state_dict(), "model": last.state_dict(), "optimizer": {"step": tv.ones(1)}}
    with pytest.warns(UserWarning, match="took its entry 'model', and not 'model_ema' with the same names"):
        model.load_state_dict(both)
    assert model.weight.tolist() == last.weight.tolist()
    torch.save({k: {n: torch.tensor(v.numpy()) for n, v in s.items()} for k, s in both.items()}, tmp_path / "a.pth")
    with pytest.warns(UserWarning, match="took its entry 'model', and not 'model_ema' with the same names; for those"):
        assert set(load_arrays(tmp_path / "a.pth")) == {"weight", "bias"}
    recwarn.clear()
    torch.save({"model": {"weight": torch.ones(2)}, "optimizer": {"step": torch.ones(1)}}, tmp_path / "b.pth")
    load_arrays(tmp_path / "b.pth")
    assert not recwarn.list


def test_what_fits_is_not_touched(recwarn):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = nn.Linear(3, 2)
            self.net = nn.Linear(2, 2)

    one, other = Net(), Net()
    one.load_state_dict(other.state_dict())
    partly = {"model.weight": other.model.weight, "module.net.weight": other.net.weight}
    assert one.load_state_dict(partly, strict=False).unexpected_keys == ["module.net.weight"]
    assert not recwarn.list
    with pytest.raises(WeightsError, match="unexpected"):
        one.load_state_dict({"backbone.weight": other.model.weight})


def test_more_numbers_as_keys_than_a_checkpoint_has(tmp_path):
    """Numbers can be chosen to collide in a hash table, which makes a dict quadratic."""
    tv.save(dict.fromkeys(range(20_001)), tmp_path / "a.pt")
    with pytest.raises(WeightsError, match="numbers as keys"):
        tv.load(tmp_path / "a.pt")


def test_the_prefix_of_wrappers_is_not_taken_off_where_nothing_would_be_left():
    names = {"module.": np.zeros(1), "module.weight": np.zeros(2)}
    assert list(named_tensors(names, lambda value: isinstance(value, np.ndarray))) == ["module.", "module.weight"]
    del names["module."]
    assert list(named_tensors(names, lambda value: isinstance(value, np.ndarray))) == ["weight"]


@pytest.mark.parametrize("writer", [tv, torch], ids=["tinyvision", "torch"])
@pytest.mark.parametrize("reader", [tv, torch], ids=["tinyvision", "torch"])
def test_what_shares_memory_shares_it_afterwards(tmp_path, writer, reader):
    """A write into one of the tensors that were read is seen through all that lay in one memory with it."""
    x, flat = writer.arange(6.0).reshape(2, 3), writer.zeros(5)
    writer.save(
        {"x": x, "row": x[1:], "turned": x.t(), "columns": x[:, ::2], "same": x, "one": x[1, 1], "whole": x.long(),
         "none": x[:0], "p": writer.nn.Parameter(flat[:3]), "q": writer.nn.Parameter(flat[3:]), "flat": flat},
        tmp_path / "views.pt",
    )  # fmt: skip
    got = reader.load(tmp_path / "views.pt")
    got["x"][1, 1], got["flat"][4] = 99, 7
    assert got["row"].tolist() == [[3, 99, 5]]
    assert got["turned"].tolist() == [[0, 3], [1, 99], [2, 5]]
    assert got["columns"].tolist() == [[0, 2], [3, 5]]
    assert got["same"].tolist() == [[0, 1, 2], [3, 99, 5]]
    assert got["one"].item() == 99
    assert got["q"].tolist() == [0, 7]
    assert got["p"].tolist() == [0, 0, 0]
    assert got["whole"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tuple(got["none"].shape) == (0, 3)
