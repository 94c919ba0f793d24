"""From (picture, mask) to what the network gets: crops, turned and mirrored, to train on, whole pictures to judge.

Picture and mask go through everything together; pixels that come from nowhere have the mask 255, "not said".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...data import Dataset
from ...data.transforms.base import generator_for
from ...errors import ShapeError
from ...train.inspection import classes_of
from ...train.preprocessing import Preprocessing
from ..masks import VOID
from ..pictures import as_input, scaled_down


class Samples(Dataset):
    """A dataset of (picture, mask) as (float32 (C, h, w), int64 (h, w)).

    crop       crops of preprocessing.size from random places, `times` of each picture in an epoch, which is kept as
               `times_an_epoch`; otherwise whole pictures, at most LONGEST pixels long
    augment    whether crops are mirrored and turned by quarters at random, and their brightness is changed
    turns      whether a picture that stands on its head is still one of its kind, as under a microscope"""

    def __init__(
        self,
        dataset: Any,
        preprocessing: Preprocessing,
        crop: bool = False,
        augment: bool = False,
        turns: bool = False,
        times: int = 1,
    ) -> None:
        self.dataset, self.preprocessing, self.crop, self.augment = dataset, preprocessing, crop, augment
        self.turns, self.times_an_epoch = turns, times
        self.classes, self.made_from = classes_of(dataset), dataset

    def __len__(self) -> int:
        return len(self.dataset) * self.times_an_epoch

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, mask = self.dataset[self._index(index) % len(self.dataset)]
        if mask.shape != image.shape[:2]:
            raise ShapeError(f"item {index}: the mask is {mask.shape} and its picture {image.shape[:2]}")
        image, mask = scaled_down(image), scaled_down(mask, nearest=True)
        if not self.crop:
            return as_input(image, self.preprocessing), mask
        rng = generator_for(None)
        image, mask = _cut(image, mask, self.preprocessing.size, rng)
        if self.augment:
            image, mask = _turned(image, mask, self.turns, rng)
        x = as_input(image, self.preprocessing)
        if self.augment:
            x = x * np.float32(rng.uniform(0.8, 1.25)) + np.float32(rng.uniform(-0.2, 0.2))
        return x, np.ascontiguousarray(mask)


def _cut(image, mask, size, rng):
    """A crop of (height, width) from a random place; a smaller picture is continued by its edge, and nothing is said
    of what that adds."""
    H, W = mask.shape
    h, w = size
    below, right = max(h - H, 0), max(w - W, 0)
    if below or right:
        image = np.pad(image, ((0, below), (0, right), (0, 0)), mode="edge")
        mask = np.pad(mask, ((0, below), (0, right)), constant_values=VOID)
    y, x = int(rng.integers(0, mask.shape[0] - h + 1)), int(rng.integers(0, mask.shape[1] - w + 1))
    return image[y : y + h, x : x + w], mask[y : y + h, x : x + w]


def _turned(image, mask, turns, rng):
    if turns and image.shape[0] == image.shape[1]:
        quarters = int(rng.integers(4))
        image, mask = np.rot90(image, quarters), np.rot90(mask, quarters)
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return image, mask
