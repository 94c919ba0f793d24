"""What a pair can be asked: what its parameter lists take, pairs or integers, and which demands of probes it meets."""

from typing import Any

import numpy as np

from . import runner
from .bank import mistakes
from .diagnose import diagnose
from .evidence import observed
from .examine import Examination
from .ops import PAIRED, Spec
from .place import fetched, is_array
from .supports import PLAIN, tamed, unmet


def beyond(exam: Examination, settings: Any) -> set[str] | None:
    """The demands that forward does not meet, unless what it does instead is a known mistake."""
    known, outcomes = settings.spec, []

    def answer(probe):
        call = exam.attempt(probe.inputs, probe.options)
        y = call.value[0] if isinstance(call.value, (tuple, list)) and len(call.value) else call.value
        y = np.asarray(fetched(y)) if call.ok and is_array(y) else None
        return y if y is not None and y.dtype.kind in "fiub" else None

    def fits(y, probe):
        return y is not None and y.shape == np.shape(probe.y)

    def runs(probe):
        return fits(answer(probe), probe)

    for probe in known.probes(settings.pairs):
        outcomes.append((probe, answer(probe)))
    if all(fits(y, probe) for probe, y in outcomes):
        return set()
    evidences = [observed("y", probe, y, probe.y, {}, -1) for probe, y in outcomes]
    if diagnose("y", evidences, mistakes(known.name), False).certainty == "exact":
        return set()
    return unmet(known, settings.pairs, settings.reading.fixed if settings.reading else {}, runs)


def call_fits(exam: Examination, known: Spec, settings: Any) -> bool:
    """The parameter lists take what will be passed."""
    probe = known.probes(settings.pairs)[0]
    calls = [
        ("forward", exam.forward_function, len(probe.inputs), probe.options),
        ("backward", exam.backward_function, 2, {}),
    ]
    fine = True
    for (label, function, count, options), judged in zip(calls, (exam.judge_forward, exam.judge_backward), strict=True):
        unfit = runner.accepts(function, count, options) if judged else None
        if unfit is None:
            continue
        fine = False
        has = f"it has ({', '.join(unfit.parameters)})"
        call = "(" + ", ".join([*known.arguments, *options] if label == "forward" else ["dy", "cache"]) + ")"
        lacks = (
            f"has no parameter called {' or '.join(repr(m) for m in unfit.missing)}"
            if unfit.missing
            else f"cannot be called with {count} arguments"
        )
        said = f"{runner.name_of(function)} {lacks}; {has}, and is called as {label}{call}."
        alone = label == "backward" and not exam.judge_forward and not settings.strict
        if alone:  # it may be right behind its own forward
            said = f"could not be driven without its forward: {said} Name that: forward= (--forward OTHER.py:F)."
        kind = "unread" if alone else "signature"
        exam.find(kind, label, said, function, mistake="undriven" if alone else kind, certainty="exact")
    return fine


def needs_integers(exam: Examination, settings: Any) -> bool:
    """Does forward fail on pairs, in a way that pairs explain, and run on integers? Says so where all is asked for."""
    known, probes = settings.spec, settings.spec.probes(True)
    named = [o for o in PAIRED if o in probes[0].options]
    if not named:
        return False
    first = probes[0]
    call = exam.attempt(first.inputs, first.options)
    if call.ok or call.cut_off:
        return False
    # Equal pairs must fail as well: otherwise it is not the pair, but height and width taken for each other.
    plain = [probe for missing in PLAIN for probe in tamed(known, set(missing)).probes(False)[:3]]
    runs = False
    for probe in plain if not settings.strict else known.probes(False):
        doubled = {k: (v, v) if k in PAIRED else v for k, v in probe.options.items()}
        if exam.attempt(probe.inputs, doubled).ok:
            return False
        integers = exam.attempt(probe.inputs, probe.options).ok
        if settings.strict and not integers:
            return False
        runs = runs or integers
    if not runs:
        return False
    if not settings.strict:
        return True
    listed = ", ".join(f"{o}={first.options[o]}" for o in named)
    exam.find(
        "pairs_not_accepted",
        "forward",
        f"forward cannot take (height, width) pairs such as {listed}. With plain "
        "integers it runs, and was checked with those. check.op(..., pairs=False) passes integers.",
        exam.forward_function,
        call,
        mistake="pairs_not_accepted",
        certainty="exact",
    )
    return True
