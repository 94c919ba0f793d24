"""Is a network that says "80 %" right in 80 of 100 cases? Reliability, its one-number summary, and the usual repair.

Guo et al., "On calibration of modern neural networks", 2017."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import OptionError, ShapeError
from ..ops import softmax_forward
from ..ops.checks import is_integer
from .metrics import check_scores

BINS = 15
LEAST, LARGEST = 0.01, 100.0  # temperatures; beyond these every answer is certain, or all classes are alike
_ROWS = 8192  # at once, so that 50,000 rows of 1,000 classes do not need gigabytes
_STEPS, _CLOSE = 60, 1e-10


@dataclass(frozen=True)
class Reliability:
    """How often answers of a certain confidence are right. Arrays (bins,), of bins of equal width from 0 to 1.

    count       answers whose confidence lies in (i / bins, (i + 1) / bins]
    confidence  their mean confidence, and
    accuracy    the share of them that is right; NaN where there is none"""

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error, Σ count / N · |accuracy - confidence|: how far apart the two are, 0 to 1.
        It depends on the number of bins, and with few answers it is above 0 by chance alone."""
        used = self.count > 0
        gap = np.abs(self.accuracy[used] - self.confidence[used])
        return float((self.count[used] * gap).sum() / self.count.sum())


def reliability(confidence: Any, right: Any, bins: int = BINS) -> Reliability:
    """Confidences (N,), numbers of 0 to 1, and whether the answer was right (N,)  ->  Reliability.

    Raises ShapeError, and OptionError for what is no confidence or fewer than one bin."""
    confidence, right = np.asarray(confidence, np.float64), np.asarray(right, bool)
    if confidence.ndim != 1 or confidence.shape != right.shape or not confidence.size:
        raise ShapeError(
            f"reliability: confidence (N,) and right (N,) must have one length from 1, got {confidence.shape} and "
            f"{right.shape}"
        )
    if not bool(((confidence >= 0) & (confidence <= 1)).all()):
        raise OptionError("reliability: confidences are probabilities from 0 to 1")
    if not is_integer(bins) or bins < 1:
        raise OptionError(f"reliability: bins must be a whole number from 1, got {bins!r}")
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(place, confidence, bins) / count
        share = np.bincount(place, right, bins) / count
    return Reliability(count, mean, share)


def confidences(scores: Any, temperature: float = 1.0) -> np.ndarray:
    """The probability of the answer, max softmax(scores / temperature): scores (N, K)  ->  float64 (N,)."""
    scores = np.asarray(scores)
    return np.concatenate([p.max(1) for p, _ in _probabilities(scores, 1 / temperature)] or [np.zeros(0)])


def fit_temperature(scores: Any, labels: Any) -> float:
    """The T for which softmax(scores / T) has the least cross-entropy: scores (N, K), labels (N,)  ->  0.01 to 100.

    With b = 1 / T the loss L(b) = mean(log Σ exp(b·z) - b·z_label) is convex, L' = mean(E[z] - z_label) and
    L'' = mean(Var[z]) with E and Var under softmax(b·z): Newton's steps, and halves where they leave the bracket.
    No answer changes, for all scores of a row are divided alike. Errors as in `metrics.accuracy`."""
    scores, labels = check_scores(scores, labels)
    low, high, b = 1 / LARGEST, 1 / LEAST, 1.0
    own = scores[np.arange(len(labels)), labels].astype(np.float64).mean()
    for _ in range(_STEPS):
        slope, bend = -own, 0.0
        for p, z in _probabilities(scores, b):
            mean = (p * z).sum(1)
            slope += mean.sum() / len(scores)
            bend += ((p * z * z).sum(1) - mean * mean).sum() / len(scores)
        if slope == 0:
            break
        low, high = (low, b) if slope > 0 else (b, high)
        step = b - slope / bend if bend > 0 else math.inf
        after = step if low < step < high else math.sqrt(low * high)
        if abs(after - b) < _CLOSE * b:
            break
        b = after
    return float(np.clip(1 / b, LEAST, LARGEST))


def _probabilities(scores: np.ndarray, inverse: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(softmax(scores · inverse), scores), some rows at a time, in float64."""
    for start in range(0, len(scores), _ROWS):
        z = scores[start : start + _ROWS].astype(np.float64)
        yield softmax_forward(z * inverse, axis=1)[0], z
