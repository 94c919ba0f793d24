"""Event files for TensorBoard: the rows of a history as curves that can be watched while a network learns."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import OptionError
from .runs import TENSORBOARD, clear_events


class EventFile:
    """`with EventFile(folder) as events: fit(..., on_epoch=events.add)`: writes folder/tensorboard anew.

    `rows` are those of the epochs that a resumed run has behind it. Nothing is touched before an epoch has ended, when
    it is known that the run may write here. Raises OptionError where tensorboardX, which writes the
    files, is not installed."""

    def __init__(self, folder: str | os.PathLike[str], rows: Sequence[dict[str, Any]] = ()) -> None:
        self.make_writer = require()
        self.folder, self.rows = Path(folder), list(rows)
        self.writer: Any = None

    def __enter__(self) -> EventFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if self.writer is None and self.rows and kind is None:  # a finished run that is only to be looked at
            self._begin()
        if self.writer is not None:
            self.writer.close()

    def add(self, row: dict[str, Any]) -> None:
        """One epoch's row: "train_loss" becomes the curve loss/train, "lr" stays."""
        if self.writer is None:
            self._begin()
        self._write(row)
        self.writer.flush()

    def _begin(self) -> None:
        clear_events(self.folder)
        self.writer = self.make_writer(str(self.folder / TENSORBOARD))
        for earlier in self.rows:
            self._write(earlier)

    def _write(self, row: dict[str, Any]) -> None:
        for name, value in row.items():
            if name != "epoch" and value is not None:
                part, _, what = name.partition("_")
                self.writer.add_scalar(f"{what}/{part}" if what else name, value, row["epoch"])


def require() -> Any:
    """tensorboardX's writer. Raises OptionError with the remedy if it is not installed."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise OptionError(
            "--tensorboard needs tensorboardX, which writes the files: pip install 'tinyvision[tensorboard]'"
        ) from None
    return SummaryWriter
