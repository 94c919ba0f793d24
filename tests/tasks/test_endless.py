"""Data that are drawn on demand: new ones in every epoch, never those that judge; the street from data to picture."""

import json

import numpy as np
import pytest
from PIL import Image

from tinyvision import random
from tinyvision.cli import main
from tinyvision.data import Dataset, Streets
from tinyvision.tasks.detection import StreetBoxes
from tinyvision.tasks.detection import room as detection_room
from tinyvision.tasks.endless import Endless, drawn_parts
from tinyvision.tasks.segmentation import StreetMasks
from tinyvision.tasks.segmentation import room as segmentation_room


class Numbers(Dataset):
    """Item number i is i."""

    classes = ("number",)

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return self._index(index)


def test_no_two_epochs_are_alike_and_what_judges_is_never_drawn():
    train, val = drawn_parts(Numbers, 200, 0.1)
    assert [val[i] for i in range(len(val))] == list(range(20))
    assert (len(train), train.classes) == (180, ["number"])
    with random.use(random.stream(5)):
        one, other = ([train[i] for i in range(180)] for _ in range(2))
    assert len({*one, *other}) > 350
    assert min(one + other) >= 20
    assert max(one + other) > 900_000  # from all of them
    few = Endless(Numbers(25), 300, 20)
    assert {few[i] for i in range(300)} == {20, 21, 22, 23, 24}
    with pytest.raises(IndexError):
        train[180]


@pytest.mark.parametrize(("share", "held"), [(0, 0), (0.001, 1), (0.5, 5), (0.99, 9)])
def test_a_share_is_held_back(share, held):
    train, val = drawn_parts(Numbers, 10, share)
    assert (len(train), 0 if val is None else len(val)) == (10 - held, held)


def test_a_street_with_boxes_is_the_one_with_masks():
    scene = Streets(5, 64).scene(3)
    image, target = StreetBoxes(5, 64)[3]
    same, mask = StreetMasks(5, 64)[3]
    assert np.array_equal(image, scene.image)
    assert np.array_equal(same, scene.image)
    assert np.array_equal(target["boxes"], scene.boxes)
    assert np.array_equal(target["labels"], scene.labels)
    assert np.array_equal(mask, scene.areas)


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_a_street_from_data_to_picture(task, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tinyvision.train.loop._Training.draw", lambda self: None)
    for module in (detection_room, segmentation_room):
        few = {name: (kind, 16) for name, (kind, _) in module._DRAWN.items()}
        monkeypatch.setattr(module, "_DRAWN", few)
    monkeypatch.setattr(detection_room, "_TESTED", 6)
    options = ["train", "--task", task, "--data", "street", "--image-size", "48", "--batch-size", "4", "--quiet"]
    options += ["--threads", "1"]
    assert main([*options, "--epochs", "2", "--run", "whole", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["test_images"] == {"detection": 6, "segmentation": 4}[task]
    report = (tmp_path / "whole/report.html").read_text()
    assert "<img" in report
    assert ('<p class="key">' in report) == (task == "segmentation")  # boxes bear the names of their classes
    assert main([*options, "--epochs", "1", "--schedule", "constant", "--run", "parts"]) == 0
    assert main(["train", "--resume", "parts", "--epochs", "2", "--quiet", "--threads", "1"]) == 0
    assert main([*options, "--epochs", "2", "--schedule", "constant", "--run", "once"]) == 0
    once, parts = ((tmp_path / run / "last.safetensors").read_bytes() for run in ("once", "parts"))
    assert once == parts
    Image.fromarray(Streets(1, 60, train=False).scene(0).image).save("street.png")
    assert main(["predict", "street.png", "--model", "whole", "--save", "drawn", "--csv", "found.csv"]) == 0
    drawn = np.array(Image.open("drawn/street.png"))
    if task == "detection":  # boxes have words beside them, which are to be read
        assert drawn.shape == (480, 480, 3)
    else:  # the key to the colours stands below the picture
        assert drawn.shape[0] > 60
        assert drawn.shape[1] >= 60
    assert (tmp_path / "found.csv").read_text().startswith("file,class,")


def test_to_move_what_is_drawn_anew_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for data in ("shapes", "street", "digits-on-photographs"):
        assert main(["train", "--task", "detection", "--data", data, "--augment", "on", "--quiet"]) == 2
        assert f"--augment: {data} are drawn anew in every epoch" in capsys.readouterr().err
