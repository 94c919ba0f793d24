"""Every question that is asked of a pair for a known op, in the order in which mistakes hide each other."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from . import conditions, conventions, numeric, runner, sequences
from .asked import beyond, call_fits, needs_integers
from .clipping import NOTE, clipped, gently
from .describe import described
from .diagnose import diagnose
from .evidence import observed
from .examine import UNREAD, Examination
from .ops import Spec
from .order import other_order
from .place import Place, fetched
from .reading import Layer, Reading
from .regions import predicates
from .report import Report
from .small_constants import guarded
from .supports import DEMANDS, tamed, told
from .verdict import compare, holds_float32, where

UNFIT = ("wrong_dtype", "wrong_device", "not_an_array", "missing", "too_large")
# What a layer raises that has a mistake of its own, however it is called.
ITS_OWN = ("NameError", "UnboundLocalError", "SystemExit", "RecursionError", "ZeroDivisionError")
ABSENT = "is not installed here"  # what code raises that uses a library of which only the name is known
IMPURE = ("dy_changed", "input_changed", "output_changed", "cache_changed")


@dataclass
class Settings:
    """What is asked, and what was found out about the code on the way."""

    spec: Spec
    pairs: bool
    bank: Sequence[Any]
    signatures: bool
    seconds: float
    at: Place
    missing: set = field(default_factory=set)  # demands of probes that the code need not meet
    strict: bool = False
    reading: Reading | None = None  # how it is called, if not in this library's form
    asked: tuple[Examination, Sequence[Any]] | None = None  # the examination and its probes, once it is over

    def tame(self, missing: set) -> None:
        """Take demands out of the op's probes."""
        self.missing = self.missing | missing
        self.spec = tamed(self.spec, self.missing, self.reading.fixed if self.reading else {})


def adopt(settings: Settings, reading: Reading) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Take a reading of the code as settled; returns it as a pair of functions."""
    settings.reading, settings.spec, settings.pairs = reading, reading.spec, False
    if reading.summed:
        settings.bank = [_of_the_sum(m) for m in settings.bank if not re.search("averag|divided", m.id)]
    if any("channels" in layout.needs for layout in reading.layouts.values()):
        settings.missing = settings.missing | {"channels"}
    return reading.pair()


def _of_the_sum(mistake):
    """A mistake in the mean over the batch as it is made in the sum."""

    def summed(form):
        return lambda i, o, *dy: form(i, o, dy[0] * len(i[0])) if dy else form(i, o) * len(i[0])

    also = tuple(map(summed, mistake.also))
    return mistake if mistake.wrong is None else replace(mistake, wrong=summed(mistake.wrong), also=also)


def examine(
    report: Report, settings: Settings, forward: Callable[..., Any] | None, backward: Callable[..., Any] | None
) -> None:
    """All probes and all questions; a backward that clips is asked again, with a dy that is too small to be clipped."""
    before = dict(vars(settings))
    _ask(report, settings, forward, backward)
    words = "" if settings.strict or settings.asked is None else clipped(report, *settings.asked)
    if words and backward is not None:
        vars(report).update(vars(type(report)(report.subject)))
        vars(settings).update(before)
        _ask(report, settings, forward, gently(backward))
        report.notes.insert(0, NOTE.format(words))


def _ask(report, settings, forward, backward):
    """All probes and all questions, in the order in which mistakes hide each other."""
    known = settings.spec
    judged = (forward is not None or backward is None, backward is not None or forward is None)
    ours = (None, None) if forward is not None and backward is not None else known.ours()
    own = (forward or ours[0], backward or ours[1])
    exam = Examination(report, *own, known.gradients, settings.seconds, known.lone_output, judged, settings.at)
    if settings.reading is not None:
        exam.optional = {known.arguments[0]} if settings.reading.begins else exam.optional
        exam.layered = settings.reading.driver.parameters_inside
        exam.unread = getattr(settings.reading.driver, "unread", exam.unread)
    if not judged[0]:
        report.status["forward"] = "ours"
    if settings.reading is None and not call_fits(exam, known, settings):
        report.status.update({"forward": "wrong"} if judged[0] else {}, backward="not judged")
        return
    settings.tame(set())
    if settings.pairs and judged[0] and needs_integers(exam, settings):
        settings.pairs = False
        settings.tame(set() if settings.strict else {"window"})
    unmet: set[str] | None = set()
    if judged[0] and not settings.strict:
        unmet = beyond(exam, settings)
        settings.tame(set(DEMANDS) - {"batch", "channels", "single"} if unmet is None else unmet)
        settings.spec, constant = guarded(settings.spec, exam)
        if constant:
            exam.note(
                f"The loss is -log(p + {constant:g}): {constant:g} keeps the logarithm finite, and changes little."
            )
    known = settings.spec
    probes = known.probes(settings.pairs)
    report.probes = len(probes)
    seen = [_observe(exam, probe) for probe in probes]
    _undriven(report, settings, seen)
    _where_it_runs(report, exam, settings, seen)
    if judged[0]:
        _judge_output(report, exam, settings, probes, seen)
    forward_right = report.status.get("forward") in ("ok", "ours")
    if judged[1]:
        _judge_gradients(report, exam, settings, probes, seen, forward_right)
    if forward_right and judged[1] and settings.reading is not None and not settings.reading.seeds:
        sequences.used_again(report, exam, known, settings.reading, probes[0])
    if report.passed and not (settings.reading and settings.reading.seeds):
        sequences.interleaved(report, exam, known, probes[0])
    if judged[1] and forward_right and report.passed:
        conventions.ties(report, exam, known)
    if report.passed:
        conventions.extremes(report, exam, known)
    if not settings.strict:
        exam.forgive()
    _tidy(report)
    settings.asked = exam, probes
    report.beyond = [] if settings.strict or not judged[0] or unmet is None else told(settings.missing)
    if settings.reading is not None:
        report.read_as = settings.reading.said()
        if settings.reading.keeps:
            report.findings[:] = [replace(f, message=_share_that_is_kept(f.message)) for f in report.findings]


def _share_that_is_kept(message):
    """A sentence on the share that is dropped, in the words of code whose p is the share that is kept."""
    return re.sub(r"1 - p\b|\bp\b", lambda found: "p" if found[0] != "p" else "1 - p", message)


class _Seen:
    """What was observed on one probe."""

    def __init__(self, probe):
        self.probe, self.y, self.grads, self.kept = probe, None, None, None


def _observe(exam, probe):
    """Forward, forward again, backward, backward again on one probe; then backward for other upstreams."""
    seen = _Seen(probe)
    result = exam.forward(probe)
    if result is None:
        return seen
    seen.y, cache, inputs, raw = result
    if exam.judge_forward and probe.index < 2:
        repeated = exam.forward(probe, quiet=True)
        if repeated is not None and not _equal(repeated[0], seen.y):
            exam.behaviour("differs_each_call", "y", exam.forward_function, None, "forward", "y")
    if not exam.judge_backward or seen.y.shape != np.shape(probe.y):
        return seen
    seen.grads = exam.backward(probe, cache, inputs, raw)
    if seen.grads is None:
        return seen
    if probe.index < 2:
        exam.again(probe, seen.grads, cache, inputs, raw, probe.truth)
    if not exam.stateful:
        seen.kept = (cache, inputs, raw)
    return seen


def _undriven(report, settings, seen):
    """A layer that raised in every call may have been called as it is not meant to be: that is told as no mistake.

    Nor is it one that a library is missing."""
    raised = [f for f in report.findings if f.kind == "exception" and f.argument == "forward"]
    missing = [f for f in report.findings if f.kind == "exception" and ABSENT in f.message]
    if settings.strict or not (missing or (settings.reading and isinstance(settings.reading.driver, Layer))):
        return
    own = raised and any(f" raised {name}" in raised[0].message for name in ITS_OWN)
    lacking = [f for f in report.findings if f.kind == "exception" and "required positional argument" in f.message]
    unread = missing
    if lacking and lacking[0].argument == "backward" and all(s.grads is None for s in seen):
        unread = [*unread, lacking[0]]
    if raised and not own and all(s.y is None for s in seen):
        unread = [*unread, raised[0]]
    for k, finding in enumerate(report.findings):
        if any(finding is f for f in unread):
            said = UNREAD.format(finding.message)
            report.findings[k] = replace(finding, message=said, mistake="undriven", kind="unread")


def _where_it_runs(report, exam, settings, seen):
    """Adds to an exception on which probes it does not happen."""
    for k, finding in enumerate(report.findings):
        ran = [s for s in seen if (s.y if finding.argument == "forward" else s.grads) is not None]
        if finding.kind == "exception" and ran and len(ran) < len(seen):
            position = -1 if finding.argument == "forward" else 0
            telling = conditions.verified(
                settings.spec, settings.pairs, [s.probe for s in ran], [s.probe for s in seen if s not in ran],
                lambda probe, p=position: conventions.answer(exam, probe, p) is not None,
            )  # fmt: skip
            if telling:
                report.findings[k] = replace(finding, facts=(f"It runs when {' and '.join(telling)}.",))


def _equal(a, b):
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=True)


def _judge_output(report, exam, settings, probes, seen):
    """The output against the reference, on every probe."""
    evidences = [observed("y", s.probe, s.y, s.probe.y, {}, -1) for s in seen]
    bad = _not_finite(exam, settings, "y", evidences, exam.forward_function)
    _optional(exam, evidences, "forward")
    failed = [e for e in evidences if e.failed]
    troubled = any(f.argument in ("y", "forward") and f.kind not in ("pairs_not_accepted",) for f in report.findings)
    report.status["forward"] = "wrong" if failed or bad or troubled else "ok"
    if any(f.kind == "unread" for f in report.findings) and not any(e.yours is not None for e in evidences):
        report.status["forward"] = "not judged"
    report.status["shapes"] = "ok" if all(e.shaped or e.yours is None for e in evidences) else "wrong"
    if failed and not bad and not any(f.kind == "differs_each_call" and f.argument == "y" for f in report.findings):
        _add(report, exam, settings, "y", evidences, exam.forward_function)
    elif not failed:
        _precision(exam, "y", evidences)


def _not_finite(exam, settings, name, evidences, function):
    """True, and a finding, if there is NaN or infinity that no known mistake explains."""
    bad = [e for e in evidences if e.yours is not None and not np.isfinite(e.yours).all()]
    if not bad or diagnose(name, evidences, settings.bank, False).certainty == "exact":
        return False
    found = [exam.not_finite(name, e.yours, e.right, function, e.probe) for e in bad]
    return any(found)


def _optional(exam, evidences, who):
    """A function that runs on matrices but not on images is told so, no more."""
    image = [e for e in evidences if e.probe.name == "image"]
    others = [e for e in evidences if e.probe.name != "image"]
    raised = [f for f in exam.report.findings if f.kind == "exception" and f.argument == who]
    if image and raised and all(e.yours is None for e in image) and not any(e.yours is None for e in others):
        evidences[:] = others
        exam.report.findings.remove(raised[0])
        exam.note(
            f"{who} takes matrices only: on an image of shape {image[0].probe.inputs[0].shape} it raised an exception."
        )


def _judge_gradients(report, exam, settings, probes, seen, forward_right):
    """Every gradient against the reference on every probe, then linearity and the late second call."""
    names = [n for n in exam.names if n is not None]
    usable = [s for s in seen if s.y is not None and s.y.shape == np.shape(s.probe.y)]
    if not usable:
        report.status.update(dict.fromkeys(names, "not judged"))
        return
    swapped = other_order(exam, [(s.grads, s.probe.truth) for s in usable if s.grads is not None])
    for position, name in enumerate(exam.names):
        if name in swapped:
            report.status[name] = "wrong"
        elif name is not None:
            _judge_gradient(report, exam, settings, usable, position, name, forward_right)
    if forward_right:
        _other_upstreams(report, exam, settings, usable)
    first = usable[0]
    if first.kept and len(usable) > 1 and not any(f.kind == "value" for f in report.findings):
        exam.late(first.probe, first.grads, *first.kept)
        if any(f.kind == "kept_outside_cache" for f in report.findings):
            report.status["backward"] = "wrong"


def _judge_gradient(report, exam, settings, usable, position, name, forward_right):
    evidences = []
    for s in usable:
        truth = s.probe.truth
        others = {n: truth[k] for k, n in enumerate(exam.names) if n is not None and k != position}
        yours = s.grads[position] if s.grads is not None else None
        evidences.append(observed(name, s.probe, yours, truth[position], others, position))
    _optional(exam, evidences, "backward")
    if name in exam.stateful:
        # Earlier calls colour the later ones: what the first call of all gave still counts as seen.
        report.status[name] = "wrong"
        return
    bad = forward_right and _not_finite(exam, settings, name, evidences, exam.backward_function)
    failed = [e for e in evidences if e.failed]
    if bad or any(f.argument == name and f.kind in UNFIT for f in report.findings):
        report.status[name] = "wrong"
    elif not failed:
        report.status[name] = "ok"
        _precision(exam, name, evidences)
    elif name in exam.skipped:
        report.status[name] = "skipped"
    elif not any(e.yours is not None and e.failed for e in evidences):
        report.status[name] = "not judged"  # it is right wherever backward ran at all
    elif forward_right:
        report.status[name] = "wrong"
        _add(report, exam, settings, name, evidences, exam.backward_function)
    else:
        _behind_a_wrong_forward(report, exam, settings, name, evidences)


def _behind_a_wrong_forward(report, exam, settings, name, evidences):
    """With a wrong forward, a gradient is accused only if it equals a known mistake with a right forward."""
    found = diagnose(name, evidences, settings.bank, False)
    if found.certainty == "exact":
        report.status[name] = "wrong"
        _add(report, exam, settings, name, evidences, exam.backward_function)
    else:
        report.status[name] = "not judged"
        exam.note(f"{name} was not judged: it follows from what forward keeps, and forward is not right yet.")


def _add(report, exam, settings, name, evidences, function):
    """Diagnose and add the finding, with place, picture and a second witness."""
    consequence = name != "y" and any(
        f.kind in IMPURE and f.file == runner.location(function)[0] for f in report.findings
    )
    when = conditions.right_when(exam, settings.spec, settings.pairs, evidences[0].position)
    found = diagnose(name, evidences, settings.bank, settings.signatures, when)
    if consequence and found.certainty == "unknown":
        found = replace(found, message="It differs, perhaps because of what is changed in place: mend that first.")
    elif consequence and found.certainty != "exact":
        found = replace(found, message=f"{found.message} What is changed in place may be the cause.")
    if found.certainty != "exact" and _only_raised(report, evidences, name):
        return
    failed = [e for e in evidences if e.shaped and e.failed]
    unshaped = [e for e in evidences if e.yours is not None and not e.shaped]
    if not failed and not unshaped:
        return
    finding = described(name, found, evidences, function, lambda e: predicates(settings.spec.name, e.probe, name))
    if failed:
        finding = replace(finding, where=_witnessed(exam, failed[0], finding.where, settings.spec.linear))
    if unshaped:
        report.status["shapes"] = "wrong"
    elif found.certainty == "unknown":
        finding = _by_dtype(finding, evidences, failed)
    report.findings.append(finding)
    if found.certainty == "exact" and any(e.yours is None for e in evidences):
        # The known mistake explains the exceptions as well.
        who = "forward" if name == "y" else "backward"
        report.findings[:] = [f for f in report.findings if not (f.kind == "exception" and f.argument == who)]


def _by_dtype(finding, evidences, failed):
    """A kind of number that cannot hold the result explains what no mistake does."""
    name, dtype = finding.argument, next((e.yours.dtype for e in evidences if e.yours is not None), None)
    if dtype is not None and dtype.kind in "iu":
        told = f"{name} holds integers ({dtype}): the fractions were cut off. Make the array with the dtype of x."
    elif dtype == np.float16 and _half_precision(failed):
        told = f"{name} is float16, which keeps three digits: too few for a gradient or an output."
    else:
        return finding
    return replace(finding, message=told, mistake="wrong_dtype", certainty="exact")


def _half_precision(failed):
    """True if float16's rounding, 5e-4 an operation, explains all differences."""
    return all(e.comparison.error <= 5e-3 * np.abs(e.right).max() for e in failed)


def _only_raised(report, evidences, name):
    return not any(e.yours is not None and e.failed for e in evidences)


def _witnessed(exam, e, place, linear):
    """The right value at the place, confirmed by a central difference on the learner's own forward where possible."""
    if e.position < 0 or "forward" in exam.dead:
        return place
    x = np.asarray(e.probe.inputs[e.position], dtype=np.float64)

    def f(value):
        call = exam.attempt((*e.probe.inputs[: e.position], value, *e.probe.inputs[e.position + 1 :]), e.probe.options)
        y = call.value[0] if isinstance(call.value, (tuple, list)) else call.value
        return np.asarray(fetched(y), dtype=np.float64).ravel()

    try:
        element = int(np.ravel_multi_index(place.index, x.shape))
        value, doubt = numeric.slope(f, x, element, np.asarray(e.probe.dy, dtype=np.float64).ravel(), linear)
    except (ValueError, TypeError, IndexError):
        return place
    if abs(value - place.right) <= 100 * doubt + 1e-6 * max(1.0, abs(place.right)):
        return replace(place, noise=doubt, witness="numeric")
    return place


def _precision(exam, name, evidences):
    rounded = [e for e in evidences if e.comparison is not None and e.comparison.level == "rounding"]
    if rounded:
        worst = max(e.comparison.error / max(np.abs(e.right).max(), 1e-300) for e in rounded)
        single = any(holds_float32(e.yours) for e in rounded)
        why = "which is the precision of float32" if single else "rounding, or a tiny constant such as an epsilon"
        exam.note(
            f"{name} differs by {worst:.0e} of its size, {why}: too little to be a mistake. The inputs were float64."
        )


def _other_upstreams(report, exam, settings, usable):
    """-dy, 0, a large dy and a sum: a backward is linear in dy. Judged where dy itself was answered rightly."""
    right = {n for n in exam.names if n is not None and report.status.get(n) == "ok"}
    if not right or exam.stateful:
        return
    for s in usable[:2]:
        dy = s.probe.dy
        other = np.random.default_rng(77).standard_normal(np.shape(dy))
        tries = (
            ("-dy", -dy),
            ("dy = 0", dy * 0.0),
            ("1000·dy", dy * 1000.0),
            ("dy + another", dy + other),
            ("a dy that is all positive", np.abs(dy)),
        )
        for words, upstream in tries:
            result = exam.forward(s.probe, quiet=True)
            if result is None:
                return
            grads = exam.backward(s.probe, result[1], result[2], result[3], np.asarray(upstream)[()])
            if grads is None:
                return
            truth = s.probe.gradient(upstream)
            _compare_upstream(report, exam, s.probe, words, grads, truth, right)


def _compare_upstream(report, exam, probe, words, grads, truth, right):
    for position, name in enumerate(exam.names):
        if name not in right or grads[position] is None:
            continue
        yours, expected = grads[position], np.asarray(truth[position], dtype=np.float64)
        scale = max(np.abs(np.asarray(probe.truth[position])).max(initial=0.0), np.abs(expected).max(initial=0.0), 1e-3)
        if yours.shape == expected.shape and not np.isfinite(yours).all():
            report.status[name] = "wrong"
            exam.not_finite(
                name, yours, expected, exam.backward_function, replace(probe, name=f"{probe.name}, {words}")
            )
            continue
        comparison = compare(yours, expected, scale=scale) if yours.shape == expected.shape else None
        if comparison is not None and comparison.level != "different":
            continue
        report.status[name] = "wrong"
        place = (
            where(comparison, yours, expected, probe.axes[position], (), f"{probe.name}, {words}")[0]
            if comparison
            else None
        )
        exam.find(
            "not_linear",
            name,
            f"{name} is not linear in dy: it is right for one dy and wrong for {words}. A "
            "gradient must only ever be multiplied by dy and added up.",
            exam.backward_function,
            mistake="not_linear_in_dy",
            certainty="exact",
            where=place,
        )


def _tidy(report):
    """Anything found about backward as a whole leaves no gradient standing as ok without saying so.

    A mistake that is sure comes before what was changed in place beside it."""
    if any(f.certainty == "exact" and f.kind not in IMPURE for f in report.findings):
        report.findings.sort(key=lambda f: f.kind in IMPURE)
    for finding in report.findings:
        if finding.argument in ("forward", "backward") and finding.kind not in ("pairs_not_accepted", "unread"):
            report.status[finding.argument] = "wrong"
        elif finding.argument in ("dy", "cache") or finding.kind in ("input_changed", "output_changed"):
            report.status.setdefault("purity", "wrong")
