"""Learning-rate schedules with PyTorch's names. Each is a formula of the step number, so resuming needs only that
number."""

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import CheckpointError, OptionError
from ..ops.checks import is_integer
from .optimizer import Optimizer


class LRScheduler:
    """Base class: sets every group's lr to `factor(step)` times its first lr. Call `step()` after
    `optimizer.step()`."""

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        _check_optimizer(type(self).__name__, optimizer)
        if not is_integer(last_epoch) or last_epoch < -1:
            raise OptionError(f"{type(self).__name__}: last_epoch must be an integer from -1, got {last_epoch!r}")
        self.optimizer, self.last_epoch = optimizer, last_epoch
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.step()

    def factor(self, step: int) -> float:
        """What the first learning rate is multiplied by at this step (counted from 0); every schedule defines it."""
        raise OptionError(f"{type(self).__name__} does not define factor()")

    def step(self) -> None:
        """Go on to the next step's learning rate."""
        self._apply(self.last_epoch + 1)
        self.last_epoch += 1

    def _apply(self, step):
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * self.factor(step)

    def get_last_lr(self) -> list[float]:
        """The learning rate of every group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The step number and the first learning rates."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`. Raises CheckpointError, before anything is changed, if it does not fit."""
        try:
            step, bases = state_dict["last_epoch"], list(state_dict["base_lrs"])
        except (TypeError, KeyError):
            raise CheckpointError(
                'this is not the state of a schedule: it has no "last_epoch" and "base_lrs"'
            ) from None
        if len(bases) != len(self.base_lrs) or not is_integer(step):
            raise CheckpointError(
                f"the state holds {len(bases)} learning rates, the optimizer has {len(self.base_lrs)} groups"
            )
        self.last_epoch, self.base_lrs = step, bases
        self._apply(step)


def _check_optimizer(schedule, optimizer):
    if not isinstance(optimizer, Optimizer):
        raise OptionError(f"{schedule}: expected an optimizer, got {type(optimizer).__name__}")


def _positive(schedule, **values):
    for name, value in values.items():
        if not is_integer(value) or value < 1:
            raise OptionError(f"{schedule}: {name} must be a positive integer, got {value!r}")


def _number(schedule, **values):
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
            raise OptionError(f"{schedule}: {name} must be a number, got {value!r}")


class StepLR(LRScheduler):
    """lr times gamma after every `step_size` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        _positive("StepLR", step_size=step_size)
        _number("StepLR", gamma=gamma)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """gamma ** floor(step / step_size)"""
        return self.gamma ** (step // self.step_size)


class MultiStepLR(LRScheduler):
    """lr times gamma at each of the `milestones`."""

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if not isinstance(milestones, (list, tuple)) or not all(is_integer(m) and m >= 0 for m in milestones):
            raise OptionError(f"MultiStepLR: milestones must be a list of step numbers, got {milestones!r}")
        _number("MultiStepLR", gamma=gamma)
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """gamma ** (how many milestones have been reached)"""
        return self.gamma ** sum(step >= m for m in self.milestones)


class ExponentialLR(LRScheduler):
    """lr times gamma after every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        _number("ExponentialLR", gamma=gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """gamma ** step"""
        return self.gamma**step


class LambdaLR(LRScheduler):
    """lr times `lr_lambda(step)`: one function, or a list with one for each group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        _check_optimizer("LambdaLR", optimizer)
        groups = len(optimizer.param_groups)
        self.lr_lambdas = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        if len(self.lr_lambdas) != groups or not all(callable(f) for f in self.lr_lambdas):
            raise OptionError(f"LambdaLR: lr_lambda must be a function, or a list of {groups}, one for each group")
        super().__init__(optimizer, last_epoch)

    def _apply(self, step):
        for group, base, function in zip(self.optimizer.param_groups, self.base_lrs, self.lr_lambdas, strict=True):
            group["lr"] = base * function(step)


class CosineAnnealingLR(LRScheduler):
    """lr falls along half a cosine to eta_min within T_max steps (Loshchilov and Hutter, "SGDR", 2017, without
    restarts)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        _positive("CosineAnnealingLR", T_max=T_max)
        _number("CosineAnnealingLR", eta_min=eta_min)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def _apply(self, step):
        share = (1 + math.cos(math.pi * step / self.T_max)) / 2
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.eta_min + (base - self.eta_min) * share


class OneCycleLR(LRScheduler):
    """lr rises from max_lr / div_factor to max_lr in the first pct_start of the steps, then falls to almost nothing.

    (Smith and Topin, "Super-convergence", 2019.) Both ways along half a cosine or a straight line ("linear"); the end
    is max_lr / div_factor / final_div_factor. With three_phase, the way down first mirrors the way up. As in PyTorch,
    momentum (Adam's first beta) goes the other way unless cycle_momentum=False: from max_momentum to base_momentum and
    back, whatever the optimizer was made with. max_lr and the momenta are numbers, or lists with one for each group.
    Raises OptionError, also when stepped beyond total_steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        _check_optimizer("OneCycleLR", optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise OptionError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            _positive("OneCycleLR", epochs=epochs, steps_per_epoch=steps_per_epoch)
            total_steps = epochs * steps_per_epoch
        _positive("OneCycleLR", total_steps=total_steps)
        _number("OneCycleLR", pct_start=pct_start, div_factor=div_factor, final_div_factor=final_div_factor)
        if not 0 <= pct_start <= 1:
            raise OptionError(f"OneCycleLR: pct_start must be from 0 to 1, got {pct_start!r}")
        if anneal_strategy not in ("cos", "linear"):
            raise OptionError(f'OneCycleLR: anneal_strategy must be "cos" or "linear", got {anneal_strategy!r}')
        self.total_steps, self.cycle_momentum = total_steps, cycle_momentum
        self.between = _cosine if anneal_strategy == "cos" else _straight
        peaks, low, high = (
            _each(name, value, len(optimizer.param_groups))
            for name, value in (("max_lr", max_lr), ("base_momentum", base_momentum), ("max_momentum", max_momentum))
        )
        for group, peak, base, most in zip(optimizer.param_groups, peaks, low, high, strict=True):
            if last_epoch == -1 or "max_lr" not in group:
                first = peak / div_factor
                group.update(initial_lr=first, max_lr=peak, min_lr=first / final_div_factor)
                if cycle_momentum:
                    group.update(base_momentum=base, max_momentum=most)
        turn = pct_start * total_steps - 1
        # (last step, learning rates from and to, momenta from and to), by their names in a group
        up = (turn, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        if three_phase:
            mirrored = (2 * turn, "max_lr", "initial_lr", "base_momentum", "max_momentum")
            self.phases = [up, mirrored, (total_steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum")]
        else:
            self.phases = [up, (total_steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        super().__init__(optimizer, last_epoch)

    def _apply(self, step):
        # A loop that steps after every batch ends exactly one past the last phase, where the formula runs on.
        if step > self.total_steps:
            raise OptionError(f"OneCycleLR: step {step} is beyond the {self.total_steps} steps it was made for")
        start = 0.0
        for phase in self.phases:
            end = phase[0]
            if step <= end or phase is self.phases[-1]:
                break
            start = end
        _, lr_from, lr_to, momentum_from, momentum_to = phase
        share = (step - start) / (end - start) if end > start else 1.0
        for group in self.optimizer.param_groups:
            group["lr"] = self.between(group[lr_from], group[lr_to], share)
            if self.cycle_momentum:
                momentum = self.between(group[momentum_from], group[momentum_to], share)
                if "betas" in group:
                    group["betas"] = (momentum, group["betas"][1])
                else:
                    group["momentum"] = momentum


def _each(name, value, groups):
    """An option as a list with one number for each group."""
    values = list(value) if isinstance(value, (list, tuple)) else [value] * groups
    if len(values) != groups:
        raise OptionError(f"OneCycleLR: {len(values)} values of {name} for {groups} groups")
    _number("OneCycleLR", **{name: values[0]} if groups == 1 else {f"{name}[{i}]": v for i, v in enumerate(values)})
    return values


def _cosine(start, end, share):
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _straight(start, end, share):
    return start + (end - start) * share


class ReduceLROnPlateau:
    """lr times `factor` once `step(metric)` has seen no better metric for more than `patience` steps.

    mode "min" wants the metric to fall, "max" to rise, by more than `threshold` (a share of the best with
    threshold_mode "rel", an amount with "abs"). After a change it waits `cooldown` steps; min_lr is a number, or a
    list with one for each group; changes below eps are not made. Raises OptionError."""

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        _check_optimizer("ReduceLROnPlateau", optimizer)
        _number("ReduceLROnPlateau", factor=factor, patience=patience, threshold=threshold, cooldown=cooldown, eps=eps)
        if not 0 <= factor < 1:
            raise OptionError(f"ReduceLROnPlateau: factor must be from 0 to below 1, got {factor!r}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise OptionError(
                f'ReduceLROnPlateau: mode must be "min" or "max" and threshold_mode "rel" or "abs", '
                f"got {mode!r} and {threshold_mode!r}"
            )
        groups = len(optimizer.param_groups)
        self.min_lrs = list(min_lr) if isinstance(min_lr, (list, tuple)) else [min_lr] * groups
        if len(self.min_lrs) != groups:
            raise OptionError(f"ReduceLROnPlateau: {len(self.min_lrs)} values of min_lr for {groups} groups")
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.eps = threshold, threshold_mode, cooldown, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0

    def step(self, metrics: Any) -> None:
        """Take note of a metric (a number or a tensor of one), and reduce the learning rates if it is time."""
        value = float(metrics)
        self.last_epoch += 1
        if self._better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lr = max(group["lr"] * self.factor, least)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    def _better(self, value):
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            return sign * value > sign * self.best * (1 + sign * self.threshold)
        return sign * value > sign * self.best + self.threshold

    def get_last_lr(self) -> list[float]:
        """The learning rate of every group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The best metric and the counters."""
        return {name: getattr(self, name) for name in ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`; the learning rates are in the optimizer's. Raises CheckpointError."""
        own = self.state_dict()
        if not isinstance(state_dict, dict) or not own.keys() <= state_dict.keys():
            raise CheckpointError(f"this is not the state of a ReduceLROnPlateau, which holds {', '.join(own)}")
        for name in own:
            setattr(self, name, state_dict[name])
