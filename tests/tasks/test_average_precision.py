"""COCO's average precision beside pycocotools, to the last digits."""

import contextlib
import io

import numpy as np
import pytest

import tinyvision as tv
from tinyvision.errors import ShapeError
from tinyvision.tasks.detection import Boxes, Detection, Samples, average_precision, decode
from tinyvision.train.preprocessing import Preprocessing

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
            for (x1, y1, x2, y2), label, score, crowd, area in zip(
                one.boxes, one.labels, one.scores, one.crowd, one.areas, strict=True
            ):
                yield {"image_id": image, "category_id": int(label), "bbox": [x1, y1, x2 - x1, y2 - y1],
                       "area": area, "iscrowd": int(crowd), "score": float(score)}  # fmt: skip

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


def test_sizes_are_those_in_the_picture_and_of_the_outline_where_the_file_says_so():
    """A picture becomes smaller on its way into the network, and a thing of 60² pixels is medium all the same; what is
    found reaches no further than the picture, as where it is used: into the grey beside it, it would overlap less."""
    rng, sizes = np.random.default_rng(0), [(480, 640), (200, 150), (1200, 900), (64, 64)] * 3
    pictures = []
    for height, width in sizes:
        corner = rng.uniform(0, (width / 2, height / 2), (5, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(8, (width / 2, height / 2), (5, 2))], 1).astype(np.float32)
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) * rng.uniform(0.3, 1, 5)
        item = {"boxes": boxes, "labels": rng.integers(0, 2, 5), "areas": areas}
        pictures.append((np.zeros((height, width, 3), np.uint8), item))
    task, samples = Detection(["a", "b"]), Samples(pictures, Preprocessing(3, (64, 64), (0.5,) * 3, (0.5,) * 3))
    x, y = task.collate([samples[n] for n in range(len(samples))])
    outputs = tv.tensor(rng.normal(size=(len(sizes), 6, 16, 16)))
    outputs[:, 2:] = np.log(rng.uniform(0.5, 5, (len(sizes), 4, 16, 16)))
    task.check(outputs, x, y, None, "test part")
    judge = task.judge()
    judge.add(outputs, y)
    ours = judge.judgement(lambda parts: parts[0]).precision
    found = []
    for one, (height, width) in zip(decode(outputs, (64, 64)), sizes, strict=True):
        h, w = (round(side * 64 / max(height, width)) for side in (height, width))
        boxes = np.clip(one.boxes / np.tile([w / width, h / height], 2), 0, np.tile([width, height], 2))
        seen = (boxes[:, 2:] > boxes[:, :2]).all(1)  # not in the grey beside the picture
        found.append(Boxes(boxes[seen], one.labels[seen], one.scores[seen]))
    assert sum(map(len, found)) < sum(map(len, decode(outputs, (64, 64))))
    true = [Boxes(t["boxes"], t["labels"], areas=t["areas"]) for _, t in pictures]
    stats = theirs(found, true, 2).stats
    assert (stats[3:6] > 0).all()
    assert [ours.ap, ours.ap50, ours.ap75, *ours.by_area.values()] == pytest.approx(stats[:6], abs=1e-6)


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
