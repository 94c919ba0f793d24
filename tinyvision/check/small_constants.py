"""Small constants that people put into a loss to keep a logarithm finite: a note, not a mistake."""

from dataclasses import replace

import numpy as np

from . import reference
from .conventions import answer
from .examine import Examination
from .ops import Spec
from .place import fetched
from .verdict import compare

CONSTANTS = (1e-7, 1e-8, 1e-10, 1e-9, 1e-12, 1e-6, 1e-5, 1e-15, 1e-11)


def guarded(known: Spec, exam: Examination) -> tuple[Spec, float]:
    """(the loss with log(p + c) where forward computes that, c), or (the loss as it is, 0); with the gradient of
    log(p + c) where backward gives that."""
    if known.name != "cross_entropy":
        return known, 0.0
    seen = []
    for probe in known.probes():
        call = exam.attempt(probe.inputs, probe.options)
        value = call.value[0] if isinstance(call.value, (tuple, list)) and call.value else call.value
        if not call.ok or value is None or np.size(fetched(value)) != 1:
            return known, 0.0
        seen.append((probe, float(np.asarray(fetched(value)).ravel()[0])))
    plain = [_close(y, float(probe.y)) for probe, y in seen]
    probes = [p for p, _ in seen]
    if all(plain):
        return _with_its_gradient(known, exam, probes), 0.0
    for constant in CONSTANTS:
        other = _with(known, constant)
        if all(_close(y, float(other.forward(*p.inputs))) for p, y in seen):
            return _with_its_gradient(other, exam, probes), constant
    return known, 0.0


def _with_its_gradient(known, exam, probes):
    """The same with the gradient of log(p + c) in the place of that of log p, if backward gives that on every probe."""
    answers = [answer(exam, p, 0) for p in probes[:1]] if exam.judge_backward else [None]
    if answers[0] is None or _same(answers[0], probes[0].truth[0]):
        return known
    answers += [answer(exam, p, 0) for p in probes[1:]]
    for constant in CONSTANTS:
        other = _sloping(known, constant)
        truths = [other.backward(p.inputs, p.options, p.dy)[0] for p in probes]
        if all(a is not None and _same(a, t) for a, t in zip(answers, truths, strict=True)):
            return other
    return known


def _same(yours, right):
    """True for a gradient that is right, or right but for a factor: that is told in its place."""
    if yours.shape != right.shape or not np.isfinite(yours).all():
        return False
    return compare(yours, float(np.vdot(yours, right) / np.vdot(right, right)) * right).level == "same"


def _sloping(known, constant):
    def backward(inputs, options, dy):
        logits, labels = inputs
        p, rows = reference.softmax(logits), np.arange(len(labels))
        slope, share = np.zeros_like(p), p[rows, labels]
        slope[rows, labels] = -1 / (share + constant)
        scale = known.backward(inputs, options, dy)[0][rows, labels] / (share - 1)  # dy / N, or as the loss has it
        return scale[:, None] * p * (slope - (slope * p).sum(1, keepdims=True)), None

    return replace(known, backward=backward)


def _close(a, b):
    return abs(a - b) <= 1e-11 * max(1.0, abs(b))


def _with(known, constant):
    def forward(logits, labels):
        p = reference.softmax(logits)[np.arange(len(labels)), labels]
        p = np.maximum(p, np.finfo(np.float64).tiny)
        exact, whole = np.mean(-np.log(p)), known.forward(logits, labels)
        return whole + (whole / exact if exact > 0 else 1.0) * (np.mean(-np.log(p + constant)) - exact)

    return replace(known, forward=forward)
