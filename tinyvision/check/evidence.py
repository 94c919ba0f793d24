"""Comparing a hypothesis with what was seen: the rules by which a cause may be named.

A hypothesis predicts an array for every probe. It is accepted only if it agrees with the learner's numbers on *every*
probe on which it can be evaluated, says something else than the right answer on at least two of them (or on all that
failed), and if it needs a factor, that factor is the same named constant everywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .probes import Probe, signs_symbols
from .verdict import Comparison, compare, holds_float32, scale_of

AGREE = 1e-9  # two formulas for the same mistake differ by rounding only: 1e-15 an operation, a few thousand of them
AGREE_FLOAT32 = 3e-5


@dataclass
class Evidence:
    """One argument on one probe: `yours` (None if the call failed), `right`, and how they compare."""

    probe: Probe
    argument: str
    yours: np.ndarray | None
    right: np.ndarray
    comparison: Comparison | None
    axes: str = ""
    noise: float = 0.0
    predicates: tuple = ()
    others: dict = field(default_factory=dict)  # the right arrays of the other arguments, by name
    position: int = -1  # which gradient this is; -1 for the output

    @property
    def shaped(self) -> bool:
        """True if yours has the right shape."""
        return self.yours is not None and self.yours.shape == self.right.shape

    @property
    def failed(self) -> bool:
        """True if this probe speaks against the learner."""
        return self.comparison is None or not self.shaped or self.comparison.level == "different"

    @property
    def tolerance(self) -> float:
        """How close two arrays must be, relative to their size, to count as the same."""
        return AGREE_FLOAT32 if self.yours is not None and holds_float32(self.yours) else AGREE


def finite(e: Evidence) -> bool:
    """True if yours has the right shape, and only numbers in it."""
    return e.shaped and e.yours is not None and bool(np.isfinite(e.yours).all())


def observed(name: str, probe: Probe, yours: Any, right: Any, others: dict[str, Any], position: int) -> Evidence:
    """What was seen of one argument on one probe, compared with what is right."""
    right = np.asarray(right, dtype=np.float64)
    comparison = None
    if yours is not None and yours.shape == right.shape:
        comparison = compare(yours, right, scale=max(np.abs(right).max(initial=0.0), 1e-3))
    axes = probe.output_axes if position < 0 else probe.axes[position]
    return Evidence(probe, name, yours, right, comparison, axes, 0.0, (), others, position)


@dataclass(frozen=True)
class Hypothesis:
    """`predict(evidence)` gives an array, or None where it cannot be evaluated. `words` is put in the message with
    {name} for the argument. With `factor`, a named constant in front is allowed."""

    id: str
    words: Any
    predict: Callable[..., Any]
    factor: bool = True
    needs_shape: bool = True
    ingredient: bool = False  # it replaces one ingredient of the right formula: several may give the same numbers


def ratio(prediction: Any, evidence: Evidence) -> Any:
    """The constant r with yours = r · prediction, or None."""
    yours = evidence.yours
    if yours is None or np.shape(prediction) != yours.shape:
        return None
    prediction = np.asarray(prediction, dtype=np.float64)
    judged = ~np.isnan(prediction)
    if not judged.any() or not np.isfinite(yours).all():
        return None
    p, u = prediction[judged], yours[judged].astype(np.float64)
    if not np.isfinite(p).all():
        return None
    size = max(np.abs(p).max(), np.abs(u).max())
    if size == 0.0:
        return 1.0
    close = evidence.tolerance * size + 30 * evidence.noise
    if np.abs(u - p).max() <= close:
        return 1.0
    power = float(p @ p)
    if power == 0.0:
        return None
    r = float(u @ p) / power
    if r == 0.0 or not np.isfinite(r) or np.abs(u - r * p).max() > close * max(1.0, abs(r)):
        return None
    # A single number is a multiple of any other: without at least two, no factor may be read off.
    return r if p.size > 1 and np.count_nonzero(p) > 1 else None


def same(a: Any, b: Any, tolerance: float = AGREE, noise: float = 0.0) -> Any:
    """True if two arrays have one shape and agree to `tolerance` of their size."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        return False
    judged = ~(np.isnan(a) | np.isnan(b))
    size = max(scale_of(a), scale_of(b))
    with np.errstate(invalid="ignore"):
        close = (a == b) | (np.abs(a - b) <= tolerance * size + 30 * noise)
    return bool(close[judged].all())


def factor_names(evidences: Sequence[Evidence], ratios: Any) -> Any:
    """The names of the constants that equal the ratio on every probe: [] if none does, ["1"] if all are 1."""
    pairs = [(e, r) for e, r in zip(evidences, ratios, strict=True) if r is not None]
    loose = max(30 * max(e.tolerance for e, _ in pairs), 1e-8)
    if all(abs(r - 1) <= loose for _, r in pairs):
        return ["1"]
    tables = [signs_symbols(e.probe.symbols) for e, _ in pairs]
    shared = set(tables[0]).intersection(*tables[1:])
    fitting = [
        s
        for s in tables[0]
        if s in shared and all(abs(t[s] - r) <= loose * abs(r) for t, (_, r) in zip(tables, pairs, strict=True))
    ]
    plain = [s for s in fitting if s in ("-1", "2", "1/2", "-2", "-1/2")]
    return plain[:1] if plain else fitting


def match(hypothesis: Hypothesis, evidences: Sequence[Evidence]) -> Any:
    """The factor names under which a hypothesis holds on every probe, or None if it does not hold."""
    seen, ratios, informative = [], [], 0
    for e in evidences:
        if e.yours is None or (hypothesis.needs_shape and not e.shaped):
            continue
        try:
            with np.errstate(all="ignore"):
                prediction = hypothesis.predict(e)
        except (ValueError, IndexError, TypeError, ZeroDivisionError, KeyError):
            prediction = None
        if prediction is None:
            if e.failed and e.right.ndim == evidences[0].right.ndim:
                return None
            continue
        r = ratio(prediction, e)
        if r is None or (not hypothesis.factor and abs(r - 1) > 1e-9):
            return None
        if not hypothesis.factor:
            r = 1.0
        if np.any(np.nan_to_num(prediction)):
            seen.append(e)
            ratios.append(r)
        informative += e.failed
    failed = sum(e.failed for e in evidences if e.yours is not None and (e.shaped or not hypothesis.needs_shape))
    if not seen or informative < min(2, failed) or informative == 0:
        return None
    names = factor_names(seen, ratios)
    return names or None
