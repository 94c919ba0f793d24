"""Worker threads of a DataLoader: each makes every n-th batch, a bounded number of batches ahead of use."""

from __future__ import annotations

import copy
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Waited
from typing import Any, NamedTuple

from ..errors import DataError
from .dataset import Dataset

_own = threading.local()


class WorkerInfo(NamedTuple):
    """Which of the workers of a DataLoader this thread is."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


def get_worker_info() -> WorkerInfo | None:
    """In a worker of a DataLoader, its number and what else it knows of itself; None anywhere else."""
    return getattr(_own, "info", None)


class Workers:
    """`count` threads, each with a queue of its own: what one is given is done in order.

    dataset, seed   what get_worker_info tells in worker `id`: its own copy of the dataset, and seed + id
    start           called once in every worker, with its number, before anything else"""

    def __init__(self, count: int, dataset: Any, seed: int, start: Callable[[int], Any] | None) -> None:
        self.count = count
        self.datasets = [_own_copy(dataset) for _ in range(count)]

        def begin(number):
            _own.info = WorkerInfo(number, count, seed + number, self.datasets[number])

        self._pools = [ThreadPoolExecutor(1, "tinyvision-data", begin, (number,)) for number in range(count)]
        if start is not None:
            for future in [pool.submit(start, number) for number, pool in enumerate(self._pools)]:
                future.result()

    def in_order(self, jobs: Iterator[Callable[[Any], Any]], ahead: int, timeout: float) -> Iterator[Any]:
        """The results of the jobs, in their order; job i is done by worker i % count, at most `ahead` of use each. It
        is called with that worker's dataset.

        Raises what a job raises, where its result would have come, and DataError if one takes more than `timeout`
        seconds (0: it may take any time)."""
        pending: deque[Any] = deque()
        number = 0
        try:
            while True:
                while len(pending) < ahead * self.count and (job := next(jobs, None)) is not None:
                    pending.append(self._submitted(job, number % self.count))
                    number += 1
                if not pending:
                    return
                try:
                    ready = pending.popleft().result(timeout or None)
                except Waited:
                    raise DataError(f"DataLoader: a worker needed more than timeout={timeout} s for a batch") from None
                if (job := next(jobs, None)) is not None:
                    pending.append(self._submitted(job, number % self.count))
                    number += 1
                yield ready
        finally:
            # Reached at the end, after an error, on Ctrl-C, and when a loop is left early and drops the iterator.
            for pool in self._pools:
                pool.shutdown(wait=False, cancel_futures=True)
            for pool in self._pools:
                pool.shutdown(wait=True)

    def _submitted(self, job, worker):
        return self._pools[worker].submit(job, self.datasets[worker])


def _own_copy(dataset: Any) -> Any:
    """What a process of its own would have of a dataset, and of the datasets in it: attributes that nobody else sets,
    as a file that is opened when the first item is read. What they hold by then is shared."""
    if not isinstance(dataset, Dataset) and (hasattr(dataset, "__array__") or not hasattr(dataset, "__dict__")):
        return dataset  # an array, a list: there is nothing that reading sets
    own = copy.copy(dataset)
    for name, value in vars(own).items():
        if isinstance(value, Dataset):
            vars(own)[name] = _own_copy(value)
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Dataset):
            vars(own)[name] = type(value)(map(_own_copy, value))
    return own
