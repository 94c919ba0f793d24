"""Gradients on their way between ranks: gathered in buckets, each of which leaves as soon as it is full.

A backward knows the gradients of the last layers first, while most of its work is still ahead. So the parameters are
taken from the last to the first, and a bucket's exchange begins when its last gradient is whole. Buckets leave in one
order on all ranks, also those with parameters that a rank has not used: beside the numbers, a bucket carries for every
parameter whether there was a gradient, and what no rank has stays None.

Gradients on a GPU stay there, and leave as early, where NCCL connects the ranks' GPUs; elsewhere they are fetched at
the end of the backward, when nobody waits for the GPU any more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...arrays import in_its_order
from ...device import device_of, to_device, to_numpy
from ...distributed import group
from ...distributed.exchange import Exchange, give_back, make_exchange
from ...errors import DistributedError, OptionError
from ...tensors.tensor import Tensor
from ...walks import is_to_come


class _Bucket:
    """Neighbouring parameters, and where their gradients lie in the array that is exchanged."""

    def __init__(self, named: Sequence[tuple[str, Any]], exchange: Exchange, number: int) -> None:
        self.parameters = [p for _, p in named]
        self.names = named[0][0] if len(named) == 1 else f"{named[0][0]} to {named[-1][0]}"
        self.exchange, self.number = exchange, number
        array = exchange.arrays[number]
        self.device = device_of(array)
        ends = np.cumsum([0, *(math.prod(p.shape) for p in self.parameters)]).tolist()
        self.used = np.zeros(len(named), array.dtype)
        self._used_by_all = array[ends[-1] :]
        self.places = [
            _like_memory(array[begin:end], p.array)
            for p, begin, end in zip(self.parameters, ends[:-1], ends[1:], strict=True)
        ]

    def fill(self, which: int) -> None:
        """Put a parameter's gradient into its place, or zeros if it has none."""
        p, place = self.parameters[which], self.places[which]
        self.used[which] = p.grad is not None
        if p.grad is None:
            place[...] = 0
        elif p.grad.array is not place:
            place[...] = to_device(p.grad.array, self.device)

    def start(self) -> None:
        """All gradients are in their places: the exchange begins."""
        self._used_by_all[...] = to_device(self.used, self.device)
        self.exchange.start(self.number)

    def hand_out(self) -> None:
        """Give every parameter its gradient of the whole batch: the bucket's memory itself, where that is on the
        parameter's device."""
        for p, place, used in zip(self.parameters, self.places, to_numpy(self._used_by_all), strict=True):
            if not used:
                p.grad = None
            elif device_of(p.array) == self.device:
                p.grad = Tensor.of(place)
            else:
                p.grad = Tensor.of(to_device(np.ascontiguousarray(place), device_of(p.array)))


def _like_memory(flat: np.ndarray, array: Any) -> np.ndarray:
    """`flat` in the shape of an array, with its axes in memory in the same order: optimizers walk both at once."""
    axes = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return flat.reshape([array.shape[axis] for axis in axes]).transpose(np.argsort(axes))


class Buckets:
    """The gradients of these (name, parameter), in buckets of about `size` bytes; all ranks make them alike."""

    def __init__(self, named: Sequence[tuple[str, Any]], size: float) -> None:
        self.buckets: list[_Bucket] = []
        self.state = state_of(named)
        for dtype, kind in sorted({_kind(p) for _, p in named}, key=str):
            if dtype == np.float16:
                raise OptionError("DistributedDataParallel: MPI does not add float16; keep the weights in float32")
            alike = [pair for pair in reversed(named) if _kind(pair[1]) == (dtype, kind)]
            cut = _cut(alike, size / dtype.itemsize)
            sizes = [sum(math.prod(p.shape) for _, p in part) + len(part) for part in cut]
            exchange = make_exchange(sizes, dtype, device_of(alike[0][1].array))
            self.buckets += [_Bucket(part, exchange, number) for number, part in enumerate(cut)]
        self.places = {id(p): (b, i) for b in self.buckets for i, p in enumerate(b.parameters)}
        self.missing: dict[int, set[int]] = {}  # while a backward goes on: which gradients each bucket lacks

    def begin(self) -> None:
        """A backward begins: its gradients are to be exchanged. Raises DistributedError if the one before broke off."""
        if self.missing:
            raise DistributedError(
                f"DistributedDataParallel: the backward before this one broke off on rank {group.rank()}, when some of "
                f"its gradients were on their way; the ranks cannot go on together"
            )
        self.missing = {k: set(range(len(b.parameters))) for k, b in enumerate(self.buckets)}
        self.started = 0
        for bucket in self.buckets:
            for p in bucket.parameters:
                if not is_to_come(p):
                    self.ready(p)

    def give_back(self) -> None:
        """Gradients are not exchanged any more; all ranks say so at the same point. What there are become copies."""
        if self.missing:
            return  # a backward broke off: what is on its way may still arrive
        for bucket in self.buckets:
            for p, place in zip(bucket.parameters, bucket.places, strict=True):
                if p.grad is not None and p.grad.array is place:
                    p.grad.array = in_its_order(place, lambda array: array.copy())
        for exchange in {id(b.exchange): b.exchange for b in self.buckets}.values():
            give_back(exchange)
        self.buckets, self.places, self.state = [], {}, []

    def ready(self, p: Any) -> None:
        """The gradient of a parameter is whole."""
        if not self.missing or id(p) not in self.places:
            return
        bucket, which = self.places[id(p)]
        if device_of(p.array) != bucket.device:
            return  # fetched at the end
        missing = self.missing[self.buckets.index(bucket)]
        if which in missing:
            bucket.fill(which)
            missing.discard(which)
            self._start_full()
        for exchange in {id(b.exchange): b.exchange for b in self.buckets}.values():
            exchange.look()

    def _start_full(self):
        while self.started < len(self.buckets) and not self.missing[self.started]:
            bucket = self.buckets[self.started]
            bucket.start()
            self.started += 1

    def finish(self) -> None:
        """The backward is over: send what is left, wait for all, hand the gradients out. Raises DistributedError."""
        for k, bucket in enumerate(self.buckets):
            for which in sorted(self.missing[k]):
                bucket.fill(which)
            self.missing[k].clear()
            self._start_full()
        self.missing = {}
        for k, bucket in enumerate(self.buckets):
            what = f"the exchange of gradients, bucket {k + 1} of {len(self.buckets)} ({bucket.names})"
            group.joined().wait(_Arrival(bucket), what)
            bucket.hand_out()


class _Arrival:
    """What a Watch waits for."""

    def __init__(self, bucket):
        self._bucket = bucket

    def Test(self):
        self._bucket.exchange.look()
        return self._bucket.exchange.done(self._bucket.number)


def state_of(named: Sequence[tuple[str, Any]]) -> list[tuple[int, Any, str]]:
    """What must stay as it is while parameters are in buckets; others need new ones."""
    return [(id(p), p.dtype, str(device_of(p.array))) for _, p in named]


def _kind(p):
    """What parameters of one exchange have in common, named alike on all ranks."""
    return p.array.dtype, device_of(p.array).type


def _cut(named, most):
    """Lists of neighbours with about `most` numbers each; the first is small, so that something leaves early."""
    parts: list[list[tuple[str, Any]]] = []
    room = 0.0
    for name, p in named:
        numbers = math.prod(p.shape)
        if room < numbers or not parts:
            room = most / 8 if not parts else most
            parts.append([])
        parts[-1].append((name, p))
        room -= numbers
    return parts
