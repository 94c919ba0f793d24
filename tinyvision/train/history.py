"""What happened in each epoch: a table, a CSV file, a plot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import OptionError
from ..formats.files import atomic_write

COLUMNS = ("epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy")


class History:
    """One row an epoch, as `train.fit` returns it.

    rows    list of {"epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy"}; the last two
            are None without validation data. Epochs count from 1; losses are means over images; accuracies
            are from 0 to 1. Training numbers are taken while the weights change, so validation numbers are
            often the better ones
    best    the row of the best epoch: highest validation accuracy, ties to the lower loss; without validation
            the last
    run     the folder of the run, or None

    Times are left out, so that a resumed run gives the same history as one that was never stopped."""

    def __init__(self, rows: list[dict[str, Any]] | None = None, run: str | None = None) -> None:
        self.rows = [] if rows is None else rows
        self.run = run

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
        if self.rows[-1]["val_accuracy"] is None:
            return self.rows[-1]
        return max(self.rows, key=lambda row: (row["val_accuracy"], -row["val_loss"]))

    def __repr__(self) -> str:
        lines = ["epoch        lr   train loss   accuracy     val loss   accuracy"]
        for row in self.rows:
            line = f"{row['epoch']:5d}  {row['lr']:8.2g}   {row['train_loss']:10.4f}   {row['train_accuracy']:8.2%}"
            if row["val_loss"] is not None:
                line += f"   {row['val_loss']:10.4f}   {row['val_accuracy']:8.2%}"
            lines.append(line)
        return "\n".join(lines)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the rows as comma-separated values with a line of names. Raises FileError if that fails.

        A file that says the same already is left alone."""
        lines = [",".join("" if row[name] is None else str(row[name]) for name in COLUMNS) for row in self.rows]
        text = "\n".join([",".join(COLUMNS), *lines, ""])
        with suppress(OSError, ValueError):
            if Path(path).read_text("utf-8") == text:
                return
        with atomic_write(path, "w") as file:
            file.write(text)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw loss and accuracy over the epochs into a .png or .svg file.

        Raises OptionError for another suffix, or if matplotlib is not installed; FileError if writing fails."""
        kind = os.fspath(path).rpartition(".")[2].lower()
        if kind not in ("png", "svg"):
            raise OptionError(f"History.plot: a picture is .png or .svg, not {os.fspath(path)!r}")
        figure = self.figure()
        with atomic_write(path) as file:
            figure.savefig(file, format=kind, dpi=120)

    def figure(self) -> Any:
        """The plot as a matplotlib Figure. Raises OptionError if matplotlib is not installed."""
        try:
            from matplotlib.figure import Figure  # a figure of its own needs no display and no global state
        except ImportError:
            raise OptionError("a plot needs matplotlib, which is not installed: pip install matplotlib") from None
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        epochs = [row["epoch"] for row in self.rows]
        for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
            for part, label in (("train", "training"), ("val", "validation")):
                values = [row[f"{part}_{what}"] for row in self.rows]
                if values and None not in values:
                    axes.plot(epochs, values, marker=".", label=label)
            axes.set(xlabel="epoch", title=what)
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
            if self.rows:
                axes.legend()
        return figure
