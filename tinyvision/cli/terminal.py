"""Where the commands print: answers on stdout, notes and errors on stderr, and nothing that a terminal would obey.

Text that came out of a file (names of classes, tensors, folders) goes through `printable` on its way, whatever the
caller did, and what the stream's encoding lacks is written as an escape: no name ends a command.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ..printable import printable, printable_message


def answer(*lines: object) -> None:
    """Print lines on stdout; a line break within one is escaped."""
    for line in lines:
        print(printable(line, None), flush=True)


def answer_json(value: Any) -> None:
    """Print a value as JSON on stdout, in ASCII."""
    print(json.dumps(value, indent=2), flush=True)


def note(text: object) -> None:
    """Print a note, or an error's message with its indented lines, on stderr; if nobody reads it, that is no error."""
    with suppress(OSError):
        print(printable_message(text), file=sys.stderr, flush=True)


@contextmanager
def usable_streams() -> Iterator[None]:
    """stdout and stderr that take any text, whatever their encoding, and are there even if they were closed."""
    _occupy_closed_descriptors()
    before = {}
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream.closed:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure") and hasattr(stream, "errors"):
            before[stream] = stream.errors
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in before.items():
            with suppress(OSError, ValueError):  # closed, or gone meanwhile
                stream.reconfigure(errors=errors)


def _occupy_closed_descriptors() -> None:
    """Let 0, 1 and 2 lead nowhere if they are closed: otherwise the next file that is opened, a checkpoint perhaps,
    becomes stdout to every library that writes there."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def silence() -> None:
    """Nothing more can be printed; without this Python would complain once more when it flushes at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
