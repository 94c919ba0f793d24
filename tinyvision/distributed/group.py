"""The ranks of a job, and what they do together: the same call on every rank, in the same order.

Arrays cross between ranks as they are in memory, through mpi4py's buffer calls; nothing is pickled. A result that all
ranks share has the same bits on all of them. No rank waits for another longer than the `timeout` of `init`: then, or as
soon as it is known that somebody has ended, `DistributedError` says who is missing, and the job ends.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Callable
from enum import Enum
from typing import Any, NoReturn, TypeVar

import numpy as np

from .. import cores, random, threads
from ..device import device_of, to_device, to_numpy
from ..errors import DistributedError, OptionError
from ..launcher import launched_as, remedy, understands
from ..ops.checks import is_integer, is_number
from ..tape import Variable
from .watching import Watch

Value = TypeVar("Value")


class ReduceOp(Enum):
    """How `all_reduce` makes one number out of those of all ranks."""

    SUM = "sum"
    AVG = "mean"
    PRODUCT = "product"
    MAX = "max"
    MIN = "min"


WORLD = "WORLD"  # all ranks: there is no other group

_watch: Watch | None = None  # the group that this process belongs to, after init()


def init(timeout: float = 60.0) -> None:
    """Join the processes that MPI has started beside this one; called once, at the beginning, by all of them.

    timeout   seconds that a rank waits for the others before it ends the job: more than the slowest thing that one
              rank does alone, such as rank 0's evaluation or saving

    Afterwards all ranks draw the same random numbers, rank 0's, so that seeds and first weights agree; ops use the
    rank's share of the cores, unless TINYVISION_NUM_THREADS or OMP_NUM_THREADS says how many. An exception that nobody
    catches ends the whole job. Raises OptionError, and DistributedError if MPI is missing, or is another one than the
    launcher's own."""
    global _watch
    if not is_number(timeout) or not 0 < timeout < float("inf"):
        raise OptionError(f"init: timeout is a number of seconds above 0, got {timeout!r}")
    if _watch is not None:
        raise DistributedError("init: this process has joined its group already; call it once")
    MPI = _mpi()
    _check_launcher(MPI)
    comm = MPI.COMM_WORLD
    _watch = Watch(MPI, comm, float(timeout))
    if world_size() > 1:
        _watch.guard()
        random.set_rng_state(broadcast(_state()))
        if cores.threads_told() is None:
            share = cores.available_cores() // _neighbours(MPI, comm)
            threads.set_num_threads(min(max(1, share), threads.MOST_THREADS))


def _check_launcher(MPI):
    """Start MPI, if it is the one that the launcher has started this process for. Raises DistributedError if not."""
    library, launched = MPI.Get_library_version(), launched_as()
    strange = launched is not None and not understands(library, launched[0])
    if not strange and not MPI.Is_initialized():
        MPI.Init_thread()
    if launched is not None and (strange or MPI.COMM_WORLD.size != launched[2]):
        launcher, number, count = launched
        fault = "is of another kind" if strange else f"sees {MPI.COMM_WORLD.size}"
        raise DistributedError(
            f"init: {launcher} started this process as number {number} of {count}, but its MPI "
            f"({library.splitlines()[0].strip(' ,')[:60]}) {fault}; "
            f"{remedy(launcher, count)}"
        )


def _mpi() -> Any:
    if not is_available():
        raise DistributedError(
            "init: mpi4py is not installed; pip install 'tinyvision[distributed-local]' brings it with an MPI for one "
            "machine, 'tinyvision[distributed]' without one, for a cluster that has its own"
        )
    try:
        options = importlib.import_module("mpi4py").rc
        options.initialize, options.finalize = False, True  # not before the launcher has been looked at
        return importlib.import_module("mpi4py.MPI")
    except (ImportError, RuntimeError) as error:
        text = str(error).splitlines()[0]
        raise DistributedError(
            f"init: mpi4py finds no MPI ({text}); pip install mpich, or load your cluster's MPI module"
        ) from None


def _state():
    """Where rank 0's random numbers are; another kind of generator than ours cannot be copied, and begins anew."""
    try:
        return random.state_of(random.generator())
    except OptionError:
        random.seed()
        return random.state_of(random.generator())


def _neighbours(MPI, comm):
    """How many ranks share this one's cores: those of its machine, unless the launcher has given each its own."""
    mine = int.from_bytes(hashlib.sha256(repr(cores.affinity()).encode()).digest()[:8], "little", signed=True)
    machine = comm.Split_type(MPI.COMM_TYPE_SHARED)
    found = np.empty(machine.size, np.int64)
    machine.Allgather(np.array([mine], np.int64), found)
    machine.Free()
    return int((found == mine).sum())


def local_rank() -> int:
    """The number of this process among those of its machine, from 0: which GPU of several is its own."""
    if _watch is None:
        return 0
    machine = _watch.comm.Split_type(_watch.MPI.COMM_TYPE_SHARED)
    number = int(machine.rank)
    machine.Free()
    return number


def is_available() -> bool:
    """Whether mpi4py is installed."""
    return importlib.util.find_spec("mpi4py") is not None


def is_initialized() -> bool:
    """Whether `init` has been called."""
    return _watch is not None


def joined() -> Watch:
    """This rank's view of its group. Raises DistributedError before `init`."""
    if _watch is None:
        raise DistributedError("this process has joined no group: call distributed.init() first")
    return _watch


def rank() -> int:
    """The number of this process in its group, from 0; 0 in one that is alone."""
    return 0 if _watch is None else int(_watch.comm.rank)


def world_size() -> int:
    """How many processes there are; 1 for one that is alone."""
    return 1 if _watch is None else int(_watch.comm.size)


def barrier(what: str = "barrier()") -> None:
    """Wait until all ranks have come here. Raises DistributedError; `what` is what its message calls this place."""
    if _watch is not None and world_size() > 1:
        _watch.wait(_watch.comm.Ibarrier(), what)


def broadcast(value: Value, src: int = 0, what: str = "broadcast()") -> Value:
    """Put the numbers of rank `src` into `value`, an array or tensor of one shape and dtype on all ranks; returns it.

    Raises OptionError, DistributedError."""
    if not is_integer(src) or not 0 <= src < world_size():
        raise OptionError(f"broadcast: src is the number of a rank, 0 to {world_size() - 1}, got {src!r}")
    if _watch is not None and world_size() > 1:
        own = numbers_of("broadcast", value)
        _watch.wait(_watch.comm.Ibcast(own, root=src), what)
        put(value, own)
    return value


def all_reduce(value: Value, op: str | ReduceOp = "sum", what: str = "all_reduce()") -> Value:
    """Make `value`, an array or tensor of one shape and dtype on all ranks, their sum on each; returns it.

    op   "sum", "mean", "product", "max" or "min", or a ReduceOp. Raises OptionError, DistributedError."""
    try:
        chosen = op if isinstance(op, ReduceOp) else ReduceOp(op)
    except ValueError:
        raise OptionError(f"all_reduce: op is one of {[o.value for o in ReduceOp]}, got {op!r}") from None
    own = numbers_of("all_reduce", value)
    if chosen is ReduceOp.AVG and own.dtype.kind != "f":
        raise OptionError(f"all_reduce: the mean of {own.dtype} is not of that kind; take the sum")
    if _watch is not None and world_size() > 1:
        names = {ReduceOp.PRODUCT: "PROD", ReduceOp.MAX: "MAX", ReduceOp.MIN: "MIN"}
        result = np.empty_like(own)
        request = _watch.comm.Iallreduce(own, result, op=getattr(_watch.MPI, names.get(chosen, "SUM")))
        _watch.wait(request, what)
        put(value, result / result.dtype.type(world_size()) if chosen is ReduceOp.AVG else result)
    return value


def gather(array: Any, what: str = "gather()") -> Any:
    """The arrays of all ranks, of one shape and dtype, along a new first axis in the order of ranks.

    array (...)  ->  (world_size, ...), the same on every rank. Raises DistributedError."""
    if _watch is None or world_size() == 1:
        return array[None]
    own = numbers_of("gather", array)
    table = np.empty((world_size(), *own.shape), own.dtype)
    _watch.wait(_watch.comm.Iallgather(own, table), what)
    return to_device(table, device_of(array))


def check_equal(value: Any, name: str = "the weights") -> str:
    """The SHA-256 of a module's state dict, a tensor or an array, once it is known to be one on all ranks.

    Raises DistributedError, which names the ranks that differ from rank 0, on all of them."""
    own = digest(value.state_dict() if hasattr(value, "state_dict") else {"": value})
    table = gather(np.frombuffer(own, np.uint8), f"the comparison of {name}")
    check_agreement(table, f"check_equal: {name} of", "from those of rank 0")
    return own.hex()


def end_job(say: Callable[[], object], code: int) -> NoReturn:
    """End all processes of the job, with an exit code, after say() has told why on one of them."""
    if _watch is None:
        say()
    else:
        _watch.end_job(say, code)
    raise SystemExit(code)


def digest(tensors: Any) -> bytes:
    """SHA-256 over names, dtypes, shapes and numbers."""
    found = hashlib.sha256()
    for name, value in tensors.items():
        array = np.ascontiguousarray(to_numpy(value.array if isinstance(value, Variable) else value))
        found.update(f"{name}\0{array.dtype}\0{array.shape}\0".encode())
        found.update(array.tobytes())
    return found.digest()


def check_agreement(table: np.ndarray, what: str, rest: str) -> None:
    """Raise DistributedError unless all rows of `table`, one for each rank, are rank 0's."""
    others = [str(r) for r in range(len(table)) if not np.array_equal(table[r], table[0])]
    if others:
        ranks = "rank " + others[0] if len(others) == 1 else "ranks " + ", ".join(others)
        raise DistributedError(f"{what} {ranks} differ {rest}")


def numbers_of(op: str, value: Any) -> np.ndarray:
    """The numbers of a value, as MPI sends them: on the CPU, one after the other, memory of their own.

    Raises OptionError."""
    array = value.array if isinstance(value, Variable) else value
    if not hasattr(array, "dtype") or array.dtype.kind not in "biuf":
        raise OptionError(f"{op}: expected an array or tensor of numbers, got {type(value).__name__}")
    if array.dtype == np.float16:
        raise OptionError(f"{op}: MPI does not add float16; convert to float32 before")
    return np.array(to_numpy(array), order="C")


def put(value: Any, result: np.ndarray) -> None:
    """Write a result, of its shape, into an array or tensor, wherever that lies."""
    array = value.array if isinstance(value, Variable) else value
    array[...] = to_device(result, device_of(array))
    if isinstance(value, Variable):
        value.version += 1
