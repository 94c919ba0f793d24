"""A run that is stopped anywhere and resumed writes the same bytes as one that was never stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinyvision
from tinyvision import data, nn, random, train
from tinyvision.data import ImageFolder, Subset, transforms
from tinyvision.errors import CheckpointError

FILES = ("last.safetensors", "best.safetensors", "history.csv")


class Killed(BaseException):
    """Stands for kill -9 within one process: nobody catches it, nobody saves."""


class KillAt:
    """Cross-entropy that dies in place of step `number` (counted from 0)."""

    def __init__(self, number, die):
        self.left, self.die, self.loss = number, die, nn.CrossEntropyLoss()

    def __call__(self, scores, labels):
        if self.left == 0:
            self.die()
        self.left -= 1
        return self.loss(scores, labels)


def pictures(train=True):
    """32 or 16 random pictures of 8x8 pixels in three classes, moved and mirrored at random in training."""
    rng = random.stream(5, "pictures", int(train))
    count = 32 if train else 16
    augment = [transforms.RandomCrop(8, padding=1), transforms.RandomHorizontalFlip()] if train else []
    transform = transforms.Compose([*augment, transforms.ToTensor()])
    images = rng.integers(0, 256, (count, 8, 8, 1), np.uint8)
    return data.ArrayDataset(images, rng.integers(0, 3, count), ["a", "b", "c"], transform)


def network():
    """Everything that has state or draws random numbers: batch-norm, dropout."""
    with random.use(random.stream(1, "network")):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(64, 3),
        )


SETTINGS = {
    "momentum": {"optimizer": "sgd", "lr": 0.1, "schedule": "one-cycle"},
    "adam": {"optimizer": "adam", "lr": 0.01, "schedule": "cosine", "clip_norm": 1.0},
    "nesterov": {"optimizer": "nesterov", "lr": 0.05, "schedule": "step"},
    "adamw": {"optimizer": "adamw", "lr": 0.01, "schedule": "constant"},
}


def training(run, name="momentum", **options):
    """5 epochs of 4 steps; a checkpoint after every third step, so most stops lose some steps."""
    options = {"save_steps": 3, "save_every": 1e9, "log": None, **SETTINGS[name], **options}
    return train.fit(network(), pictures(), pictures(False), run=run, epochs=5, batch_size=8, seed=3, **options)


@pytest.fixture(autouse=True, scope="module")
def no_plots():
    """The curves take longer than the training here, and have a test of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)
        yield


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The bytes that uninterrupted runs leave, by name of the settings."""
    made = {}

    def bytes_of(name):
        if name not in made:
            run = tmp_path_factory.mktemp(name) / "run"
            training(run, name)
            made[name] = {file: (run / file).read_bytes() for file in FILES}
        return made[name]

    return bytes_of


def die():
    raise Killed


@pytest.mark.parametrize("step", range(20))
@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_stopped_at_every_step(tmp_path, unbroken, name, step):
    with pytest.raises(Killed):
        training(tmp_path / "run", name, loss=KillAt(step, die))
    history = training(tmp_path / "run", name, resume=True)
    assert len(history) == 5
    for file, content in unbroken(name).items():
        assert (tmp_path / "run" / file).read_bytes() == content, file


@pytest.mark.parametrize("name", ["nesterov", "adamw"])
def test_stopped_again_and_again(tmp_path, unbroken, name):
    resume = False
    for _ in range(40):
        try:
            training(tmp_path / "run", name, loss=KillAt(4, die), resume=resume)
            break
        except Killed:
            resume = True
    for file, content in unbroken(name).items():
        assert (tmp_path / "run" / file).read_bytes() == content, file


def test_the_runs_differ_where_they_should(unbroken):
    # If the settings did nothing, or nothing were random, the tests above would prove nothing.
    assert len({unbroken(name)["best.safetensors"] for name in SETTINGS}) == len(SETTINGS)


def test_worker_threads_change_nothing(tmp_path, unbroken):
    training(tmp_path / "run", workers=2)
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == unbroken("momentum")["last.safetensors"]


SCRIPT = """
import os, signal, sys
sys.path[:0] = [{tests!r}, {package!r}]
import test_resume as t
import tinyvision.train.loop
tinyvision.train.loop._Training.draw = lambda self: None
t.training({run!r}, "adam", loss=t.KillAt({step}, lambda: os.kill(os.getpid(), signal.SIGKILL)),
resume={resume}) """


@pytest.mark.parametrize("step", [2, 9])
def test_kill_9(tmp_path, unbroken, loops_as_here, step):
    run = tmp_path / "run"
    places = {
        "tests": str(Path(__file__).parent),
        "package": str(Path(tinyvision.__file__).parents[1]),
        "run": str(run),
    }
    first = subprocess.run([sys.executable, "-c", SCRIPT.format(step=step, resume=False, **places)], timeout=600)
    assert first.returncode == -signal.SIGKILL
    second = subprocess.run([sys.executable, "-c", SCRIPT.format(step=-1, resume=True, **places)], timeout=600)
    assert second.returncode == 0
    for file, content in unbroken("adam").items():
        assert (run / file).read_bytes() == content, file
    assert not [name for name in os.listdir(run) if name.endswith(".tmp")]


def test_what_is_derived_from_a_checkpoint_is_rebuilt_from_it(tmp_path, unbroken):
    """As after a kill between the last checkpoint and history.csv, and one in the middle of a write."""
    run = tmp_path / "run"
    training(run)
    csv = (run / "history.csv").read_bytes()
    leftovers = [".last.safetensors.0123456789abcdef.tmp", ".history.png.0123456789abcdef.tmp"]
    for damaged in (None, csv[:100], csv[: csv.rindex(b"\n", 0, -1) + 1]):
        (run / "history.csv").unlink()
        if damaged is not None:
            (run / "history.csv").write_bytes(damaged)
        for name in (*leftovers, ".mine.tmp"):
            (run / name).write_bytes(b"half")
        training(run, resume=True)
        assert (run / "history.csv").read_bytes() == csv
        assert sorted(os.listdir(run)) == [".mine.tmp", *sorted(FILES)]  # what is not ours stays
    (run / leftovers[0]).write_bytes(b"half")
    training(run, overwrite=True)
    assert not (run / leftovers[0]).exists()


@pytest.mark.skipif(sys.platform != "linux", reason="traces system calls as Linux does")
def test_killed_at_some_system_calls():
    """`kills` by hand tries every tenth of them; a sixth of a minute is what there is here."""
    command = [sys.executable, "-m", "tests.train.kills", "train", "900"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=1800)
    if "may not be traced" in done.stderr:
        pytest.skip("processes may not be traced here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of them led to something else" in done.stdout


def test_resume_refuses_other_settings(tmp_path):
    run = tmp_path / "run"
    training(run)
    for change, words in [
        ({"lr": 0.3}, "lr was 0.1 and is now 0.3"),
        ({"optimizer": "adam"}, "momentum was 0.9 and is now None|optimizer was 'sgd' and is now 'adam'"),
        ({"schedule": "cosine"}, "schedule was 'one-cycle' and is now 'cosine'"),
        ({"description": {"classes": ["x"]}}, r"classes was \['a', 'b', 'c'\] and is now \['x'\]"),
    ]:
        with pytest.raises(CheckpointError, match=words):
            training(run, resume=True, **change)


def test_resume_refuses_other_data_and_networks(tmp_path):
    run = tmp_path / "run"
    training(run)
    options = {"run": run, "resume": True, "log": None}
    with pytest.raises(CheckpointError, match="begun with 32 training images, now there are 16"):
        train.fit(network(), pictures(False), **options)
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with pytest.raises(CheckpointError, match="other parameters"):
        train.fit(other, pictures(), **options)


def test_resume_takes_settings_from_the_checkpoint(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(Killed):
        training(run, loss=KillAt(7, die))
    history = train.fit(network(), pictures(), pictures(False), run=run, resume=True, log=None)
    assert len(history) == 5
    assert train.load_checkpoint(run / "last.safetensors").settings["lr"] == 0.1


def test_a_finished_run_has_nothing_left_to_do(tmp_path, unbroken):
    run = tmp_path / "run"
    training(run)
    assert len(training(run, resume=True, loss=KillAt(0, die))) == 5
    assert (run / "last.safetensors").read_bytes() == unbroken("momentum")["last.safetensors"]


def test_a_constant_rate_may_go_on_for_longer(tmp_path):
    long, short = tmp_path / "long", tmp_path / "short"
    options = {"batch_size": 8, "schedule": "constant", "log": None}
    train.fit(network(), pictures(), run=long, epochs=4, **options)
    train.fit(network(), pictures(), run=short, epochs=2, **options)
    train.fit(network(), pictures(), run=short, resume=True, epochs=4, log=None)
    for file in FILES:
        assert (long / file).read_bytes() == (short / file).read_bytes()


def test_resume_auto_begins_or_continues(tmp_path, unbroken):
    run = tmp_path / "run"
    with pytest.raises(Killed):
        training(run, resume="auto", loss=KillAt(10, die))
    training(run, resume="auto")
    assert (run / "last.safetensors").read_bytes() == unbroken("momentum")["last.safetensors"]


def test_nothing_to_resume(tmp_path):
    with pytest.raises(CheckpointError, match="nothing to resume"):
        training(tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


def test_the_best_weights_are_no_place_to_resume_from(tmp_path):
    run = tmp_path / "run"
    training(run)
    (run / "last.safetensors").write_bytes((run / "best.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="weights only"):
        training(run, resume=True)


def test_another_number_of_threads_is_mentioned(tmp_path):
    lines, before = [], tinyvision.get_num_threads()
    with pytest.raises(Killed):
        training(tmp_path / "run", loss=KillAt(5, die))
    tinyvision.set_num_threads(before + 1)
    try:
        training(tmp_path / "run", resume=True, log=lines.append)
    finally:
        tinyvision.set_num_threads(before)
    told = f"begun with {before} CPU threads and goes on with {before + 1} CPU threads, which round differently"
    assert any(told in line for line in lines)


@pytest.mark.parametrize("change", ["renamed class", "renamed picture", "moved to another class"])
def test_resume_refuses_as_many_pictures_of_other_names_or_classes(tmp_path, change):
    """Each leaves the numbers of images and classes as they were, so only names and labels tell."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{number}.png")

    def fit(place="data", **options):
        data = ImageFolder(tmp_path / place, transforms.ToTensor())
        model = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
        return train.fit(model, Subset(data, [0, 2, 3, 4, 6]), run=tmp_path / "run", log=None, **options)

    fit(epochs=1, batch_size=4, schedule="constant")
    (tmp_path / "data").rename(tmp_path / "elsewhere")  # that changes nothing
    fit("elsewhere", resume=True, epochs=2)
    data = tmp_path / "elsewhere"
    if change == "renamed class":
        (data / "a").rename(data / "c")
    elif change == "renamed picture":
        (data / "b/0.png").rename(data / "b/9.png")
    else:
        (data / "a/3.png").rename(data / "b/4.png")
    with pytest.raises(CheckpointError, match="their names or labels have changed since"):
        fit("elsewhere", resume=True, epochs=3)
