"""Fine-tuning on a folder of pictures, and the report on it, with a small stand-in for a pretrained
network."""

import re

import numpy as np
import pytest
from PIL import Image

from tinyvision import nn, random, train
from tinyvision.errors import CheckpointError, DataError, OptionError
from tinyvision.train import recipes, transfer
from tinyvision.train.feeding import Feeding
from tinyvision.train.report import write_report

SIZE = 16
calls = []


class Small(nn.Module):
    """As much of a ResNet as `fine_tune` needs: `features`, `fc`, a stem with batch-norm."""

    def __init__(self, num_classes):
        with random.use(random.stream(7, "small")):
            self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
            self.layer1 = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
            self.layer2 = nn.Sequential(
                nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU()
            )
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
    feeding = Feeding(3, (SIZE, SIZE), (0.5,) * 3, (0.25,) * 3, shorter=18)
    monkeypatch.setitem(
        recipes.NETWORKS, "small", (lambda weights=None, num_classes=2: Small(num_classes), feeding)
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
    return train.TransferSettings(
        **{"model": "small", "head_epochs": 10, "views": 1, "batch_size": 8, **options}
    )


def fine_tune(photos, run, resume=False, **options):
    return train.fine_tune(photos, run, settings(**options), resume=resume, log=None)


def test_only_the_head_learns(photos, tmp_path):
    result = fine_tune(photos, tmp_path / "run")
    state, fresh = result.model.state_dict(), Small(2).state_dict()
    for name in state:
        assert np.array_equal(state[name].data, fresh[name].data) != name.startswith("fc.")
    assert result.evaluation.accuracy > 0.9
    assert result.judged == "validation"
    network = train.load_network(tmp_path / "run")
    assert network.classes == ["<left>", "top & co"]
    picture = np.asarray(Image.open(next((photos / "top & co").iterdir())))
    assert network.class_name(int(network.probabilities([picture]).argmax())) == "top & co"


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
    (photos / "<left>" / "0-3.png").touch()  # a changed file is read anew
    fine_tune(photos, tmp_path / "three")
    assert sum(calls) > cached


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
            assert np.array_equal(state[name].data, fresh[name].data) == name.startswith(unchanged or "-"), (
                name
            )
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


def test_given_parts(tmp_path):
    for part, count, seed in (("train", 8, 0), ("val", 3, 1), ("test", 4, 2)):
        draw(tmp_path / "photos" / part, count, seed)
    result = fine_tune(tmp_path / "photos", tmp_path / "run")
    assert (result.judged, len(result.evaluation.labels)) == ("test", 8)


def test_every_broken_picture_is_named(photos, tmp_path):
    for name in ("0-1.png", "0-5.png"):
        (photos / "<left>" / name).write_bytes(b"broken")
    with pytest.raises(DataError) as error:
        fine_tune(photos, tmp_path / "run", val=0.5)
    found = set(re.findall(r"0-[15]\.png", str(error.value)))
    assert "cannot be used; mend or remove them" in str(error.value)
    assert found <= {"0-1.png", "0-5.png"}
    assert found


def test_refusals(photos, tmp_path):
    for options, words in [
        ({"model": "smal"}, "did you mean 'small'"),
        ({"model": "simple-cnn"}, "no published weights"),
        ({"freeze": "al"}, "did you mean 'all'"),
        ({"freeze": "none"}, "contradict"),
        ({"epochs": 3}, "contradict"),
        ({"val": 0}, "val"),
        ({"views": -1}, "views"),
        ({"head_epochs": 0}, "head_epochs"),
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
