"""Classification, the task that training has if it is told nothing else: one class for each picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import nn
from ..device import to_numpy
from ..errors import DataError, ShapeError
from ..ops import log_softmax_forward
from ..tensors.tensor import Tensor
from .metrics import accuracy, label_ranks
from .settings import Settings
from .task import Metric, Task

ACCURACY = Metric("accuracy", "accuracy", percent=True)


@dataclass
class Evaluation:
    """Scores (N, K) float32 and labels (N,) of all images in order, and what follows from them."""

    scores: np.ndarray
    labels: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        """The class with the highest score, (N,)."""
        return self.scores.argmax(axis=1)

    @property
    def right(self) -> int:
        """How many images have their highest score at their label."""
        return int((self.predictions == self.labels).sum())

    @property
    def accuracy(self) -> float:
        """The share of images whose highest score is that of their label."""
        return accuracy(self.scores, self.labels)

    @property
    def label_ranks(self) -> np.ndarray:
        """How many classes have a higher score than the label's, (N,): 0 where the image is recognised."""
        return label_ranks(self.scores, self.labels)

    @property
    def score(self) -> float:
        """The accuracy, by which epochs are compared."""
        return self.accuracy

    @property
    def balanced_accuracy(self) -> float:
        """The mean over the classes that occur of the share of each that was recognised: guessing the commonest class
        of K gives 1 / K, however common it is."""
        counts = np.bincount(self.labels)
        right = np.bincount(self.labels[self.predictions == self.labels], minlength=len(counts))
        return float((right[counts > 0] / counts[counts > 0]).mean())

    @property
    def is_uneven(self) -> bool:
        """Whether one class has more than half as many images again as another, so that accuracy alone misleads."""
        counts = np.bincount(self.labels)
        return bool(counts.max() > 1.5 * counts[counts > 0].min())

    @property
    def loss(self) -> float:
        """The mean cross-entropy, computed in float64."""
        return -float(self.log_probabilities[np.arange(len(self.labels)), self.labels].mean())

    @property
    def log_probabilities(self) -> np.ndarray:
        """log softmax of the scores, (N, K) float64."""
        return log_softmax_forward(self.scores.astype(np.float64), axis=1)[0]


def balanced(evaluation: Evaluation) -> str:
    """The line beside an accuracy on classes of uneven size, which the commonest class alone may carry."""
    counts = [int((evaluation.labels == k).sum()) for k in range(evaluation.scores.shape[1])]
    return (
        f"balanced accuracy: {evaluation.balanced_accuracy:.2%}, the mean over the classes, "
        f"which are uneven ({min(n for n in counts if n):,} to {max(counts):,} images)"
    )


class Classification(Task):
    """Pictures (N, C, H, W) and labels (N,) -> scores (N, K): cross-entropy, and the share that is right."""

    name = "classification"
    metric = ACCURACY
    training_metric = ACCURACY
    smooths_labels = True
    over_processes = True

    def check(self, outputs: Any, x: Any, y: Any, dataset: Any, name: str) -> None:
        """Compare the labels with the number of classes that the model tells apart."""
        if not isinstance(y, Tensor):
            raise DataError(f"{name}: every item must be a pair (image, label)")
        if y.dtype.kind not in "iu" or y.ndim != 1:
            raise DataError(f"{name}: labels must be integers, one for an image; got {y.dtype} {tuple(y.shape)}")
        if outputs.ndim != 2 or len(outputs) != len(x):
            raise ShapeError(
                f"{name}: the model must give (N, classes); for {tuple(x.shape)} it gives {tuple(outputs.shape)}"
            )
        labels = getattr(dataset, "labels", None)
        labels = y.numpy() if labels is None else np.asarray(labels)
        bad = np.flatnonzero((labels < 0) | (labels >= outputs.shape[1]))
        if bad.size:
            raise DataError(
                f"{name}: item {bad[0]} has label {labels[bad[0]]}, but the model tells {outputs.shape[1]} classes "
                f"apart (0 to {outputs.shape[1] - 1}); give it {int(labels.max()) + 1} outputs, or mend the labels"
            )

    def loss_for(self, settings: Settings) -> Callable[[Any, Any], Any]:
        """Cross-entropy with the label smoothing of the settings."""
        return nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)

    def score(self, outputs: Any, y: Any) -> int:
        """How many are right."""
        return int((to_numpy(outputs).argmax(axis=1) == to_numpy(y)).sum())

    def judge(self) -> _Scores:
        """Keeps all scores and labels."""
        return _Scores()


class _Scores:
    def __init__(self) -> None:
        self.scores: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []

    def add(self, outputs: Any, targets: Any) -> None:
        """Scores and labels of a batch."""
        self.scores.append(to_numpy(outputs))
        self.labels.append(to_numpy(targets))

    def judgement(self, together: Callable[[list[np.ndarray]], np.ndarray]) -> Evaluation:
        """All of them."""
        return Evaluation(together(self.scores), together(self.labels))
