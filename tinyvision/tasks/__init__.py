"""The tasks beyond classification, a room for each: data, network, loss, metric, drawing, recipe.

    from tinyvision import train
    from tinyvision.tasks import segmentation
    task = segmentation.Segmentation(["background", "nucleus"])
    train.fit(models.UNet(1, 2), nuclei, task=task)

`tinyvision train --task segmentation` finds a room by its name. `load` gives a run's network ready for use.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from ..errors import CheckpointError, OptionError
from ..folders import user_path
from ..train.checkpoint import load_checkpoint, task_of
from ..train.runs import best_of
from ..train.settings import nearest
from .room import Options, Prediction, Predictor, Room

ROOMS = ("classification", "segmentation", "detection", "recognition", "generation")


def room(name: str) -> Room:
    """The room of that name. Raises OptionError with the nearest name if there is none."""
    if name not in ROOMS:
        raise OptionError(f"task {name!r} is unknown (known: {', '.join(ROOMS)}){nearest(name, ROOMS)}")
    return importlib.import_module(f".{name}.room", __package__).ROOM


def load(path: str | os.PathLike[str]) -> Any:
    """The trained network in a checkpoint, or in a run's folder (its best one): a Predictor, or for classification a
    `train.Network`. Raises CheckpointError."""
    path = best_of(user_path(path))
    checkpoint = load_checkpoint(path)
    name = task_of(checkpoint)
    if name not in ROOMS:
        raise CheckpointError(f"{path}: is a network for {name}, which is no task here ({', '.join(ROOMS)})")
    return room(name).load(checkpoint, path)


__all__ = ["ROOMS", "Options", "Prediction", "Predictor", "Room", "load", "room"]
