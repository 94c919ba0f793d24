"""Showing how training goes: a live line in a terminal or a notebook, plain lines in a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO, cast

from ..errors import OptionError
from ..printable import printable
from .classification import Classification
from .task import Task

_REDRAW = 0.1  # seconds between two pictures of the live line
_PLAIN = 10.0  # seconds between two plain lines within an epoch


class Reporter:
    """Says nothing. The base of the reporters, and what `log=None` gives."""

    every = float("inf")
    task: Task = Classification()  # whose metrics are shown; `fit` sets its own

    def begin(self, total_steps: int, done: int, epochs: int) -> None:
        """Training starts: `done` of `total_steps` have been made before."""
        self.started, self.total, self.done_before, self.epochs = time.monotonic(), total_steps, done, epochs
        self.shown, self.images = self.started, 0
        self.epoch_started, self.epoch_images = self.started, 0

    def step(self, progress: Any, images: int) -> None:
        """A step over `images` images has been made."""
        self.images, self.epoch_images = self.images + images, self.epoch_images + images
        now = time.monotonic()
        if now - self.shown >= self.every:
            self.shown = now
            self.show(progress, now)

    def show(self, progress: Any, now: float) -> None:
        """Show the state within an epoch."""

    def epoch(self, row: dict[str, Any]) -> None:
        """An epoch has ended: show its row."""
        now = time.monotonic()
        rate = self.epoch_images / max(now - self.epoch_started, 1e-9)
        self.line(f"{self._row_text(row)}  {rate:,.0f} images/s  {duration(now - self.epoch_started)}")
        self.epoch_started, self.epoch_images = now, 0
        self.shown = now

    def line(self, text: str) -> None:
        """Show one line that stays."""

    def counter(self, what: str, total: int) -> Callable[[int], None]:
        """Begin counting to `total` images; the function that is returned is told how many more are done."""
        started = shown = time.monotonic()
        done = 0

        def count(more: int) -> None:
            nonlocal shown, done
            done = min(done + more, total)
            now = time.monotonic()
            if now - shown >= self.every:
                shown = now
                rate = done / (now - started)
                left = duration((total - done) / rate)
                self.show_count(what, done, total, f"{done:,} of {total:,}  {rate:,.0f} images/s  {left} left")

        return count

    def show_count(self, what: str, done: int, total: int, state: str) -> None:
        """Show how far a count has come."""

    def end(self) -> None:
        """Training has ended, in whatever way."""

    def state(self, progress: Any, now: float) -> str:
        """Loss, training metric, speed and time left, in words. The time left counts on this sitting's steps alone."""
        elapsed, made = now - self.started, progress.total - self.done_before
        left = elapsed / max(made, 1) * (self.total - progress.total)
        seen = max(progress.seen, 1)
        metric = self.task.training_metric
        return (
            f"loss {progress.loss_sum / seen:.4f}  "
            + (f"{metric.title} {metric.text(progress.correct / seen)}  " if metric else "")
            + f"{self.images / max(elapsed, 1e-9):,.0f} images/s  {duration(left)} left"
        )

    def _row_text(self, row: dict[str, Any]) -> str:
        def measured(part: str, metric: Any) -> str:
            text = f"loss {row[f'{part}_loss']:.4f}"
            return f"{text}  {metric.title} {metric.text(row[f'{part}_{metric.name}'])}" if metric else text

        text = f"epoch {row['epoch']:{len(str(self.epochs))}d}/{self.epochs}  "
        text += measured("train", self.task.training_metric)
        if row["val_loss"] is not None:
            text += f"  |  validation {measured('val', self.task.metric)}  |"
        return text


class PlainReporter(Reporter):
    """Whole lines: one for each epoch, and one every ten seconds within a long one."""

    every = _PLAIN

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write = write

    def line(self, text: str) -> None:
        """Hand the line on."""
        self.write(text)

    def show(self, progress: Any, now: float) -> None:
        """A line on the state within an epoch."""
        self.line(f"epoch {progress.epoch + 1}/{self.epochs}  step {progress.step}  {self.state(progress, now)}")

    def show_count(self, what: str, done: int, total: int, state: str) -> None:
        """A line on how far a count has come."""
        self.line(f"{what}: {state}")


class _Onlooker:
    """A stream that may go away, as a terminal does that is closed: what nobody can read is no reason to stop."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()


class LiveReporter(Reporter):
    """A bar that is redrawn in place in a terminal; finished epochs scroll by above it."""

    every = _REDRAW

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def begin(self, total_steps: int, done: int, epochs: int) -> None:
        """Put up the bar."""
        super().begin(total_steps, done, epochs)
        self._put_up(total_steps, done)

    def _put_up(self, total: int, done: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        console = Console(file=self.stream, highlight=False, soft_wrap=True)
        texts = [TextColumn("{task.description}"), TextColumn("{task.fields[state]}")]
        # In 80 columns there is room for the words alone.
        columns = [texts[0], BarColumn(bar_width=20), texts[1]] if console.width >= 100 else texts
        self.bar = Progress(*columns, console=console, transient=True, auto_refresh=False)
        self.bar.start()
        self.counting = self.bar.add_task("starting", total=total, completed=done, state="")

    def counter(self, what: str, total: int) -> Callable[[int], None]:
        """Count with a bar."""
        self._put_up(total, 0)
        self.bar.update(self.counting, description=what)
        return super().counter(what, total)

    def show_count(self, what: str, done: int, total: int, state: str) -> None:
        """Redraw the count."""
        self.bar.update(self.counting, completed=done, state=state, refresh=True)

    def show(self, progress: Any, now: float) -> None:
        """Redraw the bar."""
        self.bar.update(
            self.counting,
            completed=progress.total,
            state=self.state(progress, now),
            description=f"epoch {progress.epoch + 1}/{self.epochs}",
            refresh=True,
        )

    def line(self, text: str) -> None:
        """A line above the bar."""
        text = printable(text, None)
        if hasattr(self, "bar"):
            self.bar.console.print(text, markup=False)
        else:
            print(text, file=self.stream, flush=True)

    def end(self) -> None:
        """Take the bar down."""
        if hasattr(self, "bar"):
            self.bar.stop()
            del self.bar


class NotebookReporter(Reporter):
    """Finished epochs as text under the cell, the state of the present one in a line that is replaced."""

    every = 0.5

    def __init__(self) -> None:
        from IPython.display import display

        self.lines: list[str] = []
        self.handle = display(_Text(""), display_id=True)

    def show(self, progress: Any, now: float) -> None:
        """Replace the last line."""
        now_line = f"epoch {progress.epoch + 1}/{self.epochs}  {self.state(progress, now)}"
        self.handle.update(_Text("\n".join([*self.lines, now_line])))

    def show_count(self, what: str, done: int, total: int, state: str) -> None:
        """Replace the last line."""
        self.handle.update(_Text("\n".join([*self.lines, f"{what}: {state}"])))

    def line(self, text: str) -> None:
        """Add a line that stays."""
        self.lines.append(text)
        self.handle.update(_Text("\n".join(self.lines)))


class _Text:
    """Text that a notebook shows as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def reporter(log: Any = "auto", stream: TextIO | None = None) -> Reporter:
    """The Reporter that `log` asks for.

    log     "auto": live in a notebook and in a terminal, else plain lines; "live"; "plain"; None: silence; a
            function that is called with each plain line; or a Reporter
    stream  where lines go, by default stderr; if it goes away meanwhile, or there is none, nothing is shown

    Raises OptionError for anything else."""
    given = sys.stderr if stream is None else stream
    onlooker = None if given is None else _Onlooker(given)
    if isinstance(log, Reporter):
        return log
    if log is None:
        return Reporter()
    if callable(log):
        return PlainReporter(log)
    if log == "auto" and _in_notebook():
        return NotebookReporter()
    if log not in ("auto", "plain", "live"):
        raise OptionError(f'log must be "auto", "live", "plain", None or a function, got {log!r}')
    if onlooker is None:
        return Reporter()
    if log == "live" or (log == "auto" and _is_terminal(onlooker)):
        return LiveReporter(onlooker)
    return PlainReporter(lambda text: print(printable(text, None), file=cast(TextIO, onlooker), flush=True))


def duration(seconds: float) -> str:
    """Seconds as "0.8 s", "42 s", "3:05 min" or "1:02 h"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def _is_terminal(stream: Any) -> bool:
    import os

    return hasattr(stream, "isatty") and stream.isatty() and os.environ.get("TERM") != "dumb"


def _in_notebook() -> bool:
    kernel = sys.modules.get("ipykernel")
    return kernel is not None and sys.modules["IPython"].get_ipython() is not None
