"""The memory of a ResNet-18 training step: each contestant in a process of its own, its peak less what it held
before.

Run as a module (`python -m benchmarks.memory`) it is that process: it reads which contestant, does the steps, and
prints JSON.
"""

import ctypes
import gc
import json
import resource
import subprocess
import sys
from pathlib import Path

from tinyvision.errors import OptionError

from . import agreement, contestants, networks, timing
from .goals import FAST
from .machine import ROOT
from .resnet18 import DECAY, MOMENTUM, RATE, SIZE, TRAINING_BATCH

STEPS = 3


def resident():
    """Bytes of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def forget_peak():
    """Let the system's peak start from now (Linux: 5 to clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak():
    """Bytes of this process at its largest since `forget_peak`."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("this system does not tell the peak of a process's memory")


def give_back_freed_memory():
    """What building the network has left behind is not to be reused unseen by the first step (glibc only)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def child(entry_name, family, threads, batch=TRAINING_BATCH, size=SIZE):
    """What the process measures: bytes before the first step, at the peak of three steps, and the losses."""
    modules, missing = contestants.load([family])  # the compiled loops, if any, are on disk already
    if missing:
        raise OptionError(f"{family} {missing[family]}")
    contestants.set_threads(modules, threads)
    x, labels = networks.images(batch, size)
    options = {"layouts" if family == "PyTorch" else "ways": (entry_name,)}
    (entry,) = modules[family].resnet_step(networks.resnet18(), x, labels, RATE, MOMENTUM, DECAY, **options)
    give_back_freed_memory()
    forget_peak()
    before = resident()
    losses = [entry.run() for _ in range(STEPS)]
    return {"before": before, "peak": peak(), "losses": losses}


def ask(entry_name, family, threads):
    """Start the process and read what it says. Raises SubprocessError."""
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", entry_name, family, str(threads)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if answer.returncode:
        raise subprocess.SubprocessError((answer.stderr.strip().splitlines() or ["no output"])[-1])
    return json.loads(answer.stdout.splitlines()[-1])


def run(suite):
    """Measure tinyvision and PyTorch in both layouts, in turns."""
    from .contestants import pytorch

    ways = ("tinyvision", *(() if FAST in suite.missing else (FAST,)))
    names = dict.fromkeys(ways, "tinyvision") if "tinyvision" in suite.modules else {}
    if "PyTorch" in suite.modules:
        names |= dict.fromkeys(pytorch.LAYOUTS, "PyTorch")
    answers, entries = {name: [] for name in names}, {}
    for _ in range(suite.turns(3, 1)):
        for name, family in names.items():
            suite.say(f"memory: {name}")
            if name not in entries:
                try:
                    answers[name].append(ask(name, family, suite.threads))
                except (subprocess.SubprocessError, ValueError) as error:
                    entries[name] = {"family": family, "status": "failed", "reason": str(error)[:200]}
    reference = next((name for name in ("PyTorch", "tinyvision") if answers.get(name) and name not in entries), None)
    for name, family in names.items():
        if name not in entries:
            entries[name] = outcome(answers[name], answers[reference], name if family == "tinyvision" else family)
    suite.cases.append(
        {
            "benchmark": "memory",
            "group": "training step",
            "case": f"ResNet-18, batch {TRAINING_BATCH}",
            "unit": "B",
            "reference": reference,
            "tolerance": {"loss": agreement.LOSS._asdict()},
            "entries": entries,
            "steps": STEPS,
        }
    )


def outcome(answers, reference, family):
    """An entry for the record: the growth is what is compared; the absolute peak stands beside it."""
    losses, expected = ({str(i): loss for i, loss in enumerate(some[0]["losses"])} for some in (answers, reference))
    try:
        share, error = agreement.compare(losses, expected, agreement.LOSS)
    except agreement.Disagreement as wrong:
        return {"family": family, "status": "wrong", "reason": str(wrong)}
    return {
        "family": family,
        "status": "timed",
        "error": error,
        "share_of_tolerance": share,
        **timing.summary([a["peak"] - a["before"] for a in answers]),
        "before": timing.summary([a["before"] for a in answers]),
        "peak": timing.summary([a["peak"] for a in answers]),
    }


if __name__ == "__main__":
    print(json.dumps(child(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
