"""How long `import tinyvision` takes, next to the others: each import in a process of its own, in turns."""

import os
import subprocess
import sys

from . import timing
from .machine import ROOT

# family -> what its user imports, after what must happen first (untimed)
STATEMENTS = {
    "tinyvision": ("import tinyvision", ""),
    "PyTorch": ("import torch", ""),
    "ONNX Runtime": ("import onnxruntime", ""),
    "JAX": ("import jax", ""),
    "DeZero": ("import dezero", "import numpy; numpy.int = int"),
    "MyGrad": ("import mygrad", ""),
    "NumPy": ("import numpy", ""),
}


def seconds(statement, before=""):
    """Seconds that one import takes in a new process, of modules compiled before, as installed packages are.

    Raises CalledProcessError."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    code = f"{before}\nimport time\nstart = time.perf_counter()\n{statement}\nprint(time.perf_counter() - start)"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return float(answer.stdout.split()[-1])


def run(suite):
    """Measure every installed library's import, and NumPy's as the least that is possible here."""
    families = [*suite.modules, "NumPy"]
    times, failed = {family: [] for family in families}, {}
    for turn in range(-1, suite.turns(7, 3)):  # round -1 only compiles and warms the disk cache
        for family in families:
            if family in failed:
                continue
            suite.say(f"import: {STATEMENTS[family][0]}")
            try:
                took = seconds(*STATEMENTS[family])
            except (subprocess.SubprocessError, ValueError, IndexError) as error:
                failed[family] = f"{type(error).__name__}"
                continue
            if turn >= 0:
                times[family].append(took)
    entries = {
        family: {"family": family, "status": "timed", **timing.summary(times[family])}
        for family in families
        if family not in failed
    }
    entries |= {family: {"family": family, "status": "failed", "reason": reason} for family, reason in failed.items()}
    suite.cases.append(
        {
            "benchmark": "import",
            "group": "import",
            "case": "import in a new process",
            "unit": "s",
            "reference": None,
            "tolerance": {},
            "entries": entries,
        }
    )
