"""A backward that clips its gradients: right while they are small, so it is asked with an upstream as small as that.

Clipped is what no longer grows with dy, and is proportional to dy as long as dy is small. A power of two as the factor
loses no digit: what is found out with the small upstream is as sharp as with any other.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .examine import Examination
from .findings import Outcome
from .place import is_array
from .probes import Probe
from .report import Report

SMALL = 2.0**-20  # times the usual upstream: below any limit that lets a network learn
LARGE = 2.0**40  # times a small upstream: above it
NOTE = (
    "Your backward clips {}. It was asked with a millionth of the usual dy, of which nothing is clipped; for a large "
    "dy it gives no gradient. Clipping is seen better between backward and the optimiser's step."
)


def clipped(report: Outcome, exam: Examination, probes: Sequence[Probe]) -> str:
    """What backward clips, in words: "dweight at ±1 and dbias"; "" if it clips nothing."""
    names = [n for n in exam.names if n is not None]
    suspected = any(f.argument in names and f.kind in ("value", "not_linear") for f in report.findings)
    if not suspected or not exam.judge_backward or "backward" in exam.dead | exam.stateful:
        return ""
    quiet = Examination(Report(""), exam.forward_function, exam.backward_function, exam.names, exam.seconds,
                        exam.lone_output, at=exam.at)  # fmt: skip
    quiet.optional, quiet.layered, quiet.unread = exam.optional, exam.layered, exam.unread
    for probe in probes:
        answers = [_answer(quiet, probe, s) for s in (SMALL**2, SMALL, SMALL * LARGE, SMALL * LARGE**2)]
        if all(a is not None for a in answers):
            return _told(exam.names, list(zip(*answers, strict=True)))
    return ""


def _answer(exam, probe, factor):
    """The gradients for so many times the upstream."""
    result = exam.forward(probe, quiet=True)
    if result is None or result[0].shape != np.shape(probe.y):
        return None
    return exam.backward(probe, *result[1:], np.asarray(probe.dy * factor)[()], quiet=True, note_changes=False)


def _told(names, answers):
    """In words, what stays below a limit; "" if there is none, or if small gradients are not right of each other."""
    held: list[str] = []
    limits: list[str] = []
    for name, (least, little, much, most) in zip(names, answers, strict=True):
        if name is None or any(a is None or not np.isfinite(a).all() for a in (least, little, much, most)):
            continue
        if not _close(least / SMALL, little):
            return ""
        if _close(much, most) and np.any(most) and not _close(little * LARGE, much):
            held.append(name)
            limits.append(_limit(most))
    limits = limits if all(limits) else [""] * len(held)  # where dy itself is clipped, a round number is an accident
    return " and ".join(map(str.__add__, held, limits))


def _close(a, b):
    return np.shape(a) == np.shape(b) and np.abs(a - b).max(initial=0.0) <= 1e-6 * np.abs(b).max(initial=0.0)


def _limit(most):
    """At which number, or length, if it is one that people write."""
    sizes = np.abs(most[most != 0])
    for words, found in ((" at ±{:g}", float(sizes.max())), (" to a length of {:g}", float(np.linalg.norm(most)))):
        plain = float(f"{found:.2g}")
        alike = np.ptp(sizes) <= 1e-9 * sizes.max() if "±" in words else True
        if alike and abs(found - plain) <= 1e-6 * plain:
            return words.format(plain)
    return ""


def gently(backward: Callable[..., Any]) -> Callable[..., Any]:
    """The same backward, asked with a small dy; what it answers is made as large again."""

    @functools.wraps(backward)
    def asked_with_little(dy, cache):
        return _larger(backward(dy * SMALL, cache))

    return asked_with_little


def _larger(value):
    if isinstance(value, (tuple, list)):
        return type(value)(_larger(v) for v in value)
    return value / SMALL if is_array(value) or isinstance(value, (np.generic, float)) else value
