"""Running a check in a process of its own: endless loops, crashes, exits and floods of output stay behind the wall."""

import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import tinyvision

from ..errors import OptionError
from .confine import end_all
from .forker import Forker

LIMIT = 10.0  # seconds a check may take in all; the exercises' own take less than one
_TICK = 0.02  # seconds less than which is no time left
_START = 120.0  # seconds in which Python, NumPy and the checker are loaded, even on a machine that is very busy
_KEEP = 4000  # characters of a flood of output that are kept
_MOST = 1 << 26  # bytes that may come where only an answer belongs
_MARK = "TINYVISION_WORKER"
_ROOT = Path(tinyvision.__file__).parents[1]


_COMMAND = [sys.executable, "-m", "tinyvision.learn.worker"]


def _environment(mark):
    path = os.pathsep.join(p for p in (str(_ROOT), os.environ.get("PYTHONPATH", "")) if p)
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **threads, _MARK: mark}


def forker() -> Forker | None:
    """Where workers for a whole class come from; None where each is started as a program of its own."""
    return Forker([*_COMMAND, "fork"], _ROOT, _environment) if sys.platform == "linux" else None


def _queued(pid):
    """Seconds in which a process could have run and no core was free for it; 0 where the system does not tell."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


class Worker:
    """A process that is ready to judge. `ask` sends a request; a worker that had to be killed is replaced.

    With a forker it comes from there."""

    def __init__(self, forker: Forker | None = None) -> None:
        self._process: Any = None
        self._forker = forker
        self.start()

    def start(self) -> None:
        """Start the process now, so that it is warm when a file is saved."""
        if self._process is not None and self._process.poll() is None:
            return
        self._readers: list[threading.Thread] = []  # those that run: a signal may end the program anywhere in here
        if self._forker is None:
            self._mark = secrets.token_hex(16)  # all that it starts inherits it, and can be found by it
            self._process = subprocess.Popen(
                _COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=_ROOT,
                env=_environment(self._mark),
                start_new_session=True,  # so that its children go with it, and Ctrl-C reaches only us
            )
        else:
            self._process = self._forker.worker()
            self._mark = self._forker.mark
        self._answers: queue.Queue[Any] = queue.Queue()
        self._spilt: list[bytes] = []
        self._ready = self._flooded = False
        for reader in (self._read_answers, self._drain):
            thread = threading.Thread(target=reader, daemon=True)
            thread.start()
            self._readers.append(thread)

    def _read_answers(self):
        process, answers, left = self._process, self._answers, _MOST
        while left > 0 and (line := process.stdout.readline(left)):
            left -= len(line)
            answers.put(line)
        if left <= 0:
            self._flooded = True
            process.kill()
        answers.put(None)

    def _drain(self):
        process, spilt, kept = self._process, self._spilt, 0
        while chunk := process.stderr.read1(1 << 16):
            if kept < _KEEP:
                spilt.append(chunk[: _KEEP - kept])
                kept += len(chunk)

    def ask(self, request: dict[str, Any], limit: float = LIMIT, again: bool = False) -> Any:
        """The answer to a request, as a dict; {"ended": words} if the code ended Python or took more than `limit` s.

        The process is gone afterwards, unless it will be asked `again`, which only trusted code should be."""
        self.start()
        seal = secrets.token_hex(16)  # only an answer to this request is one: the learner's code may write too
        line = json.dumps({**request, "cwd": os.getcwd(), "seal": seal}) + "\n"
        with suppress(BrokenPipeError):
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        try:
            # The limit is for the learner's code: until the worker is ready, none of it has run.
            if not self._ready and self._answers.get(timeout=_START) is None:
                return {"crash": self._ended().get("spilt", "")}
            self._ready = True
            answer = self._sealed(seal, limit)
        except queue.Empty:
            self.close()
            return {"ended": f"It ran for more than {limit:g} s and was stopped."}
        except BaseException:
            self.close()
            raise
        if answer is None:
            return self._ended()
        if again:
            return answer
        # What compiled code or a child wrote past Python's own capture.
        answer["spilt"] = b"".join(self._spilt).decode("utf-8", "replace")
        self.close()
        return answer

    def _sealed(self, seal, limit):
        """The answer that carries the seal; None when the process has ended. Raises queue.Empty after `limit` s, not
        counting those in which others had the cores."""
        pid, end = self._process.pid, time.monotonic() + limit
        before = _queued(pid)
        while True:
            try:
                line = self._answers.get(timeout=max(0.0, end + _queued(pid) - before - time.monotonic()))
            except queue.Empty:
                if end + _queued(pid) - before - time.monotonic() <= _TICK:
                    raise
                continue
            if line is None:
                return None
            with suppress(ValueError, TypeError, AttributeError):
                answer = json.loads(line)
                if answer.pop("seal", None) == seal:
                    return answer

    def _ended(self):
        code = self._process.wait()
        self._readers[1].join(1.0)
        spilt = b"".join(self._spilt).decode("utf-8", "replace")
        self.close()
        if self._flooded:
            return {"ended": "It wrote to the pipe of the check, where only the answer belongs.", "spilt": spilt}
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            return {"ended": f"Your code crashed Python ({name}).", "spilt": spilt}
        return {"ended": f"Your code ended Python (exit code {code}).", "spilt": spilt}

    def close(self) -> None:
        """End the process and all that it started."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()  # a fork may not have a session of its own yet
        process.wait()
        end_all(f"{_MARK}={self._mark}", None if self._forker is None else self._forker.pid)
        for thread in self._readers:
            thread.join(1.0)
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(OSError):
                pipe.close()


def ask(request: dict[str, Any], limit: float = LIMIT) -> Any:
    """One request to a fresh worker."""
    worker = Worker()
    try:
        return worker.ask(request, limit)
    finally:
        worker.close()


def seconds(text: str, command: str = "learn") -> Any:
    """A time limit from the command line of `command`. Raises OptionError unless it is a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise OptionError(f"{command}: the time limit is a number of seconds above 0, got {text!r}")
    return value
