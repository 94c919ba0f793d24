"""Samplers: in which order, or how often, a DataLoader takes the items of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np

from .. import random
from ..arrays import full_name
from ..device import to_numpy
from ..errors import OptionError


class Sampler:
    """Base of the samplers, and of yours: define `__iter__`, which gives indices, and `__len__` if it is known."""

    def __init__(self, data_source: Any = None) -> None:
        self.data_source = data_source

    def __class_getitem__(cls, kind: Any) -> type:
        return cls  # Sampler[int], as type hints write it

    def __iter__(self) -> Iterator[Any]:
        raise OptionError(f"{type(self).__name__} must define __iter__, which gives indices")


class SequentialSampler(Sampler):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Sized) -> None:
        super().__init__(data_source)

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """All indices in a random order, or `num_samples` of them; with `replacement`, each drawn from all.

    generator   where random numbers come from: a tinyvision or NumPy Generator, by default the one in force"""

    def __init__(
        self, data_source: Sized, replacement: bool = False, num_samples: int | None = None, generator: Any = None
    ) -> None:
        super().__init__(data_source)
        if type(replacement) is not bool:
            raise OptionError(f"RandomSampler: replacement must be True or False, got {replacement!r}")
        if num_samples is not None and (type(num_samples) is not int or num_samples < 1):
            raise OptionError(f"RandomSampler: num_samples must be a positive integer, got {num_samples!r}")
        self.replacement, self.generator, self._count = replacement, generator, num_samples

    @property
    def num_samples(self) -> int:
        """How many indices there are in an epoch."""
        return len(self.data_source) if self._count is None else self._count

    def __iter__(self) -> Iterator[int]:
        count, rng = len(self.data_source), numpy_generator(self.generator)
        if self.replacement:
            yield from rng.integers(count, size=self.num_samples).tolist()
            return
        whole, rest = divmod(self.num_samples, count)
        for _ in range(whole):
            yield from rng.permutation(count).tolist()
        yield from rng.permutation(count)[:rest].tolist() if rest else ()

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given indices in a random order."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        super().__init__()
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        for i in numpy_generator(self.generator).permutation(len(self.indices)):
            yield int(self.indices[i])

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """`num_samples` indices, each drawn with a probability in proportion to its weight.

    weights   (N,) numbers from 0. Without replacement no index comes twice. Raises OptionError."""

    def __init__(self, weights: Any, num_samples: int, replacement: bool = True, generator: Any = None) -> None:
        super().__init__()
        self.weights = np.asarray(to_numpy(weights), np.float64)
        if self.weights.ndim != 1 or not np.all(self.weights >= 0) or not 0 < self.weights.sum() < np.inf:
            raise OptionError(f"WeightedRandomSampler: weights must be (N,) numbers from 0, got {self.weights.shape}")
        if type(num_samples) is not int or num_samples < 1 or type(replacement) is not bool:
            raise OptionError(
                f"WeightedRandomSampler: num_samples is a positive integer and replacement True or False, "
                f"got {num_samples!r} and {replacement!r}"
            )
        if not replacement and num_samples > np.count_nonzero(self.weights):
            raise OptionError(
                f"WeightedRandomSampler: {num_samples} samples without replacement out of "
                f"{np.count_nonzero(self.weights)} with a weight above 0"
            )
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        shares = self.weights / self.weights.sum()
        rng = numpy_generator(self.generator)
        return iter(rng.choice(len(shares), self.num_samples, self.replacement, shares).tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of `batch_size` of a sampler's indices; the last one may be shorter, unless drop_last."""

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool) -> None:
        super().__init__()
        if type(batch_size) is not int or batch_size < 1 or type(drop_last) is not bool:
            raise OptionError(
                f"BatchSampler: batch_size is a positive integer and drop_last True or False, "
                f"got {batch_size!r} and {drop_last!r}"
            )
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[Any]]:
        batch = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return whole + bool(rest and not self.drop_last)


def numpy_generator(generator: Any) -> np.random.Generator:
    """The NumPy Generator behind `generator`, by default the one in force. Raises OptionError."""
    if generator is None:
        return random.generator()
    if isinstance(generator, np.random.Generator):
        return generator
    for name in ("numpy", "generator"):  # a Generator of ours says which one it wraps
        inner = getattr(generator, name, None)
        if isinstance(inner, np.random.Generator):
            return inner
    raise OptionError(f"generator: expected a tinyvision or NumPy Generator, got {full_name(generator)}")
