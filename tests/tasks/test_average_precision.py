"""COCO's average precision beside pycocotools, to the last digits."""

import contextlib
import io

import numpy as np
import pytest

from tinyvision.errors import ShapeError
from tinyvision.tasks.detection import Boxes, average_precision

coco = pytest.importorskip("pycocotools.coco", reason="the oracle, pycocotools, is not installed")
from pycocotools.cocoeval import COCOeval  # noqa: E402


def pictures(seed, count=12, classes=3):
    """Things of all sizes, some of them crowds; detections near them, twice or not at all, of a wrong class, and of
    nothing; some scores equal."""
    rng, found, true = np.random.default_rng(seed), [], []
    for _ in range(count):
        n = int(rng.integers(0, 8))
        corner = rng.uniform(0, 150, (n, 2))
        boxes, labels = np.concatenate([corner, corner + rng.uniform(5, 130, (n, 2))], 1), rng.integers(0, classes, n)
        true.append(Boxes(boxes, labels, crowd=rng.random(n) < 0.15))
        near = np.repeat(np.arange(n), rng.integers(0, 3, n))
        wrong = rng.uniform(0, 150, (3, 2))
        guesses = np.concatenate([boxes[near] + rng.normal(0, 4, (len(near), 4)),
                                  np.concatenate([wrong, wrong + rng.uniform(5, 100, (3, 2))], 1)])  # fmt: skip
        guesses[:, 2:] = np.maximum(guesses[:, 2:], guesses[:, :2] + 1)
        names = np.concatenate([labels[near], rng.integers(0, classes, 3)])
        names = np.where(rng.random(len(names)) < 0.2, rng.integers(0, classes, len(names)), names)
        found.append(Boxes(guesses, names, rng.integers(1, 40, len(names)) / 40))
    return found, true


def theirs(found, true, classes):
    def entries(parts):
        for image, one in enumerate(parts):
            for (x1, y1, x2, y2), label, score, crowd in zip(one.boxes, one.labels, one.scores, one.crowd, strict=True):
                yield {"image_id": image, "category_id": int(label), "bbox": [x1, y1, x2 - x1, y2 - y1],
                       "area": (x2 - x1) * (y2 - y1), "iscrowd": int(crowd), "score": float(score)}  # fmt: skip

    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {
            "images": [{"id": i} for i in range(len(true))],
            "annotations": [{**entry, "id": i} for i, entry in enumerate(entries(true), 1)],
            "categories": [{"id": i} for i in range(classes)],
        }
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(list(entries(found))), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge


@pytest.mark.parametrize("seed", range(5))
def test_all_figures_are_pycocotools(seed):
    found, true = pictures(seed)
    ours, judge = average_precision(found, true, 3), theirs(found, true, 3)
    figures = [ours.ap, ours.ap50, ours.ap75, *ours.by_area.values()]
    assert [-1 if np.isnan(f) else f for f in figures] == pytest.approx(judge.stats[:6], abs=1e-12)
    each = judge.eval["precision"][:, :, :, 0, 2].mean((0, 1))
    assert ours.by_class == pytest.approx(each, abs=1e-12)


def test_corners_of_the_definition():
    box = np.array([[10.0, 10, 50, 60]])
    thing = Boxes(box, [0])
    assert average_precision([thing], [thing], 1).ap == 1.0
    assert np.isnan(average_precision([thing], [thing], 1).by_area["large"])
    nothing = Boxes(np.zeros((0, 4)), np.zeros(0, int))
    assert average_precision([nothing], [thing], 1).ap == 0.0
    assert np.isnan(average_precision([thing], [nothing], 1).ap)
    twice = Boxes(np.concatenate([box, box]), [0, 0], np.array([0.9, 0.8]))
    assert average_precision([twice], [thing], 1).ap == 1.0  # the second comes after all is found
    before = Boxes(np.concatenate([box + 100, box]), [0, 0], np.array([0.9, 0.8]))
    assert average_precision([before], [thing], 1).ap == 0.5
    with pytest.raises(ShapeError, match="1 pictures with detections, 0 with truth"):
        average_precision([thing], [], 1)
    with pytest.raises(ShapeError, match="1 boxes, 2 labels"):
        Boxes(box, [0, 1])
