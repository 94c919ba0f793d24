"""Ctrl-C, SIGTERM, SIGHUP of a closed terminal, SIGUSR1: the first asks training to stop after the step, the second at
once. SIGUSR1 is what Slurm can send before a job's time is over (--signal=USR1@60), and the only one that Open MPI's
mpirun passes on and then waits for its processes to end: after any other, it kills them a moment later. Where the
program handles SIGUSR1 itself, that stays so."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """Training was asked to stop, has saved what it had, and the message says how to go on.

    `signal` is the number of the signal: 2 for Ctrl-C, 15 for SIGTERM, 1 for SIGHUP, and so on. `run` is the folder
    of what was saved, or None."""

    def __init__(self, message: str, number: int = signal.SIGINT, run: Path | None = None) -> None:
        super().__init__(message)
        self.signal, self.run = int(number), run


# Not every system has all of them.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]


def _is_taken(number: int) -> bool:
    """Whether the program has given SIGUSR1, which is there for that, a meaning of its own; the command line's is ours.

    What C code has registered, as `faulthandler.register` does, Python does not see."""
    if number != getattr(signal, "SIGUSR1", None):
        return False
    handler = signal.getsignal(number)
    return callable(handler) and not str(getattr(handler, "__module__", "")).startswith(__package__.split(".")[0])


class StopRequest:
    """Catches these signals for the length of a `with` block; `requested` is the number of the first, or None.

    A second signal raises KeyboardInterrupt wherever the program is; files are written atomically, so nothing is left
    half-written. Outside of the main thread Python delivers no signals, and the block changes nothing."""

    def __init__(self) -> None:
        self.requested: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                # A signal that the parent told us to ignore (nohup, a background job) stays ignored.
                if signal.getsignal(number) is not signal.SIG_IGN and not _is_taken(number):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._before.clear()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            raise Interrupted("stopped at once; the last checkpoint is as it was", number)
        self.requested = number
