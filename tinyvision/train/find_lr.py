"""Which learning rate? Train for a few steps while it rises from far too small to far too large, and look at the loss.

(Smith, "Cyclical learning rates for training neural networks", 2017: the LR range test.)
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..device import DeviceName, memory_errors_explained
from ..errors import OptionError, TrainingError
from ..nn.module import Module
from ..ops.checks import is_integer
from .console import reporter
from .history import plot
from .interrupt import StopRequest
from .loop import _Training
from .ranks import Verdict
from .task import Task

_SMOOTH = 0.9  # how much of the average stays from step to step
_DIVERGED = 4.0  # times the lowest loss
_LEAST = 10  # steps without which there is nothing to see


@dataclass(frozen=True)
class RangeTest:
    """What `find_lr` returns.

    rates   (S,) the learning rate of every step;  losses  (S,) the loss of its batch, before the step
    suggestion  where the smoothed loss falls fastest"""

    rates: np.ndarray
    losses: np.ndarray

    @property
    def smoothed(self) -> np.ndarray:
        """The losses as an exponential average of those up to each step, unbiased at the beginning."""
        average, out = 0.0, []
        for step, loss in enumerate(self.losses, 1):
            average = _SMOOTH * average + (1 - _SMOOTH) * loss
            out.append(average / (1 - _SMOOTH**step))
        return np.array(out)

    @property
    def suggestion(self) -> float:
        """The rate at which the smoothed loss falls fastest, per factor of the rate, before it is at its lowest."""
        smoothed = self.smoothed
        end = max(int(smoothed.argmin()) + 1, 2)
        slopes = np.gradient(smoothed[:end], np.log(self.rates[:end]))
        return float(self.rates[int(slopes.argmin())])

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw loss over rate into a .png or .svg file. Raises OptionError for another suffix, FileError."""
        plot("RangeTest.plot", self._figure, path)

    def _figure(self):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, color="0.8", label="batch by batch")
        axes.plot(self.rates, self.smoothed, label="smoothed")
        axes.axvline(self.suggestion, linestyle="--", color="C1", label=f"falls fastest: {self.suggestion:.2g}")
        low, high = self.smoothed.min(), max(self.losses[0], self.smoothed[0])
        margin = max(high - low, 1e-6)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(low - 0.1 * margin, high + 0.5 * margin))
        axes.grid(alpha=0.3)
        axes.legend()
        return figure


class _Enough(Exception):
    """All steps are done, or the loss has left the picture: no larger rate will tell anything."""


class _Rising:
    """A schedule, as far as the loop looks at it: from `low` to `high` in equal factors."""

    def __init__(self, optimizer: Any, low: float, high: float, steps: int) -> None:
        self.groups = optimizer.param_groups
        own = [group["lr"] / self.groups[0]["lr"] for group in self.groups]
        self.shares, self.rates, self.now = own, np.geomspace(low, high, steps), 0
        self._set()

    def _set(self):
        for group, share in zip(self.groups, self.shares, strict=True):
            group["lr"] = float(self.rates[min(self.now, len(self.rates) - 1)] * share)

    def step(self) -> None:
        """The next rate."""
        self.now += 1
        self._set()

    def get_last_lr(self) -> list[float]:
        """The rates of this step."""
        return [group["lr"] for group in self.groups]


class _RangeTraining(_Training):
    """The loop of `fit`, whose steps are watched, and which ends when the loss has diverged."""

    seen: list[tuple[float, float]]
    most: int

    def step(self, x: Any, y: Any) -> Verdict:
        """One step; what it showed is kept."""
        rate = float(self.schedule.get_last_lr()[0])
        verdict = super().step(x, y)
        self.seen.append((rate, verdict.loss))
        smoothed = RangeTest(*map(np.array, zip(*self.seen, strict=True))).smoothed
        if len(self.seen) == self.most or (len(self.seen) > _LEAST and smoothed[-1] > _DIVERGED * smoothed.min()):
            raise _Enough
        return verdict

    def fail(self, what: str) -> None:
        """That the loss is no longer a number is what is waited for; a picture that holds none is a mistake."""
        if what.startswith("the loss is"):
            raise _Enough
        super().fail(what)


def find_lr(
    model: Module,
    train_data: Any,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 100,
    device: DeviceName | None = None,
    workers: int = 0,
    parameters: Any = None,
    loss: Any = None,
    task: Task | None = None,
    log: Any = "auto",
    **settings: Any,
) -> RangeTest:
    """Train for up to `steps` steps while the learning rate rises from `low` to `high`, then put everything back.

        found = find_lr(model, Digits(train=True)); found.plot("lr.png"); fit(..., lr=found.suggestion)

    The other arguments and settings are those of `fit`, without epochs, lr and schedule. The weights and buffers of the
    model are afterwards what they were, bit for bit. Raises OptionError, DataError, ShapeError as `fit` does, and
    TrainingError if the loss is not finite within the first ten steps."""
    if not is_integer(steps) or steps < _LEAST or not 0 < low < high:
        raise OptionError(
            f"find_lr: steps must be an integer from {_LEAST}, and 0 < low < high; got {steps}, {low}, {high}"
        )
    for name in ("epochs", "lr", "schedule", "patience"):
        if settings.get(name) is not None:
            raise OptionError(f"find_lr: {name} has no meaning here; leave it out")
    training = _RangeTraining(model, train_data, None, device, workers, parameters, loss, task, dict(settings))
    training.prepare(None, False, False, {})
    epochs = -(-steps // len(training.loader))
    training.schedule = _Rising(training.optimizer, low, high, steps)  # type: ignore[assignment]
    training.seen, training.most = [], steps
    training.save_every, training.save_steps, training.on_epoch, training.graph = float("inf"), None, None, None
    training.saved_at, training.saved_step = 0.0, 0
    training.console = reporter(log if training.ranks.rank == 0 else None)
    modes = [(module, module.training) for module in model.modules()]
    kept = [(t, t.array.copy()) for t in (*model.parameters(), *model.buffers())]
    try:
        with ExitStack() as held, StopRequest() as training.stop:
            training.model_called = held.enter_context(training.ranks.trained(model))
            training.console.task = training.task
            training.console.begin(steps, 0, epochs)
            with memory_errors_explained(training.device), np.errstate(all="ignore"):
                for epoch in range(epochs):
                    training.progress.epoch, training.progress.step = epoch, 0
                    training.train_epoch(epoch)
    except _Enough:
        pass
    finally:
        training.console.end()
        for tensor, array in kept:
            tensor.array[...] = array
            tensor.version += 1
            tensor.grad = None
        for module, was in modes:
            module.training = was
    if len(training.seen) < _LEAST:
        raise TrainingError(
            f"find_lr: the loss was not finite after {len(training.seen)} steps, with learning rates from {low:g}; "
            f"begin lower, or look at the data"
        )
    rates, losses = (np.array(values) for values in zip(*training.seen, strict=True))
    return RangeTest(rates, losses)


def picture_file(named: str, overwrite: bool) -> str:
    """Where `tinyvision train --find-lr` draws: the .png or .svg that is named, or for "" the next find-lr.png that is
    free. Raises OptionError for another kind of file, for one whose folder does not exist, and for one that is there
    and not to be replaced."""
    if not named:
        names = ("find-lr.png", *(f"find-lr-{number}.png" for number in range(2, 10_000)))
        return next(name for name in names if overwrite or not os.path.exists(name))
    if named.rpartition(".")[2].lower() not in ("png", "svg"):
        raise OptionError(f"--find-lr {named}: the picture is a .png or .svg")
    if not os.path.isdir(os.path.dirname(named) or "."):
        raise OptionError(f"--find-lr {named}: its folder does not exist")
    if os.path.exists(named) and not overwrite:
        raise OptionError(f"--find-lr {named}: there is such a picture already; --overwrite replaces it")
    return named
