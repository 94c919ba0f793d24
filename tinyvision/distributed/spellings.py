"""What ranks do together, in PyTorch's words: its names and arguments, over the calls of `group`.

`group=` is None or `group.WORLD`, all ranks; there are no parts of them. With `async_op=True` the call has ended when
it returns, and gives something whose `wait()` has nothing left to do: the same numbers, without the overlap.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from datetime import timedelta
from typing import Any

import numpy as np

from ..device import nccl_module, require_cuda
from ..errors import DeviceError, DistributedError, OptionError
from ..ops.checks import is_integer
from ..tape import Variable
from . import group as ranks
from .group import ReduceOp

WORLD = ranks.WORLD
_BACKENDS = ("mpi", "gloo", "nccl")


class Work:
    """What an `async_op=True` call gives: it has been done."""

    def wait(self, timeout: Any = None) -> bool:
        """True, at once."""
        return True

    def is_completed(self) -> bool:
        """True."""
        return True


_DONE = Work()
_backend = ""  # what init_process_group was told, for get_backend


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: timedelta | float | None = None,
    world_size: int = -1,
    rank: int = -1,
    store: None = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """`init` as PyTorch spells it. Whatever the backend is called, MPI starts the ranks and carries what is on the CPU;
    gradients on GPUs go through NCCL where every rank has a GPU of its own. "nccl" wants a GPU to be there.

    world_size, rank
                 must be MPI's, if they are given
    init_method  "env://", "tcp://..." or "file://...": how PyTorch's processes find each other. MPI's have been
                 told by what started them; it changes nothing, nor do group_name, pg_options and device_id

    Raises OptionError, DistributedError, and DeviceError for "nccl" without a GPU or without NCCL."""
    global _backend
    chosen = _backend_of(backend)
    if store is not None:
        raise OptionError("init_process_group: processes find each other through MPI; leave store out")
    if init_method is not None and not str(init_method).startswith(("env://", "tcp://", "file://")):
        raise OptionError(
            f"init_process_group: init_method is 'env://', 'tcp://...' or 'file://...', got {init_method!r}"
        )
    if chosen == "nccl":
        require_cuda()
        if nccl_module() is None:
            raise DeviceError("init_process_group: this CuPy has no NCCL; backend='mpi' takes gradients over the host")
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    ranks.init() if seconds is None else ranks.init(seconds)
    _backend = chosen
    for name, told, known in (("world_size", world_size, ranks.world_size()), ("rank", rank, ranks.rank())):
        if told != -1 and told != known:
            remedy = f"; start them with mpirun -n {told} python ..." if name == "world_size" else ""
            raise DistributedError(f"init_process_group: {name}={told!r}, but MPI says {known}{remedy}")


def _backend_of(text):
    """The backend that a name such as "cpu:gloo,cuda:nccl" speaks of; with no name, what is here decides."""
    names = [part.rpartition(":")[2] for part in str(text or "mpi").lower().split(",")]
    wrong = [name for name in names if name not in _BACKENDS]
    if wrong:
        raise OptionError(f"init_process_group: backend={text!r}; expected 'mpi', 'gloo' or 'nccl'")
    return names[0]


def destroy_process_group(group: Any = None) -> None:
    """Nothing: a rank leaves its group when its process ends."""
    _all_ranks("destroy_process_group", group)


def get_backend(group: Any = None) -> str:
    """The backend that `init_process_group` was told; "mpi" after `init`. Raises DistributedError before them."""
    _all_ranks("get_backend", group)
    ranks.joined()
    return _backend or "mpi"


def get_default_backend_for_device(device: Any) -> str:
    """ "nccl" for a GPU, "gloo" for the CPU, as scripts pass it on to init_process_group."""
    return "nccl" if str(device).startswith("cuda") else "gloo"


def is_mpi_available() -> bool:
    """Whether mpi4py is installed."""
    return ranks.is_available()


def is_gloo_available() -> bool:
    """Whether mpi4py is installed: its MPI carries what Gloo would."""
    return ranks.is_available()


def is_nccl_available() -> bool:
    """Whether CuPy has NCCL."""
    return nccl_module() is not None


def is_torchelastic_launched() -> bool:
    """False: MPI starts the processes, and does not start them again."""
    return False


def get_rank(group: Any = None) -> int:
    """The number of this process, from 0; 0 in one that is alone."""
    _all_ranks("get_rank", group)
    return ranks.rank()


def get_world_size(group: Any = None) -> int:
    """How many processes there are; 1 for one that is alone."""
    _all_ranks("get_world_size", group)
    return ranks.world_size()


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Wait until all ranks have come here. Raises DistributedError."""
    _all_ranks("barrier", group)
    ranks.barrier()
    return _DONE if async_op else None


def broadcast(tensor: Any, src: int = 0, group: Any = None, async_op: bool = False) -> Any:
    """Put the numbers of rank `src` into `tensor`, a tensor or array of one shape and dtype on all ranks; returns it.

    Raises OptionError, DistributedError."""
    _all_ranks("broadcast", group)
    ranks.broadcast(tensor, src)
    return _DONE if async_op else tensor


def all_reduce(tensor: Any, op: str | ReduceOp = "sum", group: Any = None, async_op: bool = False) -> Any:
    """Make `tensor`, a tensor or array of one shape and dtype on all ranks, their sum on each; returns it.

    op   "sum", "mean", "product", "max" or "min", or a ReduceOp. Raises OptionError, DistributedError."""
    _all_ranks("all_reduce", group)
    ranks.all_reduce(tensor, op)
    return _DONE if async_op else tensor


def reduce(
    tensor: Any, dst: int = 0, op: str | ReduceOp = "sum", group: Any = None, async_op: bool = False
) -> Work | None:
    """`all_reduce` whose result only rank `dst` gets; the tensors of the others stay as they are."""
    _all_ranks("reduce", group)
    _check_rank("reduce", "dst", dst)
    other = tensor if ranks.rank() == dst else _copy(tensor)
    ranks.all_reduce(other, op)
    return _DONE if async_op else None


def all_gather(
    tensor_list: MutableSequence[Any], tensor: Any, group: Any = None, async_op: bool = False
) -> Work | None:
    """Write every rank's `tensor`, of one shape and dtype, into the tensor of `tensor_list` with its number.

    Raises OptionError, DistributedError."""
    _all_ranks("all_gather", group)
    _write_all("all_gather", "tensor_list", tensor_list, tensor)
    return _DONE if async_op else None


def gather(
    tensor: Any,
    gather_list: MutableSequence[Any] | None = None,
    dst: int = 0,
    group: Any = None,
    async_op: bool = False,
) -> Any:
    """The tensors or arrays of all ranks, of one shape and dtype, along a new first axis in the order of ranks.

    tensor (...)  ->  array (world_size, ...), the same on every rank; with a `gather_list` of tensors, as PyTorch has
    it on rank `dst`, they are written into those instead. Raises OptionError, DistributedError."""
    _all_ranks("gather", group)
    _check_rank("gather", "dst", dst)
    if gather_list is not None and ranks.rank() != dst:
        raise OptionError(f"gather: gather_list belongs to rank {dst} alone, dst; here is rank {ranks.rank()}")
    if gather_list is None:
        table = ranks.gather(tensor.array if isinstance(tensor, Variable) else tensor)
        return _DONE if async_op else table
    _write_all("gather", "gather_list", gather_list, tensor)
    return _DONE if async_op else None


def all_gather_into_tensor(
    output_tensor: Any, input_tensor: Any, group: Any = None, async_op: bool = False
) -> Work | None:
    """Write every rank's `input_tensor`, of one shape and dtype, into one tensor, after each other or along a new
    first axis, as its shape says. Raises OptionError, DistributedError."""
    _all_ranks("all_gather_into_tensor", group)
    found = ranks.gather(ranks.numbers_of("all_gather_into_tensor", input_tensor))
    if tuple(output_tensor.shape) != found.shape and found.ndim > 1:
        found = found.reshape(-1, *found.shape[2:])
    _write("all_gather_into_tensor", "output_tensor", output_tensor, found)
    return _DONE if async_op else None


def all_gather_object(object_list: MutableSequence[Any], obj: Any, group: Any = None) -> None:
    """Put every rank's `obj`, anything that can be pickled, into `object_list` at its number.

    It travels as mpi4py pickles it, between the processes of one job alone. Raises OptionError, DistributedError."""
    _all_ranks("all_gather_object", group)
    if len(object_list) != ranks.world_size():
        raise OptionError(
            f"all_gather_object: object_list has room for {len(object_list)}, and there are {ranks.world_size()} ranks"
        )
    if ranks.world_size() == 1:
        object_list[0] = obj
        return
    pickle = ranks.joined().MPI.pickle
    message = np.frombuffer(pickle.dumps(obj), np.uint8)
    lengths = ranks.gather(np.array([len(message)], np.int64)).ravel()
    padded = np.zeros(lengths.max(), np.uint8)
    padded[: len(message)] = message
    object_list[:] = [pickle.loads(row[:n].tobytes()) for row, n in zip(ranks.gather(padded), lengths, strict=True)]


def broadcast_object_list(
    object_list: MutableSequence[Any], src: int = 0, group: Any = None, device: Any = None
) -> None:
    """Make `object_list` rank `src`'s, whose items can be anything that can be pickled.

    It travels as mpi4py pickles it, between the processes of one job alone. Raises OptionError, DistributedError."""
    _all_ranks("broadcast_object_list", group)
    _check_rank("broadcast_object_list", "src", src)
    if ranks.world_size() == 1:
        return
    pickle, mine = ranks.joined().MPI.pickle, ranks.rank() == src
    message = np.frombuffer(pickle.dumps(list(object_list)) if mine else b"", np.uint8).copy()
    length = ranks.broadcast(np.array([len(message)], np.int64), src)
    sent = ranks.broadcast(message if mine else np.empty(length[0], np.uint8), src)
    if not mine:
        object_list[:] = pickle.loads(sent.tobytes())


def _all_ranks(call, group):
    if group is not None and group is not WORLD:
        raise OptionError(f"{call}: group is None or distributed.group.WORLD, all ranks; got {group!r}")


def _check_rank(call, name, number):
    if not is_integer(number) or not 0 <= number < ranks.world_size():
        raise OptionError(f"{call}: {name} is the number of a rank, 0 to {ranks.world_size() - 1}, got {number!r}")


def _copy(value):
    return value.detach().clone() if isinstance(value, Variable) else value.copy()


def _write(call, name, into, found):
    array = ranks.numbers_of(call, into)
    if array.shape != found.shape or array.dtype != found.dtype:
        raise OptionError(
            f"{call}: {name} is {array.dtype} {tuple(array.shape)}, and the ranks have {found.dtype} "
            f"{tuple(found.shape)}"
        )
    ranks.put(into, found)


def _write_all(call, name, tensors, tensor):
    if len(tensors) != ranks.world_size():
        raise OptionError(f"{call}: {name} holds {len(tensors)} tensors, and there are {ranks.world_size()} ranks")
    table = ranks.gather(ranks.numbers_of(call, tensor))
    for number, into in enumerate(tensors):
        _write(call, f"{name}[{number}]", into, table[number])
