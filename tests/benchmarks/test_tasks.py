"""The recipes of the tasks as a benchmark: figures and time, and what cannot run or falls short is said so."""

import json
import subprocess

import pytest

from benchmarks import cli, tasks


def answering(monkeypatch, code, out="", err=""):
    commands = []

    def run(command, **options):
        commands.append(command)
        return subprocess.CompletedProcess(command, code, out, err)

    monkeypatch.setattr(tasks.subprocess, "run", run)
    return commands


@pytest.mark.parametrize(("dice", "code"), [(0.95, 0), (0.93, 1)])
def test_figures_are_compared_with_what_the_recipe_is_made_for(tmp_path, monkeypatch, capsys, dice, code):
    commands = answering(monkeypatch, 0, json.dumps({"test_dice": dice, "things_found": 45}))
    assert cli.main(["tasks", "--only", "segmentation/nuclei", "--json", str(tmp_path / "tasks.json")]) == code
    assert commands[0][1:8] == ["-m", "tinyvision", "train", "--task", "segmentation", "--data", "nuclei"]
    assert ("(missed)" in capsys.readouterr().out) == bool(code)
    rows = json.loads((tmp_path / "tasks.json").read_text())
    assert [(row["what"], row["value"]) for row in rows] == [("Dice", dice), ("nuclei found of 57", 45)]


@pytest.mark.parametrize(("distance", "code"), [(4.4, 0), (4.6, 1)])
def test_a_distance_is_better_the_smaller_it_is(monkeypatch, capsys, distance, code):
    figures = {"test_frechet_distance": distance, "frechet_distance_of_training_pictures": 2.2, "recognised": 0.98}
    answering(monkeypatch, 0, json.dumps(figures))
    assert cli.main(["tasks", "--only", "generation/digits"]) == code
    assert ("(missed)" in capsys.readouterr().out) == bool(code)


def test_a_recipe_that_cannot_run_says_why(monkeypatch, capsys):
    answering(monkeypatch, 2, err="tinyvision: nuclei: the package stardist is not installed")
    assert cli.main(["tasks", "--only", "segmentation/nuclei"]) == 2
    assert "stardist" in capsys.readouterr().out


def test_every_goal_names_a_recipe_that_there_is():
    from tinyvision.tasks import room

    for name in tasks.GOALS:
        task, _, data = name.partition("/")
        assert data in room(task).data
