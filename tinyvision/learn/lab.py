"""What the exercises' checks are made of: a known op, a function beside the right one, and plain expectations.

Every check returns a `tinyvision.check.Report`. A learner's code is only ever called through here, with a time limit,
and what it prints, raises or changes in place becomes part of the report.
"""

import functools
import inspect
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .. import check
from ..check import Finding, Picture, Report, Where, runner
from ..check.ops import spec

CALL_LIMIT = 3.0  # seconds one call may take; a check's own calls take milliseconds


class Wrong(Exception):
    """A check found something: carries the finding."""

    def __init__(
        self,
        message: str,
        argument: str = "",
        function: Any = None,
        where: Any = None,
        picture: Any = None,
        line: int | None = None,
        mistake: str | None = None,
        error: type | None = None,
    ) -> None:
        super().__init__(message)
        self.error = error  # the kind of exception that the learner's function raised, if that is what was found
        file, first = runner.location(function) if function is not None else (None, None)
        certainty = "exact"
        self.finding = Finding(argument, message, mistake, None, certainty, where, file, line or first, picture)


def adapted(function: Any, wrapper: Any, parameters: Any) -> Any:
    """`wrapper` under the name and place of the learner's `function`, with its own list of parameters."""
    functools.update_wrapper(wrapper, function)
    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD
    wrapper.__signature__ = inspect.Signature([inspect.Parameter(p, kinds) for p in parameters])
    return wrapper


def forward(op: str, function: Any, called: dict[str, str] | None = None) -> Any:
    """Check a function that returns y alone, `function(*arrays, **options) -> y`, as the forward of a known op.

    `called` maps the op's names to those that the exercise has for them: {"y": "loss"}."""
    known = spec(op)

    def run(*arrays, **options):
        return function(*arrays, **options), None

    options = list(known.probes()[0].options)
    _fits(function, [*known.arguments, *options], keywords=options)
    probe = known.probes()[0]
    _returns(function, [np.array(a) for a in probe.inputs], probe.options, 1)
    own = adapted(function, run, [*known.arguments, *options])
    return _in_other_words(_observed(lambda **how: check.op(op, forward=own, **how)), called)


def backward(
    op: str,
    function: Any,
    only: str | Sequence[str],
    remember: Callable[..., Any],
    called: dict[str, str] | None = None,
) -> Any:
    """Check `function(dy, cache)`, which returns the gradients named in `only`: one array, or a tuple of them.

    `remember(*arrays, **options)` makes the cache that the exercise promises; the other gradients are ours. `called`
    maps the op's names to those of the exercise."""
    known = spec(op)
    _fits(function, ["dy", "cache"])
    only = (only,) if isinstance(only, str) else only
    probe = known.probes()[0]
    cache = remember(*[np.array(a) for a in probe.inputs], **probe.options)
    _returns(function, (np.array(probe.dy)[()], cache), {}, len(only), only)

    def right_forward(*arrays, **options):
        own = tuple(np.array(a) for a in arrays)
        return known.forward(*arrays, **options), (remember(*own, **options), own, options)

    def run(dy, cache):
        theirs, arrays, options = cache
        kept = np.array(dy)
        given = function(dy, theirs)
        grads = list(known.backward(arrays, options, kept))
        for name, gradient in zip(only, (given,) if len(only) == 1 else given, strict=True):
            grads[known.gradients.index(name)] = gradient
        return tuple(grads)

    def judge(**how):
        report = check.op(op, right_forward, adapted(function, run, ("dy", "cache")), **how)
        for name in known.gradients:
            if name is not None and name not in only:
                report.status[name] = "skipped"
        return report

    return _in_other_words(_observed(judge), called)


def pair(
    forward: Callable[..., Any],
    function: Any,
    inputs: Sequence[Any],
    known: Sequence[tuple[str, Callable[..., Any], str]] = (),
) -> Any:
    """Check `function(dy, cache)`, one gradient for each input, by central differences of a right forward.

    `forward(*inputs) -> (y, cache)` is ours. `known` are (gradient, wrong(dy, *inputs), words): a gradient that equals
    one of these whenever it is asked for is told so."""
    seen: list[Any] = []

    def run(dy, cache):
        theirs, arrays = cache
        kept = np.array(dy)
        given = function(dy, theirs)
        seen.append((kept, arrays, given))
        return given

    def remembering(*arrays):
        y, cache = forward(*arrays)
        return y, (cache, tuple(np.array(a) for a in arrays))

    names = _parameters(forward)[: len(inputs)]
    first = runner.call(function, (np.ones_like(forward(*inputs)[0]), forward(*inputs)[1]), {}, seconds=CALL_LIMIT)
    if first.ok:
        fits = isinstance(first.value, (tuple, list)) and len(first.value) == len(inputs)
        wanted = ", ".join(f"d{n}" for n in names)
        expect(fits, f"{runner.name_of(function)} must return {len(inputs)} arrays: {wanted}.", "backward", function)
    wrapped = adapted(function, run, ("dy", "cache"))
    report = check.gradients(remembering, wrapped, inputs, names=names, time_limit=CALL_LIMIT)
    for k, finding in enumerate(report.findings):
        told = next((w for g, wrong, w in known if g == finding.argument and _always(g, wrong, names, seen)), None)
        if told is not None:
            report.findings[k] = replace(finding, message=told, mistake="known", signature=None, certainty="exact")
    return report


def _always(gradient, wrong, names, seen):
    """True if the gradient was what `wrong` gives, whenever it was asked for."""
    position = [f"d{n}" for n in names].index(gradient)
    return bool(seen) and all(_same(given[position], wrong(dy, *arrays), 1e-9) for dy, arrays, given in seen)


def _in_other_words(report, called):
    """The report with the exercise's own names for the op's arguments."""
    if not called:
        return report
    some = "|".join(called)
    words = re.compile(rf"(?<=[Yy]our )(?:{some})\b|(?<=its input )(?:{some})\b|\b(?:{some})(?= has | holds | is )")

    def other(text):
        return words.sub(lambda found: called[found.group(0)], text)

    report.findings = [
        replace(f, argument=called.get(f.argument, f.argument), message=other(f.message)) for f in report.findings
    ]
    report.status = {called.get(name, name): value for name, value in report.status.items()}
    report.observed = {called.get(k, k): other(v) for k, v in getattr(report, "observed", {}).items()}
    return report


def rule(function: Any) -> Any:
    """Check an update rule by following it over several steps; see `check.op("sgd")`."""
    return _observed(lambda **how: check.op("sgd", forward=function, **how))


def _observed(judge):
    """The report, with what could be seen without knowing the mistake kept beside each finding that names one.

    A learner is first shown the observation, and asks for the name."""
    report = judge(time_limit=CALL_LIMIT, strict=True)
    known = [f for f in report.findings if f.certainty == "exact" and f.mistake and "." in f.mistake]
    if known:
        plain = {f.argument: f for f in judge(time_limit=CALL_LIMIT, bank=[], strict=True).findings}
        report.observed = {
            f.argument: plain[f.argument].message
            for f in known
            if f.argument in plain and plain[f.argument].certainty != "unknown"
        }
    return report


def _returns(function, arrays, options, count, names=()):
    """One call ahead of the checker's own, for what a learner's first attempts return: nothing, or too little."""
    told = runner.call(function, arrays, options, seconds=CALL_LIMIT)
    name = runner.name_of(function)
    _in_time(told, name, function)
    if not told.ok:
        return  # the checker says it better
    if told.value is None:
        raise Wrong(f"{name} returned None: is there a return at its end?", name, function)
    fits = count == 1 or (isinstance(told.value, (tuple, list)) and len(told.value) == count)
    if not fits:
        raise Wrong(f"{name} must return {count} arrays: {', '.join(names)}.", name, function)
    if count == 1 and isinstance(told.value, tuple):
        raise Wrong(f"{name} must return one array alone, not a tuple.", name, function)
    if count > 1 and any(v is None for v in told.value):
        raise Wrong(f"{name} returned None for {names[[v is None for v in told.value].index(True)]}.", name, function)


def _fits(function, parameters, keywords=()):
    unfit = runner.accepts(function, len(parameters) - len(keywords), dict.fromkeys(keywords))
    if unfit is not None:
        name = runner.name_of(function)
        raise Wrong(
            f"{name} has the parameters ({', '.join(unfit.parameters)}); it must keep ({', '.join(parameters)}).",
            name,
            function,
        )


def call(
    function: Any,
    *arrays: Any,
    argument: str | None = None,
    because: dict[type, str] | None = None,
    **options: Any,
) -> Any:
    """What the learner's function returns. Raises Wrong for an exception, a time-out, an argument changed in place.

    `because` says what a kind of exception means where only one mistake leads to it."""
    name = argument or runner.name_of(function)
    watched = {p: a for p, a in zip(_parameters(function), arrays, strict=False) if isinstance(a, np.ndarray)}
    told = runner.call(function, arrays, options, watched, CALL_LIMIT)
    _in_time(told, name, function)
    if told.error is not None:
        if isinstance(told.error, Wrong):
            raise told.error
        kind = "exit" if isinstance(told.error, SystemExit) else type(told.error).__name__
        said = f"It raised {kind}: {str(told.error)[:300]}"
        words = (because or {}).get(type(told.error))
        mistake = "known" if words else None
        said = f"{words} ({said})" if words else said
        raise Wrong(said, name, function, line=told.line, mistake=mistake, error=type(told.error))
    if told.changed:
        raise Wrong(
            f"It changed its argument {told.changed[0]} in place; work on a copy, or compute a new array.",
            name,
            function,
            mistake="input_changed",
        )
    PRINTED.append(told.printed)
    return told.value


def _in_time(told, name, function):
    if told.cut_off:
        raise Wrong(
            f"It ran for more than {CALL_LIMIT:g} s and was cut off. Is there a loop that never ends?",
            name,
            function,
            line=told.line,
        )


PRINTED: list[str] = []  # what the learner's functions printed, until a report takes it


def _parameters(function):
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def expect(condition: Any, message: str, argument: str = "", function: Any = None, mistake: str | None = None) -> Any:
    """Raise Wrong with the message unless the condition holds."""
    if not condition:
        raise Wrong(message, argument, function, mistake=mistake)


def equal(
    yours: Any,
    right: Any,
    argument: str,
    function: Any = None,
    told: str = "",
    tolerance: float = 1e-9,
    known: Any = (),
) -> Any:
    """Raise Wrong unless two arrays (or numbers) are equal to `tolerance` of the largest value of `right`.

    The default leaves room for the rounding of sums in another order, in float64. `known` are (wrong array, words):
    if yours equals one of them, the words are the message."""
    after = f" {told}" if told else ""
    if yours is None:
        raise Wrong(f"{argument} is None: has the function a return?{after}", argument, function)
    try:
        mine = np.asarray(yours, dtype=np.float64)
    except (TypeError, ValueError):
        raise Wrong(f"{argument} is a {type(yours).__name__}, not numbers.{after}", argument, function) from None
    right = np.asarray(right, dtype=np.float64)
    if mine.shape == right.shape and _near(mine, right, tolerance).all():
        return
    for wrong, words in known:
        wrong = np.asarray(wrong, dtype=np.float64)
        if wrong.shape == mine.shape and _near(mine, wrong, tolerance).all():
            where, picture = _place(mine, right, tolerance)
            raise Wrong(f"{words}{after}", argument, function, where, picture, mistake="known")
    if mine.shape != right.shape:
        raise Wrong(f"{argument} has the shape {mine.shape}; it must be {right.shape}.{after}", argument, function)
    if not np.isfinite(mine).all():
        raise Wrong(f"{argument} holds NaN or infinity.{after}", argument, function, *_place(mine, right, tolerance))
    message = (
        f"{argument} is {float(mine):.6g}; it should be {float(right):.6g}."
        if right.ndim == 0
        else (f"{argument} differs from the right values.")
    )
    raise Wrong(message + after, argument, function, *_place(mine, right, tolerance))


def _near(a, b, tolerance):
    scale = np.abs(b).max(initial=1e-12)
    with np.errstate(invalid="ignore"):
        return (np.abs(a - b) <= tolerance * scale) | (a == b) | (np.isnan(a) & np.isnan(b))


def _place(mine, right, tolerance):
    """(Where, Picture) of a difference; nothing to draw for single numbers or other shapes."""
    if mine.shape != right.shape or right.ndim == 0:
        return None, None
    wrong = ~_near(mine, right, tolerance)
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    region = "all" if wrong.all() else "some"
    where = Where(index, float(mine[index]), float(right[index]), region, int(wrong.sum()), wrong.size)
    return where, Picture(mine, right)


def beside(function: Any, right: Any, cases: Any, argument: str = "y", known: Any = (), tolerance: float = 1e-9) -> Any:
    """Check a function beside the right one on `cases`, each a tuple of arguments.

    `known` are (wrong function, words): a function that agrees with one of them on every case, or does so until both
    raise the same kind of exception, is told so."""
    name = runner.name_of(function)
    results, stopped = _answers(function, cases)
    wanted = [right(*case) for case in cases]
    for wrong, words in known:
        others = [_answer(wrong, case) for case in cases[: len(results)]]
        if not all(_same(a, b, tolerance) for a, b in zip(results, others, strict=True)):
            continue
        if stopped is not None and _answer(wrong, cases[len(results)]) is stopped.error:
            found = stopped.finding
            raise Wrong(f"{words} {found.message}", argument, function, line=found.line, mistake="known")
        worst = next((k for k, b in enumerate(others) if not _same(wanted[k], b, tolerance)), None)
        if stopped is None and worst is not None:
            told = _told(name, cases[worst], results[worst], wanted[worst])
            raise Wrong(f"{words}{told}", argument, function, mistake="known")
    if stopped is not None:
        raise stopped
    for case, result, value in zip(cases, results, wanted, strict=True):
        if isinstance(value, tuple):
            fits = isinstance(result, (tuple, list)) and len(result) == len(value)
            told = _told(name, case, result, value)
            expect(fits, f"{name} must return {len(value)} things.{told}", argument, function)
            for k, (one, other) in enumerate(zip(result, value, strict=True)):
                equal(one, other, f"{argument}[{k}]", function, told.strip(), tolerance)
        else:
            equal(result, value, argument, function, _told(name, case, result, value).strip(), tolerance)
    return done(name)


def _answers(function, cases):
    """The learner's results, up to the first exception; and that exception as a Wrong, or None."""
    results: list[Any] = []
    for case in cases:
        try:
            results.append(call(function, *[np.array(a) if isinstance(a, np.ndarray) else a for a in case]))
        except Wrong as wrong:
            if wrong.error is None:
                raise
            return results, wrong
    return results, None


def _answer(wrong, case):
    """What a known mistake gives: a result, or the kind of exception that it raises."""
    try:
        with np.errstate(all="ignore"):
            return wrong(*case)
    except (ValueError, IndexError, TypeError, ZeroDivisionError, KeyError) as error:
        return type(error)


def _same(a, b, tolerance):
    if isinstance(b, tuple):
        both = isinstance(a, (tuple, list)) and len(a) == len(b)
        return both and all(_same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    try:
        a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return a.shape == b.shape and bool(_near(a, b, tolerance).all())


def _told(name, case, result, value):
    """ "f(7, 3) gives 3, and should give 4", if that is short enough to be of use."""
    shown = ", ".join(f"array{a.shape}" if isinstance(a, np.ndarray) and a.size > 6 else _short(a) for a in case)
    if np.size(value) > 6 or isinstance(value, dict):
        return f" Seen with {name}({shown})."
    return f" {name}({shown}) gives {_short(result)}; it should give {_short(value)}."


def _short(value):
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(_short(v) for v in value) + ")"
    if isinstance(value, np.ndarray):
        return str(np.round(value, 4).tolist())
    if isinstance(value, (float, np.floating)):
        return f"{value:.6g}"
    return str(value)[:60]


def done(*parts: Any) -> Any:
    """A report that says these parts are ok."""
    return Report("", status=dict.fromkeys(parts, "ok"))


def together(*checks: Any) -> Any:
    """The reports of several checks as one; each check is a function, and all run even if one finds something."""
    whole: Any = Report("")
    whole.observed = {}
    for one in checks:
        try:
            report = one()
        except Wrong as wrong:
            report = Report("", [wrong.finding], status={wrong.finding.argument: "wrong"})
        whole.findings += report.findings
        whole.notes += [n for n in report.notes if n not in whole.notes]
        for key, value in report.status.items():
            if whole.status.get(key) != "wrong":
                whole.status[key] = value
        whole.observed.update(getattr(report, "observed", {}))
        whole.printed = whole.printed or report.printed
        whole.probes += report.probes
    return whole


def named(report: Report, argument: str) -> Any:
    """The report under another name for what is checked: five functions in one file need five names."""
    report.findings = [
        replace(f, argument=f"{argument}.{f.argument}" if f.argument else argument) for f in report.findings
    ]
    report.status = {argument: "ok" if report.passed else "wrong"}
    return report


def source_line(finding: Any) -> Any:
    """The text of the line a finding points at, or None."""
    if not finding.file or not finding.line or not os.path.isfile(finding.file):
        return None
    with open(finding.file, encoding="utf-8", errors="replace") as file:
        lines = file.read().split("\n")
    return lines[finding.line - 1].strip() if finding.line <= len(lines) else None
