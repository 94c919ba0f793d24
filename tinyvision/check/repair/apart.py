"""Running a search in a process of its own: a fork, of which nothing comes back but the answer.

What changed code does to arrays, objects and modules it does to copies; a process that computes for too long is ended,
so that as much is found on a busy machine. Where there is no fork there is no search.
"""

import contextlib
import json
import math
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from ..runner import PATIENCE

MEMORY = 2 << 30  # bytes that a search may ask for beyond what there is


def apart(work: Callable[[], Any], seconds: float) -> Any:
    """What `work()` returns, as JSON has it, if it comes within `seconds` of computing, and `PATIENCE` times as many on
    the clock; else None."""
    if not hasattr(os, "fork") or sys.platform == "darwin":  # Accelerate does not survive a fork
        return None
    reader, writer = os.pipe()
    try:
        with warnings.catch_warnings():  # other threads are not needed there: nothing but the work runs
            warnings.simplefilter("ignore")
            child = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        return None
    if child == 0:
        _work(work, writer, seconds)
    os.close(writer)
    try:
        return _received(reader, time.monotonic() + PATIENCE * seconds)
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # a program may wait for all its children
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _work(work, writer, seconds):
    """The child: it works, writes the answer, and is gone without running anything else of the program's."""
    try:
        _bound(seconds)
        data = json.dumps(work()).encode()
        while data:
            data = data[os.write(writer, data) :]
    finally:
        os._exit(0)


def _bound(seconds):
    """Limits on the memory and on the time of this process; the system ends it after whole seconds only."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard == resource.RLIM_INFINITY:
        used = time.process_time()  # a fork begins with none
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used + seconds), hard))

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    bound = used + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))


def _received(reader, end):
    """All that the child writes until it closes its end; None if that takes too long, or is nothing."""
    parts = []
    while (left := end - time.monotonic()) > 0:
        if select.select([reader], [], [], left)[0]:
            part = os.read(reader, 1 << 16)
            if not part:
                return json.loads(b"".join(parts)) if parts else None
            parts.append(part)
    return None
