"""Schedules that lower or raise the learning rate step by step."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import OptionError
from ..ops.checks import is_number
from .optimizer import Optimizer
from .schedule import LRScheduler, check_optimizer, length, number


class StepLR(LRScheduler):
    """lr times gamma after every `step_size` steps."""

    def __init__(self, optimizer: Optimizer, step_size: float, gamma: float = 0.1, last_epoch: int = -1) -> None:
        length("StepLR", step_size=step_size)
        number("StepLR", gamma=gamma)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """lr, times gamma at every step_size-th step"""
        return self._times(self.gamma if self.last_epoch and self.last_epoch % self.step_size == 0 else 1)

    def closed_form(self) -> list[float]:
        """gamma ** floor(step / step_size)"""
        return self._based(self.gamma ** (self.last_epoch // self.step_size))


class MultiStepLR(LRScheduler):
    """lr times gamma at each of the `milestones`; one that is no whole number is no step (0.5 * 3 epochs)."""

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[float], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if not isinstance(milestones, (list, tuple)) or not all(is_number(m) and m >= 0 for m in milestones):
            raise OptionError(f"MultiStepLR: milestones must be a list of step numbers, got {milestones!r}")
        number("MultiStepLR", gamma=gamma)
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """lr, times gamma for every time that this step is a milestone"""
        return self._times(self.gamma ** self.milestones[self.last_epoch])

    def closed_form(self) -> list[float]:
        """gamma ** (how many milestones have been reached)"""
        return self._based(self.gamma ** sum(self.last_epoch >= m for m in self.milestones.elements()))


class ExponentialLR(LRScheduler):
    """lr times gamma after every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        number("ExponentialLR", gamma=gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """lr times gamma"""
        return self._times(1 if self._is_initial else self.gamma)

    def closed_form(self) -> list[float]:
        """gamma ** step"""
        return self._based(self.gamma**self.last_epoch)


class ConstantLR(LRScheduler):
    """lr times `factor` for the first `total_iters` steps, and lr itself from then on."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        number("ConstantLR", factor=factor, total_iters=total_iters)
        if not 0 <= factor <= 1:
            raise OptionError(f"ConstantLR: factor must be from 0 to 1, got {factor!r}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """lr, times factor at the first step, and divided by it again after total_iters"""
        if self.last_epoch == 0:
            return self._times(self.factor)
        return self._times(1 / self.factor if self.last_epoch == self.total_iters else 1)

    def closed_form(self) -> list[float]:
        """factor before total_iters, 1 from then on"""
        return self._based(self.factor if self.last_epoch < self.total_iters else 1)


class LinearLR(LRScheduler):
    """lr times a factor that goes straight from start_factor to end_factor within total_iters steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        number("LinearLR", start_factor=start_factor, end_factor=end_factor, total_iters=total_iters)
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise OptionError(
                f"LinearLR: start_factor must be above 0 and end_factor from 0, both up to 1; got {start_factor!r} "
                f"and {end_factor!r}"
            )
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """lr times (this step's factor) / (the last step's factor)"""
        if self.last_epoch == 0:
            return self._times(self.start_factor)
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._times(1)
        rise = self.end_factor - self.start_factor
        return self._times(1 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise))

    def closed_form(self) -> list[float]:
        """the factor of this step"""
        share = min(self.total_iters, self.last_epoch) / self.total_iters
        return self._based(self.start_factor + (self.end_factor - self.start_factor) * share)


class PolynomialLR(LRScheduler):
    """lr times (1 - step / total_iters) ** power, 0 from total_iters on."""

    def __init__(self, optimizer: Optimizer, total_iters: float = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        length("PolynomialLR", total_iters=total_iters)
        number("PolynomialLR", power=power)
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """lr times (this step's factor) / (the last step's factor)"""
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._times(1)
        left, before = (1 - step / self.total_iters for step in (self.last_epoch, self.last_epoch - 1))
        return self._times((left / before) ** self.power)

    def closed_form(self) -> list[float]:
        """the factor of this step"""
        return self._based((1 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power)


class LambdaLR(LRScheduler):
    """The initial lr times `lr_lambda(step)`: one function, or a list with one for each group."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(type(self).__name__, optimizer)
        groups = len(optimizer.param_groups)
        self.lr_lambdas: list[Any] = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        if len(self.lr_lambdas) != groups or not all(callable(f) for f in self.lr_lambdas):
            raise OptionError(
                f"{type(self).__name__}: lr_lambda must be a function, or a list of {groups}, one for each group"
            )
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """lr_lambda(step)"""
        return [base * f(self.last_epoch) for base, f in zip(self.base_lrs, self.lr_lambdas, strict=True)]


class MultiplicativeLR(LambdaLR):
    """lr times `lr_lambda(step)` at every step from the second on."""

    def get_lr(self) -> list[float]:
        """lr times lr_lambda(step)"""
        if self._is_initial:
            return self._times(1)
        groups = self.optimizer.param_groups
        return [group["lr"] * f(self.last_epoch) for group, f in zip(groups, self.lr_lambdas, strict=False)]
