"""A network of another engine with a new head: its file is the body, and goes along with the checkpoints.

Checkpoints hold weights, and how this network computes is written in its file alone; so a run's folder has a copy,
whose SHA-256 the checkpoints know.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from ..atomic import atomic_write
from ..errors import CheckpointError, FileError, OptionError, WeightsError
from ..formats.download import sha256_of
from ..interop import READERS
from ..interop.heads import without_head
from ..nn.layers.linear import Linear
from ..nn.module import Module
from ..printable import printable
from ..tensors.tensor import Tensor
from .runs import BODIES

_MOST = 1_000_000  # features or classes


class Regrown(Module):
    """The body of a network from a file, and a new linear layer `fc` on the features that it makes of a picture."""

    def __init__(self, body: Module, features: int, num_classes: int) -> None:
        super().__init__()
        self.body, self.fc = body, Linear(features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (N, C, H, W) -> scores (N, K)."""
        return self.fc(pooled(self.body(x)))


def pooled(features: Tensor) -> Tensor:
    """Features (N, F), or the means of (N, F, H, W)."""
    return features.mean((2, 3)) if features.ndim == 4 else features


def keep(source: Path, run: Path) -> None:
    """Copy a network's file into a run's folder, unless it is there. Raises FileError."""
    kept = run / kept_name(source)
    if source == kept:
        return
    try:
        with source.open("rb") as given, atomic_write(kept, "wb") as file:
            shutil.copyfileobj(given, file)
    except OSError as error:
        raise FileError(f"{printable(source)} could not be copied to {printable(kept)}: {error.strerror}") from None


def kept_name(path: Path) -> str:
    """What a network's file is called in a run's folder."""
    return f"body{path.suffix.lower()}"


def regrown(description: Any, folder: Path | None) -> Regrown:
    """The network that a checkpoint's notes {"name", "options", "sha256"} describe, built from the file in its folder.

    Raises CheckpointError if the notes make no sense, or if the file is missing or another one."""
    name, options, told = description["name"], description.get("options"), description.get("sha256")
    sizes = list(options.values()) if isinstance(options, dict) and set(options) == {"features", "num_classes"} else []
    if len(sizes) != 2 or any(type(n) is not int or not 0 < n <= _MOST for n in sizes) or not _is_digest(told):
        raise CheckpointError(f"the notes on the network are damaged ({printable(str(options))})")
    path = None if folder is None else folder / name
    if path is None or not path.is_file() or name not in BODIES:
        raise CheckpointError(f"this network is built from {name}, which must lie beside the checkpoint")
    if sha256_of(path) != told:
        raise CheckpointError(f"the {name} beside the checkpoint is not the one with which it was trained")
    try:
        body, _ = without_head(READERS[path.suffix](path))
        return Regrown(body, **options)
    except (WeightsError, OptionError) as error:
        raise CheckpointError(str(error)) from None


def _is_digest(text: Any) -> bool:
    return isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text) is not None
