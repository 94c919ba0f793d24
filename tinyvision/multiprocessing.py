"""torch.multiprocessing as training scripts use it: `spawn`, and what it passes on of Python's own module.

Processes do not share the memory of tensors here: what else PyTorch's module has is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from multiprocessing import cpu_count, get_context, get_start_method, set_start_method
from typing import TYPE_CHECKING, Any

from . import distributed
from .errors import DistributedError, OptionError
from .launcher import launched_as
from .missing import missing
from .ops.checks import is_integer
from .places import stand_for

__all__ = ["cpu_count", "get_context", "get_start_method", "set_sharing_strategy", "set_start_method", "spawn"]


def spawn(
    fn: Callable[..., Any],
    args: Sequence[Any] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> None:
    """Call fn(rank, *args) in this process. MPI has started the others, each of which comes here and does the same:

        mpirun -n 4 python train.py          for nprocs=4

    So what stands before `spawn` in a script runs once in every process. `daemon` and `start_method` change nothing.
    Raises OptionError, and DistributedError where nprocs is not the number of processes that are there."""
    if not is_integer(nprocs) or nprocs < 1:
        raise OptionError(f"spawn: nprocs is a number of processes, 1 or more, got {nprocs!r}")
    if not join:
        raise OptionError("spawn: join=False would go on beside fn; MPI's processes run fn themselves and then go on")
    launch = launched_as()
    number, count = launch[1:] if launch else (distributed.rank(), distributed.world_size())
    if nprocs != count:
        there = f"{launch[0]} has started {count}" if launch else "this one is alone"
        raise DistributedError(
            f"spawn: {nprocs} processes are wanted and {there}; MPI starts them: mpirun -n {nprocs} python train.py"
        )
    fn(number, *args)


def set_sharing_strategy(new_strategy: str) -> None:
    """Nothing: no memory of tensors is shared between processes, so there is no way of sharing it to choose."""


stand_for(__name__, "spawn")

if not TYPE_CHECKING:
    __getattr__ = missing("torch.multiprocessing", __all__)
