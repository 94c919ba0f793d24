"""Generation: to tell noise from picture is learned, and what pictures that makes is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import random
from ...device import to_numpy
from ...errors import DataError, OptionError, ShapeError
from ...nn import functional
from ...tensors.tensor import Tensor
from ...train.settings import Settings
from ...train.task import Metric, Task
from .frechet import frechet_distance
from .network import Diffusion

_UNTOLD = 0.1  # of the pictures in training: what they are is kept from the network
_LOSS_TIMES = 8  # at which the loss of judged pictures is taken


class Generation(Task):
    """Pictures (N, C, H, W) and labels (N,) for a `Diffusion`: the mean squared error of the noise that is guessed.

    average   how much of the average of the weights stays in a step

    The metric is the Fréchet distance between the features that the network's judge finds in the pictures of validation
    and in as many that are made, of the same classes, of the noise that comes with them (see `Samples`)."""

    name = "generation"
    metric = Metric("frechet_distance", "Fréchet distance")

    def __init__(self, average: float = 0.995) -> None:
        if not 0 <= average < 1:
            raise OptionError(f"Generation: average is from 0 to below 1, got {average!r}")
        self.average = average

    def evaluation_batch(self, batch_size: int) -> int:
        """As many as are fast."""
        return 128

    def check(self, outputs: Any, x: Any, y: Any, dataset: Any, name: str) -> None:
        """Look at labels and sizes."""
        labels = y[0] if isinstance(y, (tuple, list)) else y
        if not isinstance(labels, Tensor) or labels.dtype.kind not in "iu" or labels.ndim != 1:
            raise DataError(f"{name}: every item must be a pair (image, label), the label a whole number")
        if float(abs(to_numpy(x)).max()) > 1.001:
            raise DataError(f"{name}: pictures must have numbers from -1 to 1, there are larger ones")

    def outputs(self, model: Any, x: Any, y: Any) -> Any:
        """(noise that is guessed, noise that was added) at times drawn at random; of validation's batches a `Made`."""
        if not isinstance(model, Diffusion):
            raise OptionError(f"generation trains a Diffusion network, got {type(model).__name__}")
        if tuple(x.shape[1:]) != model.shape:
            raise ShapeError(f"generation: the network is for pictures {model.shape}, got {tuple(x.shape[1:])}")
        if isinstance(y, (tuple, list)):
            return _made(model, x, *y)
        rng = random.generator()
        # Evenly spread from a random beginning: every time is as likely as any other, and every batch has all kinds.
        times = 1 + ((np.arange(len(x)) + rng.random()) / len(x) * model.schedule.steps).astype(np.int64)
        noise = Tensor.of(rng.standard_normal(x.shape, np.float32).astype(x.dtype)).to(x.device)
        told = np.where(rng.random(len(x)) < _UNTOLD, model.denoiser.num_classes, to_numpy(y))
        return model(model.schedule.noised(x, noise, times), times, Tensor.of(told).to(x.device)), noise

    def loss_for(self, settings: Settings) -> Callable[[Any, Any], Any]:
        """The mean over images and pixels."""
        return lambda outputs, y: functional.mse_loss(*outputs)

    def after_step(self, model: Any) -> None:
        """The average follows the weights."""
        model.follow(self.average)

    def judge(self) -> _Gathered:
        """Gathers what was made."""
        return _Gathered()


@dataclass
class Made:
    """Of a batch of N pictures: as many made of the same classes, what the judge finds in both, and the losses."""

    pictures: np.ndarray  # (N, C, H, W)
    features: np.ndarray  # (N, D)
    recognised: np.ndarray  # (N,) the classes that the judge sees in them
    real_features: np.ndarray  # (N, D)
    real_recognised: np.ndarray  # (N,)
    losses: np.ndarray  # (N,)


def _made(model: Diffusion, x: Tensor, labels: Tensor, noise: Tensor) -> Made:
    losses = np.zeros(len(x))
    for time in model.schedule.way(_LOSS_TIMES)[:-1]:
        times = np.full(len(x), time)
        error = model(model.schedule.noised(x, noise, times), times, labels) - noise
        losses += to_numpy((error * error).mean(dim=(1, 2, 3))) / _LOSS_TIMES
    pictures = model.sample(noise, labels)
    return Made(to_numpy(pictures), *model.judged(pictures), *model.judged(x), losses)


@dataclass
class GenerationEvaluation:
    """What a network makes, beside real pictures of the same classes: all of `Made`, and labels (N,)."""

    made: Made
    labels: np.ndarray

    @property
    def loss(self) -> float:
        """The mean squared error of the noise, at times from all over the way."""
        return float(self.made.losses.mean())

    @property
    def score(self) -> float:
        """The Fréchet distance of what was made from the real pictures."""
        return frechet_distance(self.made.features, self.made.real_features)

    @property
    def recognised(self) -> float:
        """The share of what was made that the judge takes for the class that was asked for."""
        return float((self.made.recognised == self.labels).mean())

    @property
    def real_recognised(self) -> float:
        """The same of the real pictures."""
        return float((self.made.real_recognised == self.labels).mean())


class _Gathered:
    def __init__(self) -> None:
        self.batches: list[tuple[Made, np.ndarray]] = []

    def add(self, outputs: Made, targets: Any) -> None:
        """What was made in a batch, and its labels."""
        self.batches.append((outputs, to_numpy(targets[0])))

    def judgement(self, together: Callable[[list[np.ndarray]], np.ndarray]) -> GenerationEvaluation:
        """All of them."""
        parts = {name: together([getattr(made, name) for made, _ in self.batches]) for name in vars(self.batches[0][0])}
        return GenerationEvaluation(Made(**parts), together([labels for _, labels in self.batches]))
