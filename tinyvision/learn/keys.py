"""Single key presses, without Enter, from a terminal; letters on lines from anything else."""

import os
import select
import signal
import sys
import time
from contextlib import contextmanager, suppress
from typing import Any

END = ""  # standard input has ended


class Keys:
    """`get(seconds)` waits for one key: its letter, None if none came, END when there can be no more."""

    def __init__(self) -> None:
        self.terminal = sys.stdin is not None and sys.stdin.isatty() and _cbreak_is_possible()
        self._ended = sys.stdin is None
        self._waiting: list[Any] = []

    def get(self, seconds: float) -> Any:
        """The next key within some seconds."""
        if self._waiting:
            return self._waiting.pop(0)
        if self._ended:
            return END
        if os.name == "nt":
            return self._from_windows(seconds)
        ready, _, _ = select.select([sys.stdin], [], [], seconds)
        if not ready:
            return None
        data = os.read(sys.stdin.fileno(), 64).decode("utf-8", "replace")
        if not data:
            self._ended = True
            return END
        if data.startswith("\x1b"):  # an arrow or a function key: none of ours
            return None
        self._waiting = [k.lower() for k in data if not k.isspace() or (self.terminal and k in "\r\n")]
        return self._waiting.pop(0) if self._waiting else None

    def _from_windows(self, seconds):
        import msvcrt

        if not self.terminal:
            line = sys.stdin.readline()
            self._ended = not line
            return line.strip()[:1].lower() if line else END
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if msvcrt.kbhit():
                return msvcrt.getwch().lower()
            time.sleep(0.02)
        return None


def _cbreak_is_possible():
    with suppress(ImportError):
        import termios

        try:
            termios.tcgetattr(sys.stdin.fileno())
        except (termios.error, OSError, ValueError):
            return False
    return True


@contextmanager
def listening() -> Any:
    """Keys for the time of the block; the terminal is as it was afterwards, whatever ends the block."""
    keys = Keys()
    if not keys.terminal or os.name == "nt":
        yield keys
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def end(signum, frame):
        interrupt = KeyboardInterrupt()
        interrupt.signal = signum
        raise interrupt

    def resume(signum, frame):  # after Ctrl-Z and fg the shell has reset the terminal
        tty.setcbreak(descriptor)

    handlers = {signal.SIGTERM: end, signal.SIGHUP: end, signal.SIGCONT: resume}
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        tty.setcbreak(descriptor)
        yield keys
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        for number, handler in previous.items():
            signal.signal(number, handler)
