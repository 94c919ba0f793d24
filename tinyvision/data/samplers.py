"""Samplers: in which order, or how often, a DataLoader takes the items of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np

from .. import distributed, random
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


class DistributedSampler(Sampler):
    """One rank's share of a dataset: of all indices in their order, every `num_replicas`-th from number `rank` on.

    num_replicas, rank   by default those of the job (see `tinyvision.distributed`)
    shuffle              a new order for each epoch that `set_epoch` names, which follows from (seed, epoch) alone
    drop_last            leave out what cannot be shared out evenly

    No index comes twice to make the shares equal, so that some ranks may have one more than others. A DataLoader takes
    it as `shard=(rank, num_replicas)` with batches of `batch_size` for every rank: all ranks have equally many batches.
    Raises OptionError."""

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        super().__init__(dataset)
        self.num_replicas = distributed.world_size() if num_replicas is None else num_replicas
        self.rank = distributed.rank() if rank is None else rank
        if any(type(n) is not int for n in (self.num_replicas, self.rank)) or not 0 <= self.rank < self.num_replicas:
            raise OptionError(
                f"DistributedSampler: rank is an integer from 0 to below num_replicas, "
                f"got rank={rank!r}, num_replicas={num_replicas!r}"
            )
        random.stream(seed)  # refuses what is no seed
        self.dataset, self.shuffle, self.seed, self.drop_last = dataset, bool(shuffle), seed, bool(drop_last)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch whose order comes next; call it before each, or all epochs have the same."""
        self.epoch = epoch

    def of_all(self) -> list[int]:
        """The indices of all ranks, in order."""
        count = len(self.dataset)
        rng = random.stream(self.seed, "shuffle", self.epoch)
        order = rng.permutation(count) if self.shuffle else np.arange(count)
        return order[: count - count % self.num_replicas if self.drop_last else count].tolist()

    def __iter__(self) -> Iterator[int]:
        return iter(self.of_all()[self.rank :: self.num_replicas])

    def __len__(self) -> int:
        return len(range(self.rank, len(self.of_all()), self.num_replicas))


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
