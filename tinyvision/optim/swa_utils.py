"""An average of a model's parameters beside the training (Izmailov et al., 2018), of all steps alike or of the last
ones more: `average.update_parameters(model)` after every step of the optimizer."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..device import DeviceName
from ..errors import OptionError, ShapeError
from ..grad_mode import no_grad
from ..nn import BatchNorm1d, BatchNorm2d, Buffer, Module
from ..ops.checks import whole_number
from ..tensors.tensor import Tensor
from .optimizer import Optimizer
from .schedule import LRScheduler, check_optimizer

Average = Callable[[Tensor, Tensor, Any], Any]
Averages = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


class AveragedModel(Module):
    """A copy of `model`, called `module`, whose parameters are an average of those that `update_parameters` is shown.

    avg_fn        (the average, the model's parameter, how many were averaged) -> the new average; the plain mean of all
                  if it is left out
    multi_avg_fn  the same for lists of all parameters, whose averages it changes in place
    use_buffers   average the buffers, too, which otherwise are those of the model that was shown last

    Raises OptionError if both functions are given."""

    def __init__(
        self,
        model: Module,
        device: DeviceName | None = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Averages | None = None,
        use_buffers: bool = False,
    ) -> None:
        if avg_fn is not None and multi_avg_fn is not None:
            raise OptionError("AveragedModel: only one of avg_fn and multi_avg_fn says how to average; leave one out")
        self.module = copy.deepcopy(model)
        self.n_averaged = Buffer(np.array(0))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers
        self.to(device=device)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """What the average makes of them."""
        return self.module(*inputs, **options)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the model's parameters into the average. Raises ShapeError if they are not those of the copied model."""
        own, given = (
            [value.detach() for value in [*m.parameters(), *(m.buffers() if self.use_buffers else ())]]
            for m in (self.module, model)
        )
        if [value.shape for value in own] != [value.shape for value in given]:
            raise ShapeError(f"AveragedModel: the parameters of this {type(model).__name__} are others than it copied")
        given = [value.to(average.device) for value, average in zip(given, own, strict=True)]
        count = self.n_averaged.item()
        if not count:
            _copy(own, given)
        elif self.multi_avg_fn is not None:
            self.multi_avg_fn(own, given, self.n_averaged)
        else:
            average = self.avg_fn or get_swa_avg_fn()
            for value, new in zip(own, given, strict=True):
                value.copy_(average(value, new, self.n_averaged))
        if not self.use_buffers:
            _copy(self.module.buffers(), model.buffers())
        self.n_averaged.add_(1)


def _copy(into, values):
    for target, value in zip(into, values, strict=True):
        target.copy_(value.detach())


def get_swa_avg_fn() -> Average:
    """The plain mean: average + (parameter - average) / (how many + 1)."""
    return lambda average, parameter, count: average + (parameter - average) / (count + 1)


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The exponential mean: decay · average + (1 - decay) · parameter. Raises OptionError unless decay is in 0 to 1."""
    _check_decay("get_ema_avg_fn", decay)
    return lambda average, parameter, count: decay * average + (1 - decay) * parameter


def get_swa_multi_avg_fn() -> Averages:
    """`get_swa_avg_fn` for lists."""
    return _for_lists(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """`get_ema_avg_fn` for lists. Raises OptionError unless decay is in 0 to 1."""
    _check_decay("get_ema_multi_avg_fn", decay)
    return _for_lists(get_ema_avg_fn(decay))


def _for_lists(average):
    @no_grad()
    def update(averages, parameters, count):
        for value, new in zip(averages, parameters, strict=True):
            value.copy_(average(value, new, count))

    return update


def _check_decay(name, decay):
    if isinstance(decay, bool) or not 0 <= decay <= 1:
        raise OptionError(f"{name}: decay must be from 0 to 1, got {decay!r}")


class SWALR(LRScheduler):
    """lr goes to `swa_lr` within `anneal_epochs` steps, along half a cosine ("cos") or a line ("linear"), and stays.

    swa_lr may be one number for each of the optimizer's groups. Raises OptionError."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("SWALR", optimizer)
        groups = optimizer.param_groups
        rates = list(swa_lr) if isinstance(swa_lr, (list, tuple)) else [swa_lr] * len(groups)
        if len(rates) != len(groups):
            raise OptionError(f"SWALR: {len(rates)} numbers swa_lr for {len(groups)} groups")
        if anneal_strategy not in ("cos", "linear"):
            raise OptionError(f"SWALR: anneal_strategy is 'cos' or 'linear', got {anneal_strategy!r}")
        whole_number("SWALR: anneal_epochs", anneal_epochs, 0)
        for group, rate in zip(groups, rates, strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs, self._anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _share(self, step):
        """How much of the way to swa_lr lies behind."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[float]:
        """share · swa_lr + (1 - share) · (the learning rate from which the last step's would have come)"""
        step = self._step_count - 1
        step = step if self.anneal_epochs else max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            to = group["swa_lr"]
            start = to if before == 1 else (group["lr"] - before * to) / (1 - before)
            rates.append(to * now + start * (1 - now))
        return rates


def update_bn(loader: Iterable[Any], model: Module, device: DeviceName | None = None) -> None:
    """Measure the running statistics of every batch-norm anew, as the plain mean over the batches of `loader`.

    A batch is what the model takes, or a list or tuple that begins with it. Every norm keeps its momentum, and the
    model its mode."""
    norms = [m for m in model.modules() if isinstance(m, (BatchNorm1d, BatchNorm2d))]
    if not norms:
        return
    modes, momenta = [(m, m.training) for m in model.modules()], [m.momentum for m in norms]
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    try:
        with no_grad():
            for batch in loader:
                x = batch[0] if isinstance(batch, (list, tuple)) else batch
                model(x if device is None else x.to(device))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in modes:
            module.training = training


__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
    "update_bn",
]  # fmt: skip
