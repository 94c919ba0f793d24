"""From (picture, boxes) to what the network gets: pictures of one size, their boxes moved along with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...data import Dataset
from ...data.transforms.base import generator_for
from ...train.inspection import classes_of
from ...train.preprocessing import Preprocessing
from ..pictures import as_input, resized

_GREY = 114  # around a picture that is not as wide as high


class Samples(Dataset):
    """A dataset of (picture, boxes) as (float32 (3, S, S), {"boxes", "labels"}), in pixels of the new size.

    Not augmented, a target says too what its things are in pixels of the picture itself: their "areas" (M,), how many
    pixels of the new size "one_pixel" has become, and how wide and high all of it is there, its "extent" (2,).

    Pictures keep their proportions; what is missing to a square is grey. With `augment`, they are made up to a quarter
    larger or smaller and moved at random, their brightness is changed, and with `flips` they are mirrored; boxes of
    which less than a third remains are left out."""

    def __init__(self, dataset: Any, preprocessing: Preprocessing, augment: bool = False, flips: bool = False) -> None:
        self.dataset, self.preprocessing, self.augment, self.flips = dataset, preprocessing, augment, flips
        self.classes, self.made_from = classes_of(dataset), dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        image, target = self.dataset[self._index(index)]
        boxes, labels = target["boxes"].astype(np.float64), target["labels"]
        if not self.augment:
            square, scale, shift = letterboxed(image, self.preprocessing.size)
            moved = (boxes * scale + np.tile(shift, 2)).astype(np.float32)
            areas = target.get("areas", (boxes[:, 2:] - boxes[:, :2]).prod(1))
            sizes = {"areas": areas, "one_pixel": scale[:2].prod(), "extent": scale[:2] * image.shape[1::-1]}
            return as_input(square, self.preprocessing), {"boxes": moved, "labels": labels, **sizes}
        rng = generator_for(None)
        if self.flips and rng.random() < 0.5:
            image, width = image[:, ::-1], image.shape[1]
            boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
        place = rng.uniform(0, 1, 2)
        square, scale, shift = letterboxed(image, self.preprocessing.size, rng.uniform(0.8, 1.25), place)
        boxes, labels = _within(boxes * scale + np.tile(shift, 2), labels, self.preprocessing.size)
        x = as_input(square, self.preprocessing)
        x = x * np.float32(rng.uniform(0.8, 1.25)) + np.float32(rng.uniform(-0.2, 0.2))
        return x, {"boxes": boxes.astype(np.float32), "labels": labels}


def letterboxed(
    image: np.ndarray, size: tuple[int, int], zoom: float = 1.0, place: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture (H, W, 3) scaled to fit into (height, width), times `zoom`  ->  (that, scale (4,) and shift (2,), with
    which a box becomes box · scale + (shift, shift)).

    place says where what is left over goes, or what is too much is cut, as shares in (x, y); by default nothing moves
    and what is left over is to the right and below."""
    height, width = size
    H, W = image.shape[:2]
    factor = min(height / H, width / W) * zoom
    h, w = max(round(H * factor), 1), max(round(W * factor), 1)
    scaled = resized(image, (h, w))
    px, py = (0.0, 0.0) if place is None else place
    left, top = round((width - w) * float(px)), round((height - h) * float(py))
    square = np.full((height, width, 3), _GREY, np.uint8)
    square[max(top, 0) : top + h, max(left, 0) : left + w] = scaled[
        max(-top, 0) : height - top, max(-left, 0) : width - left
    ][: height - max(top, 0), : width - max(left, 0)]
    return square, np.array([w / W, h / H, w / W, h / H]), np.array([left, top], np.float64)


def _within(boxes: np.ndarray, labels: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes cut to the picture, without those of which less than a third is left."""
    height, width = size
    cut = np.clip(boxes, 0, [width, height, width, height])
    left, before = ((b[:, 2:] - b[:, :2]).prod(1) for b in (cut, boxes))
    kept = (left >= before / 3) & (cut[:, 2:] - cut[:, :2] >= 1).all(1)
    return cut[kept], labels[kept]
