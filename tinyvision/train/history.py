"""What happened in each epoch: a table, a CSV file, a plot."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..atomic import atomic_write
from ..errors import OptionError
from .classification import ACCURACY, Classification
from .task import Judgement, Metric, Task


class History:
    """One row an epoch, as `train.fit` returns it.

    rows    list of {"epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy"}; the last two
            are None without validation data. Epochs count from 1; losses are means over images; accuracies
            are from 0 to 1. Other tasks have their own metrics in place of accuracy, or none. Training numbers are
            taken while the weights change, so validation numbers are often the better ones
    best    the row of the best epoch: best validation accuracy (or what the task has for it), ties to the lower
            loss; without validation the last
    run     the folder of the run, or None
    task    whose metrics the rows have; by default found from the rows

    Times are left out, so that a resumed run gives the same history as one that was never stopped."""

    def __init__(
        self, rows: list[dict[str, Any]] | None = None, run: str | None = None, task: Task | None = None
    ) -> None:
        self.rows = [] if rows is None else rows
        self.run = run
        if task is None and not self.rows:
            task = Classification()
        if task is not None:
            self.training_metric, self.metric = task.training_metric, task.metric
        else:
            self.training_metric, self.metric = (_metric_in(self.rows[0], part) for part in ("train", "val"))

    @property
    def columns(self) -> list[str]:
        """The keys of a row, in order."""
        train, val = self.training_metric, self.metric
        trained = ["train_loss", *([f"train_{train.name}"] if train else [])]
        return ["epoch", "lr", *trained, "val_loss", *([f"val_{val.name}"] if val else [])]

    def row(self, progress: Any, validation: Judgement | None) -> dict[str, Any]:
        """The row of the epoch that ends with this Progress, and with this judgement of the validation data."""
        values = [progress.epoch + 1, progress.lr, progress.loss_sum / progress.seen]
        if self.training_metric is not None:
            values.append(progress.correct / progress.seen)
        values.append(None if validation is None else validation.loss)
        if self.metric is not None:
            values.append(None if validation is None else validation.score)
        return dict(zip(self.columns, values, strict=True))

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]

    @property
    def best(self) -> dict[str, Any] | None:
        """The row of the best epoch so far, or None before the first has ended."""
        if not self.rows:
            return None
        if self.rows[-1]["val_loss"] is None:
            return self.rows[-1]
        if self.metric is None:
            return min(self.rows, key=lambda row: row["val_loss"])
        name, sign = f"val_{self.metric.name}", -1 if self.metric.smaller_is_better else 1
        return max(self.rows, key=lambda row: (sign * row[name], -row["val_loss"]))

    def __repr__(self) -> str:
        parts = (("train", self.training_metric), ("val", self.metric))
        head = "epoch        lr"
        for (part, metric), gap in zip(parts, ("   ", "     "), strict=True):
            head += f"{gap}{part} loss" + (f"   {metric.title:>8}" if metric else "")
        lines = [head]
        for row in self.rows:
            line = f"{row['epoch']:5d}  {row['lr']:8.2g}"
            for part, metric in parts:
                if row[f"{part}_loss"] is not None:
                    line += f"   {row[f'{part}_loss']:10.4f}"
                    line += f"   {metric.text(row[f'{part}_{metric.name}']):>8}" if metric else ""
            lines.append(line)
        return "\n".join(lines)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the rows as comma-separated values with a line of names. Raises FileError if that fails.

        A file that says the same already is left alone."""
        lines = [",".join("" if row[name] is None else str(row[name]) for name in self.columns) for row in self.rows]
        text = "\n".join([",".join(self.columns), *lines, ""])
        with suppress(OSError, ValueError):
            if Path(path).read_text("utf-8") == text:
                return
        with atomic_write(path, "w") as file:
            file.write(text)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw loss, accuracy and learning rate over the epochs into a .png or .svg file.

        Raises OptionError for another suffix, or if matplotlib is not installed; FileError if writing fails."""
        plot("History.plot", self.figure, path)

    def figure(self) -> Any:
        """The plot as a matplotlib Figure. Raises OptionError if matplotlib is not installed."""
        try:
            from matplotlib.figure import Figure  # a figure of its own needs no display and no global state
        except ImportError:
            raise OptionError("a plot needs matplotlib, which is not installed: pip install matplotlib") from None
        epochs = [row["epoch"] for row in self.rows]
        shown: dict[str, list[tuple[str, str]]] = {"loss": [("train_loss", "training"), ("val_loss", "validation")]}
        for part, label, metric in (("train", "training", self.training_metric), ("val", "validation", self.metric)):
            if metric is not None:
                shown.setdefault(metric.title, []).append((f"{part}_{metric.name}", label))
        shown["learning rate"] = [("lr", "lr")]
        if self.rows:  # what was never measured gets no empty chart
            shown = {what: curves for what, curves in shown.items() if any(self._whole(name) for name, _ in curves)}
        figure = Figure(figsize=(4.5 * len(shown), 3.6), layout="constrained")
        for axes, (what, curves) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
            for name, label in curves:
                if self._whole(name):
                    axes.plot(epochs, [row[name] for row in self.rows], marker=".", label=label)
            axes.set(xlabel="epoch", title=what)
            axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
            axes.grid(alpha=0.3)
            if len(curves) > 1 and axes.lines:
                axes.legend()
        return figure

    def _whole(self, name: str) -> bool:
        """Whether every epoch has a value in this column."""
        return bool(self.rows) and all(row[name] is not None for row in self.rows)


def plot(what: str, figure: Callable[[], Any], path: str | os.PathLike[str]) -> None:
    """Write the matplotlib Figure that `figure()` makes into a .png or .svg file. Raises OptionError for another
    suffix, FileError if writing fails."""
    kind = os.fspath(path).rpartition(".")[2].lower()
    if kind not in ("png", "svg"):
        raise OptionError(f"{what}: a picture is .png or .svg, not {os.fspath(path)!r}")
    made = figure()
    with atomic_write(path) as file:
        made.savefig(file, format=kind, dpi=120)


def _metric_in(row: dict[str, Any], part: str) -> Metric | None:
    """The metric of a row's "train" or "val" part, as far as its name tells."""
    names = [key.removeprefix(f"{part}_") for key in row if key.startswith(f"{part}_") and key != f"{part}_loss"]
    if not names:
        return None
    return ACCURACY if names[0] == ACCURACY.name else Metric(names[0], names[0].replace("_", " "))


def is_row(row: dict[str, Any]) -> bool:
    """Whether a row out of a file has what every row has, and at most one metric of each part besides."""
    needed = ("epoch", "lr", "train_loss", "val_loss")
    others = [key.partition("_")[0] for key in row if key not in needed]
    return (
        all(key in row for key in needed)
        and sorted(set(others) - {"train", "val"}) == []
        and len(set(others)) == len(others)
    )
