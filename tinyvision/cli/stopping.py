"""What a command that trains says when it is stopped: one line with what is kept, and how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..folders import typed


class Kept:
    """The run that a command works at: its `folder`, once there is one, and whether it is `trained`."""

    def __init__(self, command: str, file: str, folder: Path | None, resumes: bool) -> None:
        self.command, self.file, self.resumes, self.trained = command, file, resumes, False
        self.folder = folder
        self._before = self._stamp()

    def _stamp(self) -> tuple[int, int] | None:
        """By which one sees whether the file that a run goes on from has been written anew."""
        if self.folder is None or not (self.folder / self.file).is_file():
            return None
        found = (self.folder / self.file).stat()
        return found.st_ino, found.st_mtime_ns

    def told(self, stop: KeyboardInterrupt) -> str:
        """What is said after a Ctrl-C or a signal; training itself has said how far it had come."""
        how = str(stop).partition(";")[0]
        if not how.startswith("stopped "):
            how = "stopped after training" if self.trained else "stopped before the first step"
        now = self._stamp()
        if self.folder is None or now is None:
            return f"{how}; nothing was kept"
        if now == self._before and not self.resumes:
            return f"{how}; the run that was in {self.folder} is still there"
        return f"{how}; go on with: tinyvision {self.command} --resume {typed(self.folder)}"


@contextmanager
def stopping(command: str, file: str, folder: Path | None, resumes: bool) -> Iterator[Kept]:
    """A block that trains into a run's folder, from whose `file` a run goes on; what stops it says what is kept."""
    from ..train.interrupt import Interrupted

    kept = Kept(command, file, folder, resumes)
    try:
        yield kept
    except KeyboardInterrupt as stop:
        raise Interrupted(kept.told(stop), getattr(stop, "signal", 2), kept.folder) from None
