"""Adding up the arrays of GPUs over all ranks, from GPU to GPU: NVIDIA's NCCL, by way of CuPy.

Each rank has one GPU for itself. MPI stays what the ranks talk through: it carries the id with which their GPUs find
each other, and all that is not a gradient. The sums run on a stream of their own, beside the backward:

    backward    gradients of a bucket | gradients of the next one ...       (goes on)
                          event ------.                             .------- seen by the host
    sums                              all-reduce, divided by the ranks

Nothing of it waits on the host but the end of a backward, which looks again and again whether the last sum has come:
a GPU that waits for a rank which is no more would wait for ever, and the clock of `Watch` must not.

This has been run with 2 and 3 ranks on a stand-in for NCCL that computes late, in order, and on its stream alone; it
has not met two real GPUs yet. Not by NCCL: the few numbers of SyncBatchNorm and of the calls in `group`, which take
the way over the host. No step of several ranks is captured as a CUDA graph, since ranks tell their rows in each.
"""

from __future__ import annotations

import atexit
import hashlib
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ..device import Device, nccl_module, require_cuda
from ..errors import DistributedError
from . import group

_communicators: dict[Device, Any] = {}


def identity(where: Device) -> np.ndarray:
    """Bytes that no other GPU of the job has, (32,) uint8; zeros where NCCL cannot be used."""
    if where.type != "cuda" or nccl_module() is None:
        return np.zeros(32, np.uint8)
    cupy = require_cuda(where)
    place = f"{socket.gethostname()} {cupy.cuda.runtime.deviceGetPCIBusId(where.index)}"
    return np.frombuffer(hashlib.sha256(place.encode()).digest(), np.uint8)


def connects(identities: np.ndarray) -> bool:
    """Whether ranks whose GPUs have these identities, (ranks, 32), can use NCCL: one GPU a rank."""
    return bool(identities.any(axis=1).all()) and len(np.unique(identities, axis=0)) == len(identities)


class Nccl:
    """The Exchange between GPUs. All ranks make it, and start its arrays, in one order."""

    def __init__(self, where: Device, sizes: Sequence[int], dtype: Any) -> None:
        self._where, self._ranks = where, group.world_size()
        self._cupy, self._nccl = require_cuda(where), nccl_module()
        self._type = {4: self._nccl.NCCL_FLOAT32, 8: self._nccl.NCCL_FLOAT64}[np.dtype(dtype).itemsize]
        self._communicator = _communicator(where)
        with self._cupy.cuda.Device(where.index):
            self._stream = self._cupy.cuda.Stream(non_blocking=True)
            self.arrays = [self._cupy.empty(size, dtype) for size in sizes]
        self._events: dict[int, Any] = {}  # of the arrays that are on their way: when the mean is there

    def start(self, number: int) -> None:
        """Begin the sum once the work that fills the array, queued so far on the current stream, is done."""
        array = self.arrays[number]
        with self._cupy.cuda.Device(self._where.index):
            self._stream.wait_event(self._cupy.cuda.get_current_stream().record())
            with self._stream:
                place = array.data.ptr
                self._ask("allReduce", place, place, array.size, self._type, self._nccl.NCCL_SUM, self._stream.ptr)
                array /= array.dtype.type(self._ranks)
            self._events[number] = self._stream.record()

    def look(self) -> None:
        """NCCL goes on by itself; what has gone wrong meanwhile is raised here, as DistributedError."""
        if self._events:
            self._ask("check_async_error")

    def done(self, number: int) -> bool:
        """Whether the mean is there."""
        if number in self._events and self._events[number].done:
            del self._events[number]
        return number not in self._events

    def _ask(self, what, *arguments):
        try:
            getattr(self._communicator, what)(*arguments)
        except self._nccl.NcclError as error:
            _communicators.pop(self._where, None)  # whoever tries again meets anew
            atexit.unregister(self._communicator.abort)
            with suppress(self._nccl.NcclError):
                self._communicator.abort()  # or what is queued would wait for ever
            raise DistributedError(
                f"the exchange of gradients between GPUs: NCCL says {error}, on rank {group.rank()}; "
                f"NCCL_DEBUG=INFO in the environment makes it say more"
            ) from None


def _communicator(where):
    """What the GPUs of all ranks are connected by; made by all of them at the first call, and kept."""
    if where not in _communicators:
        nccl, cupy = nccl_module(), require_cuda(where)
        own = nccl.get_unique_id() if group.rank() == 0 else (0,) * 128
        told = group.broadcast(np.array(own, np.int8), what="the meeting of the GPUs")
        with cupy.cuda.Device(where.index):
            try:
                made = nccl.NcclCommunicator(group.world_size(), tuple(told.tolist()), group.rank())
            except nccl.NcclError as error:
                raise DistributedError(
                    f"the GPUs of the ranks do not find each other: NCCL says {error}, on rank {group.rank()}; "
                    f"NCCL_DEBUG=INFO in the environment makes it say more"
                ) from None
        atexit.register(made.abort)  # which waits for nobody; at the end, nothing is under way
        _communicators[where] = made
    return _communicators[where]
