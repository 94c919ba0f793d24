"""COCO's average precision: how many things are found, and how many that are none, over all thresholds at once.

For each class, and for each overlap that is asked for (IoU 0.50, 0.55, ... 0.95), detections of all pictures are taken
from the surest on. Each is right if it overlaps enough with a thing that no surer one has taken. Precision over recall
is made falling from right to left, read off at recall 0, 0.01, ... 1, and averaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ...errors import ShapeError

OVERLAPS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
MOST = 100  # detections of a class that count in a picture


@dataclass
class Boxes:
    """The boxes of one picture.

    boxes   (M, 4) as (x1, y1, x2, y2);  labels  (M,) from 0;  scores  (M,), of true ones ones
    crowd   (M,) true boxes that mark a crowd: finding them, any number of times, is neither right nor wrong
    areas   (M,) by which things are small, medium or large; by default of the boxes"""

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0))
    crowd: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    areas: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        self.boxes = np.asarray(self.boxes, np.float64).reshape(-1, 4)
        self.labels, count = np.asarray(self.labels, np.int64), len(self.boxes)
        if not len(self.scores):
            self.scores = np.ones(count)
        if not len(self.crowd):
            self.crowd = np.zeros(count, bool)
        if not len(self.areas):
            self.areas = (self.boxes[:, 2:] - self.boxes[:, :2]).prod(1)
        if not len(self.labels) == len(self.scores) == len(self.crowd) == len(self.areas) == count:
            raise ShapeError(
                f"Boxes: {count} boxes, {len(self.labels)} labels, {len(self.scores)} scores, {len(self.areas)} areas"
            )

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True)
class AveragePrecision:
    """The figures that COCO reports; nan where there is no thing to find.

    ap        the mean over classes and overlaps;  ap50, ap75   at one overlap
    by_area   {"small", "medium", "large"}: things with areas of less than 32², of up to 96², of more pixels
    by_class  (K,) of each class"""

    ap: float
    ap50: float
    ap75: float
    by_area: dict[str, float]
    by_class: np.ndarray


def average_precision(found: Sequence[Boxes], true: Sequence[Boxes], classes: int) -> AveragePrecision:
    """Detections and truth of the same pictures, in the same order  ->  AveragePrecision. Raises ShapeError."""
    if len(found) != len(true):
        raise ShapeError(f"average_precision: {len(found)} pictures with detections, {len(true)} with truth")
    table = {
        name: np.stack([_of_class(found, true, label, area) for label in range(classes)])
        for name, area in AREAS.items()
    }
    every = table["all"]  # (K, overlaps)
    return AveragePrecision(
        _mean(every),
        _mean(every[:, 0]),
        _mean(every[:, 5]),
        {name: _mean(table[name]) for name in ("small", "medium", "large")},
        np.array([_mean(row) for row in every]),
    )


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _of_class(found, true, label, area):
    """Average precision of one class at every overlap, (overlaps,); nan if there is nothing to find."""
    scores, right, passed, things = [], [], [], 0
    for detections, truth in zip(found, true, strict=True):
        own = np.flatnonzero(detections.labels == label)
        own = own[np.argsort(-detections.scores[own], kind="stable")][:MOST]
        there = np.flatnonzero(truth.labels == label)
        outside = [(one.areas < area[0]) | (one.areas > area[1]) for one in (detections, truth)]
        aside = truth.crowd | outside[1]
        matched, ignored, counted = _matched(
            detections.boxes[own], outside[0][own], truth.boxes[there], truth.crowd[there], aside[there]
        )
        things += counted
        scores.append(detections.scores[own])
        right.append(matched)
        passed.append(ignored)
    if not things:
        return np.full(len(OVERLAPS), np.nan)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    right, passed = np.concatenate(right, axis=1)[:, order], np.concatenate(passed, axis=1)[:, order]
    return np.array([_area_under(r[~p], things) for r, p in zip(right, passed, strict=True)])


def _matched(boxes, outside, truth, crowd, aside):
    """(whether each detection is right (overlaps, D), whether it is passed over (overlaps, D), how many things count).

    Things that stand `aside`, which are outside of the area asked for or crowds, are there but do not count: what is
    matched with them is passed over, as is an unmatched detection whose own area is `outside`."""
    order = np.argsort(aside, kind="stable")  # those that count are tried first
    truth, crowd, aside = truth[order], crowd[order], aside[order]
    iou = _iou(boxes, truth, crowd)
    right, passed = (np.zeros((len(OVERLAPS), len(boxes)), bool) for _ in range(2))
    for t, overlap in enumerate(OVERLAPS):
        taken = np.zeros(len(truth), bool)
        for d in range(len(boxes)):
            best, chosen = min(overlap, 1 - 1e-10), -1
            for g in range(len(truth)):
                if taken[g] and not crowd[g]:
                    continue
                if chosen >= 0 and not aside[chosen] and aside[g]:
                    break
                if iou[d, g] >= best:
                    best, chosen = iou[d, g], g
            if chosen < 0:
                passed[t, d] = outside[d]
                continue
            taken[chosen] = True
            right[t, d], passed[t, d] = not aside[chosen], aside[chosen]
    return right, passed, int((~aside).sum())


def _iou(boxes, truth, crowd):
    """(D, G); with a crowd, the share of the detection that lies in it."""
    corners = [np.minimum(boxes[:, None, 2:], truth[None, :, 2:]), np.maximum(boxes[:, None, :2], truth[None, :, :2])]
    both = np.maximum(corners[0] - corners[1], 0).prod(2)
    one, other = (boxes[:, 2:] - boxes[:, :2]).prod(1)[:, None], (truth[:, 2:] - truth[:, :2]).prod(1)[None]
    return both / np.maximum(np.where(crowd[None], one, one + other - both), 1e-12)


def _area_under(right, things):
    """The mean precision at 101 recalls, of detections in order."""
    hits = np.cumsum(right)
    recall, precision = hits / things, hits / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS, side="left")
    return np.append(precision, 0.0)[np.minimum(places, len(precision))].mean()
