"""Event files for TensorBoard hold the history, begin anew with a run, and need their writer."""

import shutil
import struct
import sys

import pytest

from tinyvision.cli import main
from tinyvision.train.checkpoint import load_checkpoint

event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")


def curves(folder):
    """{curve: [(epoch, value), ...]} of the one event file in a run's folder."""
    (path,) = (folder / "tensorboard").iterdir()
    data, found, place = path.read_bytes(), {}, 0
    while place < len(data):  # a record: its length, a checksum, the message, a checksum
        (length,) = struct.unpack_from("<Q", data, place)
        event = event_pb2.Event.FromString(data[place + 12 : place + 12 + length])
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
        place += 12 + length + 4
    return found


def expected(folder):
    rows = load_checkpoint(folder / "last.safetensors").progress.rows
    names = {"lr": "lr"} | {f"{w}/{p}": f"{p}_{w}" for p in ("train", "val") for w in ("loss", "accuracy")}
    return {tag: [(row["epoch"], pytest.approx(row[name], rel=1e-6)) for row in rows] for tag, name in names.items()}


def test_the_history_as_curves_resumed_and_replaced(tmp_path):
    run = ["train", "--quiet", "--tensorboard"]
    folder = tmp_path / "run"
    assert main([*run, "--run", str(folder), "--epochs", "2", "--schedule", "constant"]) == 0
    assert curves(folder) == expected(folder)
    # A run that goes on has all of its epochs in one file.
    assert main([*run, "--resume", str(folder), "--epochs", "3"]) == 0
    assert len(curves(folder)["lr"]) == 3
    assert curves(folder) == expected(folder)
    # A finished one that is resumed to be looked at.
    shutil.rmtree(folder / "tensorboard")
    assert main([*run, "--resume", str(folder)]) == 0
    assert curves(folder) == expected(folder)
    # A refused run leaves the file of the old one alone; one that replaces it has its own, or none.
    assert main([*run, "--run", str(folder), "--epochs", "1"]) == 2
    assert len(curves(folder)["lr"]) == 3
    assert main(["train", "--quiet", "--run", str(folder), "--epochs", "1", "--overwrite"]) == 0
    assert list((folder / "tensorboard").iterdir()) == []


def test_a_missing_writer_is_said_before_anything_begins(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert main(["train", "--tensorboard"]) == 2
    assert "pip install 'tinyvision[tensorboard]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
