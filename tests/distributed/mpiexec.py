"""Starting programs on several ranks, by the MPI of the mpich wheel."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest


def of_mpich(name):
    """A file of the mpich wheel, which need not be in the environment that is active."""
    try:
        files = importlib.metadata.distribution("mpich").files
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("mpich is not installed")
    return os.path.realpath(next(f for f in files if f.name == name).locate())


def environment(timeout=600.0):
    """For one thread a rank, and ranks that wait `timeout` seconds for each other."""
    return {
        **os.environ,
        "MPI4PY_LIBMPI": of_mpich("libmpi.so.12"),
        "RANKS_TIMEOUT": str(timeout),
        "TINYVISION_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def command(ranks, program, *arguments):
    """mpiexec -n ranks python program arguments; the program is a file beside this one, or ["-m", module]."""
    program = program if isinstance(program, list) else [str(Path(__file__).with_name(program))]
    return [of_mpich("mpiexec"), "-n", str(ranks), sys.executable, *program, *map(str, arguments)]


def mpiexec(ranks, program, *arguments, timeout=600.0, **options):
    """Run a program on so many ranks, under a timeout of its own -> the CompletedProcess."""
    options = {"capture_output": True, "text": True, "timeout": 600, "env": environment(timeout), **options}
    return subprocess.run(command(ranks, program, *arguments), **options)
