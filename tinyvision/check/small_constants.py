"""Small constants that people put into a loss to keep a logarithm finite: a note, not a mistake."""

from dataclasses import replace
from typing import Any

import numpy as np

from . import reference
from .ops import Spec
from .place import fetched

CONSTANTS = (1e-7, 1e-8, 1e-10, 1e-9, 1e-12, 1e-6, 1e-5, 1e-15, 1e-11)


def guarded(known: Spec, attempt: Any) -> tuple[Spec, float]:
    """(the loss with log(p + c) where forward computes that, c), or (the loss as it is, 0)."""
    if known.name != "cross_entropy":
        return known, 0.0
    seen = []
    for probe in known.probes():
        call = attempt(probe.inputs, probe.options)
        value = call.value[0] if isinstance(call.value, (tuple, list)) and call.value else call.value
        if not call.ok or value is None or np.size(fetched(value)) != 1:
            return known, 0.0
        seen.append((probe, float(np.asarray(fetched(value)).ravel()[0])))
    plain = [_close(y, float(probe.y)) for probe, y in seen]
    if all(plain):
        return known, 0.0
    for constant in CONSTANTS:
        other = _with(known, constant)
        if all(_close(y, float(other.forward(*p.inputs))) for p, y in seen):
            return other, constant
    return known, 0.0


def _close(a, b):
    return abs(a - b) <= 1e-11 * max(1.0, abs(b))


def _with(known, constant):
    def forward(logits, labels):
        p = reference.softmax(logits)[np.arange(len(labels)), labels]
        p = np.maximum(p, np.finfo(np.float64).tiny)
        exact, whole = np.mean(-np.log(p)), known.forward(logits, labels)
        return whole + (whole / exact if exact > 0 else 1.0) * (np.mean(-np.log(p + constant)) - exact)

    return replace(known, forward=forward)
