"""Every small change of every statement is tried: the statement whose change makes all numbers right is the wrong one.

A line is told only if the search came to its end, and if no more than two statements can mend what is wrong: with a
factor missing along a chain of lines any of them could be changed, and then none is told.
"""

import ast
import linecache
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import runner
from ..evidence import observed
from ..examine import Examination
from ..findings import Finding
from ..probes import Probe
from ..report import Report
from .apart import apart
from .edits import Edit, edits, nudges
from .written import Written, functions_of, is_authors

BUDGET = 1.0  # seconds that a search may compute
PATIENCE = 10  # times what the code itself takes, a changed one may
MANY = 2  # statements that are told; of more, none is


@dataclass(frozen=True)
class Place:
    """A statement that can be changed so that all is right."""

    file: str
    line: int
    mends: frozenset


def told(report: Report, exam: Examination, probes: Sequence[Probe]) -> None:
    """Puts into the findings which line is wrong, where that can be told within `BUDGET`, in a process of its own."""
    wrong = [f for f in report.findings if f.kind in ("value", "shape") and f.where is not None]
    if not wrong or exam.at.device.type != "cpu" or not {"forward", "backward"}.isdisjoint(exam.dead | exam.stateful):
        return
    files = {file for f in (exam.backward_function, exam.forward_function) if (file := runner.location(f)[0])}
    if not any(map(is_authors, files)):
        return
    search = _Search(exam, probes, {f.argument for f in wrong}, files)
    answer = apart(lambda: [(p.file, p.line, sorted(p.mends)) for p in search.places()], BUDGET)
    found = [Place(file, line, frozenset(mends)) for file, line, mends in answer or ()]
    for k, finding in enumerate(report.findings):
        if finding in wrong:
            mine = [p for p in found if finding.argument in p.mends]
            if 1 <= len(mine) <= MANY:
                report.findings[k] = _with(finding, mine)


def _with(finding: Finding, places: list[Place]) -> Finding:
    lines = tuple(p.line for p in places)
    if len(places) == 1:
        text = linecache.getline(places[0].file, lines[0]).strip()
        fact = f"The line to change is {lines[0]}: {text}"
        return replace(finding, file=places[0].file, line=lines[0], lines=lines, facts=(fact, *finding.facts))
    fact = f"The line to change is {lines[0]} or {lines[1]}: either alone makes it right."
    return replace(finding, lines=lines, facts=(fact, *finding.facts))


class _Search:
    def __init__(self, exam: Examination, probes: Sequence[Probe], arguments: set[str], files: set[str]) -> None:
        self.exam, self.probes, self.files = exam, list(probes), files
        self.names = ["y", *exam.names]
        self.arguments = arguments
        self.seconds = exam.seconds

    def answers(self, probe: Probe) -> list:
        """y and the gradients, None for what did not come."""
        exam = self.exam
        quiet = Examination(
            Report(""), exam.forward_function, exam.backward_function, exam.names, self.seconds, exam.lone_output,
            at=exam.at,
        )  # fmt: skip
        quiet.optional, quiet.layered, quiet.unread = exam.optional, exam.layered, exam.unread
        result = quiet.forward(probe, quiet=True)
        if result is None:
            return [None] * len(self.names)
        grads = None
        if exam.judge_backward and result[0].shape == np.shape(probe.y):
            grads = quiet.backward(probe, result[1], result[2], result[3], quiet=True)
        return [result[0], *(grads or [None] * len(exam.names))]

    def right(self, k: int) -> frozenset:
        """The names of all that comes out right on probe `k`."""
        return self._right_ones(self.answers(self.probes[k]), k)

    def _right_ones(self, answers: list, k: int) -> frozenset:
        probe = self.probes[k]
        out = set()
        for place, (name, yours, true) in enumerate(zip(self.names, answers, [probe.y, *probe.truth], strict=True)):
            told = name is not None and true is not None and yours is not None
            if told and not observed(name, probe, yours, true, {}, place - 1).failed:
                out.add(name)
        return frozenset(out)

    def places(self) -> list[Place]:
        """The statements that can be changed so that something wrong comes out right, and nothing right wrong."""
        started = time.process_time()
        before = [self.right(k) for k in range(len(self.probes))]
        each = (time.process_time() - started) / len(self.probes)
        failing = [k for k, b in enumerate(before) if not self.arguments <= b]
        if not failing:
            return []
        cheap = min(failing, key=lambda k: (self.probes[k].y.size, k))
        functions = functions_of(lambda: self.answers(self.probes[cheap]), self.files)
        self.seconds = min(self.exam.seconds, max(0.05, PATIENCE * each))
        found: dict[Any, Place] = {}
        self.usual = self.answers(self.probes[cheap])
        for written in reversed(functions):  # backward ran last
            settled = self._settled(written, cheap, before)
            if settled is None:
                continue
            for edit in edits(written, settled):
                if time.process_time() - started > BUDGET:
                    return []
                mends = self._tried(written, edit, cheap, before)
                if mends:
                    key, line = (written.file, edit.statement.lineno), edit.line
                    if key in found:
                        mends |= found[key].mends
                        line = line if line == found[key].line else edit.statement.lineno
                    found[key] = Place(written.file, line, mends)
                    if sum(self.arguments <= p.mends for p in found.values()) > MANY:
                        return []
        most = max((len(p.mends) for p in found.values()), default=0)
        return sorted((p for p in found.values() if len(p.mends) == most), key=lambda p: (p.file, p.line))

    def _settled(self, written: Written, cheap: int, before: list) -> frozenset | None:
        """The ids of the statements that no change can be needed of: what is right depends on them, or nothing does.

        None for all of a function that hands nothing to what is wrong."""
        settled = set()
        for several in nudges(written):
            alike, apart = 0, 0
            for nudge in several:
                code = _changed(written, nudge)
                if code is None:
                    continue
                with written.standing_in(code):
                    answers = self.answers(self.probes[cheap])
                if answers[0] is None and "y" in before[cheap]:
                    settled.add(id(nudge.statement))  # forward cannot do without it
                    break
                came = {name for name, a in zip(self.names, answers, strict=True) if a is not None}
                if before[cheap] <= came and not before[cheap] <= self._right_ones(answers, cheap):
                    settled.add(id(nudge.statement))
                    apart = not any(self._moved(answers, name) for name in self.arguments)
                    break
                alike += all(_identical(a, b) for a, b in zip(answers, self.usual, strict=True))
            if alike == len(several):
                settled.add(id(several[0].statement))
            if apart and isinstance(several[0].statement, ast.Return) and written.pure:
                return None
        return frozenset(settled)

    def _moved(self, answers: list, name: str) -> bool:
        k = self.names.index(name)
        return not _identical(answers[k], self.usual[k])

    def _tried(self, written: Written, edit: Edit, cheap: int, before: list) -> frozenset:
        """What a change mends on all probes; nothing if it spoils anything."""
        code = _changed(written, edit)
        if code is None:
            return frozenset()
        with written.standing_in(code):
            first = self.right(cheap)
            if not first > before[cheap]:
                return frozenset()
            mended = set(self.arguments)
            for k in range(len(self.probes)):
                now = first if k == cheap else self.right(k)
                if not now >= before[k]:
                    return frozenset()
                mended &= now
            return frozenset(mended)


def _identical(a: Any, b: Any) -> bool:
    return a is b is None or (a is not None and b is not None and np.array_equal(a, b, equal_nan=True))


def _changed(written: Written, edit: Edit) -> Any:
    """The function's code with one change, or None."""
    old = edit.put(edit.new)
    try:
        return written.compiled()
    finally:
        edit.put(old)
