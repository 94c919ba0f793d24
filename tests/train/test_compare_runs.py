"""Two runs beside each other: the settings that differ, the pictures that changed sides, the page."""

import json
import math
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import tinyvision as tv
from tinyvision import nn
from tinyvision.cli import main
from tinyvision.errors import CheckpointError
from tinyvision.train import compare_runs
from tinyvision.train.classification import Evaluation


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs on the digits."""
    place = tmp_path_factory.mktemp("runs")
    common = ["train", "--epochs", "1", "--quiet", "--run"]
    assert main([*common, str(place / "a")]) == 0
    assert main([*common, str(place / "b<1>"), "--lr", "0.02", "--val", "0.2"]) == 0
    return place


@pytest.fixture(scope="module")
def both(folder):
    return compare_runs.open_run(folder / "a"), compare_runs.open_run(folder / "b<1>" / "best.safetensors")


def _evaluation(predictions, labels):
    return Evaluation(np.eye(3, dtype=np.float32)[predictions], np.array(labels))


def test_settings_that_differ_and_no_others(both):
    assert compare_runs.differing_settings(*both) == {"lr": (0.1, 0.02), "data.val": (0.1, 0.2)}
    assert compare_runs.differing_settings(both[0], both[0]) == {}


def test_sides_and_chance():
    labels = [0, 1, 2, 0, 1, 2, 0, 0]
    a, b = _evaluation([0, 1, 2, 1, 1, 2, 1, 1], labels), _evaluation([1, 1, 2, 0, 1, 2, 0, 0], labels)
    pictures = compare_runs.Pictures("test", ["x", "y", "z"], None, a, b)
    assert pictures.gained.tolist() == [3, 6, 7]
    assert pictures.lost.tolist() == [0]
    # One head or fewer, or three or more, of four tosses: (1 + 4 + 4 + 1) / 16.
    assert pictures.chance == 10 / 16
    assert compare_runs.Pictures("test", ["x"], None, a, a).chance == 1


def test_pictures_are_judged_as_in_training(both):
    pictures = compare_runs.judge_both(*both)
    assert pictures.part == "test"
    assert len(pictures.a.labels) == 359
    one, other = pictures.right
    assert len(pictures.gained) - len(pictures.lost) == other.sum() - one.sum()
    assert math.isclose(pictures.a.accuracy, one.mean())


def test_the_command_writes_a_page(folder, both, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["compare-runs", str(folder / "a"), str(folder / "b<1>")]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "lr: 0.1 -> 0.02" in told
    text = (tmp_path / "a-and-b<1>.html").read_text("utf-8")
    assert "b&lt;1&gt;" in text
    assert "b<1>" not in text
    gained = int(re.search(r"Only B recognises (\d+) picture", text)[1])
    lost = int(re.search(r"Only A recognises (\d+) picture", text)[1])
    assert text.count("<figure>") == min(gained, 24) + min(lost, 24)
    assert "src=" not in re.sub(r'src="data:', "", text)
    assert main(command) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert main([*command, "--overwrite", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"] == {"lr": [0.1, 0.02], "data.val": [0.1, 0.2]}
    assert len(found["pictures"]["gained"]) == gained
    assert len(found["pictures"]["lost"]) == lost
    assert found["pictures"]["count"] == 359
    share = sum(b * 36 for _, b in found["pictures"]["per_class"].values()) / 360
    assert share == pytest.approx(found["pictures"]["accuracy"][1], abs=0.02)


def test_runs_of_one_name_are_told_apart(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for place in ("x", "y"):
        shutil.copytree(folder / "a", tmp_path / place / "r")
    assert main(["compare-runs", "x/r", "y/r"]) == 0
    assert "A x/r, B y/r" in capsys.readouterr().out
    assert "A is x/r" in (tmp_path / "x-r-and-y-r.html").read_text("utf-8")
    assert main(["compare-runs", "x/r", "x/r"]) == 0
    assert "A and B are one run" in capsys.readouterr().err


def test_another_task_has_scores_and_no_pictures(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tinyvision.train.checkpoint.task_of", lambda checkpoint: "generation")
    monkeypatch.setattr(compare_runs, "task_of", lambda checkpoint: "generation")
    runs = [str(folder / "a"), str(folder / "b<1>")]
    assert main(["compare-runs", *runs, "--root", "x"]) == 2
    assert "--root and --workers are for reading pictures again" in capsys.readouterr().err
    assert main(["compare-runs", *runs]) == 0
    told = capsys.readouterr().out
    assert "best epoch's val_loss: " in told
    assert "Single pictures are compared for classification only" in told


def test_fine_tuned_runs_of_a_file_have_settings_and_curves(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(12):
        (tmp_path / "photos" / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number % 2}" / f"{number}.png")
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    tv.export(network.eval(), tv.zeros(1, 3, 16, 16), "net.onnx")
    common = ["transfer", "photos", "--model", "net.onnx", "--pixels", "unit", "--epochs", "1", "--quiet"]
    for seed in ("3", "4"):
        assert main([*common, "--seed", seed, "--run", f"seed-{seed}"]) == 0
    capsys.readouterr()
    assert main(["compare-runs", "seed-3", "seed-4"]) == 0
    told = capsys.readouterr().out
    assert "seed: 3 -> 4" in told
    assert "best epoch's val_loss: " in told
    assert "these are of `tinyvision transfer`" in told
    assert "these are of `tinyvision transfer`" in (tmp_path / "seed-3-and-seed-4.html").read_text(encoding="utf-8")
    assert main(["compare-runs", "seed-3", str(folder / "a")]) == 2
    assert "seed-3: was not made by `tinyvision train`" in capsys.readouterr().err


def test_what_cannot_be_compared_is_refused(folder, both, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    a = str(folder / "a")
    assert main(["compare-runs", a, str(tmp_path)]) == 2
    assert "best.safetensors" in capsys.readouterr().err
    assert main(["compare-runs", a, a, "-o", "page.safetensors"]) == 2
    assert "the page is a .html" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    other = compare_runs.open_run(folder / "b<1>")
    other.checkpoint.description["data"] = {**other.checkpoint.description["data"], "name": "shapes"}
    with pytest.raises(CheckpointError, match="a is of digits, b<1> of shapes"):
        compare_runs.judge_both(both[0], other)
    other.checkpoint.description["data"] = {}
    with pytest.raises(CheckpointError, match="not made by `tinyvision train`"):
        compare_runs.judge_both(both[0], other)
