"""Where more than one answer is right (ties, kinks), and where a right formula can overflow."""

from typing import Any

import numpy as np

from .examine import Examination
from .findings import Where
from .probes import Probe
from .report import Report
from .verdict import ROUNDING_FLOAT32, holds_float32


def answer(exam: Examination, probe: Probe, position: int) -> Any:
    """The learner's output (position -1) or one gradient on a further probe, without findings; None where it failed."""
    quiet = _quiet(exam)
    result = quiet.forward(probe, quiet=True)
    if result is None or position < 0:
        return None if result is None else result[0]
    if result[0].shape != np.shape(probe.y):
        return None
    grads = quiet.backward(probe, result[1], result[2], result[3], quiet=True)
    return None if grads is None else grads[position]


def _quiet(exam):
    functions = exam.forward_function, exam.backward_function
    return Examination(Report(""), *functions, exam.names, exam.seconds, exam.lone_output, at=exam.at)


def _run(exam, known, name, inputs, options):
    """(y, gradients, probe) on a special probe, without adding findings to the report; None where a call failed."""
    y = known.forward(*inputs, **options)
    probe = Probe(name, inputs, options, y, lambda dy: known.backward(inputs, options, dy), names=known.arguments)
    quiet = _quiet(exam)
    result = quiet.forward(probe, quiet=True)
    if result is None:
        return None
    grads = quiet.backward(probe, result[1], result[2], result[3], quiet=True) if exam.judge_backward else None
    return result[0], grads, probe


def ties(report: Report, exam: Examination, known: Any) -> None:
    """What the learner does at a kink or a tie: any legal choice is a note, anything else a finding."""
    if known.name == "relu":
        _relu_at_zero(report, exam, known)
    if known.name == "maxpool2d":
        _pool_ties(report, exam, known)


def _relu_at_zero(report, exam, known):
    x = np.array([[0.0, 1.5, 0.0, -2.0, 0.0], [3.0, 0.0, -1.0, 0.0, 0.0]])
    seen = _run(exam, known, "x = 0", (x,), {})
    if seen is None or seen[1] is None or seen[1][0] is None or seen[1][0].shape != x.shape:
        return
    _, (dx,), probe = seen
    share, slack = dx[x == 0] / probe.dy[x == 0], _slack(dx)
    if np.isfinite(share).all() and (share >= -slack).all() and (share <= 1 + slack).all():
        if np.abs(share).max() > slack:
            what = (
                "1" if np.allclose(share, 1) else f"{share[0]:.3g}" if np.allclose(share, share[0]) else "not constant"
            )
            exam.note(f"At x = 0 your slope is {what}, PyTorch's is 0. Any value from 0 to 1 is a legal convention.")
        return
    place = _place(probe, dx, np.where(x > 0, probe.dy, 0.0), (x == 0) & ~(dx == 0))
    exam.find(
        "kink",
        "dx",
        "At x = 0 your dx is not dy times a number from 0 to 1, so it is no slope of ReLU there.",
        exam.backward_function,
        mistake="outside_the_kink",
        certainty="exact",
        where=place,
    )
    report.status["dx"] = "wrong"


def _slack(dx):
    """How far a share of dy may be off: rounding, which float32 has more of."""
    return ROUNDING_FLOAT32 if holds_float32(dx) else 1e-9


def _place(probe, yours, right, wrong):
    index = tuple(int(i) for i in np.argwhere(wrong)[0]) if wrong.any() else (0,) * yours.ndim
    return Where(index, float(yours[index]), float(right[index]), "ties", int(wrong.sum()), wrong.size, probe.name)


def _pool_ties(report, exam, known):
    x = np.array([[2.0, 2.0, 1.0, 3.0], [0.0, 2.0, 3.0, 3.0], [0.0, 0.0, -1.0, -1.0], [0.0, 0.0, -5.0, -1.0]])[
        None, None
    ]
    size = (2, 2)
    options = {"kernel_size": size, "stride": size, "padding": (0, 0)}
    seen = _run(exam, known, "ties", (x,), options)
    if seen is None:  # a function that takes integers only
        options = {"kernel_size": 2, "stride": 2, "padding": 0}
        seen = _run(exam, known, "ties", (x,), options)
    if seen is None or seen[1] is None or seen[1][0] is None or seen[1][0].shape != x.shape:
        return
    _, (dx,), probe = seen
    winners = x == np.repeat(np.repeat(probe.y, 2, 2), 2, 3)
    dy = np.repeat(np.repeat(probe.dy, 2, 2), 2, 3)
    share = dx / dy
    total = share.reshape(1, 1, 2, 2, 2, 2).sum(axis=(3, 5))
    right = probe.truth[0]
    slack = _slack(dx)
    fair = (share >= -slack).all() and np.abs(share[~winners]).max() <= slack and np.abs(total - 1).max() <= slack
    if fair:
        if not np.allclose(dx, right):
            exam.note(
                "Where pixels tie for the maximum, you choose or share otherwise than PyTorch, which pays the first. "
                "Every choice that adds up to dy is legal."
            )
        return
    twice = np.allclose(dx, np.where(winners, dy, 0.0))
    message = (
        (
            "Pixels that tie for the maximum each got the whole dy, so dx adds up to more than dy. Pay one of them, or "
            "share."
        )
        if twice
        else "Where pixels tie for the maximum, your dx does not add up to dy."
    )
    exam.find(
        "ties",
        "dx",
        message,
        exam.backward_function,
        mistake="ties_paid_twice" if twice else "ties_not_conserved",
        certainty="exact",
        where=_place(probe, dx, right, ~np.isclose(dx, right)),
    )
    report.status["dx"] = "wrong"


UNDERFLOWED = (1, 0)  # labels of classes whose probability rounds to 0
# Scores, labels, and what is at fault if these are the first ones that give NaN or infinity.
EXTREMES = (
    ([[1000.0, 0.0, -30.0], [2.0, 900.0, 1.0]], (0, 1),
     "With scores of 1000 it gives NaN or infinity. A formula that subtracts each row's maximum before exp, and never "
     "takes the logarithm of 0, gives the right numbers there too."),
    ([[0.0, 1.0, 2.0], [-1000.0, -1001.0, -999.0]], (2, 2),
     "With rows that lie 1,000 apart it gives NaN or infinity: the maximum of all scores was subtracted, and exp of "
     "the other row is 0. Subtract each row's own: x.max(axis=1, keepdims=True)."),
    ([[1000.0, 0.0, -30.0], [2.0, 900.0, 1.0]], UNDERFLOWED,
     "Where the label's probability rounds to 0 it gives NaN or infinity: -log(p[label]) is -log 0. Take "
     "log Σ exp(s) - s[label] in place of the logarithm of p."),
)  # fmt: skip


FAR_OUT = {
    "sigmoid": "For x = ±1000 it gives NaN or infinity: exp of a large number. Take exp(-x) where x >= 0 and exp(x) "
    "where it is not.",
    "tanh": "For x = ±1000 it gives NaN or infinity: exp of a large number. np.tanh does not overflow.",
    "softplus": "For x = ±1000 it gives NaN or infinity: exp of a large number. np.logaddexp(0, x) does not overflow.",
}


def extremes(report: Report, exam: Examination, known: Any) -> None:
    """A right formula that overflows for large numbers is told so; it is no wrong gradient."""
    if known.name in FAR_OUT:
        seen = _run(exam, known, "large numbers", (np.array([[1000.0, -1000.0, 0.5], [-800.0, 800.0, -0.5]]),), {})
        arrays = [] if seen is None else [seen[0], *(g for g in (seen[1] or []) if g is not None)]
        if not all(np.isfinite(a).all() for a in arrays):
            exam.note(FAR_OUT[known.name])
    if known.name not in ("softmax", "cross_entropy"):
        return
    for scores, labels, words in EXTREMES:
        if known.name == "softmax" and labels is UNDERFLOWED:
            continue
        inputs = (np.array(scores),) if known.name == "softmax" else (np.array(scores), np.array(labels))
        seen = _run(exam, known, "large scores", inputs, {})
        if seen is None:
            return
        arrays = [seen[0], *(g for g in (seen[1] or []) if g is not None)]
        if not all(np.isfinite(a).all() for a in arrays):
            exam.note(words)
            return
