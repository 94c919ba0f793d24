"""A checkpoint in parts, as safetensors and PyTorch's libraries cut it up: an index, and files beside it."""

import json

import numpy as np
import pytest

from tinyvision import models
from tinyvision.errors import WeightsError
from tinyvision.weights import load, load_arrays

torch = pytest.importorskip("torch", reason="the oracle, torch, is not installed")
safetensors = pytest.importorskip("safetensors.torch", reason="the oracle, safetensors, is not installed")


def cut(state, folder, write, suffix, parts=3):
    """Deal the tensors out to files; -> the index."""
    names = list(state)
    place_of = {name: f"model-{k % parts + 1:05}-of-{parts:05}.{suffix}" for k, name in enumerate(names)}
    for part in set(place_of.values()):
        write({n: state[n].contiguous() for n in names if place_of[n] == part}, folder / part)
    index = folder / f"model.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": place_of}))
    return index


WRITERS = {"safetensors": (safetensors.save_file, "safetensors"), "PyTorch": (torch.save, "bin")}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_network_in_bfloat16_and_in_parts(tmp_path, kind):
    write, suffix = WRITERS[kind]
    model = models.resnet18()
    theirs = {name: torch.from_numpy(v.numpy().copy()) for name, v in model.state_dict().items()}
    theirs = {name: v.bfloat16() if v.is_floating_point() else v for name, v in theirs.items()}
    index = cut(theirs, tmp_path, write, suffix)
    state = load(index)
    assert set(state) == set(theirs)
    assert all(np.array_equal(state[n].numpy(), theirs[n].float().numpy()) for n in state)
    assert set(load_arrays(index)) == set(theirs)
    models.resnet18().load_state_dict(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda i: i.pop("weight_map"), "does not say where its tensors are"),
        (lambda i: i["weight_map"].clear(), "does not say where its tensors are"),
        (lambda i: i["weight_map"].update(a="../part.safetensors"), "no file beside it"),
        (lambda i: i["weight_map"].update(a="/etc/passwd"), "no file beside it"),
        (lambda i: i["weight_map"].update(a="missing.safetensors"), "no file beside it"),
        (lambda i: i["weight_map"].update(a=["x"]), "does not say|no file"),
        (lambda i: i["weight_map"].update(a=3), "no file beside it"),
        (lambda i: i["weight_map"].update(nowhere=i["weight_map"]["a"]), "does not hold 'nowhere'"),
    ],
)
def test_hostile_indexes(tmp_path, change, message):
    index = cut({"a": torch.ones(2), "b": torch.ones(3)}, tmp_path, safetensors.save_file, "safetensors", parts=1)
    safetensors.save_file({"a": torch.ones(2)}, tmp_path.parent / "part.safetensors")
    value = json.loads(index.read_text())
    change(value)
    index.write_text(json.dumps(value))
    with pytest.raises(WeightsError, match=message):
        load(index)


@pytest.mark.parametrize("text", ["", "[]", "{" * 10_000, "[" * 100_000, "\x00"])
def test_an_index_that_is_none(tmp_path, text):
    (tmp_path / "m.index.json").write_text(text)
    with pytest.raises(WeightsError, match=r"refused: .*does not say where"):
        load(tmp_path / "m.index.json")
