"""No damage to the files that say what is on pictures does more than a DataError of one message.

TINYVISION_FUZZ=20000 tries so many of each kind; the suite tries fewer.
"""

import json
import os
import time

import numpy as np
import pytest
from PIL import Image

from tests.formats.hostile_data import mutate
from tinyvision.errors import DataError
from tinyvision.tasks.detection.datasets import CocoBoxes, VocBoxes, YoloBoxes
from tinyvision.tasks.segmentation.datasets import CocoMasks, MaskFolder

MUTANTS = int(os.environ.get("TINYVISION_FUZZ", "200"))

COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 6, "height": 5}],
    "categories": [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 1, 3, 2], "segmentation": [[1, 1, 4, 1, 4, 3]],
         "iscrowd": 0, "area": 3.0},
        {"id": 2, "image_id": 1, "category_id": 7, "bbox": [0, 0, 2, 2], "iscrowd": 1, "area": 4,
         "segmentation": {"size": [5, 6], "counts": [3, 5, 22]}},
    ],
}  # fmt: skip
VOC = """<annotation><filename>a.png</filename><size><width>6</width><height>5</height><depth>3</depth></size>
<object><name>cat</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>3</ymax></bndbox>
</object></annotation>"""

# What is damaged, in whole, and what reads the folder then.
KINDS = {
    "COCO boxes": ("annotations.json", json.dumps(COCO), lambda root: CocoBoxes(root / "annotations.json")),
    "COCO masks": ("annotations.json", json.dumps(COCO), lambda root: CocoMasks(root / "annotations.json")),
    "COCO masks, packed": (
        "annotations.json",
        json.dumps(COCO).replace("[3, 5, 22]", '"35f0"'),
        lambda root: CocoMasks(root / "annotations.json"),
    ),
    "VOC": ("annotations/a.xml", VOC, VocBoxes),
    "YOLO": ("labels/a.txt", "0 0.5 0.5 0.25 0.5\n1 0.2 0.3 0.1 0.1\n", YoloBoxes),
    "YOLO's classes": ("classes.txt", "cat\ndog\n", YoloBoxes),
    "YOLO's data.yaml, lines": ("data.yaml", "train: a\nnames:\n  0: cat  # one\n  1: 'big dog'\nnc: 2\n", YoloBoxes),
    "YOLO's data.yaml, brackets": ("data.yaml", 'names: [cat,\n  "big dog"]  # two\nnc: 2\n', YoloBoxes),
    "YOLO's polygons": ("labels/a.txt", "0 0.25 0.5 0.75 0.25 0.5 1\n1 0.1 0.1 0.9 0.2 0.5 0.8 0.2 0.6\n", YoloBoxes),
    "masks' classes": ("classes.txt", "background #000000\ncat #ff0000\n", MaskFolder),
}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_read_or_refused(kind, tmp_path):
    name, whole, read = KINDS[kind]
    for folder in ("images", "annotations", "labels", "masks"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (6, 5), "white").save(tmp_path / "images/a.png")
    Image.new("RGB", (6, 5), "red").save(tmp_path / "masks/a.png")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "labels/a.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    if name == "data.yaml":
        (tmp_path / "classes.txt").unlink()  # it would be read in its place
    (tmp_path / name).write_text(whole)
    assert len(list(read(tmp_path))) == 1
    rng, refused = np.random.default_rng(sum(kind.encode())), 0
    for number in range(MUTANTS):
        data = mutate(whole.encode(), rng)
        (tmp_path / name).write_bytes(data)
        begun, message = time.process_time(), ""
        try:
            dataset = read(tmp_path)
            for index in range(len(dataset)):
                dataset[index]
        except DataError as error:
            refused, message = refused + 1, str(error)
        except Exception as error:
            raise AssertionError(f"mutant {number}: {data!r}") from error
        assert message.replace("\n", "").isprintable(), (number, data, message)
        assert len(message) < 1000, (number, data)
        assert time.process_time() - begun < 5, (number, data)
    assert MUTANTS // 50 < refused < MUTANTS
