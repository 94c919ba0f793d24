"""How good is it? Accuracy, confusion matrix, running averages: on plain arrays, nothing of the tape.

Scores may be anything whose largest entry is the prediction: logits, log-probabilities, probabilities.
Arrays on any device and Tensors are taken; the results are NumPy's."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from ..device import to_numpy
from ..errors import DataError, OptionError, ShapeError
from ..ops.checks import is_integer, whole_number
from ..tape import Variable


def label_ranks(scores: Any, labels: Any) -> np.ndarray:
    """How many classes come before the label's: scores (N, K), labels (N,) -> int64 (N,), 0 where it is the highest.

    Of equal scores the lower class number counts as higher, as argmax has it; a row with a NaN has rank K. Raises
    ShapeError for other shapes, DataError for labels outside of 0 to K - 1."""
    scores, labels = check_scores(scores, labels)
    own = scores[np.arange(len(labels)), labels][:, None]
    before = np.arange(scores.shape[1]) < labels[:, None]
    rank = ((scores > own) | ((scores == own) & before)).sum(1)
    return np.where(np.isnan(scores).any(1), scores.shape[1], rank)


def topk_accuracy(scores: Any, labels: Any, k: int = 1) -> float:
    """Share of rows whose label is among the k highest scores: scores (N, K), labels (N,) -> 0 to 1.

    Of equal scores the lower class number counts as higher, as argmax has it; a row with a NaN counts as
    wrong. Raises ShapeError for other shapes, DataError for labels outside of 0 to K - 1, OptionError
    unless 1 <= k <= K."""
    scores, labels = check_scores(scores, labels)
    if not is_integer(k) or not 1 <= k <= scores.shape[1]:
        raise OptionError(f"topk_accuracy: k must be an integer from 1 to {scores.shape[1]}, got {k!r}")
    return float(np.mean(label_ranks(scores, labels) < k))


def accuracy(scores: Any, labels: Any) -> float:
    """Share of rows whose highest score is the label's: scores (N, K), labels (N,) -> 0 to 1. Errors as topk."""
    return topk_accuracy(scores, labels, 1)


def confusion_matrix(predictions: Any, labels: Any, classes: int | None = None) -> np.ndarray:
    """How often class i (row) was taken for class j (column): int64 (K, K).

    predictions  class numbers (N,), or scores (N, K)
    labels       class numbers (N,)
    classes      K; by default the number of scores, or one more than the largest class number

    Raises ShapeError for other shapes, DataError for class numbers outside of 0 to K - 1."""
    predictions, labels = _numpy(predictions), _numpy(labels)
    if predictions.ndim == 2:
        classes = predictions.shape[1] if classes is None else classes
        predictions = predictions.argmax(1)
    if predictions.ndim != 1 or predictions.shape != labels.shape:
        raise ShapeError(
            f"confusion_matrix: predictions (N,) or (N, K) and labels (N,) do not fit: "
            f"{predictions.shape} and {labels.shape}"
        )
    if classes is None:
        classes = int(max(predictions.max(initial=-1), labels.max(initial=-1))) + 1
    whole_number("confusion_matrix: classes", classes, 0)
    predictions = _class_numbers(predictions, classes, "prediction")
    labels = _class_numbers(labels, classes, "label")
    return np.bincount(labels * classes + predictions, minlength=classes * classes).reshape(classes, classes)


def per_class_accuracy(confusion: Any) -> np.ndarray:
    """Share of each class that was recognised (its recall), from a confusion matrix (K, K) -> float64 (K,).

    NaN for a class of which there was no example. Raises ShapeError unless the matrix is square."""
    confusion = np.asarray(confusion)
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ShapeError(f"per_class_accuracy: expected a confusion matrix (K, K), got {confusion.shape}")
    total = confusion.sum(1)
    return np.where(total > 0, np.diag(confusion) / np.maximum(total, 1), np.nan)


def wilson_interval(right: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """(low, high): where the share of which `right` of `count` are a sample lies, with this confidence.

    The shares p whose distance to right / count is at most z standard errors √(p·(1 - p) / count) (Wilson, 1927):
    unlike p ± z·error it is not empty at 0 and at 1, and stays within them. (0, 1) for a count of 0. It takes for
    granted that the cases were drawn independently. Raises OptionError."""
    if not (is_integer(right) and is_integer(count) and 0 <= right <= count):
        raise OptionError(f"wilson_interval: right must be from 0 to count, got {right!r} of {count!r}")
    if not 0 < confidence < 1:
        raise OptionError(f"wilson_interval: confidence lies between 0 and 1, got {confidence!r}")
    if count == 0:
        return 0.0, 1.0
    z, share = NormalDist().inv_cdf((1 + confidence) / 2), right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (0.0 if right == 0 else middle - half), (1.0 if right == count else middle + half)


class Mean:
    """A running average, weighted: `mean.add(loss, len(batch))` for each batch, then `mean.value`.

    Sums are kept by Neumaier's method, so a million small numbers lose nothing to rounding."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._sum, self._lost, self.count = 0.0, 0.0, 0.0

    def add(self, value: Any, count: float = 1) -> None:
        """Take in a number (or a Tensor with one) that is the average of `count` cases.

        Raises OptionError if `count` is negative, ShapeError if `value` is not one number."""
        if not count >= 0:
            raise OptionError(f"Mean: count must not be negative, got {count!r}")
        array = _numpy(value)
        if array.size != 1:
            raise ShapeError(f"Mean: expected one number, got an array {array.shape}")
        term = float(array.reshape(())) * count
        total = self._sum + term
        larger, smaller = (self._sum, term) if abs(self._sum) >= abs(term) else (term, self._sum)
        self._lost += (larger - total) + smaller
        self._sum = total
        self.count += count

    @property
    def value(self) -> float:
        """The average so far; NaN before the first number."""
        if not self.count:
            return float("nan")
        # An infinite or undefined sum is the answer; what rounding lost of it is not a number.
        return (self._sum + self._lost if np.isfinite(self._sum) else self._sum) / self.count

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"Mean({self.value:.6g} of {self.count:g})"


def _numpy(value: Any) -> np.ndarray:
    """A Tensor, an array on any device, or numbers, as NumPy's array."""
    return np.asarray(to_numpy(value.array if isinstance(value, Variable) else value))


def check_scores(scores: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Scores (N, K) and labels (N,) as NumPy arrays. Raises ShapeError; DataError for labels outside of 0 to K - 1."""
    scores, labels = _numpy(scores), _numpy(labels)
    if scores.ndim != 2 or labels.shape != scores.shape[:1] or 0 in scores.shape:
        raise ShapeError(
            f"accuracy: expected scores (N, K) and labels (N,) of at least one row, "
            f"got {scores.shape} and {labels.shape}"
        )
    return scores, _class_numbers(labels, scores.shape[1], "label")


def _class_numbers(numbers: np.ndarray, classes: int, name: str) -> np.ndarray:
    if numbers.dtype.kind not in "iu" and numbers.size:
        raise DataError(f"accuracy: every {name} must be an integer, got {numbers.dtype}")
    bad = (numbers < 0) | (numbers >= classes)
    if bad.any():
        index = int(np.flatnonzero(bad)[0])
        raise DataError(f"accuracy: {name} {numbers[index]} at index {index}; they go from 0 to {classes - 1}")
    return numbers.astype(np.int64)
