"""Waiting for the other ranks, but not for ever: who has ended, who does not come, and the end of the whole job.

MPI itself waits without end for a rank that has left or is frozen. Here every wait counts its seconds, and the ranks
tell each other two things on a line of their own: LEFT when a process ends, HERE when one has waited too long. A rank
that gets HERE while it waits answers with its own; who stays silent is who is missed.
"""

from __future__ import annotations

import atexit
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from ..errors import DistributedError

_LEFT, _HERE = 1, 2  # tags
_LOOK = 0.02  # seconds between two looks at what others have sent
_BRISK = 0.001  # seconds in which a wait does not sleep: most are shorter
_MOMENT = 2.0  # seconds within which all ranks meet the same error
_ANSWER = 2.0  # seconds in which a rank that is alive and waits has answered, or finished what it was about to send
_GAP = 0.1  # seconds that count, at most, between two looks at the clock


class Patience:
    """Seconds that this rank has waited, as `passed` counts them.

    Between two looks no more than `_GAP` counts: the machine has slept, the job was stopped with Ctrl-Z, or other
    programs had the cores, and the ranks that are waited for have had no more of that time than this one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._looked, self._passed = clock, clock(), 0.0

    def passed(self) -> float:
        """Seconds until now."""
        now = self._clock()
        self._passed += min(now - self._looked, _GAP)
        self._looked = now
        return self._passed


class Watch:
    """One rank's view of its group.

    comm      what collective calls go through
    line      where ranks tell each other LEFT and HERE
    ends      where those meet that end the job
    timeout   seconds that a rank may let the others wait"""

    def __init__(self, MPI: Any, comm: Any, timeout: float) -> None:
        self.MPI, self.timeout = MPI, timeout
        self.comm, self.line, self.ends = comm.Dup(), comm.Dup(), comm.Dup()
        self.left: dict[int, Patience] = {}  # how long it is known that a rank has ended
        self.here: dict[int, str] = {}  # what ranks that have waited too long wait for
        self.answered: set[int] = set()
        self.sent: list[Any] = []  # a message must live until it has arrived
        self.ended = False

    @property
    def others(self) -> list[int]:
        """All ranks but this one."""
        return [r for r in range(self.comm.size) if r != self.comm.rank]

    def guard(self) -> None:
        """From now on, an exception that nobody catches ends the job, and the end of this process is told."""
        shown = sys.excepthook

        def end(kind, error, trace):
            self.fail(error, lambda: shown(kind, error, trace))

        sys.excepthook = end
        atexit.register(self.leave)

    def wait(self, request: Any, what: str) -> None:
        """Return once `request` is done. Raises DistributedError after `timeout` seconds, or when it cannot be done."""
        self.here.clear()
        self.answered.clear()
        waited, looked = Patience(), 0.0
        try:
            while not request.Test():
                now = waited.passed()
                if now > _BRISK:
                    time.sleep(0.0001)
                if now - looked > _LOOK:
                    looked = now
                    self.hear(what)
                    gone = [r for r, since in self.left.items() if since.passed() > _ANSWER]
                    if gone and not request.Test():
                        raise DistributedError(
                            f"{_ranks(gone)} ended while rank {self.comm.rank} waited for it in {what}; all ranks must "
                            f"make the same calls, as many batches and backward passes each"
                        )
                if now > self.timeout:
                    self.blame(what)
        except self.MPI.Exception as error:
            raise DistributedError(
                f"{what}: MPI says {error}; ranks called different things, or with arrays of different sizes"
            ) from None

    def hear(self, what: str) -> None:
        """Take in what other ranks have told, and answer those who ask."""
        status = self.MPI.Status()
        while self.line.Iprobe(self.MPI.ANY_SOURCE, self.MPI.ANY_TAG, status):
            text = bytearray(status.Get_count(self.MPI.BYTE))
            source = status.Get_source()
            self.line.Recv([text, self.MPI.BYTE], source, status.Get_tag())
            if status.Get_tag() == _LEFT:
                self.left[source] = Patience()
            else:
                self.here[source] = text.decode()
                if source not in self.answered:
                    self.tell(source, _HERE, what)

    def tell(self, other: int, tag: int, text: str) -> None:
        """Send without waiting for it to arrive."""
        data = text.encode()
        self.answered.add(other)
        self.sent = [pair for pair in self.sent if not pair[0].Test()]
        self.sent.append((self.line.Isend([data, self.MPI.BYTE], other, tag), data))

    def blame(self, what: str) -> None:
        """Ask all ranks what they wait for, and raise DistributedError about those that do not answer."""
        for other in self.others:
            if other not in self.answered:
                self.tell(other, _HERE, what)
        waited = Patience()
        while waited.passed() < _ANSWER and len(self.here.keys() | self.left.keys()) < len(self.others):
            self.hear(what)
            time.sleep(0.001)
        silent = [r for r in self.others if r not in self.here]
        if silent:
            how = "ended" if all(r in self.left for r in silent) else "is frozen, or needs longer than that"
            raise DistributedError(
                f"{_ranks(silent)} did not come to {what} within {self.timeout:g} s: it {how}; "
                f"init(timeout=...) says how long ranks wait"
            )
        places = {self.comm.rank: what, **self.here}
        listed = ", ".join(f"rank {r} in {places[r]}" for r in sorted(places))
        raise DistributedError(f"the ranks wait for different things: {listed}; all must make the same calls")

    def leave(self) -> None:
        """Tell the others that this process ends, and wait until they end as well: MPI can only stop together."""
        if self.ended:
            return
        for other in self.others:
            self.tell(other, _LEFT, "")
        try:
            self._farewell()
        except DistributedError as error:
            self.fail(error, lambda: None)

    def _farewell(self):
        request, waited = self.line.Ibarrier(), Patience()  # on the line: others may be in a barrier of their own
        while not request.Test():
            self.hear("the end")
            if waited.passed() > self.timeout:
                silent = [r for r in self.others if r not in self.left]
                raise DistributedError(
                    f"{_ranks(silent or self.others)} did not end within {self.timeout:g} s of rank {self.comm.rank}; "
                    f"init(timeout=...) says how long ranks wait"
                )
            time.sleep(0.001)

    def fail(self, error: BaseException, show: Callable[[], object]) -> None:
        """End all ranks because of an error on this one; show() prints where an error of the program's own arose."""

        def say():
            if not isinstance(error, DistributedError):
                show()
            last = traceback.format_exception_only(type(error), error)[-1].strip()
            why = error if isinstance(error, DistributedError) else f"rank {self.comm.rank} ended the job with {last}"
            print(f"tinyvision: {why}", file=sys.stderr, flush=True)

        self.end_job(say)

    def end_job(self, say: Callable[[], object], code: int = 1) -> None:
        """Say what happened, and end all ranks at once; return if all of them have come here, and end by themselves."""
        if self.all_come():
            if self.comm.rank == 0:
                say()
            return
        self.ended = True
        # Often several know the same; the lowest of them says so, and the job ends before the others get to it.
        time.sleep(min(0.1 * self.comm.rank, _ANSWER))
        say()
        sys.stdout.flush()
        self.comm.Abort(code)

    def all_come(self) -> bool:
        """Whether all ranks end the job in this moment, as they do after a mistake in what all were told to do."""
        request, waited = self.ends.Ibarrier(), Patience()
        while not request.Test():
            if waited.passed() > _MOMENT:
                return False
            time.sleep(0.001)
        return True


def _ranks(numbers):
    return ("rank " if len(numbers) == 1 else "ranks ") + ", ".join(map(str, sorted(numbers)))
