"""DataLoader: batches of a dataset, in an order and with an augmentation that can be repeated exactly."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from .. import random
from ..device import to_numpy
from ..errors import DataError, DtypeError, OptionError, ShapeError
from .transforms import ToTensor, drawing_from

_AHEAD = 2  # batches that each worker may be ahead of the one in use


class DataLoader:
    """Iterates over a dataset in batches: (Tensor (N, C, H, W) float32, Tensor (N,) int64) for images with
    labels.

    dataset      anything with `len(dataset)` and `dataset[i] -> (image, label)`
    batch_size   items in a batch; the last one may be smaller, unless drop_last
    shuffle      a new order every epoch, which follows from (seed, epoch) alone
    seed         0 to 2**64 - 1; None draws one from tinyvision.random.generator()
    num_workers  threads that read and transform ahead of use; 0 does it when a batch is asked for
    collate_fn   makes a batch out of a list of items, in place of `collate`
    pin_memory   has no use for threads in one process; True warns that nothing comes of it

    Every `for` loop over the loader is an epoch: 0, 1, 2, ...; `set_epoch(e)` says which one is next.
    Random transforms draw, for the item at `index`, from `random.stream(seed, "augment", epoch, index)`:
    neither the number of workers nor stopping and resuming changes a pixel. `iter_from(step)` begins an
    epoch in its middle, without reading what lies before. An error in a worker is raised where the batch
    would have come.

    Images of uint8 (H, W, C) are scaled to 0 to 1 and moved to (C, H, W), as by transforms.ToTensor.
    Raises OptionError for options without meaning, DataError for an empty dataset."""

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        seed: int | None = None,
        num_workers: int = 0,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
    ) -> None:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise OptionError(f"DataLoader: a {type(dataset).__name__} has no length or no items; it is no dataset")
        _whole_number(batch_size, "batch_size", 1)
        _whole_number(num_workers, "num_workers", 0)
        if len(dataset) == 0:
            raise DataError("DataLoader: the dataset is empty")
        if drop_last and len(dataset) < batch_size:
            raise OptionError(
                f"DataLoader: drop_last leaves nothing of {len(dataset)} items in batches of {batch_size}"
            )
        if collate_fn is not None and not callable(collate_fn):
            raise OptionError(f"DataLoader: collate_fn must be callable, got {collate_fn!r}")
        if pin_memory:
            warnings.warn("DataLoader: pin_memory=True has no effect here", stacklevel=2)
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, bool(shuffle)
        self.num_workers, self.drop_last, self.collate_fn = num_workers, bool(drop_last), collate_fn
        self.seed = int(random.generator().integers(2**63)) if seed is None else seed
        random.stream(self.seed)  # refuses what is no seed, here instead of in the first batch
        self.epoch = 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration will be; the ones after it count on from there."""
        self.epoch = _whole_number(epoch, "epoch", 0)

    def __iter__(self) -> Iterator[Any]:
        return self.iter_from(0)

    def iter_from(self, step: int) -> Iterator[Any]:
        """The batches of this epoch from number `step` (0 is the first), exactly as a whole iteration has
        them."""
        if _whole_number(step, "step", 0) > len(self):
            raise OptionError(f"DataLoader: step {step} lies beyond the epoch's {len(self)} batches")
        epoch, self.epoch = self.epoch, self.epoch + 1
        chunks = self.batch_indices(epoch)[step:]
        return self._in_threads(chunks, epoch) if self.num_workers else self._one_by_one(chunks, epoch)

    def __repr__(self) -> str:
        return (
            f"DataLoader({self.dataset!r}, batch_size={self.batch_size}, shuffle={self.shuffle}, "
            f"seed={self.seed}, "
            f"num_workers={self.num_workers}, drop_last={self.drop_last}): {len(self)} batches"
        )

    def batch_indices(self, epoch: int) -> list[np.ndarray]:
        """The numbers of the items in each batch of an epoch."""
        count = len(self.dataset)
        order = random.stream(self.seed, "shuffle", epoch).permutation(count) if self.shuffle else np.arange(count)
        return [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(len(self))]

    def _one_by_one(self, chunks: list[np.ndarray], epoch: int) -> Iterator[Any]:
        for chunk in chunks:
            yield self._finish(self._gather(chunk, epoch))

    def _in_threads(self, chunks: list[np.ndarray], epoch: int) -> Iterator[Any]:
        """Batches in order, made by threads that stay a bounded number of batches ahead."""
        todo = iter(chunks)
        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix="tinyvision-data")
        try:
            started = islice(todo, _AHEAD * self.num_workers)
            pending = deque(pool.submit(self._gather, chunk, epoch) for chunk in started)
            while pending:
                ready = pending.popleft().result()
                for chunk in islice(todo, 1):
                    pending.append(pool.submit(self._gather, chunk, epoch))
                yield self._finish(ready)
        finally:
            # Reached at the end, after an error, on Ctrl-C, and when a loop is left early and drops the
            # iterator.
            pool.shutdown(wait=True, cancel_futures=True)

    def _gather(self, chunk: np.ndarray, epoch: int) -> Any:
        """What a worker does: read, transform and stack the items of one batch."""
        if self.collate_fn is None and getattr(self.dataset, "can_batch", False):
            first, *others = self.dataset.batch(chunk)
            return first if _is_tensor(first) else _float_images(first), *others
        items = []
        for index in map(int, chunk):
            with drawing_from(partial(random.stream, self.seed, "augment", epoch, index)):
                items.append(self.dataset[index])
        return items if self.collate_fn is not None else collate_arrays(items)

    def _finish(self, ready: Any) -> Any:
        """What is left to the caller's thread: an unknown collate_fn, and making tensors."""
        return _as_tensors(ready) if self.collate_fn is None else self.collate_fn(ready)


def collate(items: Sequence[Any]) -> Any:
    """A batch of Tensors out of a list of items: (image, label) pairs, longer tuples, dicts, or single
    values.

    Tensors are stacked as they are. Of arrays, images uint8 (H, W, C) become float32 (N, C, H, W) of 0 to 1, other
    floating-point ones float32 (N, ...) and integers int64 (N,); strings make a list. Raises ShapeError if the arrays
    of one batch differ in shape, DtypeError for what cannot be stacked."""
    return _as_tensors(collate_arrays(items))


def collate_arrays(items: Sequence[Any]) -> Any:
    """As `collate`, with arrays in place of Tensors."""
    first = items[0]
    if isinstance(first, (tuple, list)):
        if any(not isinstance(item, (tuple, list)) or len(item) != len(first) for item in items):
            raise ShapeError("collate: the items of one batch have different numbers of parts")
        return tuple(collate_arrays(part) for part in zip(*items, strict=True))
    if isinstance(first, dict):
        if any(not isinstance(item, dict) or item.keys() != first.keys() for item in items):
            raise ShapeError("collate: the items of one batch have different keys")
        return {key: collate_arrays([item[key] for item in items]) for key in first}
    if isinstance(first, (str, bytes)):
        return list(items)
    if all(map(_is_tensor, items)):
        return _stacked([to_numpy(item) for item in items])
    return _converted(_stacked([to_numpy(item) if _is_tensor(item) else np.asarray(item) for item in items]))


def _stacked(arrays: list[np.ndarray]) -> np.ndarray:
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        some = ", ".join(map(str, sorted(shapes)[:4]))
        raise ShapeError(
            f"collate: arrays of one batch have different shapes: {some}; "
            f"bring images to one size with transforms.Resize((height, width)) or Resize and CenterCrop"
        )
    return np.stack(arrays)


def _converted(stack: np.ndarray) -> np.ndarray:
    if stack.dtype.kind in "iub" and stack.ndim == 1:
        return stack.astype(np.int64)
    if stack.dtype.kind not in "iubf":
        raise DtypeError(f"collate: cannot make a batch of {stack.dtype} values")
    return _float_images(stack) if stack.dtype.kind == "f" or stack.dtype == np.uint8 else stack.astype(np.int64)


_to_tensor = ToTensor()


def _float_images(images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8 and images.ndim in (3, 4):
        return _to_tensor(images if images.ndim == 4 else images[..., None])
    return np.ascontiguousarray(images, np.float32) if images.dtype.kind == "f" else images.astype(np.int64)


def _is_tensor(item: Any) -> bool:
    return hasattr(item, "requires_grad")


def _as_tensors(tree: Any) -> Any:
    from ..tensors.tensor import Tensor

    if isinstance(tree, np.ndarray):
        return Tensor(tree)
    if isinstance(tree, tuple):
        return tuple(_as_tensors(part) for part in tree)
    if isinstance(tree, dict):
        return {key: _as_tensors(part) for key, part in tree.items()}
    return tree


def _whole_number(value: Any, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise OptionError(f"DataLoader: {name} must be an integer from {least}, got {value!r}")
    return int(value)
