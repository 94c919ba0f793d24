"""Following an update rule over several steps: what one step cannot show, a trajectory does.

Two parameters of different shapes take turns, the learning rate changes half-way, and two scenarios have different
momentum and weight decay, so a velocity that is forgotten, shared, or mixed with the learning rate comes to light.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import to_numpy
from . import runner
from .diagnose import Diagnosis
from .examine import Examination
from .findings import Finding, Picture, Where
from .report import Report
from .verdict import compare

SCENARIOS: tuple[dict[str, Any], ...] = (
    {"lr": (0.1, 0.1, 0.1, 0.02, 0.02, 0.05), "momentum": 0.9, "weight_decay": 0.1},
    {"lr": (0.03, 0.03, 0.2, 0.2, 0.07, 0.07), "momentum": 0.6, "weight_decay": 0.25},
)
SHAPES = ((2, 3), (4,))


def _start(scenario):
    rng = np.random.default_rng([31, scenario])
    weights = [rng.standard_normal(s) for s in SHAPES]
    grads = [[rng.standard_normal(s) for s in SHAPES] for _ in SCENARIOS[scenario]["lr"]]
    return weights, grads


def walk(step: Callable[..., Any]) -> Any:
    """All weights that a rule visits, one row a step, and all velocities: two arrays (scenarios · steps, elements)."""
    rows, speeds = [], []
    for k, plan in enumerate(SCENARIOS):
        weights, grads = _start(k)
        velocities = [np.zeros(s) for s in SHAPES]
        for lr, now in zip(plan["lr"], grads, strict=True):
            for p in range(len(SHAPES)):
                options = {"lr": lr, "momentum": plan["momentum"], "weight_decay": plan["weight_decay"]}
                weights[p], velocities[p] = step(weights[p], now[p].copy(), velocities[p], **options)
            rows.append(np.concatenate([np.ravel(w) for w in weights]))
            speeds.append(np.concatenate([np.ravel(v) for v in velocities]))
    return np.array(rows), np.array(speeds)


class _Stop(Exception):
    """The learner's rule could not be followed further; the finding is already written."""


def follow(report: Report, settings: Any, rule: Any) -> None:
    """Compare the learner's trajectory with the right one and name the difference."""
    known = settings.spec
    rule = known.forward if rule is None else rule
    exam = Examination(report, rule, None, (), settings.seconds, judged=(True, False), at=settings.at)
    report.probes = len(SCENARIOS)
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    unfit = runner.accepts(rule, 3, options)
    if unfit is not None:
        exam.find(
            "signature",
            "weight",
            f"{runner.name_of(rule)} has ({', '.join(unfit.parameters)}); it is called as "
            "rule(weight, grad, velocity, lr, momentum, weight_decay).",
            rule,
            mistake="signature",
            certainty="exact",
        )
        report.status["weight"] = "wrong"
        return
    try:
        yours, speeds = walk(lambda *arrays, **options: _step(exam, rule, arrays, options))
    except _Stop:
        report.status["weight"] = "wrong"
        return
    right, _ = walk(known.forward)
    comparison = compare(yours, right)
    if comparison.level != "different":
        report.status["weight"] = "ok"
        if comparison.level == "rounding":
            exam.note("The weights are right to the precision of float32.")
        return
    report.status["weight"] = "wrong"
    found = _name(yours, speeds, right, settings)
    file, line = runner.location(rule)
    report.findings.append(
        Finding(
            "weight",
            found.message,
            found.mistake,
            found.signature,
            found.certainty,
            _place(comparison, yours, right),
            file,
            line,
            Picture(yours, right),
            found.facts,
        )
    )


def _step(exam, rule, arrays, options):
    """One guarded step: (weight, velocity)."""
    weight, grad, velocity = (exam.at.send(a) for a in arrays)
    call = exam._call(rule, (weight, grad, velocity), options, {"grad": grad}, "weight")
    if call.changed:
        exam.behaviour("input_changed", "grad", rule, None, "The rule", "grad")
    if call.cut_off:
        raise _Stop
    if not call.ok:
        text = runner.described(call.error)
        exam.find("exception", "weight", f"The rule raised {text}", rule, call, mistake="exception", certainty="exact")
        raise _Stop
    value = call.value
    if value is None and not np.array_equal(to_numpy(weight), arrays[0]):
        value = (weight, velocity)  # an update in place
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        exam.find(
            "no_velocity",
            "weight",
            "The rule must return two things, (weight, velocity).",
            rule,
            call,
            mistake="no_velocity",
            certainty="exact",
        )
        raise _Stop
    out = []
    for name, array, like in zip(("weight", "velocity"), value, (weight, velocity), strict=True):
        if array is None and name == "velocity":
            array = exam.at.send(np.zeros(like.shape))
        array = exam.as_array(array, name, "rule", rule, None)
        if array is None:
            raise _Stop
        if array.shape != like.shape:
            exam.find(
                "shape",
                name,
                f"{name} has the shape {array.shape}; it must be {like.shape}.",
                rule,
                mistake="wrong_shape",
                certainty="exact",
            )
            raise _Stop
        if not np.isfinite(array).all():
            exam.find(
                "not_finite", name, f"{name} holds NaN or infinity.", rule, mistake="not_finite", certainty="exact"
            )
            raise _Stop
        out.append(np.array(array, dtype=np.float64))
    return out


def _place(comparison, yours, right):
    rows = np.flatnonzero(comparison.wrong.any(axis=1))
    steps = len(SCENARIOS[0]["lr"])
    index = tuple(int(i) for i in np.argwhere(comparison.wrong)[0])
    scenario, step = divmod(index[0], steps)
    first = min(int(r) % steps for r in rows)
    region = "all" if first == 0 else f"from step {first + 1} on"
    return Where(
        index,
        float(yours[index]),
        float(right[index]),
        region,
        int(comparison.wrong.sum()),
        comparison.wrong.size,
        f"momentum {SCENARIOS[scenario]['momentum']}, step {step + 1}",
    )


def _name(yours, speeds, right, settings):
    walks = [(m, _walked(m.wrong())) for m in settings.bank]
    known = [(m, v) for m, (w, v) in walks if _agrees(w, yours)]
    if len(known) > 1:  # the same weights: what the rule hands on as velocity tells them apart
        known = [(m, v) for m, v in known if _agrees(v, speeds)]
    known = [m for m, _ in known]
    if len(known) == 1:
        return Diagnosis(known[0].says, "exact", known[0].id)
    if settings.signatures and not known:
        for identifier, words, change in _CHANGES:
            if _agrees(_walked(_changed(settings.spec.forward, change))[0], yours):
                return Diagnosis(f"This looks like what the right rule gives when {words}.", "likely", None, identifier)
    steps = len(SCENARIOS[0]["lr"])
    first = min(int(r) % steps for r in np.flatnonzero(compare(yours, right).wrong.any(axis=1)))
    facts = ()
    if first > 0:
        facts = (f"The first {first} step{'s are' if first > 1 else ' is'} right: it is about what is carried over.",)
    return Diagnosis("I cannot name this one; here is where it differs.", "unknown", facts=facts)


def _walked(rule):
    try:
        with np.errstate(all="ignore"):
            return walk(rule)
    except (ValueError, TypeError):
        return None, None


def _agrees(walked, yours):
    return walked is not None and walked.shape == yours.shape and compare(yours, walked).level == "same"


def _changed(right, change):
    return lambda w, g, v, lr, momentum, weight_decay: right(w, g, v, *change(lr, momentum, weight_decay))


_CHANGES = [
    ("lr:sign", "lr has the other sign", lambda lr, m, d: (-lr, m, d)),
    ("lr:squared", "lr is squared", lambda lr, m, d: (lr * lr, m, d)),
    ("lr:doubled", "lr is doubled", lambda lr, m, d: (2 * lr, m, d)),
    ("lr:halved", "lr is halved", lambda lr, m, d: (lr / 2, m, d)),
    ("lr:one", "lr is 1", lambda lr, m, d: (1.0, m, d)),
    ("lr:complement", "lr is multiplied by 1 - momentum", lambda lr, m, d: (lr * (1 - m), m, d)),
    ("momentum:zero", "momentum is 0", lambda lr, m, d: (lr, 0.0, d)),
    ("momentum:one", "momentum is 1", lambda lr, m, d: (lr, 1.0, d)),
    ("momentum:complement", "momentum is 1 - momentum", lambda lr, m, d: (lr, 1 - m, d)),
    ("momentum:sign", "momentum has the other sign", lambda lr, m, d: (lr, -m, d)),
    ("momentum:lr", "momentum is multiplied by lr", lambda lr, m, d: (lr, m * lr, d)),
    ("momentum:squared", "momentum is squared", lambda lr, m, d: (lr, m * m, d)),
    ("decay:zero", "weight_decay is 0", lambda lr, m, d: (lr, m, 0.0)),
    ("decay:sign", "weight_decay has the other sign", lambda lr, m, d: (lr, m, -d)),
    ("decay:doubled", "weight_decay is doubled", lambda lr, m, d: (lr, m, 2 * d)),
    ("decay:halved", "weight_decay is halved", lambda lr, m, d: (lr, m, d / 2)),
    ("decay:lr", "weight_decay is multiplied by lr", lambda lr, m, d: (lr, m, d * lr)),
    ("decay:one", "weight_decay is 1", lambda lr, m, d: (lr, m, 1.0)),
    ("decay:squared", "weight_decay is squared", lambda lr, m, d: (lr, m, d * d)),
    ("both:swapped", "momentum and weight_decay are exchanged", lambda lr, m, d: (lr, d, m)),
    ("both:lr-momentum", "lr and momentum are exchanged", lambda lr, m, d: (m, lr, d)),
    ("both:zero", "momentum and weight_decay are 0 (plain gradient descent)", lambda lr, m, d: (lr, 0.0, 0.0)),
]
