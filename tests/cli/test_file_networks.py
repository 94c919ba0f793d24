"""Networks of other engines on the command line: what the file says of pictures is used."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import tinyvision as tv
from tinyvision import explain, models, train
from tinyvision.cli import main
from tinyvision.interop import export
from tinyvision.train.file_networks import file_network, picture_preprocessing
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


def test_explain_shows_its_nodes_and_the_map_of_the_network_that_it_was(network, tmp_path):
    ours, path = network
    picture, page = tmp_path / "pictures/a/x.png", tmp_path / "x.html"
    assert main(["explain", str(path), str(picture), "-o", str(page)]) == 0
    text = page.read_text("utf-8")
    assert "Grad-CAM for" in text
    assert "<small>Conv</small>" in text
    x = PREPARED.transform()(np.asarray(Image.open(picture)))[None]
    found = explain.grad_cam(file_network(path).model, x, target=1)
    convolutions = [name for name, m in ours.model.named_modules() if explain.is_convolution(m)]
    wanted = explain.grad_cam(ours.model, x, layer=convolutions[-1], target=1)
    assert explain.last_convolution(file_network(path).model, x).startswith("nodes.")
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=1e-5 * wanted.numpy().max())


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


@pytest.fixture
def silent(tmp_path):
    """A network whose file says nothing of pictures, of any size, and that ends in probabilities."""
    tv.manual_seed(1)
    layers = tv.nn.Conv2d(3, 4, 3), tv.nn.ReLU(), tv.nn.AdaptiveAvgPool2d(1), tv.nn.Flatten(), tv.nn.Linear(4, 3)
    model = tv.nn.Sequential(*layers, tv.nn.Softmax(dim=1)).eval()
    export(model, np.zeros((1, 3, 8, 8), np.float32), tmp_path / "silent.onnx")
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "x.png")
    return model, picture, tmp_path


@pytest.mark.parametrize(
    ("pixels", "seen"),
    [
        ("unit", lambda x: x / 255),
        ("signed", lambda x: x / 127.5 - 1),
        ("bytes", lambda x: x),
        ("imagenet", lambda x: (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
    ],
)
def test_pixels_say_what_the_network_sees_and_its_probabilities_are_told_as_they_are(silent, pixels, seen, capsys):
    model, picture, folder = silent
    x = seen(picture.astype(np.float64)).transpose(2, 0, 1)[None].astype(np.float32)
    with tv.no_grad():
        wanted = model(tv.tensor(x)).numpy()[0]
    command = ["predict", str(folder / "x.png"), "--model", str(folder / "silent.onnx"), "--pixels", pixels]
    assert main([*command, "--top", "3", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    for one in found["predictions"]:
        assert one["probability"] == pytest.approx(wanted[one["index"]], abs=1e-5)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        ("imagnet", "what is known is unit, signed, bytes, imagenet.*imagenet"),
        ("unit:9", "the file says that its pictures are 8x8; leave :9 out"),
        ("unit:x", "unit:224"),
        ("unit:", None),
    ],
)
def test_pixels_that_make_no_sense_are_refused(silent, pixels, message, capsys):
    _, _, folder = silent
    status = main(["predict", str(folder / "x.png"), "--model", str(folder / "silent.onnx"), "--pixels", pixels])
    assert status == (2 if message else 0)
    assert message is None or re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize("side", [0, -1, 1.5, 10**9, [1], "4", True])
def test_a_file_s_sides_are_those_of_a_picture(side):
    with pytest.raises(tv.errors.OptionError, match=r"net.h5: its input .* is no picture of at most"):
        picture_preprocessing((3, side, 4), "net.h5", "unit")


def test_pixels_are_for_files_that_do_not_say_them(network, silent, tmp_path, capsys):
    picture = str(tmp_path / "x.png")
    assert main(["predict", picture, "--model", str(network[1]), "--pixels", "unit"]) == 2
    assert "the file itself says" in capsys.readouterr().err
    assert main(["predict", picture, "--model", "resnet18", "--pixels", "unit"]) == 2
    assert "--pixels is for networks in files of other engines" in capsys.readouterr().err


def test_an_evaluation_remembers_its_pixels(silent, tmp_path, capsys):
    (tmp_path / "pictures/1").mkdir(parents=True)
    Image.open(tmp_path / "x.png").save(tmp_path / "pictures/1/x.png")
    run = str(tmp_path / "run")
    command = ["evaluate", str(tmp_path / "silent.onnx"), str(tmp_path / "pictures"), "--run", run, "--quiet"]
    assert main(command) == 2
    assert "does not say how pictures become its input" in capsys.readouterr().err
    assert main([*command, "--pixels", "signed"]) == 0
    assert json.loads((tmp_path / "run/evaluation.json").read_text())["pictures"]["pixels"] == "signed"
    assert main(["evaluate", "--resume", run, "--quiet"]) == 0


def test_what_gives_no_scores_of_classes_is_refused(tmp_path, capsys):
    export(tv.nn.Conv2d(3, 2, 3), np.zeros((1, 3, 8, 8), np.float32), tmp_path / "net.onnx")
    with pytest.raises(tv.errors.OptionError, match=r"gives \(2, 2, 6, 6\) for two pictures, and not scores"):
        file_network(tmp_path / "net.onnx", "unit")


def test_info_tells_what_a_file_says(network, silent, capsys):
    assert main(["info", str(network[1])]) == 0
    told = capsys.readouterr().out
    count = sum(p.numel() for p in network[0].model.parameters())
    for text in ("input:    input (N, 3, 24, 24)", "outputs:  output", " Conv", f"{count:,} parameters", "classes: ["):
        assert text in told
    assert main(["info", str(silent[2] / "silent.onnx"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["inputs"] == {"input": [3, 8, 8]}
    assert found["layers"]["Softmax"] == 1
    assert found["parameters"] == 3 * 4 * 9 + 4 + 4 * 3 + 3


def test_a_card_says_what_is_known_and_asks_for_the_rest(tmp_path, capsys):
    from tinyvision.nn.module import numpy_state
    from tinyvision.weights import load_with_metadata, save

    tv.manual_seed(0)
    save(numpy_state(models.squeezenet1_1(num_classes=3)), tmp_path / "start.pth")
    out = tmp_path / "net.safetensors"
    command = ["export", "squeezenet1_1", str(out), "--weights", str(tmp_path / "start.pth"), "--card"]
    assert main(command) == 0
    arrays, words = load_with_metadata(out)
    start, _ = load_with_metadata(tmp_path / "start.pth")
    assert arrays.keys() == start.keys()
    assert all((arrays[name] == start[name]).all() for name in start)
    assert json.loads(words["preprocessing"])["size"] == [224, 224]
    text = (tmp_path / "net.md").read_text("utf-8")
    assert text.startswith("---\nlibrary_name: tinyvision\n")
    count = sum(p.numel() for p in models.squeezenet1_1(num_classes=3).parameters())
    for fact in (f"parameters: {count:,}", "3 x 224 x 224", "[0.485, 0.456, 0.406]", f"{out.stat().st_size:,} bytes"):
        assert fact in text
    assert "under which licence" in text
    capsys.readouterr()
    assert main(command) == 2
    assert "net.safetensors exists already" in capsys.readouterr().err
    out.unlink()
    assert main(command) == 2
    assert "net.md exists already" in capsys.readouterr().err


def test_nothing_is_exported_onto_itself(tmp_path, capsys):
    """A run's checkpoint would become bare weights, without classes and preprocessing."""
    run = tmp_path / "run"
    assert main(["train", "--epochs", "1", "--quiet", "--run", str(run)]) == 0
    best = run / "best.safetensors"
    before = best.read_bytes()
    for what in (run, best):
        assert main(["export", str(what), str(best), "--overwrite"]) == 2
        assert "is what is read, which has notes that would be lost" in capsys.readouterr().err
    assert best.read_bytes() == before
