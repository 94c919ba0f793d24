"""Checkpoint files: what they hold, who can read them, what is refused."""

import json

import numpy as np
import pytest

import tinyvision
from tinyvision import data, nn, random, train
from tinyvision.errors import CheckpointError
from tinyvision.weights import load_with_metadata, save


def network(outputs=2):
    with random.use(random.stream(0, "network")):
        return nn.Sequential(nn.Flatten(), nn.Linear(16, outputs))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint") / "run"
    images = random.stream(0, "images").integers(0, 256, (12, 4, 4, 1), np.uint8)
    dataset = data.ArrayDataset(images, np.arange(12) % 2, ["left", "right"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)
        train.fit(
            network(),
            dataset,
            epochs=2,
            batch_size=4,
            optimizer="adam",
            run=folder,
            log=None,
            description={"who": "me"},
        )
    return folder


def test_what_a_checkpoint_says(run):
    checkpoint = train.load_checkpoint(run / "last.safetensors")
    assert checkpoint.settings["optimizer"] == "adam"
    assert (checkpoint.progress.epoch, checkpoint.progress.step, checkpoint.progress.total) == (2, 0, 6)
    assert checkpoint.description == {"classes": ["left", "right"], "who": "me"}
    assert checkpoint.optimizer["1.weight"]["step"] == 6
    assert checkpoint.optimizer["1.weight"]["exp_avg"].shape == (2, 16)


def test_best_is_a_plain_weight_file(run):
    arrays = tinyvision.load(run / "best.safetensors")
    assert list(arrays) == ["1.weight", "1.bias"]
    network().load_state_dict(arrays)


def test_other_programs_can_read_it(run):
    safetensors = pytest.importorskip("safetensors.numpy")
    theirs, ours = safetensors.load_file(run / "last.safetensors"), tinyvision.load(run / "last.safetensors")
    assert theirs.keys() == ours.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])


def test_load_weights(run):
    model = network()
    model[1].weight.array[...] = 0
    checkpoint = train.load_weights(model, run / "best.safetensors")
    np.testing.assert_array_equal(model[1].weight.array, checkpoint.weights["1.weight"])
    with pytest.raises(CheckpointError, match="does not fit"):
        train.load_weights(network(3), run / "best.safetensors")


def test_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        train.load_checkpoint(tmp_path / "none.safetensors")
    save({"x": np.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match="without the notes"):
        train.load_checkpoint(tmp_path / "x.safetensors")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="empty"):
        train.load_checkpoint(tmp_path / "empty.safetensors")


def test_a_cut_file(run, tmp_path):
    content = (run / "last.safetensors").read_bytes()
    for length in (7, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.safetensors").write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            train.load_checkpoint(tmp_path / "cut.safetensors")


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("settings", lambda v: []),
        ("progress", lambda v: {**v, "epoch": -1}),
        ("progress", lambda v: {**v, "step": 1.5}),
        ("progress", lambda v: {**v, "loss_sum": "x"}),
        ("progress", lambda v: {**v, "rows": []}),
        ("progress", lambda v: {**v, "rows": 7}),
        ("progress", lambda v: {**v, "rows": [1, 2]}),
        ("progress", lambda v: {**v, "unknown": 1}),
        ("progress", lambda v: {}),
        ("description", lambda v: "text"),
        ("notes", lambda v: None),
        ("optimizer", lambda v: {}),
        ("optimizer", lambda v: {**v, "groups": [{"lr": "x", "params": []}]}),
        ("optimizer", lambda v: {**v, "groups": [{"lr": 1, "params": 5}]}),
        ("optimizer", lambda v: {**v, "numbers": [3]}),
    ],
)
def test_damaged_notes(run, tmp_path, part, change):
    arrays, metadata = load_with_metadata(run / "last.safetensors")
    metadata[part] = json.dumps(change(json.loads(metadata[part])))
    save(arrays, tmp_path / "damaged.safetensors", metadata=metadata)
    with pytest.raises(CheckpointError, match="damaged"):
        train.load_checkpoint(tmp_path / "damaged.safetensors")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "NaN"])
def test_notes_that_are_not_json(run, tmp_path, text):
    arrays, metadata = load_with_metadata(run / "last.safetensors")
    save(arrays, tmp_path / "damaged.safetensors", metadata={**metadata, "progress": text})
    with pytest.raises(CheckpointError, match="damaged"):
        train.load_checkpoint(tmp_path / "damaged.safetensors")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"optimizer/1.weight/exp_avg": np.zeros((5, 5), np.float32)}, "exp_avg"),
        ({"optimizer/7.weight/exp_avg": np.zeros((5, 5), np.float32)}, "unknown parameter"),
        ({"1.weight": np.zeros((3, 16), np.float32)}, "1.weight"),
        ({"extra": np.zeros(3)}, "extra"),
    ],
)
def test_arrays_that_do_not_fit(run, tmp_path, changed, words):
    arrays, metadata = load_with_metadata(run / "last.safetensors")
    progress = json.loads(metadata["progress"])
    save(
        {**arrays, **changed},
        tmp_path / "last.safetensors",
        metadata={**metadata, "progress": json.dumps(progress)},
    )
    images = random.stream(0, "images").integers(0, 256, (12, 4, 4, 1), np.uint8)
    dataset = data.ArrayDataset(images, np.arange(12) % 2, ["left", "right"])
    with pytest.raises(CheckpointError, match=words):
        train.fit(network(), dataset, run=tmp_path, resume=True, log=None)
