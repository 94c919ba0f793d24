"""Generation: the schedule, the network beside PyTorch, the distance beside SciPy, training, resuming, making."""

import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from pretended_gpu import pretended_gpu  # noqa: F401  a fixture
from scipy.linalg import sqrtm

import tinyvision as tv
from tinyvision import models, random, tasks, train
from tinyvision.cli import main
from tinyvision.data import Subset
from tinyvision.errors import CheckpointError, DataError, OptionError, ShapeError
from tinyvision.tasks.generation import (
    CosineSchedule,
    Diffusion,
    Generation,
    Generator,
    Samples,
    compared,
    frechet_distance,
)
from tinyvision.tasks.generation import room as generation_room
from tinyvision.tasks.generation.memory import neighbours
from tinyvision.tasks.generation.samples import noise_of
from tinyvision.tasks.room import Opening
from tinyvision.train.console import Reporter
from tinyvision.train.history import History
from tinyvision.train.preprocessing import Preprocessing


@pytest.fixture(scope="module")
def quick():
    """Few digits, a judge that learned little, and no curves, which take longer than the training."""

    def few(name, root, max_pixels, parts=generation_room._parts):
        found = parts(name, root, max_pixels)
        return found if name == "folder" else (Subset(found[0], range(300)), None, Subset(found[2], range(60)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)
        patch.setattr(generation_room, "_EPOCH", 0)
        patch.setattr(generation_room, "_parts", few)
        settings = {"epochs": 2, "batch_size": 8, "optimizer": "adamw", "lr": 0.004}
        patch.setitem(tasks.room("generation").settings, "digits", settings)
        patch.setattr(generation_room, "_JUDGE", {**settings, "epochs": 8})
        yield patch


@pytest.fixture(scope="module")
def trained(quick, tmp_path_factory):
    """(what was printed as JSON, the folder) of a run of two short epochs, long enough that classes begin to differ."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation_room, "_EPOCH", 900)
        printed = []
        patch.setattr("tinyvision.cli.train.answer_json", printed.append)
        options = ["--task", "generation", "--quiet", "--json", "--threads", "1"]
        assert main(["train", *options, "--run", str(folder)]) == 0
    return printed[0], folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty folder."""
    monkeypatch.chdir(tmp_path)


def call(*arguments):
    try:
        return main([*map(str, arguments)])
    except SystemExit as stop:
        return stop.code


# -- the schedule


def test_the_share_of_signal_falls_along_a_squared_cosine():
    for steps in (10, 200):
        signal = CosineSchedule(steps).signal
        t = np.arange(steps) / steps
        np.testing.assert_allclose(
            signal[:-1], (np.cos((t + 0.008) / 1.008 * np.pi / 2) / np.cos(0.008 / 1.008 * np.pi / 2)) ** 2, rtol=1e-12
        )
        assert 0 < signal[-1] == pytest.approx(signal[-2] / 1000)
    assert CosineSchedule().signal[[50, 100, 150]] == pytest.approx([0.847012161, 0.493843590, 0.144272102])


def test_adding_noise_in_one_go_is_adding_it_step_by_step():
    schedule, rng = CosineSchedule(7), np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2, 1, 60, 60))
    stepwise = x.copy()
    for t in range(1, 5):
        kept = schedule.signal[t] / schedule.signal[t - 1]
        stepwise = np.sqrt(kept) * stepwise + np.sqrt(1 - kept) * rng.normal(size=x.shape)
    once = schedule.noised(tv.tensor(x), tv.tensor(rng.normal(size=x.shape)), np.array([4, 4])).numpy()
    share = schedule.signal[4]
    for y in (stepwise, once):  # the same picture in it, and as much noise, up to the chance of 7,200 pixels
        assert (x * y).mean() / (x * x).mean() == pytest.approx(np.sqrt(share), abs=0.06)
        assert y.var() == pytest.approx(share * x.var() + 1 - share, rel=0.05)


def test_each_picture_has_its_own_time():
    schedule, rng = CosineSchedule(20), np.random.default_rng(1)
    x, noise = rng.uniform(-1, 1, (3, 2, 4, 5)), rng.normal(size=(3, 2, 4, 5))
    got = schedule.noised(tv.tensor(x), tv.tensor(noise), np.array([0, 7, 20])).numpy()
    for i, t in enumerate((0, 7, 20)):
        s = schedule.signal[t]
        np.testing.assert_allclose(got[i], np.sqrt(s) * x[i] + np.sqrt(1 - s) * noise[i], atol=1e-12)
    np.testing.assert_array_equal(got[0], x[0])


def test_a_step_back_with_the_true_noise_is_the_picture_of_the_earlier_time():
    schedule, rng = CosineSchedule(50), np.random.default_rng(2)
    x, noise = tv.tensor(rng.uniform(-1, 1, (2, 1, 4, 4))), tv.tensor(rng.normal(size=(2, 1, 4, 4)))
    for time, earlier in ((49, 30), (30, 1), (8, 0)):
        now, then = (schedule.noised(x, noise, np.full(2, t)) for t in (time, earlier))
        np.testing.assert_allclose(schedule.before(now, noise, time, earlier).numpy(), then.numpy(), atol=1e-9)
    # A guess that asks for an impossible picture is cut off, and what is left is the last picture.
    wild = schedule.before(now, noise * 40, 8, 0).numpy()
    assert np.abs(wild).max() == 1


def test_the_way_back_ends_at_the_picture():
    assert CosineSchedule(200).way(25) == list(range(200, -1, -8))
    assert CosineSchedule(10).way(3) == [10, 7, 3, 0]
    assert CosineSchedule(4).way(4) == [4, 3, 2, 1, 0]
    for steps in (0, 11, 2.5, True):
        with pytest.raises(OptionError, match="made in 1 to 10 steps"):
            CosineSchedule(10).way(steps)
    with pytest.raises(OptionError, match="whole number from 1"):
        CosineSchedule(0)


# -- the network


class Twin(torch.nn.Module):
    """The denoiser as PyTorch would have it, with the same names."""

    def __init__(self, width, depth, classes=10):
        super().__init__()
        nn, told, channels = torch.nn, 3 * width, [width, *[3 * width] * depth]
        self.time = nn.Sequential(nn.Linear(width, told), nn.SiLU(), nn.Linear(told, told))
        self.classes = nn.Embedding(classes + 1, told)  # the last says no class
        self.first, self.last = nn.Conv2d(2, width, 3, padding=1), nn.Conv2d(width, 2, 3, padding=1)
        pairs = list(zip([width, *channels], channels, strict=False))
        self.down = nn.ModuleList([TwinBlock(a, b, told) for a, b in pairs])
        self.middle = TwinBlock(channels[-1], channels[-1], told)
        pairs = list(zip(channels[::-1], channels[-2::-1], strict=False))
        self.reduce = nn.ModuleList([nn.Conv2d(a, b, 1) for a, b in pairs])
        self.up = nn.ModuleList([TwinBlock(2 * b, b, told) for _, b in pairs])
        self.norm = nn.GroupNorm(8, width)

    def forward(self, x, time, labels):
        F, width = torch.nn.functional, self.norm.num_channels
        angles = time[:, None] * 1000 ** torch.linspace(0, 1, width // 2, dtype=x.dtype)
        told = F.silu(self.time(torch.cat([angles.cos(), angles.sin()], 1)) + self.classes(labels))
        x, skips = self.first(x), []
        for block in self.down:
            x = block(F.avg_pool2d(x, 2) if skips else x, told)
            skips.append(x)
        x = self.middle(skips.pop(), told)
        for reduce, block in zip(self.reduce, self.up, strict=True):
            x = block(torch.cat([F.interpolate(reduce(x), scale_factor=2), skips.pop()], 1), told)
        return self.last(F.silu(self.norm(x)))


class TwinBlock(torch.nn.Module):
    def __init__(self, c, o, told):
        super().__init__()
        nn = torch.nn
        self.norm1, self.norm2 = nn.GroupNorm(8, c), nn.GroupNorm(8, o)
        self.conv1, self.conv2 = nn.Conv2d(c, o, 3, padding=1), nn.Conv2d(o, o, 3, padding=1)
        self.told = nn.Linear(told, o)
        self.skip = nn.Identity() if c == o else nn.Conv2d(c, o, 1)

    def forward(self, x, told):
        silu = torch.nn.functional.silu
        y = self.conv1(silu(self.norm1(x))) + self.told(told)[:, :, None, None]
        return self.skip(x) + self.conv2(silu(self.norm2(y)))


@pytest.mark.parametrize("depth", [1, 2])
def test_the_denoiser_and_its_gradients_are_pytorchs(depth):
    rng = np.random.default_rng(depth)
    ours, theirs = models.Denoiser(2, 10, 8, depth).double(), Twin(8, depth).double()
    weights = {name: rng.normal(0, 0.2, p.shape) for name, p in ours.named_parameters()}
    ours.load_state_dict(weights)
    theirs.load_state_dict({name: torch.tensor(w) for name, w in weights.items()})
    x, time, labels = rng.normal(size=(3, 2, 8, 4)), rng.random(3), np.array([0, 9, 4])
    dy = rng.normal(size=x.shape)
    ours_x, theirs_x = tv.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = ours(ours_x, tv.tensor(time), tv.tensor(labels))
    expected = theirs(theirs_x, torch.tensor(time), torch.tensor(labels))
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), atol=1e-10)
    y.backward(tv.tensor(dy))
    expected.backward(torch.tensor(dy))
    np.testing.assert_allclose(ours_x.grad.numpy(), theirs_x.grad.numpy(), atol=1e-10)
    grads = dict(theirs.named_parameters())
    assert grads.keys() == weights.keys()
    for name, p in ours.named_parameters():
        np.testing.assert_allclose(p.grad.numpy(), grads[name].grad.numpy(), atol=1e-9, err_msg=name)


def test_guidance_draws_away_from_what_is_made_of_no_class():
    rng = np.random.default_rng(3)
    model = Diffusion(width=8).eval()
    for buffer in model.average.buffers():
        buffer.array[...] = rng.normal(0, 0.3, buffer.shape)
    x, times, labels = tv.tensor(rng.normal(size=(3, 1, 8, 8)).astype(np.float32)), np.array([5, 60, 150]), [7, 0, 3]
    with tv.no_grad():
        told, untold = (model(x, times, tv.tensor(names)).numpy() for names in (labels, [10, 10, 10]))
        assert np.abs(told - untold).max() > 0.01
        for guidance in (0, 1, 1.5, 3.0):
            found = model.guided(x, times, tv.tensor(labels), guidance).numpy()
            np.testing.assert_allclose(found, untold + guidance * (told - untold), atol=1e-5)


def test_of_some_pictures_training_does_not_say_the_class():
    model, said = Diffusion(width=8).train(), []
    forward = model.forward
    model.forward = lambda x, times, labels: said.append(labels.numpy()) or forward(x, times, labels)
    x, labels = tv.tensor(np.zeros((400, 1, 8, 8), np.float32)), np.arange(400) % 10
    with random.use(random.stream(4)), tv.no_grad():
        Generation().outputs(model, x, tv.tensor(labels))
    kept = said[0] == labels
    assert set(said[0][~kept]) == {10}
    assert 0.05 < (~kept).mean() < 0.15  # a tenth, give or take more than three standard deviations


def test_a_denoiser_says_what_it_cannot_be_given():
    for wrong, message in (
        ({"width": 12}, "multiple of 8"),
        ({"width": 0}, "from 1"),
        ({"depth": 1.5}, "from 1"),
        ({"num_classes": -1}, "from 1"),
    ):
        with pytest.raises(OptionError, match=message):
            models.Denoiser(**wrong)
    model, time, labels = models.Denoiser(1, 3, 8), tv.tensor(np.zeros(2, np.float32)), tv.tensor(np.array([0, 1]))
    for shape in ((2, 2, 8, 8), (2, 1, 7, 8), (2, 8, 8)):
        with pytest.raises(ShapeError, match="multiples of 2"):
            model(tv.zeros(*shape), time, labels)
    with pytest.raises(ShapeError, match="3 pictures need as many times"):
        model(tv.zeros(3, 1, 8, 8), time, labels)
    assert not model(tv.randn(2, 1, 8, 8), time, labels).detach().numpy().any()  # at first, there is no noise


def network(width=8, classes=3, size=8):
    with random.use(random.stream(0, "network")):
        model = Diffusion(1, classes, size, width)
        with tv.no_grad():  # or every picture would be made alike
            model.average.last.weight.array[...] = random.generator().normal(0, 0.3, model.average.last.weight.shape)
    return model


def test_the_average_follows_the_weights_and_learns_nothing():
    model = network()
    names = {name for name, _ in model.named_parameters()}
    assert names == {f"denoiser.{name}" for name, _ in model.denoiser.named_parameters()}
    assert not model.judge.training
    assert not model.train().judge.training
    kept = model.average.first.weight.numpy().copy()
    for count in range(1, 40):
        weight = model.denoiser.first.weight
        with tv.no_grad():
            weight.array[...] = np.sin(count + np.arange(weight.array.size)).reshape(weight.shape)
        model.follow(0.75)
        stays = min((1 + count) / (10 + count), 0.75)
        kept = stays * kept + (1 - stays) * weight.array
    assert model.steps_averaged.item() == 39
    np.testing.assert_allclose(model.average.first.weight.numpy(), kept, atol=1e-6)
    assert model.denoiser.first.weight is weight


def test_training_is_by_the_denoiser_and_use_by_the_average():
    model, x = network(), tv.randn(2, 1, 8, 8)
    times, labels = np.array([3, 150]), tv.tensor(np.array([0, 2]))
    assert not model.train()(x, times, labels).detach().numpy().any()
    assert model.eval()(x, times, labels).numpy().any()
    for size in (6.0, 3, 9):
        with pytest.raises(OptionError, match="image_size"):
            Diffusion(image_size=size)


# -- the distance, and the neighbours


@pytest.mark.parametrize(("n", "m", "d"), [(40, 50, 6), (5, 7, 12), (2, 3, 1)])
def test_the_distance_is_that_of_scipys_matrix_root(n, m, d):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)), rng.normal(1, 2, (m, d))
    a, b = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (x, y))
    # rows fewer than numbers: no full rank, for which SciPy's needs a little on the diagonal
    root = sqrtm((a + 1e-9 * np.eye(d)) @ (b + 1e-9 * np.eye(d)))
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * np.real(root))
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(y, x) == pytest.approx(frechet_distance(x, y))
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-5)
    assert frechet_distance(x, x + 2) == pytest.approx(4 * d)


def test_the_distance_refuses_what_has_none():
    x = np.ones((3, 2))
    for y, error in (
        (np.ones((3, 4)), ShapeError),
        (np.ones(3), ShapeError),
        (x[:1], DataError),
        (x * np.nan, DataError),
    ):
        with pytest.raises(error, match="frechet_distance"):
            frechet_distance(x, y)


def test_copies_are_told_from_pictures_that_are_new():
    rng = np.random.default_rng(0)
    learned, real, new = rng.uniform(-1, 1, (3, 300, 1, 4, 4))
    same, other = compared(learned[:100] + 1e-3, real, learned), compared(new, real, learned)
    assert same.share_near == 1
    assert other.share_near < 0.12
    assert same.nearest[:, 0].tolist() == list(range(100))
    assert same.made == pytest.approx(5e-4)
    distances, places = neighbours(new, learned, 3)
    brute = np.sqrt(((new[:, None] - learned) ** 2).mean((2, 3, 4))) / 2
    np.testing.assert_allclose(distances, np.sort(brute, axis=1)[:, :3], atol=1e-12)
    np.testing.assert_array_equal(places, np.argsort(brute, axis=1)[:, :3])


# -- training


def test_a_short_training_brings_pictures_nearer(trained):
    result, folder = trained
    first, last = result["history"]
    for column in ("val_frechet_distance", "val_loss"):
        assert last[column] < first[column]
    assert result["best_epoch"] == 2
    assert result["frechet_distance_of_training_pictures"] < result["test_frechet_distance"]
    assert result["test_frechet_distance"] < result["frechet_distance_of_noise"]
    assert 0.1 < result["recognised"] < result["real_recognised"] < 1
    assert result["share_near_training_pictures"] < 0.1
    text = (folder / "report.html").read_text("utf-8")
    assert text.count("<figure>") == 12
    for title in ("How far from real pictures", "Pictures", "Memorised or not"):
        assert f"<h2>{title}</h2>" in text
    assert "not chosen, with guidance 1.5" in text


def test_with_more_guidance_the_class_asked_for_is_recognised_more_often(trained, capsys):
    generator = tasks.load(trained[1])
    plain, guided = (generator.generate(list(range(10)) * 12, steps=10, guidance=guidance) for guidance in (1, 3))
    right = [(made.recognised == made.labels).mean() for made in (plain, guided)]
    assert right[0] + 0.03 < right[1]
    command = ["generate", "--model", trained[1], "--json", "--count", 10, "--steps", 10, "--guidance"]
    for guidance in (1, 3):
        assert call(*command, guidance, "--save", f"{guidance}.png") == 0
        found = json.loads(capsys.readouterr().out)
        made = generator.generate(range(10), steps=10, guidance=guidance)
        assert found["guidance"] == guidance
        assert [int(one["recognised"]) for one in found["pictures"]] == made.recognised.tolist()


def test_the_best_epoch_is_the_one_with_the_smallest_distance():
    def row(epoch, distance, loss):
        return {"epoch": epoch, "lr": 0.1, "train_loss": 1.0, "val_loss": loss, "val_frechet_distance": distance}

    rows = [row(1, 9.0, 0.1), row(2, 4.0, 0.3), row(3, 4.0, 0.2), row(4, 5.0, 0.1)]
    for history in (History(rows), History(rows, task=Generation())):
        assert history.best["epoch"] == 3


@pytest.fixture
def pictures(tmp_path):
    """A folder of small pictures in two classes, with a test part."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 20), ("test", 6)):
        for name, (low, high) in (("dark", (0, 90)), ("light", (160, 256))):
            folder = tmp_path / "pictures" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(rng.integers(low, high, (8, 8, 3), np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "pictures"


def opened(pictures):
    """(description, parts) of the folder of pictures, a quarter of the training pictures held back."""
    description, _ = tasks.room("generation").plan(
        tasks.Options(data="folder", root=str(pictures), image_size=8, val=0.25)
    )
    return description, tasks.room("generation").open(description, Opening(None, 3, False, 64, Reporter()))


def test_the_judge_learns_from_the_training_pictures_that_were_read_and_from_no_others(quick, pictures):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation_room, "_EPOCH", 90)
        description, parts = opened(pictures)
    assert len(parts.train) == 90
    shutil.rmtree(pictures)  # whatever limit they were read under, they are not read again under another
    learned = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation_room, "fit", lambda judge, data, **settings: learned.extend(data))
        tasks.room("generation").begin(description, parts)
    trained, held = ({x.tobytes() for x in part.x} for part in (parts.train, parts.val))
    assert len(held) == 10
    assert {x.tobytes() for x, _ in learned} == trained
    assert not trained & held
    assert len(learned) == len(trained) == 30  # each once, however often it comes in an epoch


def test_repeats_are_not_counted_as_pictures(quick, pictures, capsys):
    command = ["train", "--task", "generation", "--data", "folder", "--root", pictures / "train", "--image-size", 8]
    command += ["--val", 0, "--epochs", 1, "--batch-size", 32, "--threads", 1, "--run", "run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation_room, "_EPOCH", 80)
        patch.setattr(generation_room, "fit", lambda *judge, **settings: None)
        patch.setattr("tinyvision.train.report._curves", lambda *history: "")
        assert call(*command) == 0
        assert "on 40 images of folder, each 2 times an epoch, cpu" in capsys.readouterr().err
        notes = train.load_checkpoint("run/last.safetensors").notes
        assert (notes["images"], notes["times"], notes["steps"]) == (40, 2, 3)
        assert call("info", "run/best.safetensors") == 0
        assert "data:     folder, 40 training images, each 2 times an epoch\n" in capsys.readouterr().out

        older = train.load_checkpoint("run/last.safetensors")  # these counted repeats, and can be gone on with
        del older.notes["times"]
        older.notes["images"] = 80
        older.save("run/last.safetensors")
        assert call("train", "--resume", "run", "--epochs", 1, "--threads", 1) == 0
    older.notes["images"] = 70
    older.save("run/last.safetensors")
    capsys.readouterr()
    assert call("train", "--resume", "run", "--epochs", 1, "--threads", 1) == 2
    assert "begun with 70 training images" in capsys.readouterr().err


def test_a_stopped_run_goes_on_bit_for_bit(quick, pictures, tmp_path):
    command = ["train", "--task", "generation", "--data", "folder", "--root", pictures, "--image-size", 8, "--quiet"]
    command += ["--epochs", 2, "--batch-size", 8, "--threads", 1, "--save-every", 0]
    assert call(*command, "--run", "whole") == 0

    class Stop(Exception):
        pass

    def stop_in_the_second_epoch(self, model, kept=[]):  # noqa: B006  counts over all calls
        model.follow(self.average)
        kept.append(1)
        if len(kept) == 7:
            raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Generation, "after_step", stop_in_the_second_epoch)
        with pytest.raises(Stop):
            call(*command, "--run", "parts")
    assert call("train", "--resume", "parts", "--quiet", "--threads", 1) == 0
    for name in ("last.safetensors", "best.safetensors", "history.csv"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    weights = train.load_checkpoint("whole/last.safetensors").weights
    assert weights["steps_averaged"] == 10
    assert not np.array_equal(weights["average.first.weight"], weights["denoiser.first.weight"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "resnet18"], "known: diffusion"),
        (["--data", "cifar10"], "data 'cifar10' is unknown for generation"),
        (["--data", "folder"], "needs --root FOLDER"),
        (["--root", "x"], "takes no root"),
        (["--augment", "on"], "--augment has no meaning for generation"),
        (["--backbone", "resnet18"], "--backbone has no meaning"),
        (["--image-size", "9"], "multiples of 2"),
        (["--image-size", "18"], "multiples of 4"),
        (["--image-size", "128"], "up to 64 pixels"),
        (["--label-smoothing", "0.1"], "has no meaning for generation"),
        (["--download"], "nothing of generation is downloaded"),
        (["--val", "1"], "val must be a share"),
        (["--data", "folder", "--root", "missing"], "no such folder"),
    ],
)
def test_what_makes_no_sense_is_said_before_training(quick, options, message, capsys, tmp_path):
    assert call("train", "--task", "generation", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_one_picture_makes_no_cloud(quick, pictures, capsys):
    assert call("train", "--task", "generation", "--data", "folder", "--root", pictures / "train", "--val", "0.01") == 2
    assert "one validation picture alone" in capsys.readouterr().err


def test_the_task_looks_at_the_data():
    model = network()
    pair = [(np.zeros((1, 8, 8), np.float32), 0)] * 8
    for data, error, message in (
        ([(np.full((1, 8, 8), 3, np.float32), 0)] * 8, DataError, "numbers from -1 to 1"),
        ([(np.zeros((1, 6, 8), np.float32), 0)] * 8, ShapeError, r"for pictures \(1, 8, 8\)"),
    ):
        with pytest.raises(error, match=message):
            train.fit(model, data, task=Generation(), log=None)
    with pytest.raises(OptionError, match="trains a Diffusion network"):
        train.fit(models.SimpleCNN(1, 3, 8), pair, task=Generation(), log=None)
    with pytest.raises(OptionError, match="average is from 0 to below 1"):
        Generation(1.0)


def test_without_pictures_held_back_nothing_is_claimed(quick, pictures, capsys):
    root = pictures / "train"
    options = ["--data", "folder", "--root", root, "--val", 0, "--epochs", 1, "--batch-size", 20, "--image-size", 8]
    assert call("train", "--task", "generation", *options, "--quiet", "--run", "run") == 0
    out = capsys.readouterr().out
    assert "distance" not in out
    assert "No pictures were held back" in (pictures.parent / "run" / "report.html").read_text("utf-8")


# -- making pictures


def test_the_same_seed_makes_the_same_bytes(trained, tmp_path, capsys):
    _, run = trained
    command = ["generate", "--model", run, "--class", "7", "--class", "2", "--count", 5, "--threads", 1]
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert call(*command, "--seed", seed, "--save", f"{name}.png") == 0
        assert "5 pictures of 2, 7; the network's own judge recognises" in capsys.readouterr().out
    for kind in ("png", "gif"):
        a, b, c = ((tmp_path / f"{name}.{kind}").read_bytes() for name in "abc")
        assert a == b != c
    sheet, animation = Image.open("a.png"), Image.open("a.gif")
    assert sheet.size == animation.size == (3 * 66 + 2, 2 * 66 + 2)
    assert 20 < animation.n_frames <= 26  # Pillow shows two that are alike as one
    animation.seek(animation.n_frames - 1)
    assert np.abs(np.asarray(animation.convert("L"), int) - np.asarray(sheet.convert("L"))).max() <= 1


def test_a_picture_does_not_depend_on_how_many_are_made(trained, capsys):
    generator = tasks.load(trained[1])
    assert isinstance(generator, Generator)
    few, many = (generator.generate([3, 4] * times, seed=5, steps=3) for times in (1, 65))
    assert np.abs(few.pictures.astype(int) - many.pictures[:2]).max() <= 1  # rounding, of products of other sizes
    assert many.steps.shape == (4, 130, 8, 8, 1)
    np.testing.assert_array_equal(many.steps[0, 129, :, :, 0], _as_seen(noise_of(5, 129, (1, 8, 8)))[0])
    assert call("generate", "--model", trained[1], "--json", "--count", 3, "--steps", 4, "--seed", 9) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["class"] for one in found["pictures"]] == ["0", "1", "2"]
    assert (found["steps"], found["seed"], found["guidance"], found["sheet"]) == (4, 9, 1.5, "generated.png")


def _as_seen(noise):
    return np.rint((np.clip(noise, -1, 1) + 1) * 127.5).astype(np.uint8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--class", "cat"], "class 'cat' is unknown to"),
        (["--count", "401"], "holds up to 400"),
        (["--count", "0"], "whole number from 1"),
        (["--seed", "-1"], "whole number from 0"),
        (["--seed", "18446744073709551616"], "from 0 to 2"),
        (["--steps", "201"], "made in 1 to 200 steps"),
        (["--guidance", "-1"], "guidance is a number from 0 to 100, got -1.0"),
        (["--guidance", "nan"], "guidance is a number from 0 to 100, got nan"),
        (["--guidance", "much"], "expected a number, got 'much'"),
        (["--save", "x.jpg"], "the sheet is a .png"),
        (["--save", "no/x.png"], "its folder does not exist"),
        (["--save", "there.png"], "there.gif exists already; --overwrite replaces it"),
        (["--model", "nothing"], "no such run and no such checkpoint"),
        (["--model", "there.gif"], "there.gif"),
    ],
)
def test_what_cannot_be_made_is_said_and_nothing_is_written(trained, options, message, capsys, tmp_path):
    (tmp_path / "there.gif").write_bytes(b"mine")
    model = [] if "--model" in options else ["--model", trained[1]]
    assert call("generate", *model, *options) == 2
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.gif"]
    assert (tmp_path / "there.gif").read_bytes() == b"mine"


def test_the_newest_run_that_makes_pictures_is_found(trained, tmp_path, capsys):
    assert call("generate") == 2
    assert (
        "no run in runs/ makes pictures yet; train one: tinyvision train --task generation" in capsys.readouterr().err
    )
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "digits-1").symlink_to(trained[1])
    classifier = models.SimpleCNN(1, 2, 8)
    train.fit(classifier, [(np.zeros((1, 8, 8), np.float32), i % 2) for i in range(8)], run="runs/newer", epochs=1,
              log=None, description={"model": {"name": "simple-cnn", "options": {"in_channels": 1, "num_classes": 2,
              "image_size": [8, 8]}}, "input": Preprocessing(1, (8, 8), (0.5,), (0.5,)).as_dict()})  # fmt: skip
    assert call("generate", "--count", 1, "--overwrite") == 0
    assert "with runs/digits-1" in capsys.readouterr().err
    assert call("generate", "--model", "runs/newer", "--overwrite") == 2
    assert "looks at pictures and makes none" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["q.png", "q.gif"])
def test_a_folder_in_the_place_of_one_file_leaves_no_half_of_the_pair(trained, name, tmp_path, capsys):
    (tmp_path / name).mkdir()
    assert call("generate", "--model", trained[1], "--count", 1, "--steps", 2, "--save", "q.png", "--overwrite") == 2
    assert f"{name} is a folder; --save names another" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["q.png", "q.gif"])
def test_what_cannot_be_written_at_the_end_leaves_both_files_as_they_were(trained, name, tmp_path, monkeypatch, capsys):
    from tinyvision.tasks.generation.generator import Generated

    def taken(self, made=Generated.animation):
        (tmp_path / name).mkdir()  # while pictures were made
        return made(self)

    monkeypatch.setattr(Generated, "animation", taken)
    assert call("generate", "--model", trained[1], "--count", 1, "--steps", 2, "--save", "q.png") == 2
    assert f"cannot write {name}: it is a folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_stopping_leaves_no_file(trained, tmp_path, monkeypatch):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinyvision.tasks.generation.generator.Generated.animation", interrupted)
    assert call("generate", "--model", trained[1], "--count", 1) == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    ["predict a.png --model RUN", "compare a.png a.png --model RUN", "search . a.png --model RUN", "export RUN a.onnx"],
)
def test_other_commands_say_that_it_looks_at_no_pictures(trained, command, capsys):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("a.png")
    assert call(*(str(trained[1]) if word == "RUN" else word for word in command.split())) == 2
    assert "makes pictures and looks at none; use it: tinyvision generate --model" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate RUN .", "explain RUN a.png"])
def test_commands_for_classifiers_say_what_it_is(trained, command, capsys):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save("a.png")
    assert call(*(str(trained[1]) if word == "RUN" else word for word in command.split())) == 2
    assert "is a network for generation" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [{"steps": -1}, {"width": 7}, {"weights": "x"}, {"image_size": 10**6}, None])
def test_a_damaged_checkpoint_is_refused(trained, wrong):
    checkpoint = train.load_checkpoint(trained[1] / "best.safetensors")
    options = checkpoint.description["model"]["options"]
    checkpoint.description["model"]["options"] = None if wrong is None else {**options, **wrong}
    checkpoint.save("damaged.safetensors")
    with pytest.raises(CheckpointError, match="damaged"):
        tasks.load("damaged.safetensors")


def test_a_checkpoint_from_before_there_was_a_row_for_no_class_is_said_to_be_of_another_version(trained, capsys):
    checkpoint = train.load_checkpoint(trained[1] / "best.safetensors")
    for part in ("denoiser", "average"):
        checkpoint.weights[f"{part}.classes.weight"] = checkpoint.weights[f"{part}.classes.weight"][:-1]
    checkpoint.save("old.safetensors")
    assert call("generate", "--model", "old.safetensors") == 2
    said = capsys.readouterr().err
    assert "another version of tinyvision made it, or it was changed" in said
    assert "average.classes.weight: the state dict has (10, " in said
    assert "number of classes" not in said


def test_samples_bring_noise_of_their_own():
    preprocessing = Preprocessing(1, (8, 8), (0.5,), (0.5,))
    images = [(np.full((8, 8, 1), value, np.uint8), 0) for value in (0, 255)]
    plain, judged = Samples(images, preprocessing, times=3), Samples(images, preprocessing, noise=True)
    assert len(plain) == 6
    assert (len(plain.once()), plain.once().labels.tolist(), len(plain)) == (2, [0, 0], 6)
    assert (plain[4][0] == -1).all()
    assert (plain[5][0] == 1).all()
    x, (label, noise) = judged[1]
    np.testing.assert_array_equal(noise, judged[1][1][1])
    assert (x.shape, label, noise.shape) == ((1, 8, 8), 0, (1, 8, 8))
    assert not np.array_equal(noise, judged[0][1][1])


# -- on a GPU


@pytest.mark.parametrize("labels", [[1.5], ["1"], [True], [None], [[0, 1]], [], [3], [-1], np.array([0.0, 1.0])])
def test_what_is_no_class_is_refused(labels):
    generator = Generator(network().eval(), Preprocessing(1, (8, 8), (0.5,), (0.5,)), ["a", "b", "c"], "")
    with pytest.raises(OptionError, match="labels are whole numbers from 0 to 2, got "):
        generator.generate(labels)


def test_labels_may_be_a_tensor_or_an_array():
    generator = Generator(network().eval(), Preprocessing(1, (8, 8), (0.5,), (0.5,)), ["a", "b", "c"], "")
    for labels in ((0, 2), np.array([0, 2]), np.array([0, 2], np.uint8), tv.tensor([0, 2])):
        assert generator.generate(labels, steps=1).labels.tolist() == [0, 2]


@pytest.mark.usefixtures("pretended_gpu")
def test_training_and_making_on_a_gpu():
    def fitted(device):
        model, data = network(), [(noise_of(0, i, (1, 8, 8)).clip(-1, 1), i % 3) for i in range(8)]
        judged = [(x, (label, noise_of(1, i, (1, 8, 8)))) for i, (x, label) in enumerate(data)]
        options = {"epochs": 2, "batch_size": 4, "optimizer": "adamw", "log": None, "device": device}
        return model, train.fit(model, data, judged, task=Generation(0.5), **options)

    (here, expected), (there, got) = fitted("cpu"), fitted("cuda")
    for row, right in zip(got.rows, expected.rows, strict=True):
        assert row == pytest.approx(right, rel=1e-3)
    preprocessing = Preprocessing(1, (8, 8), (0.5,), (0.5,))
    one, other = (Generator(m.eval(), preprocessing, ["a", "b", "c"], "").generate([0, 2], 1) for m in (here, there))
    assert np.abs(one.steps.astype(int) - other.steps).max() <= 1
    assert Image.open(io.BytesIO(other.sheet())).size == (2 * 66 + 2, 66 + 2)
