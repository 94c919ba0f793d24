"""One run of the benchmarks: who takes part, how often, and the cases measured so far."""

import sys
import time
from dataclasses import dataclass, field

from . import agreement, contestants, machine, roofline, timing

SCHEMA = 1
REFERENCE = "PyTorch"


@dataclass
class Suite:
    """What the sub-commands share. `modules` are the installed libraries, `missing` says why the others are not
    there."""

    modules: dict
    missing: dict
    threads: int
    quick: bool = False
    short: bool = False  # the goals' own cases alone, with a third of the turns
    repeats: int | None = None
    arguments: tuple = ()
    progress: object = None  # a function of one line of text
    cases: list = field(default_factory=list)
    extras: dict = field(default_factory=dict)

    def __post_init__(self):
        self.created, self.started, self.load = machine.now(), time.perf_counter(), machine.load_average()
        self.ceilings = None

    def turns(self, usual, quick):
        """How many turns every contestant gets."""
        return self.repeats or (quick if self.quick else max(quick, usual // 3) if self.short else usual)

    def say(self, text):
        """Tell whoever watches what is being done."""
        if self.progress:
            self.progress(text)

    def measure_ceilings(self):
        """The roofline's two ceilings, once a run."""
        if self.ceilings is None:
            self.say("the machine's ceilings")
            self.ceilings = roofline.ceilings(self.threads, turns=3 if self.quick else 8)

    def entries(self, maker, *arguments, only=None, **options):
        """(entries, {family: why it has none}) of every library that offers `maker`."""
        made, failed = [], {}
        for family, module in self.modules.items():
            make = getattr(module, maker, None)
            if make is None or (only is not None and family not in only):
                continue
            try:
                made += make(*arguments, **options.get(family, {}))
            except Exception as error:  # another library's trouble must not end the run
                failed[family] = _first_line(error)
        return made, failed

    def measure(self, benchmark, group, name, entries, tolerances, turns, failed=None, **facts):
        """Compare, then time what agrees; appends the case to the record and returns it."""
        self.say(f"{benchmark}: {group}, {name}")
        right, answers, outcome = compared(entries, tolerances)
        for family, reason in (failed or {}).items():
            outcome[family] = {"family": family, "status": "failed", "reason": reason}
        times = timing.alternate({e.name: e.run for e in right}, turns) if right else {}
        for entry in right:
            outcome[entry.name] |= {"status": "timed", **timing.summary(times[entry.name])}
        self.cases.append(
            {
                "benchmark": benchmark,
                "group": group,
                "case": name,
                "unit": "s",
                "reference": answers,
                "tolerance": _tolerance_text(tolerances),
                "entries": outcome,
                **facts,
            }
        )
        return self.cases[-1]

    def record(self):
        """Everything about this run, ready for JSON."""
        return {
            "schema": SCHEMA,
            "kind": "cpu",
            "created": self.created,
            "command": machine.command(self.arguments),
            "quick": self.quick,
            "short": self.short,
            "seconds": round(time.perf_counter() - self.started, 1),
            "machine": machine.describe(self.modules, self.threads),
            "load_average": {"start": self.load, "end": machine.load_average()},
            "missing": self.missing,
            "ceilings": self.ceilings,
            "cases": self.cases,
            **self.extras,
        }


def compared(entries, tolerances):
    """(entries that agree with the reference, the reference's name, {entry name: its part of the record})."""
    reference = next((e for e in entries if e.name == REFERENCE), entries[0] if entries else None)
    if reference is None:
        return [], None, {}
    right, outcome = [], {}
    expected = reference.results()
    for entry in entries:
        part = outcome[entry.name] = {"family": entry.family}
        try:
            share, error = (
                (0.0, 0.0) if entry is reference else agreement.compare(entry.results(), expected, tolerances)
            )
        except agreement.Disagreement as wrong:
            part |= {"status": "wrong", "reason": str(wrong)}
        except Exception as error:  # another library's trouble must not end the run
            part |= {"status": "failed", "reason": _first_line(error)}
        else:
            part |= {"error": error, "share_of_tolerance": share}
            right.append(entry)
    return right, reference.name, outcome


def _first_line(error):
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def _tolerance_text(tolerances):
    if isinstance(tolerances, agreement.Tolerance):
        return {"": tolerances._asdict()}
    return {name: t._asdict() for name, t in tolerances.items()}


def begin(threads=None, only=None, **options):
    """A Suite with every installed library, all on the same number of threads."""
    import os

    cores = contestants.available_threads()
    threads = threads or cores
    if threads < cores and hasattr(os, "sched_setaffinity"):
        # Holds also those to it who take no number of threads (XLA). Before they are loaded, and start their threads.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    modules, missing = contestants.load(only)
    ours = modules.get("tinyvision")
    why = ours and ours.prepare(options.get("progress") or (lambda text: None))
    if why:
        missing[ours.FAST] = why
    contestants.set_threads(modules, threads)
    return Suite(modules, missing, threads, **options)


def fastest(case, family):
    """The part of a case's record that stands for a family: its quickest (or smallest) entry, or None if none was
    timed."""
    timed = [e for e in case["entries"].values() if e["family"] == family and e["status"] == "timed"]
    return min(timed, key=lambda e: e["median"], default=None)


def fastest_name(case, family):
    """The name of that entry."""
    best = fastest(case, family)
    return next((name for name, entry in case["entries"].items() if entry is best), None)


def progress_line(text):
    """One line on a terminal that the next one overwrites."""
    sys.stderr.write(f"\r\033[K{text}")
    sys.stderr.flush()
