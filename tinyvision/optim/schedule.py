"""What all learning-rate schedules share: they change the learning rate that a group has, step by step."""

import inspect
import math
from collections.abc import Mapping
from typing import Any

from ..errors import CheckpointError, OptionError
from ..ops.checks import is_integer, is_number, whole_number
from .optimizer import Optimizer


class LRScheduler:
    """Base class, and of yours: `get_lr()` gives the groups' next learning rates. Call `step()`
    after `optimizer.step()`.

    Most schedules compute the next learning rate from the one that a group has, as PyTorch's do: several of them
    may take turns on one optimizer, and a learning rate that somebody else has changed stays changed.

    last_epoch   number of the step that was made last, -1 before the first; with another number every group must
                 have its "initial_lr" """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(type(self).__name__, optimizer)
        whole_number(f"{type(self).__name__}: last_epoch", last_epoch, -1)
        self.optimizer, self.last_epoch = optimizer, last_epoch
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise OptionError(
                    f"{type(self).__name__}: last_epoch={last_epoch} goes on with a schedule, but a group has no "
                    f"initial_lr; load the optimizer's state first"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.begin()

    def begin(self) -> None:
        """Make the first step, which sets the learning rates at the beginning."""
        self._step_count, self._is_initial = 0, True
        self.step()
        self._is_initial = False

    def get_lr(self) -> list[float]:
        """The groups' learning rates at step `last_epoch`, from those that they have; every schedule defines it."""
        raise OptionError(f"{type(self).__name__} does not define get_lr()")

    def closed_form(self) -> list[float] | None:
        """The groups' learning rates at step `last_epoch`, from the initial ones; None where there is no formula."""
        return None

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next step's learning rates, or to those of step `epoch`."""
        self._step_count += 1
        self.go_to(epoch)

    def go_to(self, epoch: int | None) -> None:
        """Set the learning rates of the next step, or of step `epoch`."""
        before = self.last_epoch
        self.last_epoch = before + 1 if epoch is None else epoch
        try:
            rates = self.get_lr() if epoch is None else self.closed_form() or self.get_lr()
        except OptionError:
            self.last_epoch = before
            raise
        self._set(rates)

    def _set(self, rates):
        if len(rates) != len(self.optimizer.param_groups):
            raise OptionError(
                f"{type(self).__name__}: was made for {len(rates)} groups, and the optimizer has now "
                f"{len(self.optimizer.param_groups)}; make the schedule after add_param_group"
            )
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = lr
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _times(self, factor):
        """Every group's learning rate times `factor`."""
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def _based(self, factor):
        """Every group's initial learning rate times `factor`."""
        return [base * factor for base in self.base_lrs]

    def get_last_lr(self) -> list[float]:
        """The learning rate of every group after the last step."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, whose state holds the learning rates, and functions."""
        return {name: _kept(value) for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`, of ours or of PyTorch's; load the optimizer's state too.

        Raises CheckpointError, before anything is changed, if it does not fit."""
        name = type(self).__name__
        if not isinstance(state_dict, Mapping) or "last_epoch" not in state_dict:
            raise CheckpointError(f'this is not the state of a {name}: it has no "last_epoch"')
        bases = state_dict.get("base_lrs", getattr(self, "base_lrs", []))
        if not is_integer(state_dict["last_epoch"]) or len(bases) != len(getattr(self, "base_lrs", bases)):
            raise CheckpointError(
                f"the state of a {name} holds {len(bases)} learning rates, "
                f"the optimizer has {len(self.base_lrs)} groups"
            )
        own = vars(self)
        for key in own.keys() & state_dict.keys():
            saved = state_dict[key]
            if _is_code(own[key]):
                _give(own[key], saved)
            else:
                own[key] = list(saved) if isinstance(saved, list) else saved


def _is_code(value):
    parts = value if isinstance(value, list) and value else [value]
    return all(isinstance(p, LRScheduler) or (callable(p) and not isinstance(p, type)) for p in parts)


def _kept(value):
    """What a state dict says of an attribute: of a schedule its state, of an object that is called its own attributes,
    of a function nothing."""
    if isinstance(value, list):
        return [_kept(part) for part in value]
    if isinstance(value, LRScheduler):
        return value.state_dict()
    return value if not _is_code(value) else None if inspect.isroutine(value) else dict(vars(value))


def _give(code, saved):
    """Give schedules, and objects that are called, what `_kept` says of them."""
    if isinstance(code, list) and isinstance(saved, list):
        for part, its in zip(code, saved, strict=False):
            _give(part, its)
    elif isinstance(saved, Mapping):
        if isinstance(code, LRScheduler):
            code.load_state_dict(saved)
        else:
            vars(code).update(saved)


def check_optimizer(schedule: str, optimizer: Any) -> None:
    """Raise OptionError if it is none."""
    if not isinstance(optimizer, Optimizer):
        raise OptionError(f"{schedule}: expected an optimizer, got {type(optimizer).__name__}")


def number(schedule: str, **values: Any) -> None:
    """Raise OptionError for what is no finite number."""
    for name, value in values.items():
        if not is_number(value) or not math.isfinite(value):
            raise OptionError(f"{schedule}: {name} must be a number, got {value!r}")


def length(schedule: str, **values: Any) -> None:
    """Raise OptionError for what is no number of steps above 0. A fraction may be one: scripts write `float(epochs)`
    and `0.5 * epochs`."""
    number(schedule, **values)
    for name, value in values.items():
        if value <= 0:
            raise OptionError(f"{schedule}: {name} must be a number of steps above 0, got {value!r}")
