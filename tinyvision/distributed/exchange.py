"""Adding up arrays over all ranks while they compute: started when one is ready, looked after in passing, awaited last.

Three ways do the same. *Messages* works everywhere: MPI carries the numbers. *Nccl* (see `nccl`) is for arrays on GPUs,
one for each rank. *Window* is for ranks on one machine: they see each other's arrays in shared memory, so nothing is
sent or copied. There, each rank adds up a part of every array for all, as soon as all have put their numbers in; it
does so between two steps of its own work, whenever it looks.

    rank 0's array  [ a0 | b0 ]   rank 0 writes a = (a0 + a1) / 2 into both arrays,
    rank 1's array  [ a1 | b1 ]   rank 1 writes b = (b0 + b1) / 2 into both

Sums go over the ranks in their order, and each is computed once: all ranks have the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ..device import CPU, Device, device_of
from . import group
from .nccl import Nccl, connects, identity
from .shares import share_of
from .watching import Watch

_BLOCK = 1 << 15  # numbers that are added at a time: two blocks stay in a core's cache
_LINE = 64  # bytes; arrays begin at a line of the cache


class Exchange(Protocol):
    """Arrays of this rank, each of which becomes the mean over all ranks after every rank has called start()."""

    arrays: list[Any]

    def start(self, number: int) -> None:
        """This rank's numbers are in the array; from now on it is the exchange's."""

    def look(self) -> None:
        """Do what can be done without waiting."""

    def done(self, number: int) -> bool:
        """Whether the array holds the mean, and is this rank's again."""


_idle: dict[tuple[tuple[int, ...], str, Device], list[Exchange]] = {}


def give_back(exchange: Exchange) -> None:
    """Nobody uses an exchange any more: the next of such sizes takes its place. All ranks do this at the same point."""
    sizes = tuple(len(array) for array in exchange.arrays)
    first = exchange.arrays[0]
    _idle.setdefault((sizes, str(first.dtype), device_of(first)), []).append(exchange)


def make_exchange(sizes: Sequence[int], dtype: Any, where: Device = CPU) -> Exchange:
    """The best Exchange for arrays of these sizes, between all ranks of the job; all of them call this.

    where   the device of the numbers that are added. The arrays of the exchange are there if every rank has a GPU of
            its own that NCCL connects, else on the CPU. Raises DistributedError."""
    watch = group.joined()
    gpus = group.gather(identity(where), "the choice of an exchange")
    place = where if connects(gpus) else CPU
    if idle := _idle.get((tuple(sizes), str(np.dtype(dtype)), place)):
        return idle.pop()
    if place is not CPU:
        return Nccl(place, sizes, dtype)
    machine = watch.comm.Split_type(watch.MPI.COMM_TYPE_SHARED)
    bytes_needed = sum(_room(size, dtype) for size in sizes) + _LINE * (1 + len(sizes))
    fits = machine.size == watch.comm.size and _free_memory() > 2 * machine.size * bytes_needed
    if bool(group.gather(np.array([fits]), "the choice of an exchange").all()):
        return Window(watch, machine, sizes, dtype)
    machine.Free()
    return Messages(watch, sizes, dtype)


def _free_memory() -> float:
    """Bytes that shared memory may still take: in a container often much less than there is."""
    try:
        found = os.statvfs("/dev/shm")
    except (OSError, AttributeError):
        return 0.0
    return float(found.f_bavail * found.f_frsize)


def _room(size: int, dtype: Any) -> int:
    return -(-size * np.dtype(dtype).itemsize // _LINE) * _LINE


class Messages:
    """MPI sends the numbers; it does so whenever it is called, so looking now and then is what makes it go on."""

    def __init__(self, watch: Watch, sizes: Sequence[int], dtype: Any) -> None:
        self._watch = watch
        self.arrays = [np.zeros(size, dtype) for size in sizes]
        self._requests: dict[int, Any] = {}

    def start(self, number: int) -> None:
        """Begin the sum; all ranks start their arrays in one order."""
        comm, here = self._watch.comm, self._watch.MPI.IN_PLACE
        self._requests[number] = comm.Iallreduce(here, self.arrays[number])

    def look(self) -> None:
        """Let MPI go on."""
        for number in list(self._requests):
            self.done(number)

    def done(self, number: int) -> bool:
        """Whether the mean is there."""
        if number in self._requests and self._requests[number].Test():
            self.arrays[number] /= self.arrays[number].dtype.type(self._watch.comm.size)
            del self._requests[number]
        return number not in self._requests


class Window:
    """Ranks on one machine, who see each other's arrays.

    Each rank counts, in shared memory too, how often it has filled every array and how often it has added up its part:
    `filled` and `added`, (arrays,) int64, written by their rank alone. Nobody writes into another's array before all
    have filled theirs, nor into its own before all parts are added."""

    def __init__(self, watch: Watch, machine: Any, sizes: Sequence[int], dtype: Any) -> None:
        self._rank, self._ranks = int(machine.rank), int(machine.size)
        counts = _LINE * len(sizes)
        begins = np.cumsum([2 * counts, *(_room(size, dtype) for size in sizes)])
        self._window = watch.MPI.Win.Allocate_shared(int(begins[-1]), 1, comm=machine)
        self._window.Lock_all()
        memory = [np.frombuffer(self._window.Shared_query(rank)[0], np.uint8) for rank in range(self._ranks)]
        step = _LINE // 8  # a count has a line of the cache for itself
        self._filled = [m[:counts].view(np.int64)[::step] for m in memory]
        self._added = [m[counts : 2 * counts].view(np.int64)[::step] for m in memory]
        self._all = [
            [m[begin : begin + size * np.dtype(dtype).itemsize].view(dtype) for m in memory]
            for begin, size in zip(begins[:-1], sizes, strict=True)
        ]
        self.arrays = [arrays[self._rank] for arrays in self._all]
        for own in (self._filled[self._rank], self._added[self._rank], *self.arrays):
            own[...] = 0
        self._open: list[int] = []  # started, and my part not yet added up
        self._window.Sync()
        group.barrier("the opening of shared memory")

    def start(self, number: int) -> None:
        """Tell the others that my numbers are there."""
        self._window.Sync()
        self._filled[self._rank][number] += 1
        self._open.append(number)

    def look(self) -> None:
        """Add up my part of every array that all have filled."""
        for number in [n for n in self._open if self._all_are_at(self._filled, n)]:
            self._window.Sync()
            self._add(self._all[number])
            self._window.Sync()
            self._added[self._rank][number] += 1
            self._open.remove(number)

    def done(self, number: int) -> bool:
        """Whether all parts have been added up."""
        done = number not in self._open and self._all_are_at(self._added, number)
        if done:
            self._window.Sync()
        return done

    def _all_are_at(self, counts, number):
        turn = self._filled[self._rank][number]
        return all(count[number] >= turn for count in counts)

    def _add(self, arrays):
        part = share_of(len(arrays[0]), self._rank, self._ranks)
        total = np.empty(min(_BLOCK, part.stop - part.start), arrays[0].dtype)
        for begin in range(part.start, part.stop, _BLOCK):
            block = slice(begin, min(begin + _BLOCK, part.stop))
            own = total[: block.stop - block.start]
            own[...] = arrays[0][block]
            for array in arrays[1:]:
                own += array[block]
            own /= own.dtype.type(self._ranks)
            for array in arrays:
                array[block] = own
