"""What decides how a network is trained: plain numbers and words that fit into a checkpoint."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypedDict, TypeVar

from .. import optim
from ..errors import CheckpointError, OptionError
from ..ops.checks import is_integer, is_number, whole_number

OPTIMIZERS = ("sgd", "nesterov", "adam", "adamw")
SCHEDULES = ("constant", "one-cycle", "cosine", "step")


@dataclass(frozen=True)
class Settings:
    """Everything that decides what a training run computes, besides the network and the data.

    epochs           how often all training images are gone through
    batch_size       images in a step
    optimizer        "sgd", "nesterov", "adam" or "adamw"
    lr               learning rate, at its highest under a schedule (0.05; with Adam 0.001)
    momentum         of "sgd" and "nesterov" (0.9); Adam has none
    weight_decay     (0.0005; with Adam 0, with AdamW 0.01)
    schedule         "one-cycle", "cosine", "step" (a tenth at 1/2 and again at 3/4 of the steps) or
                     "constant"
    label_smoothing  0 to 1, the share of the target that is spread over all classes
    clip_norm        gradients are scaled to this norm at most; None leaves them alone
    patience         training ends after so many epochs without a better one on the validation data; None
                     goes through all of them. It suits a constant learning rate: a schedule makes its best
                     epochs last
    seed             of the order of the images, of augmentation and of dropout

    Raises OptionError for values without meaning."""

    epochs: int = 10
    batch_size: int = 64
    optimizer: str = "sgd"
    lr: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    schedule: str = "one-cycle"
    label_smoothing: float = 0.0
    clip_norm: float | None = None
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check_choice("optimizer", self.optimizer, OPTIMIZERS)
        _check_choice("schedule", self.schedule, SCHEDULES)
        adam = self.optimizer.startswith("adam")
        if adam and self.momentum is not None:
            raise OptionError(f"momentum is an option of sgd and nesterov; {self.optimizer} has none")
        usual = {
            "lr": 0.001 if adam else 0.05,
            "momentum": None if adam else 0.9,
            "weight_decay": {"adam": 0.0, "adamw": 0.01}.get(self.optimizer, 0.0005),
        }
        for name, value in usual.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)  # the dataclass is frozen for everybody else
        # NumPy's integers do not go into a checkpoint's notes.
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least))
        if self.seed >= 2**64:
            raise OptionError(f"seed must be below 2**64, got {self.seed}")
        _check_number("lr", self.lr, above=0)
        _check_number("weight_decay", self.weight_decay, least=0)
        _check_number("label_smoothing", self.label_smoothing, least=0, most=1)
        if self.momentum is not None:
            _check_number("momentum", self.momentum, least=0, below=1)
        if self.clip_norm is not None:
            _check_number("clip_norm", self.clip_norm, above=0)
        if self.patience is not None:
            object.__setattr__(self, "patience", whole_number("patience", self.patience))

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> Settings:
        """Settings from keyword arguments. Raises OptionError for an unknown one, with the nearest known name."""
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise OptionError(f"fit() has no option {name!r}{nearest(name, known)}")
        return cls(**options)

    def as_dict(self) -> dict[str, Any]:
        """The settings by name."""
        return asdict(self)

    def make_optimizer(self, parameters: Iterable[Any]) -> optim.Optimizer:
        """The optimizer for parameters, or for groups of them that may have learning rates of their own."""
        options: dict[str, Any] = {"lr": self.lr, "weight_decay": self.weight_decay}
        if self.optimizer in ("adam", "adamw"):
            kind = optim.Adam if self.optimizer == "adam" else optim.AdamW
            return kind(parameters, **options)
        options.update(momentum=self.momentum, nesterov=self.optimizer == "nesterov")
        return optim.SGD(parameters, **options)

    def make_schedule(self, optimizer: optim.Optimizer, steps: int) -> optim.lr_scheduler.LRScheduler:
        """The schedule over all `steps` of the run, at its first step."""
        schedules = optim.lr_scheduler
        if self.schedule == "one-cycle":
            peaks = [group["lr"] for group in optimizer.param_groups]
            return schedules.OneCycleLR(optimizer, peaks, total_steps=steps, cycle_momentum=False)
        if self.schedule == "cosine":
            return schedules.CosineAnnealingLR(optimizer, T_max=steps)
        milestones = [steps // 2, steps * 3 // 4] if self.schedule == "step" else []
        return schedules.MultiStepLR(optimizer, milestones)


class SettingsGiven(TypedDict, total=False):
    """The `Settings` as keyword arguments of `fit`, each of which may be left out."""

    epochs: int
    batch_size: int
    optimizer: str
    lr: float | None
    momentum: float | None
    weight_decay: float | None
    schedule: str
    label_smoothing: float
    clip_norm: float | None
    patience: int | None
    seed: int


Function = TypeVar("Function", bound=Callable[..., Any])


def shows_settings(function: Function) -> Function:
    """Let help() and a notebook's editor show every one of the settings in place of `**settings`."""
    own = inspect.signature(function)
    settings = inspect.signature(Settings).parameters.values()
    parameters = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    parameters += [p.replace(kind=p.KEYWORD_ONLY) for p in settings]
    function.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    return function


def agreed_settings(saved: dict[str, Any], wanted: dict[str, Any], where: str) -> Settings:
    """The settings of a run that is continued: the saved ones, with which the newly given ones must agree.

    Only a longer run under a constant learning rate is a new setting that changes nothing already done.
    Raises CheckpointError naming both values of each setting that differs."""
    try:
        settings = Settings.from_options(saved)
    except (OptionError, TypeError) as error:
        raise CheckpointError(f"{where}: its settings make no sense: {error}") from None
    Settings.from_options(wanted)  # a misspelt option is that first of all
    longer = settings.schedule == "constant" and wanted.get("epochs", 0) > settings.epochs
    differing = [
        f"{name} was {getattr(settings, name)!r} and is now {value!r}"
        for name, value in wanted.items()
        if value != getattr(settings, name) and not (name == "epochs" and longer)
    ]
    if differing:
        raise CheckpointError(
            f"{where} cannot be continued with other settings: {'; '.join(differing)}; "
            f"leave them out to go on, or start a new run"
        )
    return replace(settings, epochs=wanted["epochs"]) if longer else settings


def nearest(name: str, known: Iterable[str]) -> str:
    """ "; did you mean ...?" with the first known name that `name` shortens (effnet), else the most similar one, or ""
    if none comes near."""
    known = list(known)
    close = [other for other in known if _shortens(str(name).lower(), other)][:1]
    close = close or difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _shortens(short: str, name: str) -> bool:
    """Whether `short` is `name` with letters left out, though not the first."""
    rest = iter(name)
    return len(short) > 2 and short[0] == name[0] and all(letter in rest for letter in short)


def _check_choice(name: str, value: Any, known: tuple[str, ...]) -> None:
    if not isinstance(value, str):
        raise OptionError(f"{name} is one of {', '.join(known)}, got a {type(value).__name__}")
    if value not in known:
        raise OptionError(f"{name} {value!r} is unknown (known: {', '.join(known)}){nearest(value, known)}")


def _check_number(
    name: str,
    value: Any,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
) -> None:
    if not (is_number(value) and math.isfinite(value)) or not (above < value < below and least <= value <= most):
        bounds = [f"above {above}" if above > -math.inf else "", f"from {least}" if least > -math.inf else ""]
        bounds += [f"to {most}" if most < math.inf else "", f"and below {below}" if below < math.inf else ""]
        raise OptionError(f"{name} must be a number {' '.join(b for b in bounds if b)}, got {value!r}")


def checked_saving(save_every: Any, save_steps: Any, on_epoch: Any) -> tuple[float, int | None, Any]:
    """When fit is to save, and whom to tell of an epoch, unchanged. Raises OptionError."""
    if not is_number(save_every) or not save_every >= 0:
        raise OptionError(f"fit: save_every must be a number of seconds from 0, got {save_every!r}")
    if save_steps is not None and (not is_integer(save_steps) or save_steps < 1):
        raise OptionError(f"fit: save_steps must be a positive integer, got {save_steps!r}")
    if on_epoch is not None and not callable(on_epoch):
        raise OptionError(f"fit: on_epoch must be a function, got {on_epoch!r}")
    return save_every, save_steps, on_epoch
