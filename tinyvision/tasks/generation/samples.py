"""Pictures to learn from, with numbers from -1 to 1, and noise to make others of."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ... import random
from ...data import Dataset
from ...train.inspection import classes_of
from ...train.preprocessing import Preprocessing
from ..pictures import as_input, resized


class Samples(Dataset):
    """A dataset of (picture, label), read into memory, as (float32 (C, H, W), label).

    x, labels   all pictures float32 (N, C, H, W) and their labels (N,)
    times   how often each picture comes in an epoch; kept as `times_an_epoch`, which keeps repeats from being counted
            as pictures
    noise   items are (picture, (label, noise)) instead: with the noise that a picture of that class is to be made of,
            always the same"""

    def __init__(self, dataset: Any, preprocessing: Preprocessing, times: int = 1, noise: bool = False) -> None:
        items = [dataset[index] for index in range(len(dataset))]
        self.x = np.stack([as_input(resized(image, preprocessing.size), preprocessing) for image, _ in items])
        self.labels = np.array([label for _, label in items], np.int64)
        self.times_an_epoch, self.noise = times, noise
        self.classes = classes_of(dataset) or classes_of(getattr(dataset, "dataset", None))

    def once(self) -> Samples:
        """The same pictures, each once an epoch."""
        same = copy.copy(self)
        same.times_an_epoch = 1
        return same

    def __len__(self) -> int:
        return len(self.x) * self.times_an_epoch

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        place = self._index(index) % len(self.x)
        label = int(self.labels[place])
        return self.x[place], (label, noise_of(0, place, self.x.shape[1:])) if self.noise else label


def noise_of(seed: int, number: int, shape: tuple[int, ...]) -> np.ndarray:
    """The noise float32 of the picture of that number: it depends on nothing else, not on how many there are."""
    return random.stream(seed, "generation", number).standard_normal(shape, np.float32)
