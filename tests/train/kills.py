"""Kill a run at every n-th system call, go on with it, and compare everything it leaves with an unbroken run's files.

    python -m tests.train.kills train 10        (also: transfer; a smaller number kills more often)

A child is traced (Linux's ptrace, by way of ctypes), so the kill hits between any two system calls, also in the middle
of a write. Each child is forked from a process that has imported everything: only the run itself is counted.
"""

import ctypes
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import tinyvision
from tinyvision.cli import main
from tinyvision.train import recipes
from tinyvision.train.preprocessing import Preprocessing

_TRACEME, _SYSCALL, _SETOPTIONS = 0, 24, 0x4200
_TRACESYSGOOD, _EXITKILL = 1, 1 << 20
_IS_SYSCALL = signal.SIGTRAP | 0x80

NEW = {
    "train": "train --data folder --root {photos} --image-size 8 --batch-size 4 --epochs 2 --save-every 0 --run run "
    "--quiet",
    "transfer": "transfer {photos} --model small --views 1 --epochs 2 --freeze none --head-epochs 2 --run run --quiet "
    "--workers 0 --batch-size 4",
}
RESUMED = {"train": "train --resume run --quiet", "transfer": "transfer --resume run --quiet --workers 0"}


def command(arguments, folder, kill_at=None):
    """Run a command in a folder, killed at a system call if one is given -> (exit code or -9, calls that were made)."""
    libc = ctypes.CDLL(None, use_errno=True)
    child = os.fork()
    if not child:
        code = 99
        try:
            os.chdir(folder)
            log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            if libc.ptrace(_TRACEME, 0, 0, 0):
                os._exit(98)
            os.kill(os.getpid(), signal.SIGSTOP)
            code = main(arguments.split())
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if not os.WIFSTOPPED(status):
        raise SystemExit("processes may not be traced here")
    libc.ptrace(_SETOPTIONS, child, 0, ctypes.c_void_p(_TRACESYSGOOD | _EXITKILL))
    calls, entering, passed_on = 0, True, 0
    while True:
        libc.ptrace(_SYSCALL, child, 0, ctypes.c_void_p(passed_on))
        _, status = os.waitpid(child, 0)
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status), calls
        stopped_by = os.WSTOPSIG(status)
        passed_on = 0 if stopped_by == _IS_SYSCALL else stopped_by
        if stopped_by == _IS_SYSCALL:
            calls += entering
            if entering and calls == kill_at:
                os.kill(child, signal.SIGKILL)
            entering = not entering


def files(run):
    """{name: bytes} of everything below a folder."""
    return {str(p.relative_to(run)): p.read_bytes() for p in sorted(run.rglob("*")) if p.is_file()}


def photographs(folder):
    """Two classes of six small pictures."""
    rng = np.random.default_rng(0)
    for name, bright in (("dark", 0), ("light", 100)):
        (folder / name).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 100, (12, 12, 3)) + bright
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")


def attempt(what, base, number):
    """Kill at system call `number`, go on; -> (what differs from the unbroken run, whether the kill came in time)."""
    folder = base / "killed"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    new = NEW[what].format(photos=base / "photos")
    os.environ["TINYVISION_HOME"] = str(folder / "cache")
    code, _ = command(new, folder, number)
    if code != -signal.SIGKILL:
        return [], False
    begun = (folder / "run" / ("last.safetensors" if what == "train" else "transfer.json")).is_file()
    code, _ = command(RESUMED[what] if begun else new, folder)
    if code:
        return [f"exit code {code}: {(folder / 'log').read_text()[-500:]}"], True
    expected, found = files(base / "whole" / "run"), files(folder / "run")
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)), True


def run(what, step):
    """All kills of one command; returns how many of them left something else than an unbroken run."""
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        photographs(base / "photos")
        (base / "whole").mkdir()
        os.environ["TINYVISION_HOME"] = str(base / "whole" / "cache")
        code, calls = command(NEW[what].format(photos=base / "photos"), base / "whole")
        if code:
            raise SystemExit((base / "whole" / "log").read_text())
        print(f"{what}: {calls} system calls; leaves {', '.join(files(base / 'whole' / 'run'))}", flush=True)
        failures = kills = 0
        for number in range(1, calls + 1, step):
            differing, killed = attempt(what, base, number)
            kills += killed
            if differing:
                failures += 1
                print(f"killed at call {number}: {differing}", flush=True)
        print(f"{what}: {kills} kills, {failures} of them left something else than an unbroken run")
        return failures


def prepare():
    """One thread, so that a fork is safe, and the small network under its name."""
    from .test_transfer import Small

    tinyvision.set_num_threads(1)
    preprocessing = Preprocessing(3, (16, 16), (0.5,) * 3, (0.25,) * 3, shorter=18)
    recipes.NETWORKS["small"] = (lambda weights=None, num_classes=2: Small(num_classes), preprocessing)


if __name__ == "__main__":
    prepare()
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_svg  # noqa: F401 (imported once, here, instead of by every child)

    sys.exit(1 if run(sys.argv[1], int(sys.argv[2])) else 0)
