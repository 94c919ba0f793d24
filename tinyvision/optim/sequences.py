"""Schedules made of schedules."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import CheckpointError, OptionError
from ..ops.checks import is_integer
from .optimizer import Optimizer
from .plateau import ReduceLROnPlateau
from .schedule import LRScheduler


class SequentialLR(LRScheduler):
    """One schedule after the other: the second takes over at step milestones[0], and so on. Each begins at its own step
    0. Raises OptionError."""

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        _check_parts("SequentialLR", schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1 or not all(is_integer(m) and m > 0 for m in milestones):
            raise OptionError(
                f"SequentialLR: {len(schedulers)} schedules need {len(schedulers) - 1} step numbers between"
            )
        if any(hasattr(schedule, "_schedulers") for schedule in schedulers[1:]):
            raise OptionError(
                "SequentialLR: a schedule made of schedules can only be the first; list its parts instead"
            )
        self._schedulers, self._milestones = list(schedulers), list(milestones)
        self.optimizer, self.last_epoch = optimizer, last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _take_back(self)  # every schedule made its first step when it was made
        self._schedulers[0].begin()
        self._last_lr = self._schedulers[0].get_last_lr()

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next step's learning rates."""
        if epoch is not None:
            raise OptionError("SequentialLR: goes on step by step; leave epoch out")
        self.last_epoch += 1
        which = bisect_right(self._milestones, self.last_epoch)
        schedule = self._schedulers[which]
        if which and self._milestones[which - 1] == self.last_epoch:
            schedule.go_to(0)
        else:
            schedule.step()
        self._last_lr = schedule.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """The step number and the states of the schedules."""
        return _state_of_parts(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`. Raises CheckpointError."""
        _load_parts(self, state_dict)


class ChainedScheduler(LRScheduler):
    """Several schedules at once: each changes what the ones before it have left. Raises OptionError."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if not schedulers:
            raise OptionError("ChainedScheduler: there is no schedule")
        self.optimizer = optimizer or schedulers[0].optimizer
        _check_parts("ChainedScheduler", schedulers, self.optimizer)
        self._schedulers = list(schedulers)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def step(self, epoch: int | None = None) -> None:
        """Let every schedule make a step."""
        if epoch is not None:
            raise OptionError("ChainedScheduler: goes on step by step; leave epoch out")
        for schedule in self._schedulers:
            schedule.step()
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The states of the schedules."""
        return _state_of_parts(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`. Raises CheckpointError."""
        _load_parts(self, state_dict)


def _check_parts(name, schedulers, optimizer):
    if not schedulers:
        raise OptionError(f"{name}: there is no schedule")
    for schedule in schedulers:
        if isinstance(schedule, ReduceLROnPlateau):
            raise OptionError(f"{name}: ReduceLROnPlateau needs a metric at every step; call its step(metric) yourself")
        if not isinstance(schedule, LRScheduler) or schedule.optimizer is not optimizer:
            raise OptionError(f"{name}: takes schedules of one and the same optimizer")


def _take_back(schedule):
    parts = getattr(schedule, "_schedulers", None)
    if parts is None:
        schedule.last_epoch -= 1
    for part in parts or ():
        _take_back(part)


def _state_of_parts(schedule):
    own = {name: value for name, value in vars(schedule).items() if name not in ("optimizer", "_schedulers")}
    return {**own, "_schedulers": [part.state_dict() for part in schedule._schedulers]}


def _load_parts(schedule, state):
    parts = state.get("_schedulers") if isinstance(state, Mapping) else None
    if not isinstance(parts, list) or len(parts) != len(schedule._schedulers):
        raise CheckpointError(
            f"this is not the state of a {type(schedule).__name__} of {len(schedule._schedulers)} parts"
        )
    for part, saved in zip(schedule._schedulers, parts, strict=True):
        part.load_state_dict(saved)
    own = vars(schedule)
    own.update({name: value for name, value in state.items() if name in own and name != "_schedulers"})
