"""Commands on several processes: starting them on this machine, and how they begin and end as one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import OptionError, TinyVisionError
from ..launcher import launched_as
from .parser import number, whole
from .terminal import note


def add_processes(group: Any) -> None:
    """The options of a command that several processes can run."""
    group.add_argument(
        "--processes", type=whole(1), metavar="N", help="start N processes on this machine, which train together"
    )
    group.add_argument(
        "--distributed",
        action="store_true",
        help="train together with the processes beside this one: mpirun -n 4 tinyvision train --distributed",
    )
    group.add_argument(
        "--timeout",
        type=number,
        default=60.0,
        metavar="S",
        help="seconds that processes wait for each other before all end (default: 60)",
    )


def check_alone(command: str) -> None:
    """Raise OptionError if a command that keeps a run folder was started several times at once."""
    launch = launched_as()
    if launch is not None:
        if launch[1] > 0:
            raise SystemExit(2)  # number 0 says so
        raise OptionError(f"tinyvision {command} runs in one process, and {launch[0]} has started {launch[2]}")


def check_launch(args: argparse.Namespace) -> None:
    """Raise OptionError where processes were started in one way and are wanted in another."""
    launch = launched_as()
    if args.processes is not None and (launch is not None or args.distributed):
        raise OptionError("--processes starts processes itself: leave out --distributed, mpirun and srun")
    if launch is not None and not args.distributed:
        if launch[1] > 0:
            raise SystemExit(2)  # number 0 says so
        way = "add --distributed" if launch[0] != "torchrun" else f"use mpirun -n {launch[2]} and --distributed"
        raise OptionError(
            f"{launch[0]} has started {launch[2]} processes; {way}, so that they train one network together"
        )


@contextmanager
def together(args: argparse.Namespace) -> Iterator[None]:
    """A `with` block in which the processes of a job do one thing: rank 0 speaks, and an error on any ends all."""
    from .. import cuda, distributed
    from ..distributed.group import end_job, local_rank
    from ..train.interrupt import Interrupted

    launch = launched_as()
    rank = 0 if launch is None else launch[1]
    try:
        distributed.init(args.timeout)
        rank = distributed.rank()
        args.quiet = args.quiet or rank > 0
        if args.device == "cuda" and (gpus := cuda.device_count()) > 1:
            args.device = f"cuda:{local_rank() % gpus}"
        yield
    except KeyboardInterrupt as stop:  # all of them, at the same step
        text = str(stop) if rank == 0 else ""
        raise Interrupted(text, getattr(stop, "signal", 2), getattr(stop, "run", None)) from None
    except TinyVisionError as error:
        if args.debug or distributed.world_size() == 1:
            raise
        text = f"tinyvision: {f'rank {rank}: ' * (rank > 0)}{error}"
        end_job(lambda: note(text), 2)


def start(arguments: Sequence[str], count: int) -> int:
    """Run the command with these arguments on `count` processes of this machine; the exit code of all of them.

    Raises DistributedError if there is no MPI to start them with."""
    from ..distributed.starting import run

    return run(["-m", "tinyvision", *_without_processes(arguments), "--distributed"], count)


def _without_processes(arguments: Sequence[str]) -> list[str]:
    rest = list(arguments)
    for i, word in enumerate(rest):
        if word == "--processes":
            return rest[:i] + rest[i + 2 :]
        if word.startswith("--processes="):
            return rest[:i] + rest[i + 1 :]
    return rest
