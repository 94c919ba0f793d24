"""`tinyvision evaluate`: what it prints, keeps and refuses."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinyvision
from tinyvision import train
from tinyvision.cli import main
from tinyvision.data import Digits

ROOT = str(Path(tinyvision.__file__).parents[1])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of one epoch."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)
        assert main(["train", "--epochs", "1", "--quiet", "--run", str(folder)]) == 0
    return folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()


def draw(folder, count=40, flat=False):
    """The first test digits as pictures, in class folders or with a file of labels."""
    digits = Digits(train=False)
    lines = ["file,label"]
    for i in range(count):
        below = Path("." if flat else str(digits.labels[i])) / f"{i:03}.png"
        (folder / below).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits.images[i, :, :, 0]).save(folder / below)
        lines.append(f"{i:03}.png,{digits.labels[i]}")
    (folder.parent / "labels.csv").write_text("\n".join(lines))
    return str(folder)


def call(*arguments):
    try:
        return main(["evaluate", *map(str, arguments)])
    except SystemExit as stop:
        return stop.code


def test_the_figures_are_those_of_the_network_itself(trained, tmp_path, capsys):
    assert call(trained, draw(tmp_path / "p"), "--json", "--csv", "out.csv") == 0
    found = json.loads(capsys.readouterr().out)
    network = train.load_network(trained)
    digits = Digits(train=False)
    said = network.probabilities([digits.images[i] for i in range(40)])
    right = int((said.argmax(1) == digits.labels[:40]).sum())
    assert found["top1"]["right"] == right
    assert found["top1"]["low"] < found["top1"]["share"] < found["top1"]["high"]
    assert sum(one["right"] for one in found["classes"]) == right
    assert sum(one["count"] for one in found["classes"]) == found["pictures"] == 40
    assert b"\r" not in Path("out.csv").read_bytes()  # as in every other table
    rows = {row["file"]: row for row in csv.DictReader(Path("out.csv").read_text("utf-8").splitlines())}
    assert len(rows) == 40
    for i in range(40):
        row = rows[f"{digits.labels[i]}/{i:03}.png"]
        assert row["answer"] == str(said[i].argmax())
        assert float(row["probability"]) == pytest.approx(said[i].max(), abs=1e-5)
        assert int(row["rank"]) == 1 + (said[i] > said[i][digits.labels[i]]).sum()


def test_a_flat_folder_gives_the_same_and_a_second_run_has_a_folder_of_its_own(trained, tmp_path, capsys):
    assert call(trained, draw(tmp_path / "p"), "--quiet") == 0
    first = capsys.readouterr().out
    flat = draw(tmp_path / "flat", flat=True)
    assert call(trained, flat, "--labels", tmp_path / "labels.csv", "--quiet") == 0
    second = capsys.readouterr().out
    assert first.splitlines()[:2] == second.splitlines()[:2]
    assert "95%:" in first.splitlines()[0]
    assert [line.splitlines()[-1] for line in (first, second)] == ["kept: runs/evaluate-1", "kept: runs/evaluate-2"]
    assert call("--resume", "runs/evaluate-2", "--quiet") == 0
    assert capsys.readouterr().out.splitlines()[:2] == second.splitlines()[:2]


def test_a_broken_picture_is_named_and_the_code_is_1(trained, tmp_path, capsys):
    folder = draw(tmp_path / "p", 10)
    (tmp_path / "p" / "0").mkdir(exist_ok=True)
    (tmp_path / "p" / "0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert call(trained, folder) == 1
    captured = capsys.readouterr()
    assert "broken.png" in captured.err
    assert "of 10;" in captured.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "give the MODEL and the FOLDER"),
        (["{run}"], "give the MODEL and the FOLDER"),
        (["{run}", "nowhere"], "nowhere: no such folder"),
        (["{run}", "{loose}"], "--labels FILE"),
        (["{run}", "{p}", "--seed", "3"], "give --limit N"),
        (["{run}", "{p}", "--labels", "none.csv"], "none.csv"),
        (["{run}", "{p}", "--csv", "no/such/file.csv"], "its folder does not exist"),
        (["{run}", "{p}", "--csv", "{run}/report.html"], "exists already; --overwrite replaces it"),
        (["{run}", "{p}", "--csv", "{run}/report.html", "--overwrite"], "--overwrite replaces tables only"),
        (["{run}", "{other}"], "none of the network's 10: 'cat'"),
        (["resnet19", "{p}"], "neither a file or folder nor a network"),
        (["{run}", "{p}", "--report", "--run", "{run}"], "holds a run of training; choose another folder"),
        (["--resume", "nowhere"], "nothing to resume"),
        (["--resume", "nowhere", "--limit", "3"], "leave limit out"),
        (["{run}", "{p}", "--limit", "0"], "a whole number from 1"),
    ],
)
def test_mistakes_leave_nothing_behind(trained, tmp_path, capsys, arguments, told):
    draw(tmp_path / "p", 3)
    draw(tmp_path / "loose", 3, flat=True)
    draw(tmp_path / "other", 3, flat=True)
    (tmp_path / "other" / "cat").mkdir()
    (tmp_path / "other" / "000.png").rename(tmp_path / "other" / "cat" / "0.png")
    places = {"run": trained, **{name: tmp_path / name for name in ("p", "loose", "other")}}
    assert call(*(text.format(**places) for text in arguments)) == 2
    assert told in capsys.readouterr().err
    assert not Path("runs").exists()


def test_ctrl_c_says_how_to_go_on(trained, tmp_path):
    folder = draw(tmp_path / "p", 60)
    slow = (
        "import os, signal, sys\n"
        "from tinyvision.cli import main\n"
        "from tinyvision.train import console\n"
        "def counter(self, what, total):\n"
        "    return lambda more: os.kill(os.getpid(), signal.SIGINT)\n"
        "console.Reporter.counter = counter\n"
        f"sys.exit(main(['evaluate', {str(trained)!r}, {folder!r}, '--batch-size', '10', '--workers', '0']))\n"
    )
    environment = {**os.environ, "PYTHONPATH": ROOT + os.pathsep + os.environ.get("PYTHONPATH", "")}
    done = subprocess.run([sys.executable, "-c", slow], capture_output=True, text=True, env=environment)
    assert done.returncode == 128 + signal.SIGINT
    assert "stopped after 10 of 60 pictures; go on with: tinyvision evaluate --resume runs/evaluate-1" in done.stderr
    assert done.stdout == ""
    assert call("--resume", "runs/evaluate-1", "--quiet") == 0


def test_names_that_a_terminal_would_obey_are_escaped(trained, tmp_path, capsys):
    folder = tmp_path / "p" / "3\x1b[31m"
    folder.mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "a.png")
    assert call(trained, tmp_path / "p") == 2
    assert "\x1b" not in capsys.readouterr().err


def test_the_report_lies_in_the_run_and_its_figures_in_the_json(trained, tmp_path, capsys):
    assert call(trained, draw(tmp_path / "p", 60), "--report", "--json", "--quiet") == 0
    found = json.loads(capsys.readouterr().out)
    text = Path(found["report"]).read_text("utf-8")
    assert found["report"] == "runs/evaluate-1/report.html"
    assert f"{found['calibration']['error']:.1%}" in text
    assert found["spoilt"]["right"] == found["top1"]["right"]
    assert call(trained, "p", "--unknown", "p") == 2
    assert "give --report too" in capsys.readouterr().err
    assert call(trained, "p", "--report", "--unknown", "nowhere") == 2


def test_ctrl_c_during_the_report_keeps_the_scores(trained, tmp_path, capsys, monkeypatch):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinyvision.train.trust.examine", stopped)
    assert call(trained, draw(tmp_path / "p", 5), "--report") == 130
    assert "tinyvision evaluate --resume runs/evaluate-1 --report" in capsys.readouterr().err
