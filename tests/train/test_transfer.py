"""Fine-tuning on a folder of pictures, and the report on it, with a small stand-in for a pretrained
network."""

import json
import os
import re
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tinyvision import models, nn, random, train
from tinyvision.cli import main
from tinyvision.errors import CheckpointError, DataError, OptionError, WeightsError
from tinyvision.train import image_folders, recipes, transfer
from tinyvision.train.preprocessing import Preprocessing
from tinyvision.train.report import write_report
from tinyvision.weights import load_arrays, save

SIZE = 16
calls = []


class Small(nn.Module):
    """As much of a ResNet as `fine_tune` needs: `features`, `fc`, a stem with batch-norm."""

    def __init__(self, num_classes):
        with random.use(random.stream(7, "small")):
            self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
            self.layer1 = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
            self.layer2 = nn.Sequential(nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU())
            self.pool = nn.AdaptiveAvgPool2d(2)
        self.fc = nn.Linear(64, num_classes)

    def features(self, x):
        calls.append(len(x))
        return self.pool(self.layer2(self.layer1(self.bn1(self.conv1(x))))).flatten(1)

    def forward(self, x):
        return self.fc(self.features(x))


@pytest.fixture(autouse=True)
def small_network(monkeypatch, tmp_path):
    calls.clear()
    preprocessing = Preprocessing(3, (SIZE, SIZE), (0.5,) * 3, (0.25,) * 3, shorter=18)
    monkeypatch.setitem(
        recipes.NETWORKS, "small", (lambda weights=None, num_classes=2: Small(num_classes), preprocessing)
    )
    monkeypatch.setenv("TINYVISION_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)


def draw(folder, count, seed):
    """Pictures that are bright at the left or at the top, a class each; names that HTML must escape."""
    rng = np.random.default_rng(seed)
    for name in ("<left>", "top & co"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            pixels = rng.integers(0, 100, (20, 24, 3))
            pixels[:, :12] += 120 * (name == "<left>")
            pixels[:10] += 120 * (name != "<left>")
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{seed}-{i}.png")


@pytest.fixture
def photos(tmp_path):
    draw(tmp_path / "photos", 12, 0)
    return tmp_path / "photos"


def settings(**options):
    return train.TransferSettings(**{"model": "small", "head_epochs": 10, "views": 1, "batch_size": 8, **options})


def fine_tune(photos, run, resume=False, **options):
    return train.fine_tune(photos, run, settings(**options), resume=resume, log=None)


def test_only_the_head_learns(photos, tmp_path):
    result = fine_tune(photos, tmp_path / "run")
    state, fresh = result.model.state_dict(), Small(2).state_dict()
    for name in state:
        assert np.array_equal(state[name].array, fresh[name].array) != name.startswith("fc.")
    assert result.evaluation.accuracy > 0.9
    assert result.judged == "validation"
    network = train.load_network(tmp_path / "run")
    assert network.classes == ["<left>", "top & co"]
    picture = np.asarray(Image.open(next((photos / "top & co").iterdir())))
    assert network.class_name(int(network.probabilities([picture]).argmax())) == "top & co"


# By what their last layer is called, which in SqueezeNet is a convolution; GoogLeNet has heads that help in training.
@pytest.mark.parametrize(
    ("name", "freeze"),
    [("mobilenet_v2", "all"), ("shufflenet_v2_x0_5", "stem"), ("squeezenet1_1", "none"), ("googlenet", "none")],
)
def test_networks_of_torchvision(photos, tmp_path, monkeypatch, name, freeze):
    build, preprocessing = recipes.NETWORKS[name]
    monkeypatch.setitem(recipes.NETWORKS, name, (build, replace(preprocessing, size=(33, 33), shorter=36)))
    published = models.get_model(name, num_classes=7)
    save(published.state_dict(), tmp_path / "seven.pth")
    epochs = 0 if freeze == "all" else 1
    result = fine_tune(photos, tmp_path / "run", model=name, weights=str(tmp_path / "seven.pth"), freeze=freeze,
                       epochs=epochs, head_epochs=2)  # fmt: skip
    assert len(result.histories) == 1 + epochs
    before = published.state_dict()
    changed = {k for k, v in result.model.named_parameters() if not np.array_equal(v.array, before[k].array)}
    head = {f"{build.head}.weight", f"{build.head}.bias"}
    learned = {k for k, _ in result.model.named_parameters()}
    if freeze == "all":
        assert changed == head
    elif freeze == "none":
        assert changed == learned
    else:
        stem = {k for k in learned if k.startswith("conv1.")}
        assert changed == learned - stem
    network = train.load_network(tmp_path / "run")
    assert network.probabilities([np.zeros((40, 50, 3), np.uint8)]).shape == (1, 2)


def test_features_are_computed_once(photos, tmp_path):
    first = fine_tune(photos, tmp_path / "one")
    computed = sum(calls)
    calls.clear()
    second = fine_tune(photos, tmp_path / "two", head_epochs=12)
    # Only the two-image checks and the final evaluation, none of the 24 pictures and 20 views.
    cached = sum(calls)
    assert cached < computed / 3
    assert first.evaluation.labels.tolist() == second.evaluation.labels.tolist()
    calls.clear()
    (photos / "<left>" / "0-3.png").touch()  # the same picture, whatever its time and its folder are
    shutil.copytree(photos, tmp_path / "copy")
    fine_tune(tmp_path / "copy", tmp_path / "three")
    assert sum(calls) == cached


def test_features_follow_what_is_in_a_file(photos, tmp_path):
    """Two folders of files of one size and time change places: neither path nor size nor time tells."""
    for path in photos.rglob("*.png"):
        path.write_bytes(path.read_bytes().ljust(4000, b"\0"))
        os.utime(path, (1e9, 1e9))
    before = fine_tune(photos, tmp_path / "one")
    os.rename(photos / "<left>", photos / "x")
    os.rename(photos / "top & co", photos / "<left>")
    os.rename(photos / "x", photos / "top & co")
    after = fine_tune(photos, tmp_path / "two")
    assert before.evaluation.accuracy == after.evaluation.accuracy == 1.0
    for run, bright_left in (("one", "<left>"), ("two", "top & co")):
        picture = np.zeros((20, 24, 3), np.uint8) + 50
        picture[:, :12] += 120
        network = train.load_network(tmp_path / run)
        assert network.class_name(int(network.probabilities([picture]).argmax())) == bright_left


def test_every_view_is_another(photos, tmp_path):
    fine_tune(photos, tmp_path / "one", views=3)
    kept = [load_arrays(path)["features"] for path in (tmp_path / "cache" / "features").iterdir()]
    of_training = [features for features in kept if len(features) == 20]
    assert len(of_training) == 4  # the images as they are, and three views of them
    assert len({features.tobytes() for features in of_training}) == 4


def test_damaged_features_in_the_cache_are_computed_again(photos, tmp_path):
    fine_tune(photos, tmp_path / "one")
    for path in (tmp_path / "cache" / "features").iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    result = fine_tune(photos, tmp_path / "two")
    assert result.evaluation.accuracy > 0.9


@pytest.mark.parametrize(("freeze", "unchanged"), [("stem", ("conv1.", "bn1.", "layer1.")), ("none", ())])
def test_the_whole_network_learns(photos, tmp_path, freeze, unchanged):
    result = fine_tune(photos, tmp_path / "run", freeze=freeze, epochs=2)
    state, fresh = result.model.state_dict(), Small(2).state_dict()
    for name in state:
        if not name.endswith("num_batches_tracked"):
            assert np.array_equal(state[name].array, fresh[name].array) == name.startswith(unchanged or "-"), name
    assert list(result.histories) == ["head", "whole network"]
    groups = train.load_checkpoint(tmp_path / "run" / "last.safetensors").groups
    assert [group["lr"] for group in groups] == [0.001, 0.01]


def test_resume_gives_the_same(photos, tmp_path, monkeypatch):
    whole = fine_tune(photos, tmp_path / "whole", freeze="none", epochs=2)
    real, left = transfer.fit, [1]

    def killed(*arguments, **options):
        if options["run"] == tmp_path / "part" and left:
            left.clear()
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(transfer, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(photos, tmp_path / "part", freeze="none", epochs=2)
    with pytest.raises(CheckpointError, match=r"lr was 0\.01 and is now 0\.02"):
        fine_tune(photos, tmp_path / "part", freeze="none", epochs=2, lr=0.02, resume=True)
    part = fine_tune(photos, tmp_path / "part", freeze="none", epochs=2, resume=True)
    assert part.checkpoint.read_bytes() == whole.checkpoint.read_bytes()


def test_resume_refuses_pictures_that_have_moved_to_other_classes(photos, tmp_path):
    """There are as many as before, and of the same classes."""
    fine_tune(photos, tmp_path / "run")
    for number, (old, new) in enumerate([("<left>", "top & co"), ("top & co", "<left>")]):
        (photos / old / f"0-{number}.png").rename(photos / new / f"moved-{number}.png")
    with pytest.raises(CheckpointError, match="as many images, but their names or labels have changed since"):
        fine_tune(photos, tmp_path / "run", resume=True)


def test_given_parts(tmp_path):
    for part, count, seed in (("train", 8, 0), ("val", 3, 1), ("test", 4, 2)):
        draw(tmp_path / "photos" / part, count, seed)
    result = fine_tune(tmp_path / "photos", tmp_path / "run")
    assert (result.judged, len(result.evaluation.labels)) == ("test", 8)


def broken_in(error):
    """The files that a DataError names, below the folder of the images."""
    return re.findall(r"photos/(\S.*?): ", str(error))


def test_every_broken_picture_is_named(photos, tmp_path):
    names = [f"<left>/0-{i}.png" for i in range(12)]
    for name in names:
        (photos / name).write_bytes(b"broken")
    with pytest.raises(DataError, match="12 of 24 images cannot be used; mend or remove them") as error:
        fine_tune(photos, tmp_path / "run")
    assert broken_in(error.value) == sorted(names)


def test_broken_pictures_of_all_parts_are_named_at_once(tmp_path):
    for part, count, seed in (("train", 4, 0), ("val", 3, 1), ("test", 2, 2)):
        draw(tmp_path / "photos" / part, count, seed)
    names = ["test/<left>/2-0.png", "train/top & co/0-1.png", "val/<left>/1-2.png"]
    for name in names:
        (tmp_path / "photos" / name).write_bytes(b"broken")
    with pytest.raises(DataError, match="3 of 18 images") as error:
        fine_tune(tmp_path / "photos", tmp_path / "run")
    assert broken_in(error.value) == names
    assert calls == []  # before the network has looked at any


def test_pictures_whose_features_are_kept_are_not_checked_again(photos, tmp_path, monkeypatch):
    fine_tune(photos, tmp_path / "one")
    checked = []
    monkeypatch.setattr(image_folders, "unreadable", lambda part, *rest: checked.append(len(part)) or [])
    fine_tune(photos, tmp_path / "two")
    assert checked == []
    path = photos / "<left>" / "0-3.png"  # one of the 4 that are held back
    path.write_bytes(path.read_bytes() + b"changed")
    fine_tune(photos, tmp_path / "three")
    assert checked == [4]


def no_weights(**options):
    raise WeightsError("the weights cannot be fetched")


def test_a_transfer_that_cannot_begin_writes_nothing(photos, tmp_path, monkeypatch):
    run = tmp_path / "run"
    picture = photos / "<left>" / "0-1.png"
    whole = picture.read_bytes()
    picture.write_bytes(b"broken")
    with pytest.raises(DataError):
        fine_tune(photos, run)
    picture.write_bytes(whole)
    with monkeypatch.context() as patch:
        patch.setitem(recipes.NETWORKS, "small", (no_weights, recipes.NETWORKS["small"][1]))
        with pytest.raises(WeightsError):
            fine_tune(photos, run)
    assert not run.exists()
    fine_tune(photos, run)
    assert (run / "best.safetensors").is_file()


def test_settings_alone_do_not_take_a_folder(photos, tmp_path, monkeypatch):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "fit", stopped)
        with pytest.raises(KeyboardInterrupt):
            fine_tune(photos, tmp_path / "run")
    assert (tmp_path / "run" / "transfer.json").is_file()
    fine_tune(photos, tmp_path / "run", head_epochs=12)
    assert transfer.saved_settings(tmp_path / "run")["head_epochs"] == 12
    (tmp_path / "run" / "best.safetensors").unlink()  # what the head has learned still counts
    with pytest.raises(CheckpointError, match="already holds a run"):
        fine_tune(photos, tmp_path / "run")
    with pytest.raises(CheckpointError, match="is a file"):
        fine_tune(photos, tmp_path / "run" / "transfer.json")


# -- the command line


@pytest.fixture
def here(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


TRAIN = ("train", "--epochs", "1", "--quiet")
TRANSFER = ("transfer", "photos", "--model", "small", "--head-epochs", "2", "--views", "0", "--quiet")


def test_the_newest_run_of_either_command(here, capsys):
    assert main(list(TRAIN)) == 0
    assert main(list(TRANSFER)) == 0
    assert not (here / "runs" / "transfer-1" / "last.safetensors").exists()
    capsys.readouterr()
    assert main(["predict", "photos/top & co/0-0.png"]) == 0
    told = capsys.readouterr()
    assert told.err == "with runs/transfer-1/best.safetensors\n"
    assert "  top & co  " in told.out or "  <left>  " in told.out
    assert main(["train", "--resume", "--quiet"]) == 0
    assert "kept: runs/digits-1/best.safetensors" in capsys.readouterr().out


@pytest.mark.parametrize("freeze", ["all", "none"])
def test_train_and_transfer_do_not_resume_each_other(here, capsys, freeze):
    epochs = [] if freeze == "all" else ["--freeze", "none", "--epochs", "1"]
    assert main([*TRANSFER, *epochs]) == 0
    capsys.readouterr()
    right = "tinyvision transfer --resume runs/transfer-1"
    for named in ([], ["runs/transfer-1"]):
        assert main(["train", "--resume", *named]) == 2
        assert capsys.readouterr().err.endswith(f": {right}\n")
    assert main([*TRAIN, "--run", "runs/mine"]) == 0
    assert main(["transfer", "--resume", "runs/mine"]) == 2
    assert capsys.readouterr().err.endswith("; go on with: tinyvision train --resume runs/mine\n")
    shutil.rmtree("runs/transfer-1")
    shutil.rmtree("runs/mine")
    data = recipes.open_parts("digits", recipes.preprocessing_for(recipes.RECIPES["digits"], "simple-cnn")).val
    train.fit(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), data, run="runs/own", epochs=1, log=None)
    assert main(["train", "--resume"]) == 2
    assert "runs/own was made by fit(): go on with fit(..., resume=True)" in capsys.readouterr().err


@pytest.mark.parametrize("named", [[], ["--run", "runs/mine"]])
def test_a_failed_transfer_leaves_no_folder(here, capsys, named, monkeypatch):
    picture = here / "photos" / "<left>" / "0-1.png"
    whole = picture.read_bytes()
    picture.write_bytes(b"broken")
    for _ in range(2):
        assert main([*TRANSFER, *named]) == 2
        assert "1 of 24 images cannot be used" in capsys.readouterr().err
    assert main([*TRANSFER, "--freeze", "none", "--lr", "-1", *named]) == 2
    assert "lr must be a number above 0" in capsys.readouterr().err
    picture.write_bytes(whole)

    def stopped(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "look_through", stopped)
        assert main([*TRANSFER, *named]) == 128 + signal.SIGINT
    assert "stopped before the first step; nothing was kept\n" in capsys.readouterr().err
    assert not (here / "runs").exists()
    assert main([*TRANSFER, *named]) == 0
    assert [path.name for path in (here / "runs").iterdir()] == ["mine" if named else "transfer-1"]


def test_refusals(photos, tmp_path):
    for options, words in [
        ({"model": "smal"}, "did you mean 'small'"),
        ({"model": "simple-cnn"}, "no published weights"),
        ({"model": str(tmp_path)}, "is a folder.*--model resnet18 --weights .*best.safetensors"),
        ({"freeze": "al"}, "did you mean 'all'"),
        ({"freeze": "none"}, "contradict"),
        ({"epochs": 3}, "contradict"),
        ({"val": 0}, "val"),
        ({"views": -1}, "views"),
        ({"head_epochs": 0}, "head_epochs"),
        ({"lr": -1.0}, "lr must be a number above 0"),
        ({"batch_size": 0}, "batch_size"),
        ({"seed": -1}, "seed"),
        ({"freeze": "none", "epochs": -1}, "epochs"),
    ]:
        with pytest.raises(OptionError, match=words):
            settings(**options)
    fine_tune(photos, tmp_path / "run")
    with pytest.raises(CheckpointError, match="already holds a run"):
        fine_tune(photos, tmp_path / "run")
    (tmp_path / "one" / "class").mkdir(parents=True)
    Image.new("RGB", (20, 20)).save(tmp_path / "one" / "class" / "a.png")
    with pytest.raises(DataError, match="at least two"):
        fine_tune(tmp_path / "one", tmp_path / "new")
    (tmp_path / "run" / "transfer.json").write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        fine_tune(photos, tmp_path / "run", resume=True)


def test_the_report(photos, tmp_path):
    for i in range(2):  # pictures in the wrong folder: mistakes to be shown
        pixels = np.zeros((20, 24, 3), np.uint8)
        pixels[:10] = 220
        Image.fromarray(pixels).save(photos / "<left>" / f"wrong-{i}.png")
    result = fine_tune(photos, tmp_path / "run", val=0.5)
    write_report(result, settings(), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "&lt;left&gt;" in text
    assert "top &amp; co" in text
    assert "<left>" not in text
    assert "Accuracy per class" in text
    assert "Confusion matrix" in text
    assert "<svg" in text
    wrong = int((result.evaluation.predictions != result.evaluation.labels).sum())
    assert text.count("data:image/jpeg;base64,") == wrong > 0
    # Self-contained: nothing is fetched from anywhere.
    assert not re.search(r'(src|href)="(?!data:|#)[^"]', text)
    assert f"{result.evaluation.right:,} of {len(result.evaluation.labels):,}" in text


def test_overwrite_replaces_a_transfer_and_nothing_else(here, capsys):
    named = [*TRANSFER, "--run", "mine"]
    assert main(named) == 0
    (here / "mine" / "notes.txt").write_text("own")
    before = (here / "mine" / "best.safetensors").stat().st_mtime_ns
    capsys.readouterr()
    assert main(named) == 2
    told = capsys.readouterr().err
    assert "--resume" in told
    assert "--overwrite" in told
    assert main([*named, "--overwrite", "--head-epochs", "3"]) == 0
    assert (here / "mine" / "best.safetensors").stat().st_mtime_ns > before
    assert transfer.saved_settings(here / "mine")["head_epochs"] == 3
    assert len((here / "mine" / "head" / "history.csv").read_text().splitlines()) == 4
    assert (here / "mine" / "notes.txt").read_text() == "own"


@pytest.mark.parametrize("freeze", ["all", "none"])
def test_the_old_transfer_is_whole_until_steps_of_the_new_one_are_kept(here, capsys, monkeypatch, freeze):
    named = [*TRANSFER, "--run", "mine"]
    assert main([*named, "--freeze", "none", "--epochs", "1"]) == 0
    again = [*named, "--overwrite", "--freeze", freeze, "--head-epochs", "3"]

    def files():
        return {path: path.read_bytes() for path in (here / "mine").rglob("*") if path.is_file()}

    before = files()
    with monkeypatch.context() as patch:
        patch.setattr(train.loop._Training, "step", lambda *batch: os.kill(os.getpid(), signal.SIGINT) or 1 / 0)
        with pytest.raises(ZeroDivisionError):
            main(again)
        patch.setattr(train.loop._Training, "step", stopped_twice)
        capsys.readouterr()
        assert main(again) == 128 + signal.SIGINT
    assert capsys.readouterr().err.splitlines()[-1] == "stopped at once; the run that was in mine is still there"
    assert files() == before
    step = train.loop._Training.step
    with monkeypatch.context() as patch:
        patch.setattr(
            train.loop._Training, "step", lambda *batch: (step(*batch), os.kill(os.getpid(), signal.SIGINT))[0]
        )
        assert main(again) == 128 + signal.SIGINT
    assert "go on with: tinyvision transfer --resume mine" in capsys.readouterr().err
    assert sorted(str(path.relative_to(here / "mine")) for path in files()) == [
        "head/last.safetensors",
        "transfer.json",
    ]
    assert main(["transfer", "--resume", "mine"]) == 0
    assert len((here / "mine" / "head" / "history.csv").read_text().splitlines()) == 4


def stopped_twice(*batch):
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_mistake_costs_no_run(here):
    named = [*TRANSFER, "--run", "mine"]
    assert main(named) == 0
    picture = here / "photos" / "<left>" / "0-1.png"
    picture.write_bytes(b"broken")
    assert main([*named, "--overwrite"]) == 2
    assert (here / "mine" / "best.safetensors").is_file()


def test_classes_are_checked_before_a_transfer_is_announced(here, capsys):
    shutil.rmtree(here / "photos" / "<left>")
    assert main([*TRANSFER[:-1], "--run", "mine"]) == 2
    told = capsys.readouterr().err
    assert "at least two are needed" in told
    assert "fine-tuning" not in told


def test_info_counts_images_and_not_views(here, capsys):
    assert main([*TRANSFER, "--views", "2", "--val", "0.25"]) == 0
    capsys.readouterr()
    assert main(["info", "runs/transfer-1"]) == 0
    assert "data:     transfer, 18 training images\n" in capsys.readouterr().out  # of 24, a quarter is held back


def test_balanced_accuracy_stands_beside_an_uneven_one(here, capsys):
    for i in range(9):
        (here / "photos" / "<left>" / f"0-{i}.png").unlink()
    for part, names in (("train", (9, 10)), ("val", (11,))):
        for name in ("<left>", "top & co"):
            folder = here / "parts" / part / name
            folder.mkdir(parents=True)
            for i in names if name == "<left>" else range(12):
                shutil.copy(here / "photos" / name / f"0-{i}.png", folder)
    command = ["transfer", "parts", *TRANSFER[2:]]
    assert main(command) == 0
    assert ", the mean over the classes, which are uneven (1 to 12 images)\n" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["balanced_accuracy"] <= 1
