"""What a submission may do while it is graded: on Linux the kernel's Landlock denies the rest, without privileges.

A confined process, and all that it starts, reads what it could read, but writes, moves and removes files in one folder
only, opens no TCP connection (Linux 6.7) and signals no process but its own (Linux 6.12). It cannot be undone.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

FILE_SIZE = 1 << 28  # bytes that one file may be written to
PROCESSES = 64  # that may be started beyond those that the user has already
ALWAYS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty")  # may be written to

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the calls' numbers, on every architecture that Linux has them on
_VERSION, _BENEATH, _NO_NEW_PRIVILEGES = 1, 1, 38
_WRITE, _REFER, _TRUNCATE = 1 << 1, 1 << 13, 1 << 14
_TREE = sum(1 << bit for bit in range(4, 13))  # removing files and folders, making all kinds of them
_CONNECT, _SIGNALS = 0b11, 0b11  # bind and connect; abstract sockets and signals


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scope", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def _call(number, *arguments):
    with suppress(AttributeError, OSError):
        return int(ctypes.CDLL(None, use_errno=True).syscall(number, *arguments))
    return -1


def version() -> int:
    """The version of Landlock that this kernel has; 0 where there is none."""
    return max(0, _call(_CREATE, None, 0, _VERSION)) if sys.platform == "linux" else 0


def confine(folder: str | Path) -> bool:
    """Confine this thread, and all that it starts, to writing in `folder`. False where the system has no way to."""
    _limit()
    known = version()
    if not known:
        return False
    files = _WRITE | _TREE | (_REFER if known >= 2 else 0) | (_TRUNCATE if known >= 3 else 0)
    rules = _Ruleset(files, _CONNECT if known >= 4 else 0, _SIGNALS if known >= 6 else 0)
    size = 24 if known >= 6 else 16 if known >= 4 else 8
    ruleset = _call(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    try:
        for path, allowed in ((str(folder), files), *((p, files & (_WRITE | _TRUNCATE)) for p in ALWAYS)):
            with suppress(OSError):
                _allow(ruleset, path, allowed)
        quiet = ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
        return quiet and _call(_RESTRICT, ruleset, 0) == 0
    finally:
        os.close(ruleset)


def _allow(ruleset, path, allowed):
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _call(_ADD, ruleset, _BENEATH, ctypes.byref(_Beneath(allowed, opened)), 0)
    finally:
        os.close(opened)


def _limit():
    """No core dumps, no endless files, no endless children; root's processes are not counted by Linux."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
        if sys.platform == "linux":
            most = _threads_of_user() + PROCESSES
            hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def _threads_of_user():
    count = 0
    for folder in _processes():
        with suppress(OSError):
            count += len(os.listdir(folder / "task")) if folder.stat().st_uid == os.getuid() else 0
    return count


def _processes() -> Iterable[Path]:
    with suppress(OSError):
        return [p for p in Path("/proc").iterdir() if p.name.isdecimal()]
    return []


def end_all(mark: str) -> None:
    """End every process whose environment holds `mark`: what a worker left behind in a session of its own."""
    wanted = mark.encode()
    for _ in range(10):  # a process that forks while it is looked for has its child found in the next round
        found = [p for p in _processes() if wanted in _environment(p)]
        for folder in found:
            with suppress(OSError):
                os.kill(int(folder.name), signal.SIGKILL)
        if not found:
            return


def _environment(folder):
    with suppress(OSError):
        return (folder / "environ").read_bytes()
    return b""
