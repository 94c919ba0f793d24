"""Schedules that go along a cosine, or up and down."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import OptionError
from ..ops.checks import check_positive
from .optimizer import Optimizer
from .schedule import LRScheduler, check_optimizer, length, number


class CosineAnnealingLR(LRScheduler):
    """lr falls along half a cosine to eta_min within T_max steps, and rises again (Loshchilov and Hutter, "SGDR", 2017,
    without restarts)."""

    def __init__(self, optimizer: Optimizer, T_max: float, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        length("CosineAnnealingLR", T_max=T_max)
        number("CosineAnnealingLR", eta_min=eta_min)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """eta_min + (lr - eta_min) times (this step's height) / (the last step's height)"""
        if self._is_initial:
            return self._times(1)
        if self._step_count == 1 and self.last_epoch > 0:
            return self.closed_form()
        groups = self.optimizer.param_groups
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # the last step's height was 0
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [g["lr"] + (b - self.eta_min) * rise for g, b in zip(groups, self.base_lrs, strict=True)]
        ratio = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / (
            1 + math.cos(math.pi * (self.last_epoch - 1) / self.T_max)
        )
        return [ratio * (g["lr"] - self.eta_min) + self.eta_min for g in groups]

    def closed_form(self) -> list[float]:
        """eta_min + (lr - eta_min) (1 + cos(π step / T_max)) / 2"""
        share = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """lr falls along half a cosine to eta_min within T_0 steps, starts anew, and falls T_mult times as long, and so on.

    (Loshchilov and Hutter, "SGDR", 2017.) `step(epoch)` takes fractions of an epoch too."""

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        check_positive("CosineAnnealingWarmRestarts", T_0=T_0, T_mult=T_mult)
        number("CosineAnnealingWarmRestarts", eta_min=eta_min)
        self.T_0, self.T_i, self.T_mult, self.eta_min = T_0, T_0, T_mult, eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """eta_min + (lr - eta_min) (1 + cos(π T_cur / T_i)) / 2"""
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]

    def go_to(self, epoch: float | None) -> None:
        """Set the learning rates of the next step, or of `epoch`."""
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur, self.T_i = self.T_cur % self.T_i, self.T_i * self.T_mult
        else:
            epoch = 0 if epoch is None else epoch
            number("CosineAnnealingWarmRestarts", epoch=epoch)
            if epoch < 0:
                raise OptionError(f"CosineAnnealingWarmRestarts: epoch must be 0 or more, got {epoch!r}")
            self.T_cur, self.T_i = epoch, self.T_0
            if epoch >= self.T_0 and self.T_mult == 1:
                self.T_cur = epoch % self.T_0
            elif epoch >= self.T_0:
                restarts = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
                self.T_cur = epoch - self.T_0 * (self.T_mult**restarts - 1) / (self.T_mult - 1)
                self.T_i = self.T_0 * self.T_mult**restarts
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())


class CyclicLR(LRScheduler):
    """lr goes from base_lr to max_lr in step_size_up steps and back in step_size_down, again and again (Smith,
    "Cyclical learning rates for training neural networks", 2017).

    mode "triangular" keeps the height, "triangular2" halves it every cycle, "exp_range" multiplies it by gamma every
    step; scale_fn, called with the cycle or, by scale_mode "iterations", with the step, says it in another way. As in
    PyTorch, momentum (Adam's first beta) goes the other way unless cycle_momentum=False. Raises OptionError."""

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: float = 2000,
        step_size_down: float | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer("CyclicLR", optimizer)
        length("CyclicLR", step_size_up=step_size_up, step_size_down=step_size_down or 1)
        number("CyclicLR", gamma=gamma)
        if mode not in ("triangular", "triangular2", "exp_range") or scale_mode not in ("cycle", "iterations"):
            raise OptionError(
                "CyclicLR: mode is triangular, triangular2 or exp_range and scale_mode cycle or iterations, "
                f"got {mode!r} and {scale_mode!r}"
            )
        groups = optimizer.param_groups
        if cycle_momentum:
            _check_momentum("CyclicLR", optimizer)
        lows, self.max_lrs, self.base_momentums, self.max_momentums = (
            _each(name, value, len(groups), "CyclicLR")
            for name, value in (
                ("base_lr", base_lr),
                ("max_lr", max_lr),
                ("base_momentum", base_momentum),
                ("max_momentum", max_momentum),
            )
        )
        self.total_size = float(step_size_up + (step_size_down or step_size_up))
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self._scale_fn_custom, self.cycle_momentum = mode, gamma, scale_fn, cycle_momentum
        self.scale_mode = scale_mode if scale_fn else "iterations" if mode == "exp_range" else "cycle"
        if last_epoch == -1:
            for group, low, least, most in zip(groups, lows, self.base_momentums, self.max_momentums, strict=True):
                group["lr"] = low
                if cycle_momentum:
                    group.update(base_momentum=least, max_momentum=most)
        super().__init__(optimizer, last_epoch)  # whose first step goes out from the groups' initial_lr, as PyTorch's
        self.base_lrs = lows

    def get_lr(self) -> list[float]:
        """base_lr + (max_lr - base_lr) · height · scale; sets the momenta too"""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self._scale(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            momenta = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, least, most in momenta:
                _set_momentum(group, most - (most - least) * height * scale)
        return [base + (most - base) * height * scale for base, most in zip(self.base_lrs, self.max_lrs, strict=True)]

    def _scale(self, x):
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        return {"triangular": 1.0, "triangular2": 0.5 ** (x - 1), "exp_range": self.gamma**x}[self.mode]


def _check_momentum(schedule: str, optimizer: Optimizer) -> None:
    """Raise OptionError where there is no momentum that could go up and down."""
    if not {"momentum", "betas"} & optimizer.defaults.keys():
        raise OptionError(f"{schedule}: {type(optimizer).__name__} has no momentum; pass cycle_momentum=False")


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


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
        check_optimizer("OneCycleLR", optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise OptionError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            check_positive("OneCycleLR", epochs=epochs, steps_per_epoch=steps_per_epoch)
            total_steps = epochs * steps_per_epoch
        check_positive("OneCycleLR", total_steps=total_steps)
        number("OneCycleLR", pct_start=pct_start, div_factor=div_factor, final_div_factor=final_div_factor)
        if not 0 <= pct_start <= 1:
            raise OptionError(f"OneCycleLR: pct_start must be from 0 to 1, got {pct_start!r}")
        if anneal_strategy not in ("cos", "linear"):
            raise OptionError(f'OneCycleLR: anneal_strategy must be "cos" or "linear", got {anneal_strategy!r}')
        if cycle_momentum:
            _check_momentum("OneCycleLR", optimizer)
        self.total_steps, self.cycle_momentum, self._anneal_func_type = total_steps, cycle_momentum, anneal_strategy
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
        ways = [(turn, "initial_lr", "max_lr", "max_momentum", "base_momentum")]
        if three_phase:
            ways += [
                (2 * turn, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
                (total_steps - 1, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
            ]
        else:
            ways += [(total_steps - 1, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        parts = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")  # by their names in a group
        self._schedule_phases: list[dict[str, Any]] = [dict(zip(parts, way, strict=True)) for way in ways]
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The learning rates of this step; sets the momenta too. Raises OptionError beyond total_steps."""
        step = self.last_epoch
        # A loop that steps after every batch ends exactly one past the last phase, where the formula runs on.
        if step > self.total_steps:
            raise OptionError(f"OneCycleLR: step {step} is beyond the {self.total_steps} steps it was made for")
        between = _cosine if self._anneal_func_type == "cos" else _straight
        start = 0.0
        for phase in self._schedule_phases:
            end = phase["end_step"]
            if step <= end or phase is self._schedule_phases[-1]:
                break
            start = end
        share = (step - start) / (end - start) if end > start else 1.0
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(between(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                momenta = group[phase["start_momentum"]], group[phase["end_momentum"]]
                _set_momentum(group, between(*momenta, share))
        return rates


def _each(name, value, groups, schedule="OneCycleLR"):
    """An option as a list with one number for each group."""
    values = list(value) if isinstance(value, (list, tuple)) else [value] * groups
    if len(values) != groups:
        raise OptionError(f"{schedule}: {len(values)} values of {name} for {groups} groups")
    number(schedule, **{name: values[0]} if groups == 1 else {f"{name}[{i}]": v for i, v in enumerate(values)})
    return values


def _cosine(start, end, share):
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _straight(start, end, share):
    return start + (end - start) * share
