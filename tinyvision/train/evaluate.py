"""What a network makes of data it does not learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import nn
from ..data import DataLoader
from ..device import Device, memory_errors_explained, to_numpy
from ..device import device as as_device
from ..grad_mode import no_grad
from ..nn.module import Module
from ..ops import log_softmax_forward
from .feeding import ImageLoader
from .metrics import accuracy, confusion_matrix, label_ranks, per_class_accuracy
from .ranks import Ranks


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
    def balanced_accuracy(self) -> float:
        """The mean over the classes that occur of the share of each that was recognised: guessing the commonest class
        of K gives 1 / K, however common it is."""
        return float(
            np.nanmean(per_class_accuracy(confusion_matrix(self.predictions, self.labels, self.scores.shape[1])))
        )

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


def evaluate(
    model: Module,
    data: Any,
    *,
    batch_size: int = 256,
    device: str | Device | None = None,
    workers: int = 0,
    forward: Callable[[Any], Any] | None = None,
    each_batch: Callable[[], None] | None = None,
) -> Evaluation:
    """Run a model over a dataset (or DataLoader) in evaluation mode; the mode of every layer is restored afterwards.

    device      where the model lives, by default the device of its first parameter
    forward     called in place of the model, for instance `model.features`
    each_batch  called after every batch; it may raise to stop

    A DataLoader with a `shard` is evaluated by all ranks together: all call it, and all get the whole Evaluation.

    Raises DataError and ShapeError for data that cannot be read or does not fit, OptionError for a shard of another
    number of ranks."""
    loader = data if isinstance(data, DataLoader) else ImageLoader(data, batch_size, num_workers=workers, seed=0)
    ranks = Ranks(alone=loader.shard is None)
    loader = ranks.shared(loader)
    loader.set_epoch(0)
    where = as_device(device) if device is not None else next(iter(model.parameters())).device
    scores, labels = [], []
    with evaluation_mode(model), no_grad(), memory_errors_explained(where):
        for x, y in ranks.batches(loader, 0, where):
            scores.append(to_numpy((forward or model)(x)))
            labels.append(to_numpy(y))
            if each_batch is not None:
                each_batch()
    return Evaluation(ranks.together(scores, loader), ranks.together(labels, loader))


class evaluation_mode:
    """`with evaluation_mode(model):` — dropout and batch-norm as in use; afterwards each layer is as it was."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    def __enter__(self) -> None:
        self.modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()

    def __exit__(self, *error: object) -> None:
        for module, mode in self.modes:
            module.training = mode
