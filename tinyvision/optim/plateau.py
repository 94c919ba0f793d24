"""A schedule that listens to a metric."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import CheckpointError, OptionError
from .optimizer import Optimizer
from .schedule import LRScheduler, check_optimizer, number


class ReduceLROnPlateau(LRScheduler):
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
        check_optimizer("ReduceLROnPlateau", optimizer)
        number("ReduceLROnPlateau", factor=factor, patience=patience, threshold=threshold, cooldown=cooldown, eps=eps)
        if not 0 <= factor < 1:
            raise OptionError(f"ReduceLROnPlateau: factor must be from 0 to below 1, got {factor!r}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise OptionError(
                f'ReduceLROnPlateau: mode must be "min" or "max" and threshold_mode "rel" or "abs", '
                f"got {mode!r} and {threshold_mode!r}"
            )
        groups = len(optimizer.param_groups)
        self.min_lrs = list(min_lr) if isinstance(min_lr, (list, tuple)) else [min_lr] * groups
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        if len(self.min_lrs) != groups:
            raise OptionError(f"ReduceLROnPlateau: {len(self.min_lrs)} values of min_lr for {groups} groups")
        self.optimizer, self.mode, self.factor, self.patience = optimizer, mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.eps = threshold, threshold_mode, cooldown, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = [group["lr"] for group in optimizer.param_groups]

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]  # others need no metric
        """Take note of a metric (a number or a tensor of one), and reduce the learning rates if it is time."""
        value = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            if self.default_min_lr is not None:  # for groups that came later, too
                self.min_lrs = [self.default_min_lr] * len(self.optimizer.param_groups)
            if len(self.min_lrs) != len(self.optimizer.param_groups):
                raise OptionError(
                    f"ReduceLROnPlateau: {len(self.min_lrs)} values of min_lr for "
                    f"{len(self.optimizer.param_groups)} groups"
                )
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lr = max(group["lr"] * self.factor, least)
                if group["lr"] - lr > self.eps:
                    group["lr"] = lr
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _better(self, value):
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            return sign * value > sign * self.best * (1 + sign * self.threshold)
        return sign * value > sign * self.best + self.threshold

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`, of ours or of PyTorch's; the learning rates are in the optimizer's.

        Raises CheckpointError."""
        own = ("best", "num_bad_epochs", "cooldown_counter", "last_epoch")
        if not isinstance(state_dict, Mapping) or not state_dict.keys() >= set(own):
            raise CheckpointError(f"this is not the state of a ReduceLROnPlateau, which holds {', '.join(own)}")
        super().load_state_dict(state_dict)
