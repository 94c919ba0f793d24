"""Datasets made of datasets, and datasets that are read from beginning to end."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from ..errors import DataError, OptionError
from .dataset import Dataset


class IterableDataset(Dataset):
    """A dataset without indices: define `__iter__`, and `__len__` if the number of items is known.

    In a DataLoader with workers every worker iterates over the dataset; `get_worker_info()` tells it which share is
    its own."""

    def __iter__(self) -> Iterator[Any]:
        raise OptionError(f"{type(self).__name__} must define __iter__, which gives its items")

    def __add__(self, other: Any) -> ChainDataset:
        return ChainDataset([self, other])

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ChainDataset(IterableDataset):
    """The items of several IterableDatasets, one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not all(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise OptionError("ChainDataset: takes IterableDatasets; for others there is ConcatDataset")

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            yield from dataset

    def __len__(self) -> int:
        return sum(map(len, self.datasets))


class ConcatDataset(Dataset):
    """The items of several datasets, one dataset after the other. Raises DataError if there is none."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise DataError("ConcatDataset: there is no dataset")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise OptionError("ConcatDataset: an IterableDataset has no indices; use ChainDataset")
        self.cumulative_sizes = list(accumulate(map(len, self.datasets)))
        self.classes = getattr(self.datasets[0], "classes", [])

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        index = self._index(index)
        which = bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]


class StackDataset(Dataset):
    """Item i is the tuple, or the dict, of the i-th items of datasets of one length: `StackDataset(images, masks)`,
    `StackDataset(image=images, mask=masks)`."""

    def __init__(self, *datasets: Any, **named: Any) -> None:
        if bool(datasets) == bool(named):
            raise OptionError("StackDataset: give datasets one after the other, or all of them by name")
        self.datasets: Any = datasets or named
        lengths = [len(dataset) for dataset in datasets or named.values()]
        if len(set(lengths)) > 1:
            raise DataError(f"StackDataset: the datasets have {', '.join(map(str, lengths))} items")
        self._length = lengths[0]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        index = self._index(index)
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)
