"""What `fit` checks, keeps, says, and how it stops."""

import dataclasses
import inspect
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyvision
from tinyvision import data, nn, random, train
from tinyvision.atomic import atomic_write
from tinyvision.errors import CheckpointError, DataError, FileError, OptionError, ShapeError, TrainingError
from tinyvision.train.runs import FolderLock
from tinyvision.train.settings import SettingsGiven


@pytest.fixture(autouse=True)
def no_plots(monkeypatch, request):
    """The curves take longer than the training here, except where they are what is tested."""
    if "plot" not in request.node.name and "history_files" not in request.node.name:
        monkeypatch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)


def stripes(count=24, seed=0):
    """Pictures of 8x8 pixels, whose left (0) or right half (1) is bright: easy to learn."""
    rng = random.stream(seed, "stripes")
    labels = np.arange(count) % 2
    images = rng.integers(0, 60, (count, 8, 8, 1))
    for image, label in zip(images, labels, strict=True):
        image[:, 4 * label : 4 * label + 4] += 150
    return data.ArrayDataset(images.astype(np.uint8), labels, ["left", "right"])


def network(outputs=2):
    with random.use(random.stream(0, "network")):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, outputs))


def fit(model=None, dataset=None, **options):
    options = {"log": None, "batch_size": 8, "epochs": 2, **options}
    return train.fit(network() if model is None else model, stripes() if dataset is None else dataset, **options)


def test_it_learns():
    model = network()
    history = fit(model, val_data=stripes(seed=1), epochs=8, lr=0.1)
    assert len(history) == 8
    assert history.best["val_accuracy"] == 1.0
    assert history[-1]["train_loss"] < history[0]["train_loss"] / 2
    assert train.evaluate(model, stripes(seed=2)).accuracy == 1.0


def test_the_first_step_is_the_formula():
    # lr 1, no momentum, no decay, one batch: the weights move by the gradient, which for softmax is known.
    model, dataset = network(), stripes(4)
    before = model[1].weight.array.copy()
    x = (dataset.images.reshape(4, 64) / 255.0).astype(np.float32)
    scores = x @ before.T + model[1].bias.array
    p = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    gradient = (p - np.eye(2)[dataset.labels]).T @ x / 4
    fit(model, dataset, epochs=1, batch_size=4, lr=1.0, momentum=0.0, weight_decay=0.0, schedule="constant")
    # float32 sums of 64 products of numbers up to 1
    np.testing.assert_allclose(model[1].weight.array, before - gradient, atol=1e-5)


def test_the_history_is_that_of_the_weights():
    rows = []
    model = network()
    history = fit(model, val_data=stripes(seed=1), on_epoch=rows.append)
    assert rows == history.rows
    evaluation = train.evaluate(model, stripes(seed=1))
    assert rows[-1]["val_accuracy"] == evaluation.accuracy
    assert rows[-1]["val_loss"] == evaluation.loss


def test_the_same_loader_is_evaluated_the_same_way_every_time():
    dataset = stripes(seed=1)
    dataset.transform = data.transforms.Compose([data.transforms.RandomCrop(8, padding=3), data.transforms.ToTensor()])
    loader, model = data.DataLoader(dataset, batch_size=5, seed=9), network()
    first = train.evaluate(model, loader).scores
    np.testing.assert_array_equal(train.evaluate(model, loader).scores, first)


def test_a_data_loader_brings_its_own_batches():
    dataset = stripes()
    loader = data.DataLoader(dataset, batch_size=5, shuffle=True, seed=9, drop_last=True)
    with pytest.raises(DataError, match=r"images are uint8 .* transform=transforms\.ToTensor"):
        train.fit(network(), loader, epochs=2, log=None)
    dataset.transform = data.transforms.ToTensor()
    history = train.fit(network(), loader, epochs=2, log=None)
    assert len(history) == 2
    with pytest.raises(OptionError, match="DataLoader has batch_size=5"):
        train.fit(network(), loader, batch_size=6, log=None)
    with pytest.raises(OptionError, match="its own num_workers"):
        train.fit(network(), loader, workers=2, log=None)


def test_parameter_groups_and_frozen_layers():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Linear(4, 2))
    model[1].freeze()
    frozen, free = model[1].weight.array.copy(), model[2].weight.array.copy()
    fit(model)
    np.testing.assert_array_equal(model[1].weight.array, frozen)
    assert not np.array_equal(model[2].weight.array, free)
    model.freeze()
    with pytest.raises(OptionError, match="every parameter is frozen"):
        fit(model)
    with pytest.raises(OptionError, match="not the model's"):
        fit(parameters=network().parameters())


def test_groups_may_hold_iterators_as_in_pytorch():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Linear(4, 2))
    before = model[2].weight.array.copy()
    fit(model, parameters=({"params": layer.parameters(), "lr": 0.1} for layer in (model[1], model[2])))
    assert not np.array_equal(model[2].weight.array, before)
    with pytest.raises(OptionError, match="parameters names none"):
        fit(model, parameters=[{"params": []}])


def test_only_what_is_trained_counts_in_clipping():
    # The layer that is left alone asks for gradients too: they must neither add up nor shrink the others'.
    def head_after_training(clip_norm, scale):
        with random.use(random.stream(0, "network")):
            model = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Linear(4, 2))
        model[1].weight.array[...] *= scale
        model[2].weight.array[...] /= scale
        fit(model, parameters=model[2].parameters(), clip_norm=clip_norm, lr=1e-3, momentum=0.0, weight_decay=0.0)
        return model

    model = head_after_training(1e3, scale=1e-3)  # a head of large weights: large gradients below it
    np.testing.assert_array_equal(model[2].weight.array, head_after_training(None, scale=1e-3)[2].weight.array)
    last = abs(model[1].weight.grad.array).max()
    fit(model, parameters=model[2].parameters(), lr=1e-9, epochs=1, batch_size=24)
    once = abs(model[1].weight.grad.array).max()
    assert last < 2 * once  # the gradient of one step, not the sum over six


# -- refusing before the first step


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epoch": 3}, "no option 'epoch'; did you mean 'epochs'?"),
        ({"epochs": 0}, "epochs must be an integer from 1, got 0"),
        ({"lr": float("nan")}, "lr must be a number above 0"),
        ({"optimizer": "adm"}, "did you mean 'adam'?"),
        ({"optimizer": "adam", "momentum": 0.9}, "momentum is an option of sgd"),
        ({"schedule": "cosin"}, "did you mean 'cosine'?"),
        ({"label_smoothing": 1.5}, "label_smoothing"),
        ({"momentum": 1.0}, "below 1"),
        ({"seed": -1}, "seed"),
        ({"save_every": -1}, "save_every"),
        ({"save_steps": 0}, "save_steps"),
        ({"log": "loud"}, "log must be"),
        ({"resume": True}, "run's folder"),
        ({"resume": "yes"}, "resume must be"),
        ({"on_epoch": 3}, "on_epoch must be a function"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(OptionError) as error:
        fit(**options)
    assert words in str(error.value)


def test_wrong_labels_are_found_before_the_first_step():
    model = network()
    before = model[1].weight.array.copy()
    dataset = stripes()
    dataset.labels[17] = 2
    with pytest.raises(DataError, match=r"item 17 has label 2, but the model tells 2 classes apart"):
        fit(model, dataset)
    with pytest.raises(DataError, match="validation data: item 17"):
        fit(model, val_data=dataset)
    np.testing.assert_array_equal(model[1].weight.array, before)


def test_data_that_are_no_data():
    with pytest.raises(OptionError, match="no dataset"):
        fit(dataset=3)
    with pytest.raises(DataError, match="empty"):
        fit(dataset=[])
    with pytest.raises(DataError, match="pair"):
        fit(dataset=[np.zeros((8, 8, 1), np.uint8)] * 4)
    with pytest.raises(DataError, match="labels must be integers"):
        fit(dataset=[(np.zeros((8, 8, 1), np.uint8), 0.5)] * 4)
    with pytest.raises(ShapeError, match=r"must give \(N, classes\)"):
        fit(nn.Sequential(nn.Conv2d(1, 2, 3)))
    with pytest.raises(ShapeError):
        fit(nn.Linear(7, 2))
    with pytest.raises(OptionError, match="expected a model"):
        fit(model=3)
    with pytest.raises(OptionError, match="no parameters"):
        fit(nn.ReLU())


# -- the run's folder


def test_an_existing_run_is_not_overwritten_by_accident(tmp_path):
    fit(run=tmp_path / "run")
    before = (tmp_path / "run" / "last.safetensors").read_bytes()
    with pytest.raises(CheckpointError, match="already holds a run"):
        fit(run=tmp_path / "run", seed=1)
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == before
    fit(run=tmp_path / "run", seed=1, overwrite=True)
    assert (tmp_path / "run" / "last.safetensors").read_bytes() != before


def test_a_run_needs_a_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="is a file"):
        fit(run=tmp_path / "file")
    with pytest.raises(FileError, match="cannot make the folder"):
        fit(run=tmp_path / "file" / "run")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(FileError, match="cannot make the folder"):
            fit(run=tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


def test_two_processes_do_not_train_into_one_folder(tmp_path):
    (tmp_path / "run").mkdir()
    with FolderLock(tmp_path / "run"), pytest.raises(CheckpointError, match="another process is training"):
        fit(run=tmp_path / "run")
    fit(run=tmp_path / "run")


def test_overwrite_deletes_nothing_before_training_can_begin(tmp_path):
    run = tmp_path / "run"
    fit(run=run)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with FolderLock(run), pytest.raises(CheckpointError, match="another process is training"):
        fit(run=run, overwrite=True)
    with pytest.raises(OptionError, match="save_every"):
        fit(run=run, overwrite=True, save_every=-1)
    with pytest.raises(OptionError, match="log must be"):
        fit(run=run, overwrite=True, log="loud")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    fit(run=run, overwrite=True, epochs=1)
    assert len(train.load_checkpoint(run / "last.safetensors").progress.rows) == 1


@pytest.mark.parametrize("steps", [0, 1])
def test_the_old_run_is_whole_until_steps_of_the_new_one_are_kept(tmp_path, steps):
    run = tmp_path / "run"
    fit(run=run)
    (run / "report.html").write_text("of the old run")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(TrainingError, match=r"last\.safetensors is from before, of the old run, and still good"):
        fit(run=run, overwrite=True, seed=1, loss=NanAt(steps), save_every=1e9)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    with pytest.raises(TrainingError, match=r"last\.safetensors is from before and still good"):
        fit(run=run, overwrite=True, seed=1, loss=NanAt(2), save_steps=1)
    assert [path.name for path in run.iterdir()] == ["last.safetensors"]
    assert train.load_checkpoint(run / "last.safetensors").progress.total == 2


def test_a_stopped_run_replaces_the_old_one(tmp_path):
    run, called = tmp_path / "run", []
    fit(run=run)
    with pytest.raises(train.Interrupted, match="after step 2 of 3 and saved"):
        fit(run=run, overwrite=lambda: called.append(1), seed=1, loss=SignalAt(1, signal.SIGINT), save_every=1e9)
    assert called == [1]
    assert [path.name for path in run.iterdir()] == ["last.safetensors"]
    fit(run=run, resume=True)
    fit(run=tmp_path / "unbroken", seed=1)
    for name in ("last.safetensors", "best.safetensors", "history.csv"):
        assert (run / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    run = tmp_path / "run"
    fit(run=run, schedule="constant")
    before = {path.name: path.read_bytes() for path in run.iterdir()}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tinyvision.atomic.os.fsync", full)
    with pytest.raises(CheckpointError, match=r"disk that holds .* is full"):
        fit(run=tmp_path / "other")
    with pytest.raises(CheckpointError, match=r"disk that holds .* is full"):
        train.fit(network(), stripes(), run=run, resume=True, epochs=3, log=None)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert not (tmp_path / "other").exists()


def test_folders_that_stay_empty_go_again_and_others_stay(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.setattr("tinyvision.atomic.os.fsync", lambda descriptor: 1 / 0)
    for run in (tmp_path / "here", tmp_path / "new" / "deep" / "run"):
        with pytest.raises(ZeroDivisionError):
            fit(run=run)
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]


def test_no_run_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit()
    assert list(tmp_path.iterdir()) == []


def test_history_files(tmp_path):
    history = fit(run=tmp_path / "run", val_data=stripes(seed=1))
    lines = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert lines[0] == "epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy"
    assert [float(text) for text in lines[2].split(",")] == list(history[1].values())
    assert (tmp_path / "run" / "history.png").read_bytes().startswith(b"\x89PNG")


def test_no_plot_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    lines = []
    fit(run=tmp_path / "run", log=lines.append)
    assert [line for line in lines if "matplotlib" in line] == [
        "note: no history.png: a plot needs matplotlib, which is not installed: pip install matplotlib"
    ]
    assert (tmp_path / "run" / "history.csv").exists()


# -- trouble on the way


def test_a_diverging_run_stops_and_keeps_the_last_good_checkpoint(tmp_path, recwarn):
    run = tmp_path / "run"
    dataset = stripes()
    with pytest.raises(TrainingError) as error:
        fit(
            nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, 2)),
            dataset,
            run=run,
            lr=1e30,
            save_steps=1,
        )
    text = str(error.value)
    assert "learning rate" in text
    assert "smaller learning rate" in text
    assert "still good" in text
    checkpoint = train.load_checkpoint(run / "last.safetensors")
    assert all(np.isfinite(array).all() for array in checkpoint.weights.values())
    assert not [w for w in recwarn if issubclass(w.category, RuntimeWarning)]


def test_a_loss_that_is_not_finite_names_step_and_images():
    def loss(scores, labels):
        steps.append(1)
        return nn.CrossEntropyLoss()(scores, labels) * (float("nan") if len(steps) == 5 else 1.0)

    steps, model = [], network()
    with pytest.raises(TrainingError) as error:
        fit(model, loss=loss, seed=4)
    order = random.stream(4, "shuffle", 1).permutation(24)[8:16]
    assert f"the loss is nan (batch: images {', '.join(map(str, order))})" in str(error.value)
    assert "epoch 2, step 2 (step 5 in all)" in str(error.value)


def test_a_picture_that_is_not_finite_is_named():
    images = np.zeros((24, 1, 8, 8), np.float32)
    images[13, 0, 2, 2] = np.inf
    with pytest.raises(TrainingError, match="image 13 of the training data holds numbers that are not finite"):
        fit(dataset=data.ArrayDataset(images, np.arange(24) % 2))


class NanAt:
    """Cross-entropy that is no number in step `number`."""

    def __init__(self, number):
        self.left, self.loss = number, nn.CrossEntropyLoss()

    def __call__(self, scores, labels):
        self.left -= 1
        return self.loss(scores, labels) * (1.0 if self.left >= 0 else float("nan"))


class SignalAt:
    """Cross-entropy that sends a signal to this process in step `number`."""

    def __init__(self, number, *signals):
        self.left, self.signals, self.loss = number, signals, nn.CrossEntropyLoss()

    def __call__(self, scores, labels):
        if self.left == 0:
            for number in self.signals:
                os.kill(os.getpid(), number)
        self.left -= 1
        return self.loss(scores, labels)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_and_saves(tmp_path, number):
    before = signal.getsignal(number)
    with pytest.raises(train.Interrupted, match=r"epoch 2 after step 1 of 3 and saved; fit\(.*resume=True\)") as stop:
        fit(run=tmp_path / "stopped", loss=SignalAt(3, number), save_every=1e9)
    assert stop.value.signal == number
    assert isinstance(stop.value, KeyboardInterrupt)
    assert signal.getsignal(number) is before
    assert train.load_checkpoint(tmp_path / "stopped" / "last.safetensors").progress.total == 4
    fit(run=tmp_path / "stopped", resume=True)
    fit(run=tmp_path / "unbroken")
    for name in ("last.safetensors", "best.safetensors", "history.csv"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()


def test_a_signal_during_validation(tmp_path):
    class Slow(data.Dataset):
        labels = np.zeros(24, int)

        def __len__(self):
            return 24

        def __getitem__(self, index):
            if index == 20 and armed:
                armed.clear()
                os.kill(os.getpid(), signal.SIGINT)
            return stripes()[index]

    armed = [True]
    with pytest.raises(train.Interrupted, match="epoch 1 after step 3 of 3"):
        fit(val_data=Slow(), run=tmp_path / "stopped")
    fit(val_data=Slow(), run=tmp_path / "stopped", resume=True)
    fit(val_data=Slow(), run=tmp_path / "unbroken")
    assert (tmp_path / "stopped" / "best.safetensors").read_bytes() == (
        tmp_path / "unbroken" / "best.safetensors"
    ).read_bytes()


def test_checkpoints_come_every_so_many_steps(tmp_path, monkeypatch):
    saved, save = [], train.loop._Training.save

    def noted(training, *name):
        saved.append(training.progress.total)
        save(training, *name)

    monkeypatch.setattr(train.loop._Training, "save", noted)
    fit(run=tmp_path / "run", batch_size=4, epochs=1, save_steps=2, save_every=1e9)
    assert saved == [0, 2, 4, 6, 6, 6]  # at the end of the epoch, the best and the last as well


def test_a_signal_between_two_epochs(tmp_path):
    with pytest.raises(train.Interrupted, match="epoch 2 after step 0 of 3 and saved"):
        fit(run=tmp_path / "run", on_epoch=lambda row: os.kill(os.getpid(), signal.SIGINT))
    assert train.load_checkpoint(tmp_path / "run" / "last.safetensors").progress.total == 3


def test_a_second_signal_stops_at_once(tmp_path):
    with pytest.raises(train.Interrupted, match="stopped at once"):
        fit(run=tmp_path / "run", loss=SignalAt(3, signal.SIGINT, signal.SIGINT), save_every=1e9)
    assert train.load_checkpoint(tmp_path / "run" / "last.safetensors").progress.total == 3
    assert not list((tmp_path / "run").glob("*.tmp"))


def test_a_signal_without_a_folder_says_that_nothing_is_kept():
    with pytest.raises(train.Interrupted, match="nothing was saved"):
        fit(loss=SignalAt(0, signal.SIGINT))


def test_ignored_signals_stay_ignored(tmp_path):
    script = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        f"sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(tinyvision.__file__).parents[1])!r}]; "
        "import test_loop as t; t.fit(loss=t.SignalAt(1, signal.SIGINT)); print('done')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600)
    assert done.stdout == "done\n", done.stderr


def test_other_errors_of_ours_pass_through(tmp_path):
    def broken(row):
        with atomic_write(tmp_path / "nowhere" / "x"):
            pass

    with pytest.raises(FileError, match="no folder"):
        fit(on_epoch=broken)


# -- a batch of one


def normed(single):
    """A network whose batch-norm gets one number per channel of an image, or several."""
    norm = [nn.Flatten(), nn.Linear(16, 4), nn.BatchNorm1d(4)] if single else [nn.BatchNorm2d(1), nn.Flatten()]
    return nn.Sequential(*norm, nn.Linear(4 if single else 16, 2))


def images(count):
    rng = np.random.default_rng(0)
    return data.ArrayDataset(rng.random((count, 1, 4, 4), dtype=np.float32), np.arange(count) % 2)


def test_a_batch_of_one_before_batch_norm_is_said_before_the_first_step(tmp_path):
    model = normed(single=True)
    before = {name: array.copy() for name, array in nn.module.numpy_state(model).items()}
    with pytest.raises(DataError, match=r"9 images in batches of 4, one batch.*'2' gets.*batch_size=3 leaves") as e:
        train.fit(model, images(9), epochs=1, batch_size=4, log=None, run=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    for name, array in nn.module.numpy_state(model).items():
        np.testing.assert_array_equal(array, before[name])  # looking has changed nothing, running statistics included
    # What the message recommends works.
    assert "batch_size=4, drop_last=True" in str(e.value)
    loader = data.DataLoader(images(9), batch_size=4, drop_last=True, seed=0)
    assert len(train.fit(model, loader, epochs=1, log=None).rows) == 1
    assert len(train.fit(model, images(9), epochs=1, batch_size=3, log=None).rows) == 1


def test_a_batch_of_one_is_fine_where_every_channel_has_several_numbers():
    assert len(train.fit(normed(single=False), images(9), epochs=1, batch_size=4, log=None).rows) == 1
    assert len(train.fit(normed(single=True), images(10), epochs=1, batch_size=4, log=None).rows) == 1


def test_a_batch_of_one_in_a_network_that_fuses_its_layers():
    pictures = data.ArrayDataset(np.zeros((3, 3, 32, 32), np.float32), [0, 1, 0])
    with pytest.raises(DataError, match="single image, and batch-norm 'layer4"):
        train.fit(tinyvision.models.resnet18(num_classes=2), pictures, epochs=1, batch_size=2, log=None)


def test_an_editor_sees_the_settings_of_fit():
    shown = inspect.signature(train.fit).parameters
    for name, setting in inspect.signature(train.Settings).parameters.items():
        assert shown[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert shown[name].default == setting.default
    assert not any(p.kind is p.VAR_KEYWORD for p in shown.values())
    assert set(SettingsGiven.__annotations__) == {field.name for field in dataclasses.fields(train.Settings)}


# -- ending early


def test_patience_ends_where_nothing_has_become_better(tmp_path):
    model, hopeless = network(), stripes(seed=1)
    hopeless.labels[:] = hopeless.labels[::-1].copy()  # what is learned makes validation worse
    options = {"epochs": 30, "schedule": "constant", "lr": 0.2, "patience": 3, "val_data": hopeless}
    history = fit(model, **options, run=tmp_path / "run")
    assert len(history) < 30
    assert len(history) == history.best["epoch"] + 3
    whole = fit(network(), **options)
    assert whole.rows == history.rows
    again = fit(network(), **options, run=tmp_path / "run", resume=True)
    assert again.rows == history.rows  # it stays ended


def test_patience_is_said_and_needs_validation(tmp_path):
    said = []
    hopeless = stripes(seed=1)
    hopeless.labels[:] = hopeless.labels[::-1].copy()
    fit(epochs=30, schedule="constant", patience=1, val_data=hopeless, log=said.append)
    assert any("ended early: nothing better in the 1 epochs since epoch" in line for line in said)
    with pytest.raises(OptionError, match="val_data"):
        fit(patience=2)
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(OptionError, match="patience must be an integer from 1"):
            fit(patience=wrong, val_data=hopeless)
