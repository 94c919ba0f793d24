"""A diagnosis as a finding: where the numbers differ, what to draw, and what the author of the code reads."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from . import runner
from .diagnose import Diagnosis
from .evidence import Evidence
from .findings import Finding, Picture
from .verdict import common_region, where


def described(
    name: str,
    found: Diagnosis,
    evidences: Sequence[Evidence],
    function: Callable[..., Any],
    regions: Callable[[Evidence], Sequence[Any]],
) -> Finding:
    """The finding on argument `name`; `regions(evidence)` names the parts of its array where mistakes tend to live."""
    shaped: list[Any] = sorted((e for e in evidences if e.shaped), key=lambda e: not e.failed)
    failed = [e for e in shaped if e.failed]
    unshaped: list[Any] = [e for e in evidences if e.yours is not None and not e.shaped]
    place, picture, message, kind = None, None, found.message, "value"
    if failed:
        seen = [
            where(e.comparison, e.yours, np.nan_to_num(e.right), e.axes, regions(e), e.probe.name, e.noise)
            for e in shaped
        ]
        place = replace(seen[0][0], region=common_region([regions for _, regions in seen]))
        picture = Picture(failed[0].yours, np.nan_to_num(failed[0].right))
    if unshaped:
        e, kind = unshaped[0], "shape"
        told = f"{name} has the shape {e.yours.shape}; it must be {e.right.shape}."
        if _emptied(e):
            told += " A slice [p:-p] is empty where p = 0: write [p : p + H]."
        message = told if found.certainty == "unknown" else f"{told} {message}"
        if found.certainty == "unknown":
            found = replace(found, mistake="wrong_shape", certainty="exact")
        picture = picture or Picture(np.asarray(e.yours), e.right)
    file, line = runner.location(function)
    cause = (found.mistake, found.signature, found.certainty)
    return Finding(name, message, *cause, place, file, line, picture, found.facts, kind)


def _emptied(e):
    """True if nothing is left of an image where some padding is 0."""
    padding = np.ravel(e.probe.options.get("padding", 1))
    return e.yours.size == 0 and e.right.size > 0 and bool((padding == 0).any())
