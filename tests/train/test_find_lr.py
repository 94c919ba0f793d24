"""The range test: the model is left as it was, the loop is the one of `fit`, and the suggestion is where loss falls."""

import json

import numpy as np
import pytest

from tinyvision import data, nn, random, train
from tinyvision.cli import main
from tinyvision.errors import OptionError, TrainingError
from tinyvision.train.find_lr import RangeTest, find_lr


def network():
    with random.use(random.stream(0, "network")):
        return nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(216, 10)
        )


def digits(count=256):
    whole = data.Digits(train=True)
    return data.Subset(whole, range(count))


def search(model=None, dataset=None, **options):
    options = {"log": None, "batch_size": 32, "steps": 60, **options}
    return find_lr(model or network(), dataset or digits(), **options)


def test_the_model_is_what_it_was_bit_for_bit():
    model = network().train()
    model[1].eval()
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    found = search(model)
    assert all(np.array_equal(before[name], value.numpy()) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert model.training
    assert not model[1].training
    assert found.losses.tolist() == search(model).losses.tolist()


def test_the_rates_rise_in_equal_factors_and_the_first_steps_are_those_of_fit():
    found = search(low=1e-4, high=1.0)
    assert np.allclose(np.diff(np.log(found.rates)), np.log(1e4) / 59)
    assert found.rates[0] == 1e-4
    still = search(low=1e-12, high=2e-12, steps=10)
    history = train.fit(network(), digits(), log=None, batch_size=32, epochs=1, lr=1e-12, schedule="constant")
    assert still.losses[:8].mean() == pytest.approx(history[0]["train_loss"], abs=1e-6)


def test_the_suggestion_learns_and_lies_before_divergence():
    found = search(high=1e4, steps=100)
    assert len(found.rates) < 100  # it diverged, and ended there
    assert 1e-5 < found.suggestion < 1
    history = train.fit(
        network(), digits(), log=None, batch_size=32, epochs=3, lr=found.suggestion, schedule="constant"
    )
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]


def test_the_suggestion_is_the_steepest_place():
    rates = np.geomspace(1e-5, 1, 101)
    losses = 2 - 1.5 / (1 + np.exp(-(np.log(rates) - np.log(1e-3)) * 2))  # falls around 1e-3
    assert 1e-3 <= RangeTest(rates, losses).suggestion < 4e-3  # the average lags a few steps behind


def test_groups_keep_their_ratio():
    model, seen = network(), []
    groups = [{"params": model[0].parameters(), "lr": 0.1}, {"params": model[5].parameters(), "lr": 0.01}]
    hook = model.register_forward_hook(lambda *_: seen.append(1))
    search(model, parameters=groups, steps=10)
    hook.remove()
    assert len(seen) >= 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 5}, "steps must be an integer from 10"),
        ({"low": 1.0, "high": 0.1}, "low < high"),
        ({"lr": 0.1}, "lr has no meaning here"),
        ({"epochs": 2}, "epochs has no meaning here"),
        ({"momentun": 0.1}, "did you mean 'momentum'"),
    ],
)
def test_wrong_options(options, words):
    with pytest.raises(OptionError, match=words):
        search(**options)


def test_a_picture_that_is_not_finite_is_named_and_everything_put_back():
    images = np.zeros((64, 1, 8, 8), np.float32)
    images[7] = np.nan
    labels = np.arange(64) % 10
    model = network()
    before = (
        model[0].weight.numpy().copy() if not model[0].weight.requires_grad else model[0].weight.detach().numpy().copy()
    )
    with pytest.raises(TrainingError, match="image 7 of the training data"):
        search(model, data.TensorDataset(images, labels), steps=20)
    assert np.array_equal(model[0].weight.detach().numpy(), before)


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--find-lr", "--quiet"]) == 0
    assert "falls fastest at a learning rate of" in capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["find-lr.png"]
    assert main(["train", "--find-lr", "lr.svg", "--quiet", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["picture"] == "lr.svg"
    assert len(found["rates"]) == len(found["losses"])
    refused = (["--lr", "0.1"], ["--run", "x"], ["--resume"], ["--tensorboard"], ["--epochs", "3"], ["--patience", "1"],
               ["--schedule", "cosine"], ["--processes", "2"], ["--distributed"])  # fmt: skip
    for wrong in refused:
        assert main(["train", "--find-lr", *wrong]) == 2
        told = capsys.readouterr().err
        assert "leave" in told
        assert wrong[0] in told
    assert main(["train", "--find-lr", "lr.txt"]) == 2
    assert "png or .svg" in capsys.readouterr().err


def test_a_picture_is_not_replaced_unasked(tmp_path, monkeypatch):
    from tinyvision.train.find_lr import picture_file

    monkeypatch.chdir(tmp_path)
    assert picture_file("", False) == "find-lr.png"
    for name in ("find-lr.png", "find-lr-2.png", "mine.svg"):
        (tmp_path / name).write_text("kept")
    assert picture_file("", False) == "find-lr-3.png"
    assert picture_file("", True) == "find-lr.png"
    assert picture_file("mine.svg", True) == "mine.svg"
    with pytest.raises(OptionError, match="there is such a picture already; --overwrite replaces it"):
        picture_file("mine.svg", False)
    with pytest.raises(OptionError, match=r"the picture is a \.png or \.svg"):
        picture_file("mine.pdf", True)
