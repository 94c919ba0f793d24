"""The page about one picture: its numbers are the network's, in Python and in the browser's own arithmetic."""

import base64
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from tinyvision import models, nn
from tinyvision.cli import main
from tinyvision.errors import OptionError
from tinyvision.tensors.tensor import Tensor
from tinyvision.train import explain_page
from tinyvision.train.explain_page import write_explanation
from tinyvision.train.preprocessing import Preprocessing
from tinyvision.train.recipes import Network


def network(model=None, size=(20, 24), classes=("a", "b & <c>", "d")):
    torso = nn.Sequential(
        nn.Conv2d(3, 6, (3, 5), stride=(2, 1), padding=(1, 2), dilation=(1, 2)), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 4 * 9, 3),
    )  # fmt: skip
    preprocessing = Preprocessing(size=size, channels=3, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    return Network((model or torso).eval(), preprocessing, list(classes), "a network of the tests")


@pytest.fixture
def image(rng):
    return rng.integers(0, 256, (30, 40, 3), np.uint8)


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def written(found, image, tmp_path, **options):
    """The text of the page."""
    length = write_explanation(found, image, "x<y>.png", tmp_path / "page.html", **options)
    text = (tmp_path / "page.html").read_text("utf-8")
    assert length == len(text.encode()) <= explain_page.LARGEST
    return text


def numbers_in(text):
    """What the script of the page reads, as arrays."""
    data = json.loads(re.search(r'id="numbers">(.*?)</script>', text).group(1))
    for name in ("input", "weight", "bias", "output"):
        shape, packed = data[name]
        data[name] = np.frombuffer(base64.b64decode(packed), "<f4").reshape(shape)
    return data


def test_every_layer_is_there_with_its_numbers(image, tmp_path):
    found = network()
    text = written(found, image, tmp_path)
    x = Tensor.of(found.preprocessing.transform()(image)[None])
    for name, module in found.model.named_children():
        x = module(x)
        y = x.detach().numpy()[0]
        assert f"<h3>{name} <small>{type(module).__name__}</small></h3>" in text
        shape = " × ".join(map(str, y.shape))
        assert f"{shape}" in text
        assert f"from {y.min():.4g} to {y.max():.4g}, mean {y.mean():.4g}" in text
    assert "x&lt;y&gt;.png" in text
    assert "b &amp; &lt;c&gt;" in text
    scores = x.detach().numpy()[0]
    assert all(f"<td>{score:.3f}</td>" in text for score in scores)


def test_the_numbers_of_a_window_add_up_to_the_engine_s(image, tmp_path):
    data = numbers_in(written(network(), image, tmp_path))
    O, _, KH, KW = data["weight"].shape
    assert data["output"].shape[0] == O == 6
    padded = np.pad(data["input"].astype(np.float64), [(0, 0), *((p, p) for p in data["padding"])])
    (SH, SW), (DH, DW) = data["stride"], data["dilation"]
    for o, i, j in [(0, 0, 0), (5, 9, 19), (2, 4, 7)]:
        window = padded[:, i * SH : i * SH + (KH - 1) * DH + 1 : DH, j * SW : j * SW + (KW - 1) * DW + 1 : DW]
        total = (window * data["weight"][o]).sum() + data["bias"][o]
        assert abs(total - data["output"][o, i, j]) < 1e-5


def test_the_script_computes_the_same(image, tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node, which runs the page's script, is not installed")
    text = written(network(), image, tmp_path)
    data = numbers_in(text)
    script = re.search(r"<script>\n(.*?)</script>", text, re.S).group(1)
    raw = re.search(r'id="numbers">(.*?)</script>', text).group(1)
    (tmp_path / "numbers.json").write_text(raw)
    places = [[0, 0, 0], [5, 9, 19], [2, 4, 7]]
    tail = (
        f'const data = loaded(require("fs").readFileSync({json.dumps(str(tmp_path / "numbers.json"))}, "utf-8"));\n'
        f"console.log(JSON.stringify({places}.map(([o, i, j]) => sumOf(data, o, i, j))));"
    )
    (tmp_path / "run.js").write_text(script + tail)
    answer = subprocess.run([node, str(tmp_path / "run.js")], capture_output=True, text=True, check=True, timeout=600)
    for (o, i, j), total in zip(places, json.loads(answer.stdout), strict=True):
        assert abs(total - data["output"][o, i, j]) < 1e-5


def test_the_frame_is_what_the_number_depends_on(image, tmp_path):
    """A 3x3 window at a stride of 4 reads these rows and columns, and no others."""
    model = nn.Sequential(nn.Conv2d(3, 1, 3, stride=4), nn.Flatten(), nn.Linear(5 * 6, 3))
    text = written(network(model), image, tmp_path)
    sentence = r"at row (\d+), column (\d+); it depends on rows (\d+) to (\d+), columns (\d+) to (\d+)"
    row, column, top, bottom, left, right = map(int, re.search(sentence, text).groups())
    assert (top, bottom, left, right) == (4 * row, 4 * row + 2, 4 * column, 4 * column + 2)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_real_networks_fit(name, image, tmp_path):
    text = written(network(models.get_model(name, weights=None), (224, 224), ()), image, tmp_path)
    assert text.count("<h3>") > 40


def test_a_network_without_convolutions_and_a_hostile_name(image, tmp_path):
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3 * 20 * 24, 3))
    text = written(network(plain), image, tmp_path)
    assert 'id="numbers"' not in text
    hostile = nn.Sequential()
    hostile.add_module("</script><b>", nn.Conv2d(3, 1, 3))
    hostile.add_module("end", nn.Sequential(nn.Flatten(), nn.Linear(18 * 22, 3)))
    text = written(network(hostile), image, tmp_path)
    assert "</script><b>" not in text
    numbers_in(text)


def test_the_class_that_is_asked_for(image, tmp_path):
    assert "Grad-CAM for d, and" in written(network(), image, tmp_path, target=2)
    with pytest.raises(OptionError, match="from 0 to 2, got 3"):
        written(network(), image, tmp_path, target=3)


def test_the_command(tmp_path, monkeypatch, capsys, image):
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    Image.fromarray(image).save("photo.png")
    assert main(["train", "--epochs", "1", "--quiet"]) == 0
    run = ["explain", "runs/digits-1", "photo.png"]
    assert main(run) == 0
    assert "photo.html" in capsys.readouterr().out
    assert main(run) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    assert main([*run, "--overwrite", "--target", "3", "--invert"]) == 0
    assert main([*run, "--overwrite", "--target", "three"]) == 2
    assert "no such class" in capsys.readouterr().err
    photo = (tmp_path / "photo.png").read_bytes()
    assert main([*run, "-o", "photo.png", "--overwrite"]) == 2
    assert "photo.png: the page is a .html" in capsys.readouterr().err
    assert (tmp_path / "photo.png").read_bytes() == photo
    assert main(["explain", "runs/digits-1", "nowhere.png", "-o", "n.html"]) == 2
    assert not (tmp_path / "n.html").exists()
