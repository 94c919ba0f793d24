"""Running a search in a process of its own: a fork, of which nothing comes back but the answer.

What changed code does to arrays, objects and modules it does to copies. A process that computes for too long, or from
which nothing is heard for too long, is ended. Where there is no fork there is no search.
"""

import contextlib
import gc
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

MEMORY = 2 << 30  # bytes that a search may ask for beyond what there is
SILENCE = 30.0  # seconds on the clock in which a process must be heard: it may have to wait for its turn


def apart(work: Callable[[Callable[[], Any]], Any], seconds: float) -> Any:
    """What `work(alive)` returns, as JSON has it, if it computes for no more than `seconds`, and calls `alive()` within
    every `SILENCE`; else None."""
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
        return _received(reader)
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # a program may wait for all its children
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _work(work, writer, seconds):
    """The child: it works, writes the answer, and is gone without running anything else of the program's."""
    try:
        gc.disable()  # nothing that lives so briefly need look through all that there was before
        _bound(seconds)
        data = json.dumps(work(lambda: os.write(writer, b" "))).encode()
        while data:
            data = data[os.write(writer, data) :]
    finally:
        os._exit(0)


def _bound(seconds):
    """Limits on the memory and on the time of this process; the system ends it after whole seconds only."""
    import resource

    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    most = {resource.RLIMIT_AS: used + MEMORY, resource.RLIMIT_CPU: math.ceil(time.process_time() + seconds)}
    for limit, bound in most.items():
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))


def _received(reader):
    """All that the child writes until it closes its end, which may begin with spaces; None if it falls silent, or has
    nothing to say."""
    parts = []
    while select.select([reader], [], [], SILENCE)[0]:
        part = os.read(reader, 1 << 16)
        if not part:
            text = b"".join(parts).strip()
            return json.loads(text) if text else None
        parts.append(part)
    return None
