"""`tinyvision ...`: a thin door onto the library.

Exit codes: 0 all went well; 1 some inputs could not be used, the others were; 2 wrong usage, or an error of
ours on stderr; 130 after Ctrl-C, 143 after SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress

from ..errors import TinyVisionError
from .parser import build_parser

OK, SOME_FAILED, FAILED = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    try:
        args = build_parser().parse_args(argv)
        code = args.run(args)
        sys.stdout.flush()
        return code
    except TinyVisionError as error:
        if "args" in locals() and args.debug:
            raise
        _say(f"tinyvision: {error}")
        return FAILED
    except KeyboardInterrupt as interrupt:
        if str(interrupt):
            _say(str(interrupt))
        return 128 + getattr(interrupt, "signal", signal.SIGINT)
    except BrokenPipeError:
        _silence_output()  # the reader (`| head`) has gone
        return 128 + signal.SIGPIPE
    except OSError as error:
        if "args" in locals() and args.debug:
            raise
        _say(f"tinyvision: {error.filename or 'cannot write the output'}: {error.strerror or error}")
        if error.filename is None:  # standard output, for the files that we write have errors of ours
            _silence_output()
        return FAILED
    except MemoryError:
        _say("tinyvision: out of memory; use a smaller --batch-size or smaller images")
        return FAILED


def _silence_output() -> None:
    """Nothing more can be printed; without this Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str) -> None:
    with suppress(OSError):  # nobody may be left to read it
        print(text, file=sys.stderr, flush=True)


__all__ = ["main"]
