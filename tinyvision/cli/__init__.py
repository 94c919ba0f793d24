"""`tinyvision ...`: a thin door onto the library.

Exit codes: 0 all went well; 1 some inputs could not be used, the others were; 2 wrong usage, or an error of
ours on stderr; 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP (the terminal was closed).
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from ..errors import TinyVisionError
from ..launcher import launched_as
from .completion import complete
from .parser import build_parser
from .terminal import note, silence, usable_streams

OK, SOME_FAILED, FAILED = 0, 1, 2
_NOT_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    with usable_streams():
        try:
            with _asked_to_stop():
                try:
                    parser = build_parser()
                    if argv is None and "_ARGCOMPLETE" in os.environ:
                        complete(parser)
                    args = parser.parse_args(argv)
                    args.argv = list(sys.argv[1:] if argv is None else argv)
                    return args.run(args)
                finally:
                    sys.stdout.flush()  # here, where a reader who has gone is noticed, and not at exit
        except TinyVisionError as error:
            if "args" in locals() and args.debug:
                raise
            note(f"tinyvision: {error}")
            return FAILED
        except KeyboardInterrupt as interrupt:
            if str(interrupt):
                note(str(interrupt))
            return 128 + getattr(interrupt, "signal", signal.SIGINT)
        except BrokenPipeError:
            silence()  # the reader (`| head`) has gone
            return 128 + signal.SIGPIPE
        except OSError as error:
            if "args" in locals() and args.debug:
                raise
            if error.filename is None and isinstance(error, FileNotFoundError):  # nobody knows where we are
                note("tinyvision: the current folder has been deleted; cd to another one")
                return FAILED
            # Without a name it is standard output, for the files that we write have errors of ours.
            output = error.filename is None and error.errno in _NOT_WRITTEN
            where = "cannot write the output" if output else error.filename
            note(f"tinyvision: {f'{where}: {error.strerror}' if where else error}")
            if output:
                silence()
            return FAILED
        except MemoryError:
            note("tinyvision: out of memory; use a smaller --batch-size or smaller images")
            return FAILED


@contextmanager
def _asked_to_stop() -> Iterator[None]:
    """SIGTERM, SIGUSR1, and SIGHUP where a terminal is closed, end a command as Ctrl-C does: files are removed that are
    only half written, and a line says so. Training, which has something to save, catches them itself meanwhile."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]
    caught = []
    if threading.current_thread() is threading.main_thread():
        caught = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in caught:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)


class _Stopped(KeyboardInterrupt):
    signal = signal.SIGTERM


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Raise what ends the command. Nothing is imported here: the signal may have come in the middle of an import."""
    launch = launched_as()
    if launch is None:
        text = f"tinyvision: stopped by {signal.Signals(number).name}; nothing was being trained"
    else:  # by its launcher, whatever signal the user has sent to that
        text = "" if launch[1] else "tinyvision: stopped before anything was begun"
    stopped = _Stopped(text)
    stopped.signal = signal.Signals(number)
    raise stopped


__all__ = ["main"]
