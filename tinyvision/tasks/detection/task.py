"""Detection: boxes around things. What is learned at which square, the loss, and how outputs become boxes again.

Boxes are (x1, y1, x2, y2) in pixels of the network's input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...boxes import batched_nms
from ...data import default_collate
from ...device import to_numpy
from ...errors import DataError, OptionError, ShapeError
from ...nn import functional
from ...tensors.tensor import Tensor
from ...train.settings import Settings
from ...train.task import Metric, Task
from .average_precision import AveragePrecision, Boxes, average_precision
from .datasets import CROWD

STRIDE = 4
MAP = Metric("map", "mAP")
CENTRES = Metric("centres", "centres found", percent=True)
_NAMES, _SIZES = {"boxes", "labels"}, {"areas", "one_pixel", "extent"}  # what a target must and may have
_LARGEST = 8.0  # e⁸ · 4 pixels: no distance is larger, however large a score is


class Detection(Task):
    """Pictures (N, 3, H, W), and {"boxes" (N, M, 4), "labels" (N, M)} with label -1 where a row is filled up.

    Where pictures were made smaller or larger, {"areas" (N, M), "one_pixel" (N,), "extent" (N, 2)} beside them say of
    what size things were before, and how many pixels one of them has become: by that, things are small, medium or
    large; and how wide and high the picture is, beside which all is grey: boxes found are cut to it before they are
    judged, as they are where they are used.

    classes  their names, from label 0;  box  how much the boxes' loss counts beside the heat's

    Heat: a bump of height 1 around every thing's centre, learned with the focal loss of CenterNet,
        -(1 - p)² log p at the centres, -(1 - t)⁴ p² log(1 - p) elsewhere, t being the bump's height, over the number of
    things (Zhou, Wang, Krähenbühl, 2019). Boxes: 1 - GIoU at the squares around the centres, weighted by the bump.

    Crowds (labels from -2 down) teach nothing and are not asked for. The metric is COCO's mean average precision."""

    name = "detection"
    metric = MAP
    training_metric = CENTRES

    def __init__(self, classes: Sequence[str], box: float = 2.0) -> None:
        if not classes:
            raise OptionError("Detection: there are no classes")
        self.classes, self.box = list(classes), box

    @staticmethod
    def collate(items: list[Any]) -> Any:
        """Pictures, and boxes filled up to the most that one of them has."""
        most = max(1, *(len(target["labels"]) for _, target in items))
        filled: dict[str, np.ndarray] = {
            "boxes": np.zeros((len(items), most, 4), np.float32),
            "labels": np.full((len(items), most), -1, np.int64),
        }
        sized = all(target.keys() >= _SIZES for _, target in items)
        if sized:
            filled["areas"] = np.zeros((len(items), most))
        for row, (_, target) in enumerate(items):
            for name, array in filled.items():
                array[row, : len(target["labels"])] = target[name]
        if sized:
            for name in ("one_pixel", "extent"):
                filled[name] = np.array([target[name] for _, target in items], np.float64)
        return default_collate([x for x, _ in items]), {name: Tensor.of(array) for name, array in filled.items()}

    def evaluation_batch(self, batch_size: int) -> int:
        """As in training."""
        return max(16, batch_size)

    def check(self, outputs: Any, x: Any, y: Any, dataset: Any, name: str) -> None:
        """Compare boxes and labels with the pictures and the classes."""
        if not isinstance(y, dict) or set(y) not in (_NAMES, _NAMES | _SIZES):
            raise DataError(f'{name}: every item must be a pair (image, {{"boxes": (M, 4), "labels": (M,)}})')
        K, (H, W) = len(self.classes), x.shape[2:]
        shape = (len(x), K + 4, -(-H // STRIDE), -(-W // STRIDE))
        if tuple(outputs.shape) != shape:
            raise ShapeError(
                f"{name}: for {tuple(x.shape)} and {K} classes the model must give {shape}, "
                f"it gives {tuple(outputs.shape)}"
            )
        boxes, labels = to_numpy(y["boxes"]), to_numpy(y["labels"])
        if (labels >= K).any():
            raise DataError(f"{name}: a box has label {labels.max()}; there are {K}, from 0 to {K - 1}")
        own = boxes[labels >= 0]
        if (own[:, 2:] <= own[:, :2]).any() or (own < -0.5).any() or (own > np.array([W, H, W, H]) + 0.5).any():
            raise DataError(f"{name}: a box has no area, or reaches out of its picture of {W} x {H} pixels")

    def loss_for(self, settings: Settings) -> Callable[[Any, Any], Any]:
        """Heat and boxes."""
        return self._loss

    def _loss(self, outputs: Any, y: Any) -> Any:
        K = len(self.classes)
        wanted = targets(to_numpy(y["boxes"]), to_numpy(y["labels"]), K, tuple(outputs.shape[2:]))
        heat = Tensor.of(wanted.heat.astype(outputs.dtype)).to(outputs.device)
        scores = outputs[:, :K]
        log_p, log_not = functional.logsigmoid(scores), functional.logsigmoid(-scores)
        p = functional.sigmoid(scores)
        centre = Tensor.of((wanted.heat == 1).astype(outputs.dtype)).to(outputs.device)
        known = Tensor.of(wanted.known.astype(outputs.dtype)).to(outputs.device)
        away = (1 - heat) ** 4 * known
        things = max(wanted.things, 1)
        loss = -(centre * (1 - p) ** 2 * log_p + away * p**2 * log_not).sum() / things
        if not len(wanted.places):
            return loss
        N, _, h, w = outputs.shape
        rows = outputs[:, K:].permute(0, 2, 3, 1).reshape(N * h * w, 4)[Tensor.of(wanted.places).to(outputs.device)]
        middles = Tensor.of(wanted.middles.astype(outputs.dtype)).to(outputs.device)
        guessed = middles + rows.clamp(max=_LARGEST).exp() * _signs(outputs) * STRIDE
        true = Tensor.of(wanted.boxes.astype(outputs.dtype)).to(outputs.device)
        weights = Tensor.of((wanted.weights / wanted.weights.sum()).astype(outputs.dtype)).to(outputs.device)
        return loss + self.box * (functional.box_iou_loss(guessed, true) * weights).sum()

    def score(self, outputs: Any, y: Any) -> float:
        """The share of the things at whose centre their class has the highest score, and at least 0.3.

        It counts once for each image."""
        K = len(self.classes)
        boxes, labels = to_numpy(y["boxes"]), to_numpy(y["labels"])
        n, m = np.nonzero(labels >= 0)
        if not len(n):
            return float(len(labels))
        own, scores = boxes[n, m], to_numpy(outputs)[:, :K]
        rows, columns = _squares(own, scores.shape[2:])
        at = scores[n, :, rows, columns]
        threshold = np.log(0.3 / 0.7)
        right = (at.argmax(1) == labels[n, m]) & (at.max(1) >= threshold)
        return float(right.mean() * len(labels))

    def judge(self) -> _Collecting:
        """Keeps the boxes found, and the true ones."""
        return _Collecting(self)


def _signs(like: Any) -> Any:
    """Left and top are subtracted, right and bottom added."""
    return Tensor.of(np.array([-1, -1, 1, 1], like.dtype)).to(like.device)


@dataclass
class Targets:
    """What a batch is to give.

    heat     (N, K, h, w);  known  (N, 1, h, w), 0 in crowds;  things   how many there are
    places   (P,) squares around centres, as numbers among N·h·w;  middles  (P, 4) their middles as (x, y, x, y)
    boxes    (P, 4) that are wanted there;  weights  (P,)"""

    heat: np.ndarray
    known: np.ndarray
    things: int
    places: np.ndarray
    middles: np.ndarray
    boxes: np.ndarray
    weights: np.ndarray


def targets(boxes: np.ndarray, labels: np.ndarray, classes: int, size: tuple[int, int]) -> Targets:
    """Boxes (N, M, 4) and labels (N, M) on a grid of squares (h, w)  ->  Targets.

    A bump's spread is a twelfth of the box's sides, at least half a square. Where two things claim a square, the
    smaller gets it: the larger has others."""
    N, (h, w) = len(labels), size
    heat, known = np.zeros((N, classes, h, w)), np.ones((N, 1, h, w))
    claimed = np.zeros((N, h, w))
    wanted = np.zeros((N, h, w, 4))
    y, x = np.mgrid[:h, :w]
    things = 0
    for n in range(N):
        sides = boxes[n, :, 2:] - boxes[n, :, :2]
        for m in np.argsort(-sides.prod(1), kind="stable"):
            label, (x1, y1, x2, y2) = labels[n, m], boxes[n, m] / STRIDE
            if label <= CROWD:
                known[n, 0, int(max(y1, 0)) : int(np.ceil(y2)), int(max(x1, 0)) : int(np.ceil(x2))] = 0
            if label < 0:
                continue
            things += 1
            row, column = (int(v[0]) for v in _squares(boxes[n, m][None], size))
            spread_x, spread_y = max((x2 - x1) / 12, 0.5), max((y2 - y1) / 12, 0.5)
            bump = np.exp(-((x - column) ** 2) / (2 * spread_x**2) - (y - row) ** 2 / (2 * spread_y**2))
            heat[n, label] = np.maximum(heat[n, label], bump)
            near = bump > 0.1
            claimed[n][near], wanted[n][near] = bump[near], boxes[n, m]
    found = np.flatnonzero(claimed)
    middles = np.stack(np.broadcast_arrays(x + 0.5, y + 0.5, x + 0.5, y + 0.5), axis=-1) * STRIDE
    middles = np.broadcast_to(middles, (N, h, w, 4)).reshape(-1, 4)[found]
    return Targets(heat, known, things, found, middles, wanted.reshape(-1, 4)[found], claimed.ravel()[found])


def _squares(boxes: np.ndarray, size: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) of the squares that the centres of boxes (P, 4) are in."""
    columns = ((boxes[:, 0] + boxes[:, 2]) / 2 / STRIDE).astype(np.int64)
    rows = ((boxes[:, 1] + boxes[:, 3]) / 2 / STRIDE).astype(np.int64)
    return np.clip(rows, 0, size[0] - 1), np.clip(columns, 0, size[1] - 1)


def decode(
    outputs: Any, size: tuple[int, int], least: float = 0.05, overlap: float = 0.6, most: int = 100
) -> list[Boxes]:
    """What a CentreDetector gives for images of (height, width)  ->  the Boxes in each, best first.

    Squares whose heat is the highest among their neighbours and at least `least` are things; of boxes of one class that
    overlap by more than `overlap`, the best stays; at most `most` are kept."""
    array = to_numpy(outputs)
    K = array.shape[1] - 4
    height, width = size
    found = []
    for scores, distances in zip(array[:, :K], array[:, K:], strict=True):
        padded = np.pad(scores, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
        h, w = scores.shape[1:]
        highest = np.max([padded[:, dy : dy + h, dx : dx + w] for dy in range(3) for dx in range(3)], axis=0)
        with np.errstate(over="ignore"):
            p = 1 / (1 + np.exp(-scores.astype(np.float64)))
        labels, rows, columns = np.nonzero((scores >= highest) & (p >= least))
        heat = p[labels, rows, columns]
        middles = np.stack([columns, rows, columns, rows], axis=1) + 0.5
        reach = np.exp(np.minimum(distances[:, rows, columns].T.astype(np.float64), _LARGEST))
        every = cut(Boxes((middles + reach * [-1, -1, 1, 1]) * STRIDE, labels, heat), width, height)
        kept = batched_nms(every.boxes, every.scores, every.labels, overlap).numpy()[:most]
        found.append(Boxes(every.boxes[kept], every.labels[kept], every.scores[kept]))
    return found


def cut(found: Boxes, width: float, height: float) -> Boxes:
    """Boxes cut to a picture of that size, without those of which nothing is left."""
    boxes = np.clip(found.boxes, 0, [width, height, width, height])
    kept = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return Boxes(boxes[kept], found.labels[kept], found.scores[kept])


@dataclass
class DetectionEvaluation:
    """What a network made of pictures with boxes.

    classes  names;  found, true   Boxes of each picture;  losses  of each batch, and images  in each;  precision"""

    classes: list[str]
    found: list[Boxes]
    true: list[Boxes]
    losses: np.ndarray
    images: np.ndarray
    precision: AveragePrecision = field(init=False)

    def __post_init__(self) -> None:
        self.precision = average_precision(self.found, self.true, len(self.classes))

    @property
    def loss(self) -> float:
        """The mean loss, each batch by its images."""
        return float((self.losses * self.images).sum() / self.images.sum())

    @property
    def score(self) -> float:
        """COCO's mean average precision; 0 where there is nothing to find."""
        return float(np.nan_to_num(self.precision.ap))


class _Collecting:
    def __init__(self, task: Detection) -> None:
        self.task = task
        self.found: list[Boxes] = []
        self.true: list[Boxes] = []
        self.losses: list[float] = []
        self.images: list[int] = []

    def add(self, outputs: Any, y: Any) -> None:
        """The boxes of a batch."""
        boxes, labels = to_numpy(y["boxes"]), to_numpy(y["labels"])
        size = (outputs.shape[2] * STRIDE, outputs.shape[3] * STRIDE)
        found = decode(outputs, size)
        sizes = [to_numpy(y[name]) for name in ("areas", "one_pixel", "extent")] if "areas" in y else None
        for n, names in enumerate(labels):
            there = names != -1
            crowd = names[there] <= CROWD
            names = np.where(crowd, CROWD - names[there], names[there])
            self.true.append(Boxes(boxes[n, there], names, crowd=crowd))
            if sizes is not None:
                found[n] = cut(found[n], *sizes[2][n])
                self.true[-1].areas, found[n].areas = sizes[0][n, there], found[n].areas / sizes[1][n]
        self.found += found
        self.losses.append(self.task._loss(outputs, y).item())
        self.images.append(len(labels))

    def judgement(self, together: Callable[[list[np.ndarray]], np.ndarray]) -> DetectionEvaluation:
        """All of them."""
        return DetectionEvaluation(
            self.task.classes, self.found, self.true, np.array(self.losses), np.array(self.images)
        )
