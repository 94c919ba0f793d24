"""Where a record was taken: processor, memory, versions, BLAS kernel and threads, load."""

import os
import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]

# Above this share of the cores already in use, somebody else's work is in the figures.
BUSY = 0.3


def describe(modules, threads):
    """A JSON-ready description of this machine and of the libraries in `modules` ({family: module})."""
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_bytes": memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {"NumPy": np.__version__, **{name: module.version() for name, module in modules.items()}},
        "commit": commit(),
        "blas": blas(),
        "pytorch_cpu_capability": capability(),
        "openblas_coretype": "unset",
    }


def processor():
    """The processor's name, and the widest vector instructions that it says it has."""
    name, flags = platform.processor() or platform.machine(), set()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return name
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() == "flags":
            flags = set(value.split())
    widest = next(
        (text for flag, text in (("avx512f", "AVX-512"), ("avx2", "AVX2"), ("avx", "AVX")) if flag in flags), None
    )
    return f"{name} ({widest})" if widest else name


def memory():
    """Bytes of main memory, or None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def blas():
    """[{library, version, kernel, threads}] of every BLAS that is loaded."""
    from threadpoolctl import threadpool_info

    return [
        {
            "library": found["internal_api"],
            "version": found.get("version"),
            "kernel": found.get("architecture"),
            "threads": found["num_threads"],
        }
        for found in threadpool_info()
        if found["user_api"] == "blas"
    ]


def capability():
    """The instruction set that PyTorch chose, or None without PyTorch."""
    torch = sys.modules.get("torch")
    return torch.backends.cpu.get_cpu_capability() if torch else None


def commit():
    """The commit that is checked out, with a + after it if files have been changed since, or None outside of a
    checkout."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None


def load_average():
    """Processes that ran or waited, averaged over the last minute; None where the system does not say."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return None


def busy(load, cores):
    """True if so much was running that the figures are good for development only."""
    return load is not None and load > BUSY * cores


def command(arguments):
    """The command line that repeats this run."""
    return shlex.join(["python", "-m", "benchmarks", *arguments])


def now():
    """The time, in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
