"""DataLoader: batches of a dataset, in an order and with an augmentation that can be repeated exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from .. import random
from ..distributed.shares import hand_out, share_of
from ..errors import DataError, OptionError
from ..ops.checks import is_number, whole_number
from .collate import default_collate, default_convert
from .combined import IterableDataset
from .samplers import BatchSampler, DistributedSampler, RandomSampler, SequentialSampler, numpy_generator
from .transforms import drawing_from
from .workers import Workers

_AHEAD = 2  # batches that each worker may be ahead of the one in use


class _Epoch:
    """The batches of one epoch, which know how many there are in all: `len(iter(loader))`, as scripts write it."""

    def __init__(self, batches: Iterator[Any], loader: DataLoader) -> None:
        self._batches: Any = batches
        self._loader = loader

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._batches)

    def __len__(self) -> int:
        return len(self._loader)

    def close(self) -> None:
        """Read no further; the workers end."""
        self._batches.close()


class DataLoader:
    """Iterates over a dataset in batches; items are put together as they are, by `default_collate`.

    dataset        anything with `len(dataset)` and `dataset[i]`, or an IterableDataset; its `__getitems__(indices)`, if
                   it has one, gives all items of a batch
    batch_size     items in a batch; the last one may be smaller, unless drop_last; None: single items, no batches
    shuffle        a new order every epoch, which follows from (seed, epoch) alone
    sampler        gives the indices in place of shuffle; batch_sampler gives a list of indices for every batch
    num_workers    threads of this process that read, transform and collate ahead of use; 0 does it when a batch is
                   asked for. `prefetch_factor` batches (2) may each be ahead; worker_init_fn(number) is called in each.
                   Each has a copy of the dataset, as PyTorch's processes do, so that a file that is opened when the
                   first item is read is its own; one that is open before that is shared, as between those processes
    collate_fn     makes a batch out of a list of items, in place of `default_collate`; called in the caller's thread
    timeout        seconds that a worker may need for a batch, 0 for any time
    generator      a tinyvision or NumPy Generator that the order is drawn from, anew in every epoch
    seed           0 to 2**64 - 1; None draws one from the generator in force when the loader is made
    shard          (rank, world): each batch is cut into `world` shares of neighbours, and this loader gives number
                   `rank`. batch_size, len and batch_indices speak of whole batches. Where a batch has fewer items than
                   there are ranks, some get a stand-in (see `distributed.shares`)
    pin_memory, persistent_workers, multiprocessing_context, pin_memory_device, in_order
                   change nothing here: the workers are threads, and batches always come in order

    Every `for` loop over the loader is an epoch: 0, 1, 2, ...; `set_epoch(e)` says which one is next.
    Random transforms draw, for the item at `index`, from `random.stream(seed, "augment", epoch, index)`:
    neither the number of workers nor stopping and resuming changes a pixel. `iter_from(step)` begins an
    epoch in its middle, without reading what lies before. An error in a worker is raised where the batch
    would have come.

    Raises OptionError for options without meaning, DataError for an empty dataset."""

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], Any] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        seed: int | None = None,
        shard: tuple[int, int] | None = None,
    ) -> None:
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, bool(shuffle)
        self.num_workers, self.drop_last, self.collate_fn = num_workers, bool(drop_last), collate_fn
        self.timeout, self.worker_init_fn, self.generator = timeout, worker_init_fn, generator
        self.pin_memory, self.persistent_workers = bool(pin_memory), bool(persistent_workers)
        self.prefetch_factor = prefetch_factor
        self._iterable = isinstance(dataset, IterableDataset)
        if isinstance(sampler, DistributedSampler):
            if shard is not None or batch_size is None:
                raise OptionError("DataLoader: a DistributedSampler goes without shard, and with batches")
            shard = sampler.rank, sampler.num_replicas
            self.batch_size = whole_number("DataLoader: batch_size", batch_size) * sampler.num_replicas
        self._sampler, self._batch_sampler = sampler, batch_sampler
        self._check_order(sampler, batch_sampler)
        self.shard = self._checked_shard(shard)
        self._check_workers()
        if seed is None:
            seed = int(numpy_generator(generator).integers(2**63))
        random.stream(seed)  # refuses what is no seed, here instead of in the first batch
        self.seed, self.epoch = seed, 0

    def _check_order(self, sampler, batch_sampler):
        dataset, kind = self.dataset, type(self.dataset).__name__
        if not self._iterable and not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise OptionError(f"DataLoader: a {kind} has no length or no items; it is no dataset")
        if self.batch_size is not None:
            whole_number("DataLoader: batch_size", self.batch_size)
        elif self.drop_last:
            raise OptionError("DataLoader: drop_last has no meaning without batches (batch_size=None)")
        if self._iterable and (self.shuffle or sampler is not None or batch_sampler is not None):
            raise OptionError("DataLoader: an IterableDataset gives its own order; leave shuffle and samplers out")
        if sampler is not None and self.shuffle:
            raise OptionError("DataLoader: give sampler or shuffle, not both")
        if batch_sampler is not None:
            if self.batch_size != 1 or self.shuffle or sampler is not None or self.drop_last:
                raise OptionError("DataLoader: batch_sampler goes without batch_size, shuffle, sampler, drop_last")
            self.batch_size = None
        elif not self._iterable and len(dataset) == 0:
            raise DataError("DataLoader: the dataset is empty")
        elif not self._iterable and sampler is None and self.drop_last and len(dataset) < self.batch_size:
            raise OptionError(
                f"DataLoader: drop_last leaves nothing of {len(dataset)} items in batches of {self.batch_size}"
            )

    def _checked_shard(self, shard):
        if shard is None:
            return None
        whole = isinstance(shard, (tuple, list)) and len(shard) == 2 and all(type(n) is int for n in shard)
        if not whole or not 0 <= shard[0] < shard[1]:
            raise OptionError(f"DataLoader: shard is (rank, world) with 0 <= rank < world, got {shard!r}")
        if self._iterable or (self.batch_size is None and self._batch_sampler is None):
            raise OptionError("DataLoader: shard cuts batches of a dataset with indices; here there are none")
        return tuple(shard)

    def _check_workers(self):
        whole_number("DataLoader: num_workers", self.num_workers, 0)
        for name in ("collate_fn", "worker_init_fn"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise OptionError(f"DataLoader: {name} must be callable, got {value!r}")
        if not is_number(self.timeout) or not self.timeout >= 0:
            raise OptionError(f"DataLoader: timeout is a number of seconds from 0, got {self.timeout!r}")
        if self.prefetch_factor is not None:
            whole_number("DataLoader: prefetch_factor", self.prefetch_factor)
        if not self.num_workers:
            for name in ("timeout", "prefetch_factor", "persistent_workers"):
                if getattr(self, name):
                    raise OptionError(f"DataLoader: {name} needs num_workers of 1 or more")

    @property
    def sampler(self) -> Any:
        """What gives the indices: the sampler that was handed in, or one that stands for `shuffle`."""
        if self._sampler is not None or self._iterable:
            return self._sampler
        return (RandomSampler if self.shuffle else SequentialSampler)(self.dataset)

    @property
    def batch_sampler(self) -> Any:
        """What gives the indices of a batch, or None where there are no batches of indices."""
        if self._batch_sampler is not None or self.batch_size is None or self._iterable:
            return self._batch_sampler
        order = self.sampler.of_all() if isinstance(self.sampler, DistributedSampler) else self.sampler
        return BatchSampler(order, self.batch_size, self.drop_last)

    def __len__(self) -> int:
        """Batches in an epoch."""
        if self._batch_sampler is not None:
            return len(self._batch_sampler)  # type: ignore[arg-type]
        if isinstance(self._sampler, DistributedSampler):
            return len(self.batch_sampler)
        items = len(self.dataset if self._sampler is None else self._sampler)  # type: ignore[arg-type]
        if self.batch_size is None:
            return items
        whole, rest = divmod(items, self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration will be; the ones after it count on from there."""
        self.epoch = whole_number("DataLoader: epoch", epoch, 0)

    def cut(self, rank: int, world: int) -> DataLoader:
        """The same loader, at the same epoch, with shard=(rank, world). Raises OptionError if it cannot be cut."""
        share = copy(self)
        share.shard = self._checked_shard((rank, world))
        return share

    def __iter__(self) -> Iterator[Any]:
        return _Epoch(self.iter_from(0), self)

    def iter_from(self, step: int) -> Iterator[Any]:
        """The batches of this epoch from number `step` (0 is the first), exactly as a whole iteration has them."""
        if whole_number("DataLoader: step", step, 0) and self._iterable:
            raise OptionError("DataLoader: an IterableDataset can only be read from its beginning")
        if step and step > len(self):
            raise OptionError(f"DataLoader: step {step} lies beyond the epoch's {len(self)} batches")
        epoch, self.epoch = self.epoch, self.epoch + 1
        if self.generator is not None:
            self.seed, epoch = int(numpy_generator(self.generator).integers(2**63)), 0  # its state says it all
        if self._iterable:
            return self._streamed(epoch)
        chunks = islice(self._chunks(epoch), step, None)
        if self.shard is not None:
            return self._shares(list(chunks), epoch)
        return self._batches(chunks, epoch)

    def _batches(self, chunks: Iterable[Any], epoch: int) -> Iterator[Any]:
        jobs = (partial(self._gather, chunk, epoch) for chunk in chunks)  # each to be given a dataset
        return self._in_threads(jobs) if self.num_workers else self._one_by_one(jobs)

    def _shares(self, chunks: list[Any], epoch: int) -> Iterator[Any]:
        """This rank's rows of every batch."""
        shares = [chunk[share_of(len(chunk), *self.shard)] for chunk in chunks]  # type: ignore[misc]
        stand_ins = [chunk[:1] if not len(share) else share for chunk, share in zip(chunks, shares, strict=True)]
        try:
            for share, batch in zip(shares, self._batches(stand_ins, epoch), strict=True):
                hand_out(stand_in=not len(share))
                yield batch
        finally:
            hand_out(stand_in=False)

    def __repr__(self) -> str:
        batches = "" if self._iterable else f": {len(self)} batches"
        return (
            f"DataLoader({self.dataset!r}, batch_size={self.batch_size}, shuffle={self.shuffle}, "
            f"seed={self.seed}, num_workers={self.num_workers}, drop_last={self.drop_last}){batches}"
        )

    def batch_indices(self, epoch: int) -> list[Any]:
        """The numbers of the items in each batch of an epoch; only a sampler's own may differ from call to call."""
        return list(self._chunks(epoch))

    def _chunks(self, epoch):
        """For every batch its indices; without batches, for every item its index."""
        if self._batch_sampler is not None:
            return iter(self._batch_sampler)
        if self._sampler is not None:
            single = self.batch_size is None
            return iter(self._sampler if single else self.batch_sampler)
        count = len(self.dataset)
        order = random.stream(self.seed, "shuffle", epoch).permutation(count) if self.shuffle else np.arange(count)
        if self.batch_size is None:
            return iter(order.tolist())
        return (order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(len(self)))

    def _one_by_one(self, jobs: Iterator[Callable[[Any], Any]]) -> Iterator[Any]:
        for job in jobs:
            yield self._finish(job(self.dataset))

    def _in_threads(self, jobs: Iterator[Callable[[Any], Any]]) -> Iterator[Any]:
        workers = Workers(self.num_workers, self.dataset, self.seed, self.worker_init_fn)
        for ready in workers.in_order(jobs, self.prefetch_factor or _AHEAD, self.timeout):
            yield self._finish(ready)

    def _gather(self, chunk: Any, epoch: int, dataset: Any) -> Any:
        """What a worker does: read, transform and collate the items of one batch."""
        if self.batch_size is None and self._batch_sampler is None:
            return self._item(chunk, epoch, dataset)
        if self.collate_fn is None and getattr(dataset, "can_batch", False):
            return default_convert(list(self._whole(np.asarray(chunk), dataset)))
        if getattr(dataset, "__getitems__", None) and len(chunk):
            indices = [int(index) if isinstance(index, np.integer) else index for index in chunk]
            with drawing_from(partial(random.stream, self.seed, "augment", epoch, str(indices[0]))):
                items = dataset.__getitems__(indices)
        else:
            items = [self._item(index, epoch, dataset) for index in chunk]
        return items if self.collate_fn is not None else default_collate(items)

    def _whole(self, chunk: np.ndarray, dataset: Any) -> Any:
        """The parts of all items of a batch at once, of a dataset that can give them."""
        return dataset.batch(chunk)

    def _item(self, index: Any, epoch: int, dataset: Any) -> Any:
        if isinstance(index, np.integer):
            index = int(index)
        if not isinstance(index, int):  # the index of a sampler may be anything that the dataset understands
            return dataset[index]
        with drawing_from(partial(random.stream, self.seed, "augment", epoch, index)):
            return dataset[index]

    def _finish(self, ready: Any) -> Any:
        """What is left to the caller's thread: an unknown collate_fn."""
        if self.collate_fn is not None:
            return self.collate_fn(ready)
        return default_convert(ready) if self.batch_size is None and self._batch_sampler is None else ready

    def _streamed(self, epoch: int) -> Iterator[Any]:
        """The batches of an IterableDataset; every worker reads the dataset, and they take turns."""
        if not self.num_workers:
            yield from map(self._finish, self._read(0, epoch, self.dataset))
            return
        workers = Workers(self.num_workers, self.dataset, self.seed, self.worker_init_fn)
        shares = [self._read(number, epoch, own) for number, own in enumerate(workers.datasets)]
        reading, end = set(range(self.num_workers)), object()

        def job(number, dataset):
            ready = next(shares[number], end)
            if ready is end:
                reading.discard(number)
            return ready

        def jobs():
            while reading:
                yield from (partial(job, number) for number in range(self.num_workers))

        for ready in workers.in_order(jobs(), self.prefetch_factor or _AHEAD, self.timeout):
            if ready is not end:
                yield self._finish(ready)

    def _read(self, worker: int, epoch: int, dataset: Any) -> Iterator[Any]:
        """The batches that one worker makes of an IterableDataset."""
        rng = random.stream(self.seed, "augment", epoch, worker)
        size, items = self.batch_size or 1, iter(dataset)
        while True:
            with drawing_from(lambda: rng):
                chunk = list(islice(items, size))
            if not chunk or (self.drop_last and len(chunk) < size):
                return
            if self.batch_size is None:
                yield chunk[0]
            else:
                yield chunk if self.collate_fn is not None else default_collate(chunk)
