"""NCCL between the GPUs of `tests/pretended_gpu.py`, by way of MPI: what it promises, and no more.

* What is asked for happens later, on its stream: not before a host looks for the end of it, in the order of the asking.
  Lines of CuPy under `with stream:` wait in the same queue.
* It reads and writes memory of the GPU by its address; any other address is an error.
* Numbers that the stream has not been told to wait for may not be there yet: it refuses to read them.
* All ranks meet with one id, each with a GPU of its own. What fails, fails late: `check_async_error` tells.
"""

import ctypes
import sys
import types
from collections import deque
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
from mpi4py import MPI
from strict import StrictArray

MEMORY = {}  # address: (bytes, what keeps it), of all that the GPU has given out
UNDER_WAY = set()  # (address, bytes) of sums that have been asked for
TYPES = {7: np.float32, 8: np.float64}


class NcclError(RuntimeError):
    """Named as CuPy's."""


class Clock:
    """Counts what the default stream has written."""

    written = 0


class Stream:
    """A queue: each piece of work is a function that returns whether it is done."""

    current = None  # the stream of `with stream:`; None is the default one, which is never behind

    def __init__(self, non_blocking=False):
        assert non_blocking  # or it would wait for the default stream, and that for it
        self.work, self.seen = deque(), -1
        self.ptr = ctypes.addressof(ctypes.py_object(self))
        STREAMS[self.ptr] = self

    def __enter__(self):
        assert Stream.current is None
        Stream.current = self

    def __exit__(self, *exception):
        Stream.current = None

    def wait_event(self, event):
        self.seen = max(self.seen, event.written)

    def record(self):
        event = Event(self)
        self.work.append(event.arrive)
        return event

    def go_on(self):
        """Do what can be done."""
        while self.work and self.work[0]():
            self.work.popleft()


STREAMS = {}


class Event:
    """A mark in a stream."""

    def __init__(self, stream=None):
        self.stream, self.arrived, self.written = stream, stream is None, Clock.written

    def arrive(self):
        self.arrived = True
        return True

    @property
    def done(self):
        if not self.arrived:
            self.stream.go_on()
        return self.arrived


class DefaultStream:
    """What the pretended GPU computes at once."""

    def record(self):
        return Event()

    def wait_event(self, event):
        while not event.done:
            pass

    def synchronize(self):
        pass


class NcclCommunicator:
    """`fault` is what goes wrong in the third sum: nothing is said of it before somebody asks."""

    fault = None

    def __init__(self, count, told, rank):
        assert isinstance(told, tuple)
        assert all(isinstance(part, int) and -128 <= part < 128 for part in told)
        self.comm, self.sums, self.aborted = MPI.COMM_WORLD.Dup(), 0, False
        assert (self.comm.size, self.comm.rank) == (count, rank)
        assert self.comm.allgather(told) == [told] * count
        gpus = self.comm.allgather(sys.modules["cupy"].cuda.runtime.deviceGetPCIBusId(0))
        if len(set(gpus)) < count:
            raise NcclError("NCCL_ERROR_INVALID_USAGE: Duplicate GPU detected")

    def allReduce(self, source, target, count, kind, operation, stream):
        assert operation == 0
        for address in (source, target):
            size = count * np.dtype(TYPES[kind]).itemsize
            if not any(begin <= address and address + size <= begin + n for begin, (n, _) in MEMORY.items()):
                raise NcclError("NCCL_ERROR_INVALID_ARGUMENT: no memory of a GPU")
        assert STREAMS[stream].seen == Clock.written, "the stream does not wait for the numbers it reads"
        self.sums += 1
        buffer = (ctypes.c_char * size).from_address(source)
        state = {}

        def work(number=self.sums):
            if self.fault and number >= 3:
                return False
            if not state:
                state["own"] = np.frombuffer(buffer, TYPES[kind]).copy()
                state["sum"] = np.empty_like(state["own"])
                state["request"] = self.comm.Iallreduce(state["own"], state["sum"])
            if not state["request"].Test():
                return False
            ctypes.memmove(target, state["sum"].ctypes.data, size)
            UNDER_WAY.discard((target, size))
            return True

        UNDER_WAY.add((target, size))
        STREAMS[stream].work.append(work)

    def check_async_error(self):
        assert not self.aborted
        if self.fault and self.sums >= 3:
            raise NcclError(f"NCCL_ERROR_SYSTEM_ERROR: {self.fault}")

    def abort(self):
        self.aborted = True


def check_free(array):
    """Nobody may write where a sum will read, or has not yet written."""
    begin = array.data.ptr
    assert not any(a < begin + array.nbytes and begin < a + n for a, n in UNDER_WAY), "a sum is under way here"


@contextmanager
def connected(gpus="own"):
    """Inside of `pretended_gpu.pretending()`: NCCL beside it, with a GPU for each rank, or ("one") one for all."""
    cupy = sys.modules["cupy"]
    number = MPI.COMM_WORLD.rank if gpus == "own" else 0
    nccl = types.ModuleType("cupy.cuda.nccl")
    nccl.available, nccl.NcclError, nccl.NcclCommunicator = True, NcclError, NcclCommunicator
    nccl.NCCL_SUM, nccl.NCCL_FLOAT32, nccl.NCCL_FLOAT64 = 0, 7, 8
    nccl.get_unique_id = lambda: tuple(np.random.default_rng().integers(-128, 128, 128).tolist())
    at_once, write = StrictArray.__array_ufunc__, StrictArray.__setitem__

    def empty(shape, dtype):
        array = StrictArray(np.empty(shape, dtype))
        MEMORY[array.data.ptr] = array.nbytes, array
        return array

    def ufunc(self, function, method, *inputs, **options):
        Clock.written += Stream.current is None
        if Stream.current is None:
            for out in options.get("out", ()):
                check_free(out)
            return at_once(self, function, method, *inputs, **options)
        (out,) = options["out"]
        Stream.current.work.append(lambda: at_once(self, function, method, *inputs, **options) is out)
        return out

    def setitem(self, index, value):
        assert Stream.current is None
        check_free(self)
        Clock.written += 1
        write(self, index, value)

    pointer = property(lambda self: types.SimpleNamespace(ptr=self._hidden.ctypes.data))
    with (
        patch.dict(sys.modules, {"cupy.cuda.nccl": nccl}),
        patch.object(cupy, "empty", empty),
        patch.object(cupy.cuda, "Stream", Stream),
        patch.object(cupy.cuda, "get_current_stream", DefaultStream),
        patch.object(
            cupy.cuda, "runtime", types.SimpleNamespace(deviceGetPCIBusId=lambda i: f"0000:{number}"), create=True
        ),
        patch.object(StrictArray, "data", pointer, create=True),
        patch.object(StrictArray, "__array_ufunc__", ufunc),
        patch.object(StrictArray, "__setitem__", setitem),
    ):
        yield
