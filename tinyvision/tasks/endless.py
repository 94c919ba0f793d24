"""Data that are drawn on demand, of which there is no end: so no two epochs need be of the same pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..data import Dataset, Subset
from ..data.transforms.base import generator_for

_ALL = 1_000_000  # pictures; enough that a run hardly meets one twice


class Endless(Dataset):
    """`length` pictures an epoch of a dataset that draws them, each of a number at random from `first` on.

    A network cannot learn such pictures by heart."""

    def __init__(self, dataset: Any, length: int, first: int = 0) -> None:
        self.dataset, self.length, self.first = dataset, length, first
        self.classes = list(dataset.classes)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        self._index(index)
        return self.dataset[int(generator_for(None).integers(self.first, len(self.dataset)))]


def drawn_parts(make: Callable[[int], Any], length: int, share: float) -> tuple[Any, Any]:
    """(training, validation or None) of make(how many pictures): `length` in all an epoch, of which a share is held
    back, always the same ones, which training never draws."""
    dataset = make(_ALL)
    held = min(max(round(share * length), 1), length - 1) if share > 0 else 0
    return Endless(dataset, length - held, held), Subset(dataset, range(held)) if held else None
