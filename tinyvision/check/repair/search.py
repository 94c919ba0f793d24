"""Every small change of every statement is tried: the statement whose change makes all numbers right is the wrong one.

What is tried is bound by counting, so that the answer is the same on every machine: so many runs, of a cost that is
counted in operations, and so many turns of loops in each. The clock ends only what no count can.

A line is told only if the search came to its end, and if no more than two statements can mend what is wrong: with a
factor missing along a chain of lines any of them could be changed, and then none is told.
"""

import ast
import contextlib
import itertools
import linecache
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import runner
from ..evidence import observed
from ..examine import Examination
from ..findings import Finding, place
from ..probes import Probe
from ..report import Report
from . import values
from .apart import apart
from .computing import is_authors
from .edits import edits, nudges
from .forms import forms
from .strided import bounded
from .trials import Trials, identical
from .turns import counted
from .written import Written, functions_of

RUNS = 1250  # of the code on one probe, that a search may make; what else it does counts as so many
FORMS_A_RUN, VALUES_A_RUN = 4, 150  # forms that are made, and values that are computed, that count as one
PATIENCE = 10  # times the turns that the code itself takes, a changed one may
LARGEST = 100  # times the turns that it takes on the cheapest probe, it may take on another
_FEW = 1000  # turns that are always allowed
SECONDS = 20.0  # of computing, after which a search is ended that counts do not end
MANY = 2  # statements that are told; of more, none is


@dataclass(frozen=True)
class Place:
    """A statement that can be changed so that all is right."""

    file: str
    line: int
    mends: frozenset


def told(report: Report, exam: Examination, probes: Sequence[Probe]) -> None:
    """Puts into the findings which line is wrong, where that can be told, by a process of its own."""
    kinds = ("value", "shape", "not_finite")
    wrong = [f for f in report.findings if f.kind == "exception" or (f.kind in kinds and f.where)]
    if not wrong or exam.at.device.type != "cpu" or not {"forward", "backward"}.isdisjoint(exam.dead | exam.stateful):
        return
    files = {file for f in (exam.backward_function, exam.forward_function) if (file := runner.location(f)[0])}
    if not any(map(is_authors, files)):
        return
    search = _Search(exam, probes, {f.argument for f in wrong if f.kind != "exception"})

    def work(alive):
        search.trials.alive = alive
        return [(p.file, p.line, sorted(p.mends)) for p in search.places()]

    answer = apart(work, SECONDS)
    found = [Place(file, line, frozenset(mends)) for file, line, mends in answer or ()]
    for k, finding in enumerate(report.findings):
        if finding in wrong:
            mine = [p for p in found if finding.argument in p.mends or finding.kind == "exception"]
            if 1 <= len(mine) <= MANY:
                report.findings[k] = _with(finding, mine)


def _with(finding: Finding, places: list[Place]) -> Finding:
    lines = tuple(p.line for p in places)
    if len(places) == 1:
        text = linecache.getline(places[0].file, lines[0]).strip()
        fact = f"The line to change is {lines[0]}: {text}"
        return replace(finding, file=places[0].file, line=lines[0], lines=lines, facts=(fact, *finding.facts))
    apart = len({p.file for p in places}) > 1
    named = [place(os.path.basename(p.file), p.line) if apart else str(p.line) for p in places]
    fact = f"The line to change is {named[0]} or {named[1]}: either alone makes it right."
    return replace(finding, lines=lines, facts=(fact, *finding.facts))


@contextlib.contextmanager
def _quietly():
    """What changed functions print and warn of is nobody's concern."""
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere), warnings.catch_warnings(), np.errstate(all="ignore"),
    ):  # fmt: skip
        warnings.simplefilter("ignore")
        yield


class _Search:
    def __init__(self, exam: Examination, probes: Sequence[Probe], arguments: set[str]) -> None:
        self.probes, self.trials = list(probes), Trials(exam)
        self.names = ["y", *exam.names]
        self.arguments = arguments

    def right(self, k: int) -> frozenset:
        """The names of all that comes out right on probe `k`."""
        return self._right_ones(self.trials.answers(self.probes[k]), k)

    def _right_ones(self, answers: list, number: int, among: Sequence | None = None) -> frozenset:
        probe = self.probes[number]
        out = set()
        for k, (name, yours, true) in enumerate(zip(self.names, answers, [probe.y, *probe.truth], strict=False)):
            asked = name is not None and true is not None and yours is not None and (among is None or name in among)
            if asked and not observed(name, probe, yours, true, {}, k - 1).failed:
                out.add(name)
        return frozenset(out)

    def places(self) -> list[Place]:
        """The statements that can be changed so that something wrong comes out right, and nothing right wrong.

        Without arguments that are known to be wrong, as after an exception, all must come out right."""
        with _quietly():
            functions = self._functions()
            modules = [f.__globals__ for written in functions for f in written.objects]
            with bounded({id(m): m for m in modules}.values()), counted(functions, self.trials.turns):
                return self._places(functions)

    def _functions(self):
        self.before = [self.right(k) for k in range(len(self.probes))]
        self.arguments = self.arguments or {n for n in self.names if n is not None}.difference(*self.before)
        failing = [k for k, b in enumerate(self.before) if not self.arguments <= b]
        if not failing:
            return []
        self.cheap = min(failing, key=lambda k: (self.probes[k].y.size, k))
        probe = self.probes[self.cheap]
        return functions_of(lambda: self.trials.answers(probe, goes_on=_no), lambda: self.trials.answers(probe))

    def _places(self, functions):
        turns = self.trials.turns
        self.usual = self.trials.answers(self.probes[self.cheap])
        turns.most = PATIENCE * turns.taken + _FEW
        came = all(self.usual[self.names.index(name)] is not None for name in self.arguments)
        found: dict[Any, Place] = {}
        for written in reversed(functions):  # backward ran last
            settled = self._settled(written) if came else frozenset()
            if settled is None:
                continue
            for statement, changes in itertools.groupby(edits(written, settled), key=lambda e: e.statement):
                for edit, code, number in forms(written, self._promising(written, list(changes))):
                    with written.standing_in(code, number):
                        mends = self._mended(written)
                    if not mends:
                        continue
                    key, line = (written.file, statement.lineno), edit.line
                    if key in found:
                        mends |= found[key].mends
                        line = line if line == found[key].line else statement.lineno
                    found[key] = Place(written.file, line, mends)
                    if sum(self.arguments <= p.mends for p in found.values()) > MANY:
                        return []
                if self.trials.runs > RUNS:
                    return []
        most = max((len(p.mends) for p in found.values()), default=0)
        return sorted((p for p in found.values() if len(p.mends) == most), key=lambda p: (p.file, p.line))

    def _settled(self, written: Written) -> frozenset | None:
        """The ids of the statements that no change can be needed of, and of such parts: what is right depends on them,
        or nothing does.

        None for all of a function that hands nothing to what is wrong."""
        settled: set[int] = set()
        for parts in nudges(written):
            self._keep(written)
            outcomes = [self._nudged(written, several) for _, several in parts]
            settled.update(id(part) for (part, _), outcome in zip(parts, outcomes, strict=True) if outcome)
            statement = parts[0][1][0].statement
            if all(outcomes):
                settled.add(id(statement))
            if isinstance(statement, ast.Return) and written.pure and set(outcomes) == {"apart"}:
                return None
        return frozenset(settled)

    def _nudged(self, written, several):
        """What becomes of one part's nudges: "needed" by what is right, "apart" if it hands nothing to what is wrong
        either, "idle" if nothing depends on it; "" if a change of it may be what is needed."""
        alike, right = 0, self.before[self.cheap]
        for _, code, number in forms(written, several):
            with written.standing_in(code, number):
                answers = self._answers(written)
            if answers[0] is None and "y" in right:
                return "needed"  # forward cannot do without it
            came = {name for name, a in zip(self.names, answers, strict=True) if a is not None}
            if right <= came and not right <= self._right_ones(answers, self.cheap):
                return "needed" if any(self._moved(answers, name) for name in self.arguments) else "apart"
            alike += all(map(identical, answers, self.usual))
        return "idle" if alike == len(several) else ""

    def _moved(self, answers: list, name: str) -> bool:
        k = self.names.index(name)
        return not identical(answers[k], self.usual[k])

    def _promising(self, written, changes):
        """Those of a statement's changes that mend something on the cheapest probe."""
        self._keep(written)
        groups, computed = values.distinct(written, changes, lambda: self._answers(written))
        self.trials.runs += len(changes) / FORMS_A_RUN + computed / VALUES_A_RUN
        known = {id(group[0]): group for group in groups}
        found: list = []
        for edit, code, number in forms(written, [group[0] for group in groups]):
            if self.trials.runs > RUNS:
                return []
            with written.standing_in(code, number):
                if self._mends(written):
                    found += known[id(edit)]
        return found

    def _keep(self, written):
        if not written.early:
            self.trials.keep(self.probes[self.cheap])

    def _answers(self, written, goes_on=None):
        return self.trials.answers(self.probes[self.cheap], not written.early, goes_on)

    def _mends(self, written: Written) -> frozenset:
        """All that comes out right on the cheapest probe, if that is more than did; else nothing."""
        right = self.before[self.cheap]
        # Where y must be right, and is not, nobody asks for the gradients.
        must = written.early and ("y" in right or self.arguments == {"y"})
        answers = self._answers(written, (lambda y: self._right_ones([y], self.cheap)) if must else None)
        if not self._right_ones(answers, self.cheap, [n for n in self.names if n not in right]):
            return frozenset()
        now = self._right_ones(answers, self.cheap)
        return now if now > right else frozenset()

    def _mended(self, written: Written) -> frozenset:
        """What comes out right on all probes and did not; nothing if something right has been spoilt."""
        first = self._mends(written)
        if not first:
            return frozenset()
        mended = set(self.arguments)
        with self._longer():
            for k, before in enumerate(self.before):
                now = first if k == self.cheap else self.right(k)
                if not now >= before:
                    return frozenset()
                mended &= now
        return frozenset(mended)

    @contextlib.contextmanager
    def _longer(self):
        """More turns, for probes that are larger than the cheapest."""
        turns = self.trials.turns
        most, turns.most = turns.most, LARGEST * turns.most
        try:
            yield
        finally:
            turns.most = most


def _no(y: Any) -> bool:
    return False
