"""Recognition: the loss, and how well pairs of the same are told from pairs of different things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...device import to_numpy
from ...errors import DataError, OptionError
from ...nn import functional
from ...tensors.tensor import Tensor
from ...train.settings import Settings
from ...train.task import Metric, Task
from ...train.verification import roc_auc, tar_at_far

LOSSES = ("arcface", "triplet")
_MOST = 2000  # pictures of which all pairs are made: two million


class Recognition(Task):
    """Pictures (N, C, H, W) and labels (N,) -> embeddings (N, E) for an `Embedder`: the same close together.

    loss    "arcface" (margin an angle) or "triplet" (margin a distance, the hardest triplets of the batch)
    scale   of ArcFace's cosines

    The metric is the area under the ROC curve of all pairs' cosines: how often a pair of the same class is closer than
    one of different classes. The classes of validation may be others than those of training."""

    name = "recognition"
    metric = Metric("auc", "AUC of pairs")

    def __init__(self, loss: str = "arcface", margin: float = 0.2, scale: float = 16.0) -> None:
        if loss not in LOSSES:
            raise OptionError(f"Recognition: loss is {' or '.join(LOSSES)}, got {loss!r}")
        self.loss, self.margin, self.scale = loss, margin, scale

    def check(self, outputs: Any, x: Any, y: Any, dataset: Any, name: str) -> None:
        """Look at labels and embeddings."""
        if not isinstance(y, Tensor) or y.dtype.kind not in "iu" or y.ndim != 1:
            raise DataError(f"{name}: every item must be a pair (image, label), the label a whole number")
        if outputs.ndim != 2 or len(outputs) != len(x):
            raise DataError(f"{name}: the model must give embeddings (N, E), it gives {tuple(outputs.shape)}")

    def outputs(self, model: Any, x: Any, y: Any) -> Any:
        """Embeddings; in training, what the loss compares: cosines with the centres, or projections."""
        if not getattr(model, "training", False):
            return model(x)
        return model.cosines(x) if self.loss == "arcface" else model.projected(x)

    def loss_for(self, settings: Settings) -> Callable[[Any, Any], Any]:
        """ArcFace's cross-entropy, or the triplet loss."""
        if self.loss == "triplet":
            return lambda outputs, y: functional.batch_hard_triplet_loss(outputs, y, self.margin)
        return lambda outputs, y: functional.cross_entropy(
            functional.arcface(outputs, y, margin=self.margin, scale=self.scale), y
        )

    def judge(self) -> _Embeddings:
        """Keeps all embeddings and labels."""
        return _Embeddings()


@dataclass
class Verification:
    """Embeddings (N, E) of length 1 and labels (N,) of pictures, and what follows from their pairs.

    Of more than 2,000 pictures, 2,000 at even distances are paired. Raises OptionError where there are no two pictures
    of one class, or only one class."""

    embeddings: np.ndarray
    labels: np.ndarray

    @property
    def chosen(self) -> np.ndarray:
        """The numbers of the pictures that are paired."""
        return np.unique(np.linspace(0, len(self.labels) - 1, min(len(self.labels), _MOST)).astype(int))

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """(cosines, whether both are of one class) of all pairs of N chosen pictures, each (N (N - 1) / 2,), in the
        order of `numpy.triu_indices(N, 1)`."""
        embeddings, labels = self.embeddings[self.chosen], self.labels[self.chosen]
        first, second = np.triu_indices(len(labels), 1)
        return (embeddings @ embeddings.T)[first, second], labels[first] == labels[second]

    @property
    def score(self) -> float:
        """The area under the ROC curve of the pairs."""
        return roc_auc(*self.pairs())

    @property
    def loss(self) -> float:
        """1 - score: how often a pair of different things is the closer one."""
        return 1 - self.score

    def accepted(self, far: float) -> tuple[float, float]:
        """(share of pairs of the same that are accepted, cosine from which on) if at most `far` of the others are."""
        return tar_at_far(*self.pairs(), far)


class _Embeddings:
    def __init__(self) -> None:
        self.embeddings: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []

    def add(self, outputs: Any, targets: Any) -> None:
        """Embeddings and labels of a batch."""
        self.embeddings.append(to_numpy(outputs))
        self.labels.append(to_numpy(targets))

    def judgement(self, together: Callable[[list[np.ndarray]], np.ndarray]) -> Verification:
        """All of them."""
        return Verification(together(self.embeddings), together(self.labels))
