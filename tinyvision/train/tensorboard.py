"""Event files for TensorBoard: the rows of a history as curves that can be watched while a network learns."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..device import to_numpy
from ..errors import OptionError
from ..tape import Variable
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
            "event files for TensorBoard are written by tensorboardX: pip install 'tinyvision[tensorboard]'"
        ) from None
    return SummaryWriter


def _handed_on(name):
    """A method that hands its arguments on, tensors as arrays."""

    def method(self, *values, **options):
        return getattr(self.writer, name)(*_as_arrays(values), **_as_arrays(options))

    method.__name__, method.__doc__ = name, f"tensorboardX's `{name}`, which takes tensors as well."
    return method


def _as_arrays(value):
    if isinstance(value, Variable):
        return to_numpy(value.array)
    if isinstance(value, dict):
        return {key: _as_arrays(part) for key, part in value.items()}
    return type(value)(map(_as_arrays, value)) if type(value) in (list, tuple) else value


class SummaryWriter:
    """torch.utils.tensorboard's writer: `writer.add_scalar("loss", loss, step)` writes an event file into log_dir, by
    default runs/ with the time and the machine's name. Methods are tensorboardX's and take our tensors.

    Raises OptionError where tensorboardX is not installed."""

    def __init__(self, log_dir: str | os.PathLike[str] | None = None, comment: str = "", **options: Any) -> None:
        self.writer = require()(None if log_dir is None else os.fspath(log_dir), comment, **options)
        self.log_dir = self.writer.logdir

    add_scalar, add_scalars, add_text = _handed_on("add_scalar"), _handed_on("add_scalars"), _handed_on("add_text")
    add_image, add_images = _handed_on("add_image"), _handed_on("add_images")
    add_histogram, add_figure = _handed_on("add_histogram"), _handed_on("add_figure")
    add_pr_curve, add_hparams = _handed_on("add_pr_curve"), _handed_on("add_hparams")
    flush, close = _handed_on("flush"), _handed_on("close")

    def add_graph(self, model: Any, input_to_model: Any = None, verbose: bool = False) -> None:
        """Refused: TensorBoard's graphs are traces of PyTorch. Raises OptionError."""
        raise OptionError(
            "add_graph: TensorBoard draws traces of PyTorch's; print(model), or write it by torch.onnx.export and "
            "look at it in Netron"
        )

    def get_logdir(self) -> str:
        """The folder of the event file."""
        return self.log_dir

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.writer.close()
