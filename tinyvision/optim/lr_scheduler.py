"""Learning-rate schedules with PyTorch's names. Each is a formula of the step number, so resuming needs only that number."""

import math

from ..errors import OptionError
from .optimizer import Optimizer


class LRScheduler:
    """Base class: sets every group's lr to `factor(step)` times its first lr. Call `step()` after `optimizer.step()`."""

    def __init__(self, optimizer, last_epoch=-1):
        if not isinstance(optimizer, Optimizer):
            raise OptionError(f"{type(self).__name__}: expected an optimizer, got {type(optimizer).__name__}")
        self.optimizer, self.last_epoch = optimizer, last_epoch
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.step()

    def factor(self, step):
        """What the first learning rate is multiplied by at this step (counted from 0); every schedule defines it."""
        raise OptionError(f"{type(self).__name__} does not define factor()")

    def step(self):
        """Go on to the next step's learning rate."""
        self.last_epoch += 1
        self._apply()

    def _apply(self):
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * self.factor(self.last_epoch)

    def get_last_lr(self):
        """The learning rate of every group now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self):
        """The step number and the first learning rates."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict):
        """Continue from a `state_dict()`."""
        self.last_epoch, self.base_lrs = state_dict["last_epoch"], list(state_dict["base_lrs"])
        self._apply()


def _positive(schedule, **values):
    for name, value in values.items():
        if not isinstance(value, int) or value < 1:
            raise OptionError(f"{schedule}: {name} must be a positive integer, got {value!r}")


class StepLR(LRScheduler):
    """lr times gamma after every `step_size` steps."""

    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1):
        _positive("StepLR", step_size=step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, step):
        """gamma ** floor(step / step_size)"""
        return self.gamma ** (step // self.step_size)


class MultiStepLR(LRScheduler):
    """lr times gamma at each of the `milestones`."""

    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def factor(self, step):
        """gamma ** (how many milestones have been reached)"""
        return self.gamma ** sum(step >= m for m in self.milestones)


class CosineAnnealingLR(LRScheduler):
    """lr falls along half a cosine to eta_min within T_max steps (Loshchilov and Hutter, "SGDR", 2017, without restarts)."""

    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1):
        _positive("CosineAnnealingLR", T_max=T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def _apply(self):
        share = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.eta_min + (base - self.eta_min) * share


class OneCycleLR(LRScheduler):
    """lr rises from max_lr / div_factor to max_lr in the first pct_start of the steps, then falls to almost nothing.

    (Smith and Topin, "Super-convergence", 2019.) Both ways along half a cosine; the end is max_lr / div_factor /
    final_div_factor. Momentum is left alone. Raises OptionError when stepped beyond total_steps."""

    def __init__(self, optimizer, max_lr, total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3,
                 div_factor=25.0, final_div_factor=1e4, last_epoch=-1):
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise OptionError("OneCycleLR: give total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        _positive("OneCycleLR", total_steps=total_steps)
        if not 0 <= pct_start <= 1:
            raise OptionError(f"OneCycleLR: pct_start must be from 0 to 1, got {pct_start!r}")
        self.total_steps, self.pct_start = total_steps, pct_start
        self.div_factor, self.final_div_factor = div_factor, final_div_factor
        peaks = list(max_lr) if isinstance(max_lr, (list, tuple)) else [max_lr] * len(optimizer.param_groups)
        if len(peaks) != len(optimizer.param_groups):
            raise OptionError(f"OneCycleLR: {len(peaks)} values of max_lr for {len(optimizer.param_groups)} groups")
        for group, peak in zip(optimizer.param_groups, peaks, strict=True):
            group["initial_lr"] = peak
        super().__init__(optimizer, last_epoch)

    def factor(self, step):
        """The share of max_lr at this step."""
        if step >= self.total_steps:
            raise OptionError(f"OneCycleLR: step {step + 1} is beyond the {self.total_steps} steps it was made for")
        top = self.pct_start * self.total_steps - 1
        start, end = 1 / self.div_factor, 1 / (self.div_factor * self.final_div_factor)
        if step <= top and top > 0:
            return _cosine(start, 1.0, step / top)
        return _cosine(1.0, end, (step - top) / max(self.total_steps - 1 - top, 1))


def _cosine(start, end, share):
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
