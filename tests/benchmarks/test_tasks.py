"""The recipes of the tasks as a benchmark: figures and time, and what cannot run or falls short is said so."""

import json
import subprocess

import pytest

from benchmarks import agreement, cli, tasks, tasks_steps


def answering(monkeypatch, code, out="", err=""):
    commands = []

    def run(command, **options):
        commands.append(command)
        return subprocess.CompletedProcess(command, code, out, err)

    monkeypatch.setattr(tasks.subprocess, "run", run)
    monkeypatch.setattr(tasks.ours, "prepare", lambda say: None)
    return commands


@pytest.mark.parametrize(("dice", "code"), [(0.95, 0), (0.93, 1)])
def test_figures_are_compared_with_what_the_recipe_is_made_for(tmp_path, monkeypatch, capsys, dice, code):
    commands = answering(monkeypatch, 0, json.dumps({"test_dice": dice, "things_found": 45}))
    command = ["tasks", "--only", "segmentation/nuclei", "--turns", "0", "--json", str(tmp_path / "tasks.json")]
    assert cli.main(command) == code
    assert commands[0][1:8] == ["-m", "tinyvision", "train", "--task", "segmentation", "--data", "nuclei"]
    assert ("missed" in capsys.readouterr().out) == bool(code)
    made = json.loads((tmp_path / "tasks.json").read_text())
    figures = [(row["what"], row["value"], row["reached"]) for row in made["rows"]]
    assert figures[:2] == [("Dice", dice, not code), ("nuclei found of 57", 45, True)]
    assert figures[2][0] == "CPU s"
    assert (made["kind"], made["compiled_loops"], made["steps"]) == ("tasks", True, [])
    text = tasks.section(made, tmp_path / "tasks.json", "results")
    assert text.startswith("## Tasks\n")
    assert f"| segmentation/nuclei | Dice | {dice:g} | 0.94 | {'missed' if code else 'reached'} |" in text


def test_the_time_counts_with_the_compiled_loops_alone(monkeypatch, capsys):
    answering(monkeypatch, 0, json.dumps({"test_auc": 0.95, "test_tar_at_1_percent_far": 0.5}))
    clock = iter([0.0, 200.0, 200.0, 400.0])
    monkeypatch.setattr(tasks, "cpu_seconds", lambda: next(clock))
    command = ["tasks", "--only", "recognition/digits", "--turns", "0"]
    assert cli.main(command) == 1  # 200 CPU seconds of 120
    monkeypatch.setattr(tasks.ours, "prepare", lambda say: "numba is not installed")
    assert cli.main(command) == 0
    assert "NumPy alone, 1 thread" in capsys.readouterr().out


def test_longer_runs_name_their_epochs(monkeypatch):
    commands = answering(monkeypatch, 0, json.dumps({"test_map": 0.7, "test_ap50": 0.91}))
    assert cli.main(["tasks", "--only", "detection/digits-on-photographs/longer", "--turns", "0"]) == 0
    assert commands[0][commands[0].index("--epochs") + 1] == "20"
    assert commands[0][commands[0].index("--data") + 1] == "digits-on-photographs"


@pytest.mark.parametrize(
    "recipe", ["segmentation/shapes", "detection/shapes", "recognition/digits", "generation/digits"]
)
def test_pytorch_takes_the_same_step(recipe):
    step = tasks_steps.Step(*recipe.split("/"))
    ours = step.ours()[1]()
    for theirs in step.theirs():
        agreement.compare(ours, theirs.results(), tasks_steps.TOLERANCES)


@pytest.mark.parametrize(("distance", "code"), [(4.4, 0), (4.6, 1)])
def test_a_distance_is_better_the_smaller_it_is(monkeypatch, capsys, distance, code):
    figures = {"test_frechet_distance": distance, "frechet_distance_of_training_pictures": 2.2, "recognised": 0.98}
    answering(monkeypatch, 0, json.dumps(figures))
    assert cli.main(["tasks", "--only", "generation/digits", "--turns", "0"]) == code
    assert ("missed" in capsys.readouterr().out) == bool(code)


def test_a_recipe_that_cannot_run_says_why(monkeypatch, capsys):
    answering(monkeypatch, 2, err="tinyvision: nuclei: the package stardist is not installed")
    assert cli.main(["tasks", "--only", "segmentation/nuclei", "--turns", "0"]) == 2
    assert "stardist" in capsys.readouterr().out


def test_a_recipe_that_cannot_run_takes_nothing_from_the_others(tmp_path, monkeypatch, capsys):
    """It has no step beside PyTorch's either, the others are told as they end, and the record is written."""
    result = json.dumps({"test_auc": 0.95, "test_tar_at_1_percent_far": 0.5})
    answers = {"segmentation": (2, "", "no stardist"), "recognition": (0, result, "")}

    real = subprocess.run  # which the machine is described with

    def run(command, **options):
        if "--task" not in command:
            return real(command, **options)
        return subprocess.CompletedProcess(command, *answers[command[command.index("--task") + 1]])

    monkeypatch.setattr(tasks.subprocess, "run", run)
    monkeypatch.setattr(tasks.ours, "prepare", lambda say: None)
    taken = []
    monkeypatch.setattr(tasks_steps, "measured", lambda task, data, turns: taken.append(task))
    monkeypatch.setattr(tasks, "steps_table", lambda made: tasks.recipes_table(made))
    file = tmp_path / "tasks.json"
    command = ["tasks", "--only", "segmentation/nuclei", "recognition/digits", "--turns", "3", "--json", str(file)]
    assert cli.main(command) == 2
    assert taken == ["recognition"]
    assert [row["value"] for row in json.loads(file.read_text())["rows"] if row.get("what") == "AUC"] == [0.95]
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "segmentation/nuclei: no stardist"
    assert said[1].startswith("recognition/digits: AUC 0.95, ")


def test_every_goal_names_a_recipe_that_there_is():
    from tinyvision.tasks import room

    for name in tasks.GOALS:
        task, data, *_ = name.split("/")
        assert data in room(task).data
