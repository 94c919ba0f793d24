"""Judging one attempt, in this process: load the file, see that nothing is missing, run the exercise's check."""

import ast
import importlib.util
import time
import traceback
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..check import Finding, Report, runner
from ..errors import OptionError, TinyVisionError
from . import lab
from .course import exercise
from .loading import load, parsed, read, syntax


def check_exercise(name: str, *functions: Any, **named: Any) -> Any:
    """Check your functions for an exercise from a notebook; returns a `tinyvision.check.Report`.

    Most exercises ask for one function, which may have any name; where there are more, give them in the order of the
    exercise, or by name. Raises OptionError for an unknown exercise or too few or too many functions."""
    one = exercise(name)
    if len(functions) > len(one.needs):
        raise OptionError(f"check_exercise: {one.name} asks for {', '.join(one.needs)}; you gave {len(functions)}")
    given = dict(zip(one.needs, functions, strict=False))
    for key, value in named.items():
        if key not in one.needs or key in given:
            raise OptionError(f"check_exercise: {one.name} asks for {', '.join(one.needs)}; {key} is not free")
        given[key] = value
    missing = [n for n in one.needs if n not in given]
    if missing:
        raise OptionError(f"check_exercise: {one.name} also asks for {', '.join(missing)}")
    return _checked(one, SimpleNamespace(**given))


def points(name: str, full: float, *functions: Any, **named: Any) -> float:
    """The points of `full` that your functions get for an exercise: the last line of a graded cell of a notebook.

    It prints what is wrong. The same share is given by `tinyvision learn grade`. Raises OptionError, as
    `check_exercise` does."""
    from .grade import share

    report = check_exercise(name, *functions, **named)
    if not report.passed:
        print(report)
    return round(full * share(report.as_dict(), exercise(name)), 2)


def judge(name: str, path: str | Path) -> Any:
    """Check the file at `path` as an attempt at the exercise. Raises DataError if it cannot be read."""
    one, path = exercise(name), Path(path)
    lab.PRINTED.clear()
    text = read(path)
    try:
        tree = parsed(text, str(path))
    except SyntaxError as error:
        return _failed(one, f"Python cannot read the file: {syntax(error)}", "syntax", path, error.lineno)
    holes = _holes(tree)
    if holes:
        return _failed(
            one, f"Still missing: {one.missing}. Replace the ... on {_lines(holes)}.", "missing", path, holes[0]
        )
    module, report = load(path, one.name)
    if report is not None:
        report.subject = one.name
        return report
    for need in one.needs:
        if not hasattr(module, need):
            return _failed(one, f"The file no longer defines {need}, which the check looks for.", "undefined", path, 1)
    return _checked(one, module)


@cache
def _course_module(name):
    spec = importlib.util.spec_from_file_location(f"tinyvision.learn.exercises.{name}", exercise(name).path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _checked(one, attempt):
    started = time.perf_counter()
    try:
        report = _course_module(one.name).check(attempt)
    except lab.Wrong as wrong:
        argument = wrong.finding.argument
        report = Report(one.name, [wrong.finding], status={argument: "wrong"} if argument else {})
    except Exception as error:
        report = _raised_by(attempt, one, error)
        if report is None:
            raise
    report.subject = one.name
    report.printed = "".join(lab.PRINTED) + report.printed
    lab.PRINTED.clear()
    report.seconds = time.perf_counter() - started
    return report


def _raised_by(attempt, one, error):
    """A report, if the exception comes from using the learner's code; None if it is a defect of the check."""
    own = {runner.location(getattr(attempt, name))[0] for name in one.needs}
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in own]
    if not frames and not isinstance(error, TinyVisionError):
        return None
    file, line = (frames[-1].filename, frames[-1].lineno) if frames else (None, None)
    message = f"It raised {runner.named(error)}"
    return Report(one.name, [Finding("", message, "exception", None, "exact", None, file, line, kind="exception")])


def _failed(one, message, kind, path, line):
    finding = Finding(one.file, message, kind, None, "exact", None, str(Path(path).absolute()), line, kind=kind)
    return Report(one.name, [finding])


def _holes(tree):
    """The lines on which a bare ... stands for code that is still to be written."""
    kinds = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Expr)
    return sorted(
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, kinds) and isinstance(node.value, ast.Constant) and node.value.value is ...
    )


def _lines(numbers):
    if len(numbers) == 1:
        return f"line {numbers[0]}"
    return f"lines {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def first_look(report: Report) -> Any:
    """The report as it is shown first: what is to be seen, without the name of the mistake, which one may ask for.

    What is seen only agrees with the numbers, and its mark says that; that it is an exact match is said beside it."""
    observed = getattr(report, "observed", None)
    if observed is None:
        return report
    findings = []
    for f in report.findings:
        if f.certainty == "exact" and f.mistake and "." in f.mistake:
            named = f"It is an exact match with a known mistake; `tinyvision learn diagnose {report.subject}` names it."
            seen = observed.get(f.argument)
            if seen is None:
                f = replace(f, message="This mistake is known, and has a name: ask for it.")
            else:
                f = replace(f, message=seen, certainty="likely", mistake=None, facts=(named, *f.facts))
        findings.append(f)
    return replace(report, findings=findings)
