"""Annotations as other programs write and lay them out: names in data.yaml, polygons, folders."""

import json

import pytest
from test_detection import picture, yolo

from tinyvision.errors import DataError
from tinyvision.tasks.detection import CocoBoxes, YoloBoxes
from tinyvision.tasks.detection.room import ROOM

THING = (
    "<object><name>dog</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>10</xmax><ymax>20</ymax></bndbox>"
    "<part><name>head</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6</ymax></bndbox></part></object>"
)


def test_a_polygon_of_yolo_becomes_the_box_around_it(tmp_path):
    dataset = YoloBoxes(yolo(tmp_path, ("1 0.25 0.5 0.75 0.25 0.5 1", "0 0.5 0.5 0.5 0.5")))
    assert dataset[0][1]["boxes"].tolist() == [[16, 12, 48, 48], [16, 12, 48, 36]]
    with pytest.raises(DataError, match="line 1: width and height must be above 0"):
        YoloBoxes(yolo(tmp_path, ("1 0.5 0.5 0.5 0.6 0.5 0.7",)))


@pytest.mark.parametrize(
    "text",
    [
        "train: ../train/images\nnc: 2\nnames: ['dog', 'big cat']\nroboflow:\n  license: MIT\n",
        "names:\n  0: dog  # the first\n  1: big cat\n\nnc: 2\n",
        "path: .\nnames:\n- dog\n# and\n- 'big cat'\ntrain: a\n",
        'names: {0: dog, 1: "big cat"}',
        "names: [dog,\n  big cat,\n]  # two\n",
    ],
)
def test_names_of_classes_in_data_yaml(tmp_path, text):
    """As Ultralytics, Roboflow and others write them; in parts, the file lies beside their folders."""
    root = yolo(tmp_path / "train", ("1 0.5 0.5 0.5 0.5",))
    (root / "classes.txt").unlink()
    (tmp_path / "data.yaml").write_text(text)
    assert YoloBoxes(root).classes == ["dog", "big cat"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names:\n  1: dog\n  0: cat\n", r"data\.yaml, line 2: class 1, where 0 comes next"),
        ("names: &a [dog]\n", r"line 1: of YAML, only a plain list of names .*; write the names into classes\.txt"),
        ("names: [dog, [cat]]\n", "line 1: of YAML"),
        ("names:\n  - dog: cat\n", "line 2: of YAML"),
        ("names:\n  - dog\n  - {a: b}\n", "line 3: of YAML"),
        ("names: [dog\n", "line 1: of YAML"),
        ("names:\n  0: dog\n  - cat\n", "line 3: of YAML"),
        ("nc: 3\n", "has no entry `names`"),
        ("names: []\n", "needs names that differ"),
        ("names: [dog, dog]\n", "needs names that differ"),
    ],
)
def test_names_that_are_told_otherwise_are_refused(tmp_path, text, message):
    root = yolo(tmp_path)
    (root / "classes.txt").unlink()
    (root / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=message):
        YoloBoxes(root)


def test_folders_as_other_tools_lay_them_out(tmp_path):
    """Roboflow says valid/, and puts annotations beside the pictures; Ultralytics has images/train."""
    for part in ("train", "valid"):
        picture(tmp_path / f"u/images/{part}/a.png")
        (tmp_path / f"u/labels/{part}").mkdir(parents=True)
        (tmp_path / f"u/labels/{part}/a.txt").write_text("0 0.5 0.5 0.5 0.5")
        picture(tmp_path / f"v/{part}/a.png")
        (tmp_path / f"v/{part}/a.xml").write_text(
            "<annotation><filename>a.png</filename><size><width>64</width><height>48</height></size>"
            f"{THING}</annotation>"
        )
        picture(tmp_path / f"c/{part}/a.png")
        content = {
            "images": [{"id": 0, "file_name": "a.png", "width": 64, "height": 48}],
            "annotations": [{"id": 0, "image_id": 0, "category_id": 0, "bbox": [1, 2, 3, 4]}],
            "categories": [{"id": 0, "name": "dog", "supercategory": "none"}],
        }
        (tmp_path / f"c/{part}/_annotations.coco.json").write_text(json.dumps(content))
    (tmp_path / "u/data.yaml").write_text("names: [dog]")
    for data, root in (("yolo", "u"), ("voc", "v"), ("coco", "c")):
        train, val, test = ROOM._parts({"name": data}, str(tmp_path / root), 96, 10**8)
        assert len(train) == len(val) == 1
        assert test is None
        assert train.classes == val.classes == ["dog"]
        assert len(train[0][1]["labels"]) == 1
    (tmp_path / "c/annotations").mkdir()
    (tmp_path / "c/annotations/instances_default.json").write_text(json.dumps(content))
    picture(tmp_path / "c/images/a.png")
    assert len(CocoBoxes(tmp_path / "c")[0][1]["labels"]) == 1
    (tmp_path / "v/val").mkdir()
    with pytest.raises(DataError, match="has val/ and valid/; keep one"):
        ROOM._parts({"name": "voc"}, str(tmp_path / "v"), 96, 10**8)
