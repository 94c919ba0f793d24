"""What a submission may do while it is graded: on Linux the kernel's Landlock denies the rest, without privileges.

A confined process, and all that it starts, reads what it could read, but writes, moves and removes files in one folder
only, opens no TCP connection (Linux 6.7) and signals no process but its own (Linux 6.12). It cannot be undone.
No Linux denies it to send by UDP, or to change the limits and priorities of the account's other processes.
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
_ROOM = 4  # processes that have to find room below that limit: a compiler and what it starts
ALWAYS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty")  # may be written to

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the calls' numbers, on every architecture that Linux has them on
_VERSION, _BENEATH, _NO_NEW_PRIVILEGES = 1, 1, 38
_WRITE, _REFER, _TRUNCATE = 1 << 1, 1 << 13, 1 << 14
_TREE = sum(1 << bit for bit in range(4, 13))  # removing files and folders, making all kinds of them
_CONNECT, _SIGNALS = 0b11, 0b11  # bind and connect; abstract sockets and signals
_DENIED_SINCE = {
    "write and remove your files": 1,
    "empty your files": 3,
    "open TCP connections": 4,
    "end your other processes": 6,
}


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


def undenied() -> list[str]:
    """What a submission may do here that newer Linux denies, in words; empty where this kernel denies all of it."""
    known = version()
    return [words for words, since in _DENIED_SINCE.items() if known < since]


def go_on_in_a_child() -> None:
    """Return in a child, on Linux: what it does to its parent it does to a process that waits for it, no more.

    That process ends as the child ends, by the same exit code or signal."""
    if sys.platform != "linux":
        return
    child = os.fork()
    if not child:
        return
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        _dump_no_core()
        with suppress(OSError):  # SIGKILL has one way to be handled
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


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
    _dump_no_core()
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
        if sys.platform == "linux":
            soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
            most = _threads_of_user() + PROCESSES
            most = min([most, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)])
            resource.setrlimit(resource.RLIMIT_NPROC, (most, hard))
            # Linux also counts the user's processes in other containers, which /proc does not show.
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most) if _room() else (soft, hard))


def _dump_no_core():
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _room():
    """Whether as many processes as an honest submission needs can be started under the limit of now."""
    children = []
    try:
        for _ in range(_ROOM):
            child = os.fork()
            if not child:
                signal.pause()
                os._exit(0)
            children.append(child)
    except OSError:
        return False
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    return True


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


def end_all(mark: str, besides: int | None = None) -> None:
    """End every process whose environment holds `mark`, besides one: what a worker left in a session of its own."""
    wanted = mark.encode()
    for _ in range(10):  # a process that forks while it is looked for has its child found in the next round
        found = [p for p in _processes() if p.name != str(besides) and wanted in _environment(p)]
        for folder in found:
            with suppress(OSError):
                os.kill(int(folder.name), signal.SIGKILL)
        if not found:
            return


def _environment(folder):
    with suppress(OSError):
        return (folder / "environ").read_bytes()
    return b""
