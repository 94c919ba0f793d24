"""From (picture, mask) to what the network gets: crops, turned and mirrored, to train on, whole pictures to judge.

Picture and mask go through everything together; pixels that come from nowhere have the mask 255, "not said".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...data import Dataset
from ...data.transforms.base import generator_for
from ...errors import ShapeError
from ...train.preprocessing import Channels, Preprocessing
from ..masks import VOID

LONGEST = 1024  # pixels; larger pictures are scaled down, for every scale of the network's features is kept in memory


class Samples(Dataset):
    """A dataset of (picture, mask) as (float32 (C, h, w), int64 (h, w)).

    crop       crops of preprocessing.size from random places, `times` of each picture in an epoch; otherwise whole
               pictures, at most LONGEST pixels long
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
        self.turns, self.times = turns, times
        self.classes = dataset_classes(dataset)

    def __len__(self) -> int:
        return len(self.dataset) * self.times

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


def dataset_classes(dataset: Any) -> list[str]:
    """The names of a dataset's classes, also through subsets."""
    return list(getattr(dataset, "classes", ()))


def as_input(image: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """uint8 (H, W, 3)  ->  float32 (C, H, W) with the mean and spread that the network is used to."""
    pixels = Channels(preprocessing.channels).apply(image, None).astype(np.float32) / np.float32(255)
    x = (pixels - np.array(preprocessing.mean, np.float32)) / np.array(preprocessing.std, np.float32)
    return np.ascontiguousarray(x.transpose(2, 0, 1))


def scaled_down(pixels: np.ndarray, nearest: bool = False, longest: int = LONGEST) -> np.ndarray:
    """A picture or a mask whose longer side is at most `longest`; smaller ones stay as they are."""
    factor = longest / max(pixels.shape[:2])
    if factor >= 1:
        return pixels
    height, width = (max(round(side * factor), 1) for side in pixels.shape[:2])
    return resized(pixels, (height, width), nearest)


def resized(pixels: np.ndarray, size: tuple[int, int], nearest: bool = False) -> np.ndarray:
    """A picture at (height, width); a mask by the nearest of its pixels, as its numbers have no mean."""
    if pixels.shape[:2] == size:
        return pixels
    if nearest:
        rows, columns = (
            ((np.arange(new) + 0.5) * old / new).astype(np.int64)
            for new, old in zip(size, pixels.shape[:2], strict=True)
        )
        return pixels[rows[:, None], columns]
    from PIL import Image

    return np.array(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BILINEAR))


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
