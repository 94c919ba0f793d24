"""Pictures to learn recognition from."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...data import ArrayDataset, Dataset, Digits
from ...errors import OptionError


class Turned(Dataset):
    """Every picture four times, by quarter turns, each turn a class of its own: (picture, class + turn · K).

    A six on its back is a thing to recognise like any other. Six classes are few to learn from what makes things alike,
    and 24 are more; what is special to the six is then less of it."""

    def __init__(self, dataset: Any, turns: int = 4) -> None:
        if turns not in (1, 2, 3, 4):
            raise OptionError(f"Turned: turns are 1 to 4 quarters, got {turns!r}")
        self.dataset, self.turns = dataset, turns
        self.classes = [f"{name}, turned {90 * turn}°" if turn else name for turn in range(turns)
                        for name in dataset.classes]  # fmt: skip
        self.labels = np.concatenate([dataset.labels + turn * len(dataset.classes) for turn in range(turns)])

    def __len__(self) -> int:
        return len(self.dataset) * self.turns

    def __getitem__(self, index: int) -> tuple[Any, int]:
        turn, place = divmod(self._index(index), len(self.dataset))
        picture, label = self.dataset[place]
        return np.ascontiguousarray(np.rot90(picture, turn)), int(label) + turn * len(self.dataset.classes)


def digits(known: bool) -> ArrayDataset:
    """All pictures of the digits 0 to 5 (known), from which is learned, or of 6 to 9, which are then verified."""
    parts = [Digits(train=True), Digits(train=False)]
    images, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels"))
    chosen = (labels < 6) == known
    first, names = (0, "012345") if known else (6, "6789")
    return ArrayDataset(images[chosen], labels[chosen] - first, list(names))
