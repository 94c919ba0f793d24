"""What a task is to training: how a batch becomes a loss, what is measured, and how that is said.

`fit` and `evaluate` know no task by name. They are given an object of one of these kinds; without one it is
`Classification`. The rooms in `tinyvision.tasks` bring the others, with their data, networks and pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..errors import OptionError
from .settings import Settings


@dataclass(frozen=True)
class Metric:
    """A number that says how good a network is, and how people read it.

    name    in a history's rows, train_NAME and val_NAME. If it ends in "_distance", smaller is better, else larger:
            the name alone tells, so that a history that was read from a file knows its best epoch too
    title   in progress, curves and reports
    percent whether it is shown as 91.25%, else as 0.9125"""

    name: str
    title: str
    percent: bool = False

    @property
    def smaller_is_better(self) -> bool:
        """Whether it measures how far a network is from what it should be."""
        return self.name.endswith("_distance")

    def text(self, value: float) -> str:
        """The number as people read it, in a fixed width, so that lines stand below each other."""
        return f"{value:6.2%}" if self.percent else f"{value:.4f}"


class Judgement(Protocol):
    """What a network made of data that it did not learn from."""

    @property
    def loss(self) -> float:
        """The mean loss over the images."""
        ...

    @property
    def score(self) -> float:
        """The task's metric."""
        ...


class Judge(Protocol):
    """Takes in one batch after the other, on the CPU or not, and then says what they amount to."""

    def add(self, outputs: Any, targets: Any) -> None:
        """Take in what the network gave for a batch, and what is true of it."""
        ...

    def judgement(self, together: Callable[[list[np.ndarray]], np.ndarray]) -> Judgement:
        """What all batches amount to. together(parts) makes one array of a list with an array (n, ...) for each batch:
        the rows of all images in order, those of other processes too."""
        ...


class Task:
    """Base of the tasks: define `loss_for` and `judge`, and what else differs.

    name             in a checkpoint's description
    metric           of validation: the best epoch has the best (see `Metric`), ties going to the lower loss; None: the
                     best epoch has the lowest validation loss
    training_metric  measured in every step and shown as progress; None for none
    smooths_labels   whether the setting label_smoothing has a meaning
    collate          makes a batch (x, y) out of a list of items; None: `data.default_collate`
    over_processes   whether processes may share batches: the loss is a mean over images, the judge uses `together`

    A batch is (x, y): x is what the network gets, y whatever the task makes of the rest. What `outputs` draws at random
    comes from the generator in force, which follows from seed, epoch and step, so that a resumed run draws the same."""

    name: str = "task"
    metric: Metric | None = None
    training_metric: Metric | None = None
    smooths_labels: bool = False
    over_processes: bool = False
    collate: Callable[[list[Any]], Any] | None = None

    def check(self, outputs: Any, x: Any, y: Any, dataset: Any, name: str) -> None:
        """Raise DataError or ShapeError if the first two items of the data called `name`, or what the network gives for
        them, do not suit the task."""

    def outputs(self, model: Any, x: Any, y: Any) -> Any:
        """What the network gives for a batch, as `loss_for`'s function, `score` and `judge` take it."""
        return model(x)

    def evaluation_batch(self, batch_size: int) -> int:
        """How many images are evaluated at a time, given how many are trained on at a time."""
        return max(256, batch_size)

    def loss_for(self, settings: Settings) -> Callable[[Any, Any], Any]:
        """The loss of (outputs, y) under these settings: one number, the mean over the batch."""
        raise OptionError(f"{type(self).__name__} must define loss_for(settings)")

    def after_step(self, model: Any) -> None:
        """Called when a step has changed the model: for what follows its weights, an average of them for instance. What
        it keeps belongs into the model's buffers, which are in every checkpoint; on a GPU it may become a part of a
        graph, so it works on arrays alone."""

    def score(self, outputs: Any, y: Any) -> float:
        """The training metric of a batch, summed over its images; called where there is a training metric."""
        return 0

    def judge(self) -> Judge:
        """A new Judge, for one evaluation."""
        raise OptionError(f"{type(self).__name__} must define judge()")

    def checked_loss(self, settings: Settings) -> Callable[[Any, Any], Any]:
        """`loss_for`, unless a setting would be ignored. Raises OptionError."""
        if settings.label_smoothing and not self.smooths_labels:
            raise OptionError(
                f"label_smoothing={settings.label_smoothing} has no meaning for {self.name}; leave it out"
            )
        return self.loss_for(settings)
