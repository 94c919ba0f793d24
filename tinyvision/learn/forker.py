"""A process that has all loaded that a worker needs, and forks one for each request: a class is judged in minutes.

Loading takes ten times as long as judging. A fork begins as the process was then, and nothing that a submission does to
it is seen by the next one. Linux only: elsewhere a worker is started as a program of its own.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any

_PIPES = 3  # standard input, output and error
_PATIENCE = 120.0  # seconds in which a fork must be there, even on a machine that is very busy


class Forked:
    """A worker that was forked: what `Worker` uses of a `subprocess.Popen`."""

    def __init__(self, forker: "Forker") -> None:
        ours, theirs = [], []
        for k in range(_PIPES):
            reader, writer = os.pipe()
            ours.append(writer if k == 0 else reader)
            theirs.append(reader if k == 0 else writer)
        self.stdin: Any = os.fdopen(ours[0], "wb")
        self.stdout: Any = os.fdopen(ours[1], "rb")
        self.stderr: Any = os.fdopen(ours[2], "rb")
        self._forker = forker
        self._code: int | None = None
        try:
            self.pid = forker.fork(theirs)
        except OSError:
            for pipe in (self.stdin, self.stdout, self.stderr):
                pipe.close()
            raise
        finally:
            for fd in theirs:
                os.close(fd)

    def wait(self) -> int:
        """How it ended, as `subprocess` says it."""
        if self._code is None:
            self._code = self._forker.ended()
        return self._code

    def poll(self) -> int | None:
        """None: whoever asks has not seen it end."""
        return self._code

    def kill(self) -> None:
        """End it."""
        with suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)


class Forker:
    """Where workers come from, one after the other: a process that is started when the first of them is wanted, and
    again if it has ended. `environment(mark)` is its own and theirs."""

    def __init__(self, command: list[str], cwd: Any, environment: Any) -> None:
        self._start = command, cwd, environment
        self._process: Any = None
        self._line: Any = None
        self.mark = ""

    @property
    def pid(self) -> int | None:
        """Its own, which carries the workers' mark and is to live on."""
        return None if self._process is None else self._process.pid

    def worker(self) -> Forked:
        """A new worker. Raises OSError where there is none to be had."""
        with suppress(OSError):
            if self._process is not None:
                return Forked(self)
        self.close()
        command, cwd, environment = self._start
        self.mark = secrets.token_hex(16)
        self._line, theirs = socket.socketpair()
        self._line.settimeout(_PATIENCE)
        with theirs:
            self._process = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=cwd,
                env=environment(self.mark), start_new_session=True,
            )  # fmt: skip
        return Forked(self)

    def fork(self, pipes: list[int]) -> int:
        """The process id of a new worker with these pipes. Raises OSError where there is none to be had."""
        socket.send_fds(self._line, [b"f"], pipes)
        return self._number()

    def ended(self) -> int:
        """How the last worker ended; where nobody is left who knows, as by SIGKILL."""
        try:
            return self._number()
        except OSError:
            self.close()
            return -signal.SIGKILL

    def _number(self):
        told = b""
        while not told.endswith(b"\n"):
            part = self._line.recv(32)
            if not part:
                raise ConnectionResetError("the process that forks is gone")
            told += part
        return int(told)

    def close(self) -> None:
        """End the process, and with it the last worker."""
        process, self._process = self._process, None
        if process is None:
            return
        self._line.close()
        process.kill()
        process.wait()


def serve(work: Any) -> None:
    """Fork for each message on standard input, a socket that brings three pipes; the child does `work()`.

    It ends when it is told nothing more, or when a submission has changed its limits, which every fork would have."""
    line = socket.socket(fileno=os.dup(0))
    limits = _limits()
    while _limits() == limits:
        message, pipes, _, _ = socket.recv_fds(line, 1, _PIPES)
        if not message:
            return
        child = os.fork()
        if not child:
            os.setsid()
            for fd, pipe in enumerate(pipes):
                os.dup2(pipe, fd)
                os.close(pipe)
            line.close()
            sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
            work()
            os._exit(0)
        for pipe in pipes:
            os.close(pipe)
        line.sendall(b"%d\n" % child)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        line.sendall(b"%d\n" % code)


def _limits():
    import resource

    return [resource.getrlimit(getattr(resource, n)) for n in dir(resource) if n.startswith("RLIMIT_")]
