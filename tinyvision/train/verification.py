"""Are two pictures of the same thing? How well a score tells yes from no, by threshold: ROC, AUC, TAR at a FAR."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import OptionError, ShapeError


def roc_curve(scores: Any, positive: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """scores (N,), whether the answer is yes (N,)  ->  false accepts, true accepts, thresholds, each (M + 1,).

    Entry i: of all that are no, and of all that are yes, the share with a score of thresholds[i] or more. It begins
    with (0, 0) at infinity; equal scores are accepted together. Raises ShapeError; OptionError where there is only yes
    or only no, or a score is not a number."""
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, bool)
    if scores.ndim != 1 or scores.shape != positive.shape:
        raise ShapeError(f"roc_curve: scores (N,) and positive (N,) do not fit: {scores.shape} and {positive.shape}")
    if np.isnan(scores).any():
        raise OptionError("roc_curve: a score is not a number")
    yes = int(positive.sum())
    if yes in (0, len(positive)):
        raise OptionError(f"roc_curve: {yes} of {len(positive)} are yes; some of both are needed")
    order = np.argsort(-scores, kind="stable")
    scores, positive = scores[order], positive[order]
    last = np.flatnonzero(np.append(np.diff(scores) != 0, True))  # of equal scores
    accepted = np.cumsum(positive)[last]
    true = np.append(0, accepted / yes)
    false = np.append(0, (last + 1 - accepted) / (len(positive) - yes))
    return false, true, np.append(np.inf, scores[last])


def roc_auc(scores: Any, positive: Any) -> float:
    """The area under the ROC curve: how often a yes scores higher than a no, ties counting half; 0 to 1."""
    false, true, _ = roc_curve(scores, positive)
    return float((np.diff(false) * (true[1:] + true[:-1]) / 2).sum())


def tar_at_far(scores: Any, positive: Any, far: float) -> tuple[float, float]:
    """(true accepts, threshold): the most that can be accepted rightly while at most `far` of the no's are accepted.

    Raises OptionError unless 0 <= far <= 1, and as roc_curve. With n no's, a far below 1 / n allows none."""
    if not 0 <= far <= 1:
        raise OptionError(f"tar_at_far: far is a share from 0 to 1, got {far!r}")
    false, true, thresholds = roc_curve(scores, positive)
    allowed = np.flatnonzero(false <= far)[-1]
    return float(true[allowed]), float(thresholds[allowed])
