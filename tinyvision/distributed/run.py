"""python -m tinyvision.distributed.run --nproc_per_node 4 train.py: what torchrun is to scripts written for PyTorch.

It starts the processes with the MPI that is here. Each finds in its environment what torchrun would have written there
(RANK, LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT), and runs the script. On several machines
their launcher starts it, without a number:

    mpirun -n 16 --hostfile hosts python -m tinyvision.distributed.run train.py
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from collections.abc import MutableMapping, Sequence

from ..cores import available_cores
from ..errors import TinyVisionError
from ..launcher import launched_as
from .starting import run

# Where a launcher says which of its machine's processes this is, and how many of them there are.
_LOCAL_RANK = ["MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID"]
_LOCAL_SIZE = ["MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE", "SLURM_NTASKS_PER_NODE"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the processes of a script, or be one of them; the exit code."""
    parser = _parser()
    args = parser.parse_args(arguments)
    launch = launched_as()
    if launch is not None and args.nproc is not None:
        if launch[1] > 0:
            return 2  # number 0 says so
        parser.error(f"{launch[0]} has started {launch[2]} processes already; leave out --nproc_per_node")
    if args.nproc is None:
        tell(os.environ)
        _run_script(args.script, args.arguments, args.module)
        return 0
    rest = (["--module"] if args.module else []) + [args.script, *args.arguments]
    try:
        return run(["-m", "tinyvision.distributed.run", *rest], args.nproc)
    except TinyVisionError as error:
        print(f"tinyvision.distributed.run: {error}", file=sys.stderr)
        return 2


def tell(environment: MutableMapping[str, str]) -> None:
    """Write what torchrun writes into the environment of a process, as far as it is not there."""
    _, rank, world = launched_as(environment) or ("", 0, 1)
    for name, value in {
        "RANK": str(rank),
        "WORLD_SIZE": str(world),
        "LOCAL_RANK": _first_number(environment, _LOCAL_RANK, rank),
        "LOCAL_WORLD_SIZE": _first_number(environment, _LOCAL_SIZE, world),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": "29500",
    }.items():
        environment.setdefault(name, value)


def _first_number(environment, names, otherwise):
    """The first of these variables that holds a number, as text; Slurm also writes "2(x3)", which is none."""
    told = (environment[name] for name in names if environment.get(name, "").isdigit())
    return next(told, str(otherwise))


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m tinyvision.distributed.run",
        description="Run a script on several processes of this machine, started by MPI.",
        epilog="Options of torchrun by which its processes find each other are taken and change nothing.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--nproc_per_node", "--nproc-per-node", dest="nproc", type=_processes, metavar="N",
        help="processes to start, or 'cpu' for as many as there are cores; without it, this process is the job's, as "
        "mpirun or srun started it",
    )  # fmt: skip
    parser.add_argument("-m", "--module", action="store_true", help="the script is the name of a module")
    parser.add_argument("--nnodes", type=_one, help="1: the launcher of several machines starts their processes")
    parser.add_argument("--standalone", action="store_true", help=argparse.SUPPRESS)
    for name in ("master_addr", "master_port", "node_rank", "rdzv_backend", "rdzv_endpoint", "rdzv_id"):
        parser.add_argument(f"--{name}", f"--{name.replace('_', '-')}", help=argparse.SUPPRESS)
    parser.add_argument("script", help="train.py")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="those of the script")
    return parser


def _processes(text):
    if text == "cpu":
        return available_cores()
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of processes, 1 or more, or 'cpu', got {text!r}")
    return int(text)


def _one(text):
    if text not in ("1", "1:1"):
        raise argparse.ArgumentTypeError(
            f"{text} machines: start the processes with their own launcher, "
            "mpirun --hostfile hosts python -m tinyvision.distributed.run train.py"
        )
    return 1


def _run_script(script, arguments, module):
    sys.argv = [script, *arguments]
    if module:
        runpy.run_module(script, run_name="__main__", alter_sys=True)
        return
    if not os.path.isfile(script):
        raise SystemExit(f"python -m tinyvision.distributed.run: there is no script {script!r} here")
    sys.path[0] = os.path.dirname(os.path.abspath(script))
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    sys.exit(main())
