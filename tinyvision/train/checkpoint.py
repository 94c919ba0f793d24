"""Checkpoints: one safetensors file with weights, the optimizer's memory, and how far training has come.

The weights have the model's own names, so any program that reads safetensors can use them. The optimizer's
arrays are called `optimizer/<parameter>/<what>`; everything else is JSON in the file's metadata. A file holds
no time, no path and no random state: two runs that computed the same write the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..device import to_numpy
from ..errors import CheckpointError, TinyVisionError, WeightsError
from ..nn.module import Module, numpy_state
from ..optim import Optimizer
from ..weights import load_with_metadata, save
from .classification import Classification
from .history import is_row

FORMAT = "tinyvision checkpoint 1"
_PREFIX = "optimizer/"


@dataclass
class Progress:
    """How far a run has come.

    epoch      epochs that are finished
    step       steps done in the one that is not
    total      steps done in all
    loss_sum, correct, seen   over the images of the unfinished epoch; correct is how many were right, or another
                              task's training metric summed over them
    lr         learning rate of the last step
    rows       the history (see `History`)"""

    epoch: int = 0
    step: int = 0
    total: int = 0
    loss_sum: float = 0.0
    correct: float = 0
    seen: int = 0
    lr: float = 0.0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, loss: float, correct: float, images: int, lr: float) -> None:
        """Count one step over `images` images with their mean loss, done with learning rate `lr`."""
        self.lr = lr
        self.step, self.total = self.step + 1, self.total + 1
        self.loss_sum, self.correct, self.seen = (
            self.loss_sum + loss * images,
            self.correct + correct,
            self.seen + images,
        )

    def finish_epoch(self, row: dict[str, Any]) -> None:
        """Put the epoch's row into the history and begin the next epoch."""
        self.rows.append(row)
        self.epoch, self.step, self.loss_sum, self.correct, self.seen = self.epoch + 1, 0, 0.0, 0, 0


@dataclass
class Checkpoint:
    """What a checkpoint file holds.

    weights      name -> array, as `model.state_dict()` has them
    settings     the training settings by name
    progress     how far training had come
    description  what the one who trained said about network and data: how to build and feed the network,
                 class names
    notes        {"images", "steps", "shuffle"} of the run, with which a continued run has to agree, "times" where each
                 image comes more than once an epoch, "items" where they have labels; and "threads", "processes" and
                 "loops", of which it is said if they are others
    optimizer    parameter name -> {what: array or number}, or None in a file that keeps the weights only
    groups       [{"lr", "params": names}] of the optimizer"""

    weights: dict[str, np.ndarray]
    settings: dict[str, Any]
    progress: Progress
    description: dict[str, Any]
    notes: dict[str, Any]
    optimizer: dict[str, dict[str, Any]] | None = None
    groups: list[dict[str, Any]] = field(default_factory=list)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file atomically. Raises CheckpointError if that fails; an older file is then untouched."""
        arrays, numbers = dict(self.weights), {}
        for name, state in sorted((self.optimizer or {}).items()):  # in one order, after resuming too
            arrays.update({f"{_PREFIX}{name}/{k}": v for k, v in state.items() if isinstance(v, np.ndarray)})
            numbers[name] = {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}
        parts = {"settings": self.settings, "progress": vars(self.progress), "description": self.description}
        parts["notes"] = self.notes
        if self.optimizer is not None:
            parts["optimizer"] = {"groups": self.groups, "numbers": numbers}
        metadata = {name: json.dumps(part, sort_keys=True) for name, part in parts.items()}
        try:
            save(arrays, path, metadata={"format": FORMAT, **metadata})
        except WeightsError as error:
            raise CheckpointError(str(error)) from None


def weights_digest(model: Module, without: str = "") -> str:
    """The SHA-256 of a model's weights and their names: what was computed with others is of another model.

    `without` names a part that does not count, such as "fc"."""
    digest = hashlib.sha256()
    for name, array in sorted(numpy_state(model).items()):
        if not without or not name.startswith(f"{without}."):
            digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint. Raises CheckpointError if the file is missing, damaged, or no checkpoint of tinyvision's."""
    try:
        arrays, metadata = load_with_metadata(path)
    except WeightsError as error:
        raise CheckpointError(str(error)) from None
    where = os.fspath(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{where}: these are weights without the notes that make them a checkpoint of tinyvision's"
        )
    try:
        parts = {name: json.loads(metadata[name]) for name in ("settings", "progress", "description", "notes")}
        optimizer = json.loads(metadata["optimizer"]) if "optimizer" in metadata else None
        if set(parts["progress"]) != {entry.name for entry in fields(Progress)}:
            raise ValueError(f"progress with the entries {sorted(parts['progress'])}")
        progress = Progress(**parts["progress"])
        _check_progress(progress)
        if any(not isinstance(parts[name], dict) for name in ("settings", "description", "notes")):
            raise TypeError("settings, description and notes must be objects")
        state = None if optimizer is None else _optimizer_state(arrays, optimizer)
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError) as error:
        reason = str(error)[:120]
        raise CheckpointError(
            f"{where}: the notes in this checkpoint are damaged ({type(error).__name__}: {reason})"
        ) from None
    weights = {name: array for name, array in arrays.items() if not name.startswith(_PREFIX)}
    groups = [] if optimizer is None else optimizer["groups"]
    return Checkpoint(weights, parts["settings"], progress, parts["description"], parts["notes"], state, groups)


def _check_progress(progress: Progress) -> None:
    counts = (progress.epoch, progress.step, progress.total, progress.seen)
    sums = progress.loss_sum + progress.lr + progress.correct
    if any(type(n) is not int or n < 0 for n in counts) or not math.isfinite(sums):
        raise ValueError("progress must be counted in integers from 0")
    if len(progress.rows) != progress.epoch or not all(map(is_row, progress.rows)):
        raise ValueError("the history does not have one row for each epoch")
    if any(type(v) not in (int, float, type(None)) for row in progress.rows for v in row.values()):
        raise ValueError("the history holds something that is no number")


def _optimizer_state(arrays: dict[str, np.ndarray], notes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    state = {str(name): dict(numbers) for name, numbers in notes["numbers"].items()}
    for group in notes["groups"]:
        if not isinstance(group["lr"], (int, float)) or not all(isinstance(n, str) for n in group["params"]):
            raise ValueError("an optimizer group needs a learning rate and names")
    for name, array in arrays.items():
        if name.startswith(_PREFIX):
            parameter, _, what = name[len(_PREFIX) :].rpartition("/")
            state.setdefault(parameter, {})[what] = array
    return state


def capture(model: Module, optimizer: Optimizer, rates: list[float]) -> tuple[Any, Any, list[dict[str, Any]]]:
    """(weights, the optimizer's state by parameter name, its groups), as NumPy arrays that later steps do not change.

    `rates` are the groups' learning rates before any schedule changed them."""
    names = {id(p): name for name, p in model.named_parameters()}
    state = {}
    for parameter, values in optimizer.state.items():
        state[names[id(parameter)]] = {
            what: np.array(to_numpy(value), order="C") if np.ndim(value) else value for what, value in values.items()
        }
    groups = [
        {"lr": rate, "params": [names[id(p)] for p in group["params"]]}
        for rate, group in zip(rates, optimizer.param_groups, strict=True)
    ]
    return numpy_state(model), state, groups


def restore(checkpoint: Checkpoint, model: Module, optimizer: Optimizer, where: str) -> None:
    """Give a model, and an optimizer without a schedule yet, what a checkpoint holds.

    Raises CheckpointError if it does not fit."""
    if checkpoint.optimizer is None:
        raise CheckpointError(
            f"{where}: holds the weights only; training goes on from last.safetensors of the same run"
        )
    names = {id(p): name for name, p in model.named_parameters()}
    own = [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups]
    saved = [group["params"] for group in checkpoint.groups]
    rates = [group["lr"] for group in optimizer.param_groups]
    saved_rates = [group["lr"] for group in checkpoint.groups]
    if own != saved:
        raise CheckpointError(f"{where}: was made by training other parameters of the network than now")
    if rates != saved_rates:
        raise CheckpointError(f"{where}: the learning rates were {saved_rates} and are now {rates}")
    numbers = {name: i for i, name in enumerate(name for group in own for name in group)}
    try:
        state = {numbers[name]: values for name, values in checkpoint.optimizer.items()}
        groups = optimizer.state_dict()["param_groups"]
        model.load_state_dict(checkpoint.weights)
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    except KeyError as error:
        raise CheckpointError(f"{where}: holds the optimizer's state for an unknown parameter {error}") from None
    except TinyVisionError as error:
        raise CheckpointError(f"{where}: {error}") from None


def task_of(checkpoint: Checkpoint) -> str:
    """The name of the task that a checkpoint was trained for."""
    return str(checkpoint.description.get("task", Classification.name))


def check_same_task(checkpoint: Checkpoint, name: str, where: str) -> None:
    """Raise CheckpointError if a run is to be continued with another task than it was begun with."""
    if task_of(checkpoint) != name:
        raise CheckpointError(f"{where}: was begun as {task_of(checkpoint)} and is now {name}; start a new run")


def fill(model: Module, checkpoint: Checkpoint) -> None:
    """Give a network that was built from a checkpoint's own notes the checkpoint's weights. Raises CheckpointError."""
    try:
        model.load_state_dict(checkpoint.weights)
    except WeightsError as error:
        raise CheckpointError(
            f"its weights do not belong to the network that its notes describe, so another version of tinyvision made "
            f"it, or it was changed; train it again, or use it with that version\n    {error}"
        ) from None


def load_weights(model: Module, path: str | os.PathLike[str]) -> Checkpoint:
    """Give a model the weights of a checkpoint, say of a run's best.safetensors; returns the Checkpoint.

    Raises CheckpointError if the file is no checkpoint or does not fit the model."""
    checkpoint = load_checkpoint(path)
    try:
        model.load_state_dict(checkpoint.weights)
    except WeightsError as error:
        raise CheckpointError(f"{Path(path).name}: {error}") from None
    return checkpoint
