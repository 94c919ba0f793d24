"""A run that goes on knows whether files, and what is said of them, are those that it was begun with."""

import numpy as np
import pytest
from PIL import Image
from test_mutants import KINDS

from tinyvision.data import Dataset, Subset
from tinyvision.tasks.detection.samples import Samples as BoxSamples
from tinyvision.tasks.segmentation.samples import Samples as MaskSamples
from tinyvision.train.inspection import items_notes
from tinyvision.train.preprocessing import Preprocessing

PLAIN = Preprocessing(3, (16, 16), (0.5,) * 3, (0.25,) * 3)
# What is changed in the file of this kind, and what it becomes.
CHANGES = {
    "COCO boxes": ('"bbox": [1, 1, 3, 2]', '"bbox": [1, 1, 3, 3]'),
    "COCO masks": ('"bbox": [1, 1, 3, 2]', '"bbox": [1, 1, 3, 3]'),
    "VOC": ("<xmin>1<", "<xmin>2<"),
    "YOLO": ("1 0.2 0.3", "0 0.2 0.3"),
    "masks' classes": ("cat", "dog"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_items_are_known_by_their_names_and_boxes(kind, tmp_path):
    name, whole, read = KINDS[kind]
    root = tmp_path / "here"
    for folder in ("images", "annotations", "labels", "masks"):
        (root / folder).mkdir(parents=True)
    for folder in ("images", "masks"):
        Image.new("RGB", (6, 5), "red").save(root / folder / "a.png")
    (root / "classes.txt").write_text("cat\ndog\n")
    (root / name).write_text(whole)
    samples = MaskSamples if kind in ("COCO masks", "masks' classes") else BoxSamples
    options = (True, True) if samples is MaskSamples else ()

    def notes():
        return items_notes(samples(Subset(read(root), [0]), PLAIN, *options))

    before = notes()
    assert before
    root = root.rename(tmp_path / "there")
    assert notes() == before
    if kind != "masks' classes":  # where the picture's name is all that there is
        (root / name).write_text(whole.replace(*CHANGES[kind]))
        assert notes() != before
        return
    for folder in ("images", "masks"):
        (root / folder / "a.png").rename(root / folder / "b.png")
    assert notes() != before


class Repeated(Dataset):
    """Items that come several times an epoch, with labels that may be of something else."""

    def __init__(self, labels, items, times=1):
        self.labels, self.items, self.times_an_epoch = np.array(labels), items, times

    def __len__(self):
        return self.items * self.times_an_epoch

    def __getitem__(self, index):
        return np.zeros(1, np.float32), 0


def test_labels_count_where_there_is_one_for_each_item():
    once, often = items_notes(Repeated([1, 2, 3], 3)), items_notes(Repeated([1, 2, 3], 3, times=4))
    assert once == often != items_notes(Repeated([1, 3, 2], 3))
    assert items_notes(Repeated([1, 2], 3)) == items_notes(Repeated([1, 2, 3, 4], 3)) == {}
