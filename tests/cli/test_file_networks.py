"""Networks of other engines on the command line: what the file says of pictures is used."""

import json

import numpy as np
import pytest
from PIL import Image

import tinyvision as tv
from tinyvision import models, train
from tinyvision.cli import main
from tinyvision.interop import export
from tinyvision.train.file_networks import file_network
from tinyvision.train.preprocessing import Preprocessing

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

PREPARED = Preprocessing(3, (24, 24), (0.4, 0.5, 0.6), (0.2, 0.3, 0.4))


@pytest.fixture
def network(tmp_path):
    """A network and the file that it has become."""
    tv.manual_seed(0)
    model = models.SimpleCNN(image_size=24, num_classes=3).eval()
    words = {"preprocessing": json.dumps(PREPARED.as_dict()), "classes": json.dumps(["a", "b", "c"])}
    export(model, np.zeros((1, 3, 24, 24), np.float32), tmp_path / "net.onnx", metadata=words)
    for name in "abc":
        (tmp_path / "pictures" / name).mkdir(parents=True)
        numbers = np.random.default_rng(ord(name)).integers(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(numbers).save(tmp_path / "pictures" / name / "x.png")
    return train.Network(model, PREPARED, ["a", "b", "c"], "here"), tmp_path / "net.onnx"


def test_predict_says_what_the_network_says(network, tmp_path, capsys):
    ours, path = network
    picture = tmp_path / "pictures" / "a" / "x.png"
    assert main(["predict", str(picture), "--model", str(path), "--top", "3", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    wanted = ours.probabilities([np.asarray(Image.open(picture))])[0]
    assert {p["class"] for p in found["predictions"]} == {"a", "b", "c"}
    for one in found["predictions"]:
        assert abs(one["probability"] - wanted[one["index"]]) < 1e-6


def test_evaluate_takes_it_too(network, tmp_path, capsys):
    _, path = network
    assert main(["evaluate", str(path), str(tmp_path / "pictures"), "--run", str(tmp_path / "run"), "--quiet"]) == 0
    assert "3" in capsys.readouterr().out


def test_explain_says_why_not(network, tmp_path, capsys):
    _, path = network
    assert main(["explain", str(path), str(tmp_path / "pictures/a/x.png"), "-o", str(tmp_path / "x.html")]) == 2
    assert "no layers to look into" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (None, "does not say how pictures become its input"),
        ({"preprocessing": "{"}, "is damaged"),
        ({"preprocessing": "[]"}, "net.onnx: "),
        ({"preprocessing": json.dumps(PREPARED.as_dict()), "classes": "[1]"}, "the classes are damaged"),
    ],
)
def test_what_the_file_leaves_open_is_refused(tmp_path, words, message):
    export(tv.nn.Conv2d(3, 2, 3), np.zeros((1, 3, 8, 8), np.float32), tmp_path / "net.onnx", metadata=words)
    with pytest.raises(tv.errors.CheckpointError, match=message):
        file_network(tmp_path / "net.onnx")
