"""What a page would print on other machines: another processor rounds otherwise, and a long training amplifies that.

Every run is a process of its own: with another kernel of the BLAS, with and without the compiled loops, and with the
weights that an optimizer is given nudged by a ten-millionth, as another order of sums would."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from . import pages

NUDGE = 1e-7  # of a weight: about one rounding of float32
PLACES = (("Haswell", "on"), ("Haswell", "off"), ("Sandybridge", "on"), ("Nehalem", "off"))  # (BLAS kernel, loops)


class Elsewhere:
    """What several runs of a page printed, number by number."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wrong: list[str] = []
        self._printed: dict[int, tuple[str, list[str]]] = {}

    def add(self, name: str, answer: dict) -> None:
        """Take in one run: `name` says where it ran."""
        self.wrong += [f"{name}: {problem}" for problem in answer["problems"]]
        for line, expected, printed in answer["outputs"]:
            self._printed.setdefault(line, (expected, []))[1].append(printed)

    def lines(self) -> Iterator[str]:
        """For every number that moved: the page's line, what the page says, and what the runs said."""
        for line, (expected, runs) in self._printed.items():
            said = pages.tokens(expected)
            each = [pages.tokens(printed) for printed in runs]
            if any(len(one) != len(said) for one in each):
                if len(set(runs)) > 1:
                    yield f"line {line}: " + " | ".join(sorted({" ".join(one.split()) for one in runs}))
                continue
            for token, *values in zip(said, *each, strict=True):
                if len(set(values)) > 1:
                    yield f"line {line}: {token:<12} " + " ".join(sorted(values))


def run(path: Path, nudges: int) -> Elsewhere:
    """Run a page at all PLACES, and `nudges` times with nudged weights."""
    found = Elsewhere(path)
    runs = [
        (f"{core}, loops {loops}", {"OPENBLAS_CORETYPE": core, "TINYVISION_KERNELS": loops}, 0)
        for core, loops in PLACES
    ]
    runs += [(f"nudge {seed}", {}, seed) for seed in range(1, nudges + 1)]
    for name, settings, seed in runs:
        command = [sys.executable, "-m", f"{__package__}.elsewhere", str(path), str(seed)]
        done = subprocess.run(command, cwd=pages.ROOT, env={**os.environ, **settings}, capture_output=True, text=True)
        if done.returncode:
            found.wrong.append(f"{name}: {done.stderr.strip().splitlines()[-1]}")
        else:
            found.add(name, json.loads(done.stdout.splitlines()[-1]))
    return found


def _nudge_weights(seed):
    from tinyvision import optim

    rng, begin = np.random.default_rng(seed), optim.Optimizer.__init__

    def begin_nudged(self, *arguments, **options):
        begin(self, *arguments, **options)
        for group in self.param_groups:
            for weight in group["params"]:
                weight.data *= 1 + NUDGE * rng.uniform(-1, 1, weight.shape).astype(weight.data.numpy().dtype)

    optim.Optimizer.__init__ = begin_nudged


if __name__ == "__main__":
    if seed := int(sys.argv[2]):
        _nudge_weights(seed)
    report = pages.run(Path(sys.argv[1]))
    print(json.dumps({"problems": report.problems, "outputs": report.outputs}))
