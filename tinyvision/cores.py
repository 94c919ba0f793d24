"""How many cores this process may use, and how many threads it was told to use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from .launcher import launched_as


def affinity() -> list[int]:
    """The numbers of the cores that the system lets this process run on."""
    try:
        return sorted(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return list(range(os.cpu_count() or 1))


def available_cores(root: str | os.PathLike[str] = "/") -> int:
    """How many cores this process may keep busy: those it may run on, if no control group (of a container, of a batch
    system) allows it less time. `root` is where /proc and /sys are."""
    quota = min(_quotas(Path(root)), default=math.inf)
    return max(1, min(len(affinity()), math.ceil(quota) if quota < math.inf else 1 << 30))


def _quotas(root: Path) -> Iterator[float]:
    """The limits of the process's control group and of all groups above it, in cores."""
    for line in _words(root / "proc/self/cgroup", "\n"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        folder = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        for group in (PurePosixPath(path), *PurePosixPath(path).parents):
            here = folder / str(group).strip("/")
            if controllers:  # the first version has two files, the second one
                pair = _words(here / "cpu.cfs_quota_us") + _words(here / "cpu.cfs_period_us")
            else:
                pair = _words(here / "cpu.max")
            if len(pair) == 2 and all(word.isdigit() for word in pair) and int(pair[1]):  # else "max", or -1
                yield int(pair[0]) / int(pair[1])


def _words(path: Path, separator: str | None = None) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").split(separator)
    except OSError:
        return []


def threads_told(environment: Mapping[str, str] | None = None) -> int | None:
    """What TINYVISION_NUM_THREADS says, or else OMP_NUM_THREADS, as for other libraries; None if neither says it."""
    environment = os.environ if environment is None else environment
    for name in ("TINYVISION_NUM_THREADS", "OMP_NUM_THREADS"):
        text = environment.get(name, "").partition(",")[0].strip()  # of OpenMP's nested levels, the outermost
        if text.isascii() and text.isdigit() and int(text[:9]) > 0:
            return int(text[:9])
    return None


def threads_at_first() -> int:
    """As many as was told; 1 in one of several processes, which share the machine; else one for each core.

    `distributed.init()` counts who shares what, and gives every process its part."""
    return threads_told() or (1 if launched_as() is not None else available_cores())
