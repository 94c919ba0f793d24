"""Segmentation: a class for every pixel. The loss, and what is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...device import to_numpy
from ...errors import DataError, OptionError, ShapeError
from ...nn import functional
from ...tensors.tensor import Tensor
from ...train.settings import Settings
from ...train.task import Metric, Task
from ..masks import VOID

DICE = Metric("dice", "Dice")


class Segmentation(Task):
    """Pictures (N, C, H, W) and masks (N, H, W) of class numbers -> scores (N, K, H, W): cross-entropy and Dice.

    classes   names; the first is the background, and 255 in a mask means that nothing is said of a pixel
    dice      how much the Dice loss, of the classes that an image has besides the first, counts beside the
              cross-entropy

    Both losses are means over the images. The metric is the mean over the classes, without the background, of Dice =
    2 · both / (predicted + true), counted over the pixels of all images."""

    name = "segmentation"
    metric = DICE
    training_metric = DICE

    def __init__(self, classes: Sequence[str], dice: float = 1.0) -> None:
        if len(classes) < 2:
            raise OptionError(f"Segmentation: classes are the background and at least one more, got {list(classes)}")
        self.classes, self.dice = list(classes), dice

    def evaluation_batch(self, batch_size: int) -> int:
        """One: pictures may be of any size."""
        return 1

    def check(self, outputs: Any, x: Any, y: Any, dataset: Any, name: str) -> None:
        """Compare the masks with the pictures and with the classes."""
        K = len(self.classes)
        if not isinstance(y, Tensor) or y.dtype.kind not in "iu" or y.ndim != 3:
            raise DataError(f"{name}: every item must be a pair (image, mask), the mask whole numbers (H, W)")
        if tuple(y.shape[1:]) != tuple(x.shape[2:]):
            raise DataError(f"{name}: the mask is {tuple(y.shape[1:])} and its image {tuple(x.shape[2:])}")
        if tuple(outputs.shape) != (len(x), K, *x.shape[2:]):
            raise ShapeError(
                f"{name}: for {tuple(x.shape)} the model must give scores {(len(x), K, *x.shape[2:])}, "
                f"one for each of {K} classes; it gives {tuple(outputs.shape)}"
            )
        values = np.unique(to_numpy(y))
        if len(bad := values[((values < 0) | (values >= K)) & (values != VOID)]):
            raise DataError(f"{name}: a mask has class {bad[0]}; there are {K}, from 0 (background) to {K - 1}")

    def loss_for(self, settings: Settings) -> Callable[[Any, Any], Any]:
        """The mean cross-entropy of the pixels of each image, plus the Dice loss."""
        return self._loss

    def _loss(self, scores: Any, mask: Any) -> Any:
        numbers = to_numpy(mask)
        known = numbers != VOID
        # Each image counts alike, however much of it is known: so its pixels are divided by their own number.
        share = known / np.maximum(known.sum((1, 2), keepdims=True), 1) / len(numbers)
        pixels = functional.cross_entropy(scores, mask, ignore_index=VOID, reduction="none")
        loss = (pixels * Tensor.of(share.astype(scores.dtype)).to(scores.device)).sum()
        if not self.dice:
            return loss
        seen = Tensor.of(known[:, None].astype(scores.dtype)).to(scores.device)
        true = (numbers[:, None] == np.arange(1, len(self.classes))[:, None, None]).astype(scores.dtype)
        guessed = functional.softmax(scores, dim=1)[:, 1:] * seen
        planes = functional.dice_loss(guessed, Tensor.of(true).to(scores.device), reduction="none")
        # Of the classes that an image has: with all of them, the easiest way down is to see none.
        there = true.any((2, 3)).astype(scores.dtype)
        weight = there / np.maximum(there.sum(1, keepdims=True), 1) / len(there)
        return loss + self.dice * (planes * Tensor.of(weight).to(scores.device)).sum()

    def score(self, outputs: Any, y: Any) -> float:
        """The Dice of the batch, once for each of its images."""
        counts = self.counts(to_numpy(outputs).argmax(1), to_numpy(y))
        return _dice(counts.sum(0))[1:].mean(where=_occurs(counts.sum(0))[1:]).item() * len(counts)

    def counts(self, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
        """(N, H, W) classes, twice  ->  int64 (N, K, 3): pixels of each class that are both, predicted, true."""
        known, K = true != VOID, len(self.classes)
        table = []
        for p, t, k in zip(predicted, true, known, strict=True):
            pairs = np.bincount(t[k].astype(np.int64) * K + p[k], minlength=K * K).reshape(K, K)
            table.append(np.stack([np.diag(pairs), pairs.sum(0), pairs.sum(1)], axis=1))
        return np.stack(table)

    def judge(self) -> _Counting:
        """Counts pixels."""
        return _Counting(self)


def _occurs(counts: np.ndarray) -> np.ndarray:
    """Classes that are somewhere, predicted or true; without any, all of them, so that a mean exists."""
    seen = counts[:, 1:].sum(1) > 0
    return seen if seen[1:].any() else np.ones_like(seen)


def _dice(counts: np.ndarray) -> np.ndarray:
    """Dice of each class, 1 for one that is nowhere and was seen nowhere."""
    total = counts[:, 1] + counts[:, 2]
    return np.where(total > 0, 2 * counts[:, 0] / np.maximum(total, 1), 1.0)


@dataclass
class SegmentationEvaluation:
    """What a network made of masked pictures.

    classes   names, the background first;  counts   int64 (N, K, 3): pixels of each image and class that are both,
    predicted, true;  losses   (N,)"""

    classes: list[str]
    counts: np.ndarray
    losses: np.ndarray

    @property
    def loss(self) -> float:
        """The mean loss of an image."""
        return float(self.losses.mean())

    @property
    def dice(self) -> np.ndarray:
        """Dice of each class over the pixels of all images, (K,); 1 for a class that is neither there nor predicted."""
        return _dice(self.counts.sum(0))

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each class over the pixels of all images, (K,)."""
        return self.dice / (2 - self.dice)

    @property
    def accuracy(self) -> float:
        """The share of the pixels that have their class."""
        both, _, true = self.counts.sum((0, 1))
        return float(both / max(true, 1))

    @property
    def score(self) -> float:
        """The mean Dice of the classes behind the background that occur."""
        return float(self.dice[1:].mean(where=_occurs(self.counts.sum(0))[1:]))


class _Counting:
    def __init__(self, task: Segmentation) -> None:
        self.task = task
        self.counts: list[np.ndarray] = []
        self.losses: list[np.ndarray] = []

    def add(self, outputs: Any, targets: Any) -> None:
        """Counts and losses of a batch."""
        self.counts.append(self.task.counts(to_numpy(outputs).argmax(1), to_numpy(targets)))
        each = [self.task._loss(outputs[i : i + 1], targets[i : i + 1]).item() for i in range(len(outputs))]
        self.losses.append(np.array(each, np.float64))

    def judgement(self, together: Callable[[list[np.ndarray]], np.ndarray]) -> SegmentationEvaluation:
        """All of them."""
        return SegmentationEvaluation(self.task.classes, together(self.counts), together(self.losses))
