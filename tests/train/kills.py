"""Kill a run at its system calls, go on with it, and compare everything it leaves with an unbroken run's files.

    python -m tests.train.kills train           (also: transfer) at every system call
    python -m tests.train.kills train 10        at every tenth, killed once for each

A child is traced (Linux's ptrace, by way of ctypes), so the kill hits between any two system calls, also in the middle
of a write. Each child is forked from a process that has done the same once: only the run itself is counted, and no
import or font.

A killed process leaves what is on the disk, and most calls change nothing there. So for "every call" one run is
stopped at each, its folder is copied wherever its bytes have changed, and a run goes on in every copy; to kill it once
for each of 14,000 calls would try the same folders again. The other way kills in earnest, and is no less needed: it
shows that the copies are what a kill leaves. A run goes on there after each kill, too, but for one that left the very
bytes of an earlier one.
"""

import contextlib
import ctypes
import hashlib
import io
import os
import re
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


def command(arguments, folder, kill_at=None, each_call=None):
    """Run a command in a folder, killed at a system call if one is given -> (exit code or -9, calls that were made).

    each_call()   is called while the command is stopped, before each of its system calls"""
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
            if entering and each_call is not None:
                each_call()
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


def goes_on(what, base, folder):
    """Go on in the folder that a killed run has left -> what differs from the unbroken run then."""
    begun = (folder / "run" / ("last.safetensors" if what == "train" else "transfer.json")).is_file()
    os.environ["TINYVISION_HOME"] = str(folder / "cache")
    code, _ = command(RESUMED[what] if begun else NEW[what].format(photos=base / "photos"), folder)
    if code:
        return [f"exit code {code}: {(folder / 'log').read_text()[-500:]}"]
    expected, found = files(base / "whole" / "run"), files(folder / "run")
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


def attempt(what, base, number, outcomes):
    """Kill at system call `number`, go on; -> (what differs from the unbroken run, whether the kill came in time).

    outcomes    {what a kill left: what differed later}: it grows by this kill's"""
    folder = Path(tempfile.mkdtemp(prefix="killed-", dir=base))
    os.environ["TINYVISION_HOME"] = str(folder / "cache")
    code, _ = command(NEW[what].format(photos=base / "photos"), folder, number)
    if killed := code == -signal.SIGKILL:
        left = digest(folder)
        if left not in outcomes:
            outcomes[left] = goes_on(what, base, folder)
    shutil.rmtree(folder)
    return outcomes[left] if killed else [], killed


_RANDOM = re.compile(r"(?<=\.)[0-9a-f]{16}(?=\.tmp$)")  # a half-written file has another name in every run


def digest(folder):
    """A hash of all names and bytes below a folder."""
    result = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = _RANDOM.sub("", str(path.relative_to(folder)))
        result.update(b"%s %d\0" % (os.fsencode(name), path.is_file()))
        result.update(hashlib.sha256(path.read_bytes() if path.is_file() else b"").digest())
    return result.digest()


class States:
    """Copies of a folder, one for each different content that it has had when `look` was called; `looks` counts."""

    def __init__(self, folder, into):
        self.folder, self.into = folder, into
        self.looks, self.seen, self.entries = 0, set(), None

    def look(self):
        self.looks += 1
        paths = sorted(self.folder.rglob("*"))
        entries = [
            (path, status.st_ino, status.st_size, status.st_mtime_ns) for path in paths for status in [path.stat()]
        ]
        if entries == self.entries:
            return
        self.entries = entries
        if (left := digest(self.folder)) not in self.seen:
            self.seen.add(left)
            shutil.copytree(self.folder, self.into / f"state-{len(self.seen)}")


def run_every_call(what):
    """One run, stopped at every call, and a run that goes on with each state of its folder; returns the failures."""
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        photographs(base / "photos")
        whole, states = base / "whole", base / "states"
        whole.mkdir()
        states.mkdir()
        os.environ["TINYVISION_HOME"] = str(whole / "cache")
        kept = States(whole, states)
        code, _ = command(NEW[what].format(photos=base / "photos"), whole, each_call=kept.look)
        if code:
            raise SystemExit((whole / "log").read_text())
        print(f"{what}: {kept.looks} system calls, {len(kept.seen)} states of the folder", flush=True)
        failures = 0
        for number in range(1, len(kept.seen) + 1):
            differing = goes_on(what, base, states / f"state-{number}")
            shutil.rmtree(states / f"state-{number}")
            if differing:
                failures += 1
                print(f"killed in state {number}: {differing}", flush=True)
        print(f"{what}: {len(kept.seen)} states, {failures} of them led to something else than an unbroken run")
        return failures


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
        outcomes = {}
        for number in range(1, calls + 1, step):
            differing, killed = attempt(what, base, number, outcomes)
            kills += killed
            if differing:
                failures += 1
                print(f"killed at call {number}: {differing}", flush=True)
            if not kills % 100:
                print(f"{kills} kills, {len(outcomes)} states of the folder, {failures} failures", flush=True)
        print(f"{what}: {kills} kills, {failures} of them led to something else than an unbroken run")
        return failures


def prepare(what):
    """One thread, so that a fork is safe, the small network under its name, and the command done once: what it imports
    and keeps is here then."""
    from .test_transfer import Small

    os.environ["TINYVISION_COMPILE"] = "off"  # a process beside would outlive the kill, and compile for the next run
    tinyvision.set_num_threads(1)
    preprocessing = Preprocessing(3, (16, 16), (0.5,) * 3, (0.25,) * 3, shorter=18)
    recipes.NETWORKS["small"] = (lambda weights=None, num_classes=2: Small(num_classes), preprocessing)
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stdout(io.StringIO()) as said:
        os.environ["TINYVISION_HOME"] = str(Path(place) / "cache")
        photographs(Path(place) / "photos")
        os.chdir(place)
        if main(NEW[what].format(photos="photos").split()):
            raise SystemExit(said.getvalue())
        os.chdir(here)


if __name__ == "__main__":
    chosen = sys.argv[1]
    prepare(chosen)
    sys.exit(1 if (run(chosen, int(sys.argv[2])) if sys.argv[2:] else run_every_call(chosen)) else 0)
