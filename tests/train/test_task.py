"""Training another task than classification: its loss, its metrics, its words, and what a checkpoint says of it."""

import numpy as np
import pytest

from tinyvision import data, nn, random, train
from tinyvision.errors import CheckpointError, DataError, OptionError
from tinyvision.nn import functional
from tinyvision.train.history import History


class Spots(data.Dataset):
    """Pictures of noise with one bright pixel, and where it is."""

    def __len__(self):
        return 24

    def __getitem__(self, index):
        rng = random.stream(0, "spots", index)
        image = rng.normal(0, 0.1, (1, 4, 4)).astype(np.float32)
        row, column = rng.integers(0, 4, 2)
        image[0, row, column] = 3
        return image, {"place": np.array([row, column], np.float32)}


class Judgement:
    def __init__(self, errors):
        self.loss = float(np.mean(np.square(errors)))
        self.score = float(np.mean(np.abs(errors).max(1) < 0.5))


class Judge:
    def __init__(self):
        self.errors = []

    def add(self, outputs, targets):
        self.errors.append(outputs.numpy() - targets["place"].numpy())

    def judgement(self, together):
        return Judgement(together(self.errors))


class Finding(train.Task):
    name = "finding"
    metric = train.Metric("hits", "hits", percent=True)
    training_metric = train.Metric("distance", "distance")

    def check(self, outputs, x, y, dataset, name):
        if set(y) != {"place"}:
            raise DataError(f"{name}: no place")

    def outputs(self, model, x, y):
        # noise that a resumed run must draw again, as a diffusion model's is
        noise = random.generator().normal(0, 0.01, x.shape) if model.training else np.zeros(x.shape)
        return model(x + noise.astype(np.float32))

    def loss_for(self, settings):
        return lambda outputs, y: functional.mse_loss(outputs, y["place"])

    def score(self, outputs, y):
        return float(np.hypot(*(outputs.detach().numpy() - y["place"].numpy()).T).sum())

    def judge(self):
        return Judge()


def network():
    with random.use(random.stream(0, "network")):
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 2))


def fit(run=None, task=None, **options):
    options = {"epochs": 3, "batch_size": 8, "optimizer": "adam", "lr": 0.05, "log": None, **options}
    task = Finding() if task is None else task
    return train.fit(network(), Spots(), Spots(), run=run, task=task, **options)


def test_a_task_brings_its_loss_and_its_metrics(tmp_path):
    lines = []
    history = fit(tmp_path / "run", log=lines.append)
    assert list(history[0]) == ["epoch", "lr", "train_loss", "train_distance", "val_loss", "val_hits"]
    assert history[-1]["val_loss"] < history[0]["val_loss"]
    assert "distance 2." in lines[0]
    assert "hits" in lines[0]
    assert "accuracy" not in "".join(lines) + repr(history)
    assert (tmp_path / "run" / "history.csv").read_text().startswith("epoch,lr,train_loss,train_distance,val_loss")
    checkpoint = train.load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert checkpoint.description["task"] == "finding"
    assert checkpoint.progress.epoch == history.best["epoch"]


def test_a_stopped_run_of_another_task_goes_on_bit_for_bit(tmp_path):
    whole = fit(tmp_path / "whole")

    class Stop(Exception):
        pass

    def stop(row):
        raise Stop

    with pytest.raises(Stop):
        fit(tmp_path / "parts", on_epoch=stop)
    again = fit(tmp_path / "parts", resume=True)
    assert again.rows == whole.rows
    for name in ("last.safetensors", "best.safetensors", "history.csv"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_run_goes_on_with_its_own_task_alone(tmp_path):
    fit(tmp_path / "run", epochs=1)

    class Other(Finding):
        name = "other"

    with pytest.raises(CheckpointError, match="was begun as finding and is now other"):
        fit(tmp_path / "run", task=Other(), resume=True, epochs=1)


def test_a_setting_without_meaning_for_a_task_is_refused():
    with pytest.raises(OptionError, match=r"label_smoothing=0\.1 has no meaning for finding"):
        fit(label_smoothing=0.1)
    with pytest.raises(OptionError, match="task must be a Task"):
        fit(task="finding")


def test_the_task_looks_at_the_data_before_training():
    class Nothing(Spots):
        def __getitem__(self, index):
            return super().__getitem__(index)[0], {"nothing": 0}

    with pytest.raises(DataError, match="training data: no place"):
        train.fit(network(), Nothing(), task=Finding(), log=None)


def test_without_a_metric_the_lowest_loss_is_the_best():
    class Silent(Finding):
        metric = training_metric = None

    history = fit(task=Silent())
    assert list(history[0]) == ["epoch", "lr", "train_loss", "val_loss"]
    assert history.best["val_loss"] == min(row["val_loss"] for row in history)
    assert len(repr(history).splitlines()) == 4
    assert len(history.figure().axes) == 2


def test_rows_out_of_a_file_tell_whose_they_are():
    history = fit()
    again = History(history.rows)
    assert again.columns == history.columns
    assert again.best == history.best
    assert [axes.get_title() for axes in again.figure().axes] == ["loss", "distance", "hits", "learning rate"]


def test_a_batch_is_what_the_task_makes_of_items():
    class Listed(Finding):
        @staticmethod
        def collate(items):
            return data.default_collate([image * 0 for image, _ in items]), data.default_collate([y for _, y in items])

    # pictures of zeros: only the bias can learn
    assert fit(task=Listed()).best["val_hits"] < fit(epochs=60).best["val_hits"]


def test_a_task_that_cannot_be_shared_is_refused_over_processes(monkeypatch):
    monkeypatch.setattr("tinyvision.distributed.group.world_size", lambda: 2)
    with pytest.raises(OptionError, match="finding is not trained over several processes"):
        fit()


def test_a_plot_has_no_empty_charts_and_whole_epochs():
    """A metric that no epoch measured is left out, and one epoch is not drawn between 0.96 and 1.04."""
    history = fit()
    first = History([{**history.rows[0], "val_hits": None, "train_hits": None, "val_distance": None}])
    axes = {one.get_title(): one for one in first.figure().axes}
    assert "hits" not in axes
    assert "learning rate" in axes
    left, right = axes["loss"].get_xlim()
    assert [tick for tick in axes["loss"].get_xticks() if left <= tick <= right] == [1]
