"""What the processes of a run share and decide together; where one process trains, all of it is what that one says.

Every rank takes the same steps on its own rows of each batch. What only one of them can know, or do, is settled between
them: whether somebody was asked to stop, the loss of the whole batch, whether it is time for a checkpoint (by rank 0's
clock), and what rank 0 has written. So all of them stop, save and fail at the same step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .. import errors, nn
from ..data import DataLoader
from ..device import Device, prefetch
from ..distributed import group
from ..distributed.group import check_agreement, digest
from ..distributed.shares import hand_out, is_stand_in, share_of
from ..errors import OptionError, TinyVisionError
from ..nn.module import Module
from ..nn.parallel import DistributedDataParallel, SyncBatchNorm


class Verdict(NamedTuple):
    """What all ranks together have found and want, after the forward pass of a step.

    loss, correct, images   of the whole batch; correct is how many were right, or the sum of another training metric
    stop                    the number of the signal that has asked one of them to stop, 0 if none
    save                    whether it is time for a checkpoint"""

    loss: float
    correct: float
    images: int
    stop: int
    save: bool


class Ranks:
    """All processes of a run, seen by one of them: `rank` of `count`. `alone`: this one, whatever others there are."""

    def __init__(self, alone: bool = False) -> None:
        self.rank, self.count = (0, 1) if alone else (group.rank(), group.world_size())

    @property
    def shard(self) -> tuple[int, int] | None:
        """What a DataLoader is told to cut its batches; None for one process."""
        return (self.rank, self.count) if self.count > 1 else None

    def shared(self, loader: DataLoader) -> DataLoader:
        """A loader of the same batches that gives this rank its rows of each. Raises OptionError if it cannot be cut,
        or is another rank's."""
        if loader.shard == self.shard:
            return loader
        if loader.shard is not None:
            raise OptionError(
                f"fit: the DataLoader has shard={loader.shard}, but this is rank {self.rank} of {self.count}; "
                f"leave shard out"
            )
        return loader.cut(self.rank, self.count)

    def batches(self, loader: DataLoader, step: int, device: Device) -> Iterator[Any]:
        """The loader's next epoch from batch number `step`, on the device."""
        epoch = loader.epoch
        ready = prefetch(loader.iter_from(step), device)
        if self.count == 1:
            yield from ready
            return
        sizes = [len(indices) for indices in loader.batch_indices(epoch)[step:]]
        for size, batch in zip(sizes, ready, strict=True):
            share = share_of(size, self.rank, self.count)
            hand_out(stand_in=share.start == share.stop)  # the loader may be ahead, at the batch after
            yield batch
        hand_out(stand_in=False)

    @contextmanager
    def trained(self, model: Module) -> Iterator[Any]:
        """A `with` block for what is called in place of the model, and computes what one process would: every rank has
        rank 0's weights, gradients are those of the whole batch, and batch-norm is over its rows."""
        if self.count == 1:
            yield model
            return
        before = [
            (parent, name, child)
            for parent in model.modules()
            for name, child in vars(parent).items()
            if type(child) in (nn.BatchNorm1d, nn.BatchNorm2d)
        ]
        parallel = DistributedDataParallel(SyncBatchNorm.convert_sync_batchnorm(model))
        try:
            yield parallel
        finally:
            parallel.give_back()
            for parent, name, norm in before:
                vars(norm).update(vars(getattr(parent, name)))
                setattr(parent, name, norm)

    def check_same(self, what: dict[str, Any]) -> None:
        """Raise DistributedError unless all ranks have come with the same notes on what is to be done."""
        if self.count == 1:
            return
        own = {f"{name}: {value!r}": np.zeros(0) for name, value in what.items()}
        table = group.gather(np.frombuffer(digest(own), np.uint8), "the beginning of fit()")
        check_agreement(table, "fit: settings, data or checkpoint on", "from those on rank 0")

    def decide(self, loss: float, correct: float, images: int, stop: int, save: bool) -> Verdict:
        """The Verdict on a step, out of what every rank found on its own rows."""
        if self.count == 1:
            return Verdict(loss, correct, images, stop, save)
        rows = 0 if is_stand_in() else images
        own = np.array([loss * rows, correct if rows else 0, rows, stop, save], np.float64)
        table = group.gather(own, "the loss of a step")
        total, right = int(table[:, 2].sum()), float(table[:, 1].sum())
        right = int(right) if isinstance(correct, int) else right  # a count stays one
        return Verdict(float(table[:, 0].sum() / total), right, total, int(table[:, 3].max()), bool(table[0, 4]))

    def rows_of(self, batch: Any) -> Any:
        """This rank's part of a batch, or the first of it where there is none, as its loader hands out."""
        own = batch[share_of(len(batch), self.rank, self.count)]
        return own if len(own) else batch[:1]

    def most(self, number: int, what: str) -> int:
        """The largest of the numbers of all ranks."""
        return number if self.count == 1 else int(group.gather(np.array([number], np.int64), what).max())

    def first(self, work: Callable[[], Any], what: str) -> Any:
        """What work() gives on rank 0, while the others wait: a text, which all get, or None.

        An error of ours that it raises there is raised on all ranks."""
        if self.count == 1:
            return work()
        kind, text, failure = "", None, None
        if self.rank == 0:
            try:
                text = work()
            except TinyVisionError as error:
                kind, text, failure = type(error).__name__, str(error), error
        note = json.loads(self._told(json.dumps([kind, text]).encode(), what))
        if note[0]:
            raise failure or getattr(errors, note[0], TinyVisionError)(note[1])
        return note[1]

    def _told(self, message: bytes, what: str) -> bytes:
        """Rank 0's message."""
        length = group.broadcast(np.array([len(message)], np.int64), what=what)
        sent = np.frombuffer(message, np.uint8).copy() if self.rank == 0 else np.empty(int(length[0]), np.uint8)
        return group.broadcast(sent, what=what).tobytes()

    def together(self, parts: list[np.ndarray], loader: DataLoader) -> np.ndarray:
        """The rows of all batches in order, from what every rank has of each.   [(n, ...)]  ->  (N, ...)"""
        own = np.concatenate(parts)
        if self.count == 1:
            return own
        sizes = [len(indices) for indices in loader.batch_indices(0)]
        shares = [[share_of(size, rank, self.count) for size in sizes] for rank in range(self.count)]
        counts = [sum(share.stop - share.start for share in mine) for mine in shares]
        counted = [part[: s.stop - s.start] for part, s in zip(parts, shares[self.rank], strict=True)]  # no stand-ins
        padded = np.zeros((max(counts), *own.shape[1:]), own.dtype)
        padded[: counts[self.rank]] = np.concatenate(counted)
        table = group.gather(padded, "the evaluation")
        whole = np.empty((sum(sizes), *own.shape[1:]), own.dtype)
        begins = np.cumsum([0, *sizes[:-1]])
        for rank, mine in enumerate(shares):
            places = [np.arange(begin + s.start, begin + s.stop) for begin, s in zip(begins, mine, strict=True)]
            whole[np.concatenate(places)] = table[rank, : counts[rank]]
        return whole
