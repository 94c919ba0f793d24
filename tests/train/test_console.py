"""What is shown while training goes on: in a file, in a terminal, in a notebook."""

import io
import sys
import types

import pytest

from tinyvision.errors import OptionError
from tinyvision.train import console
from tinyvision.train.checkpoint import Progress

ROW = {
    "epoch": 1,
    "lr": 0.1,
    "train_loss": 0.5,
    "train_accuracy": 0.75,
    "val_loss": 0.25,
    "val_accuracy": 0.875,
}


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def go(reporter, clock, seconds=1.0, steps=30):
    """30 steps of 8 images in one of two epochs, a second each."""
    reporter.begin(60, 0, 2)
    progress = Progress()
    for _ in range(steps):
        clock[0] += seconds
        progress.add(0.5, 4, 8, 0.1)
        reporter.step(progress, 8)
    reporter.epoch(ROW)
    reporter.end()


def test_a_log_file_gets_whole_lines_now_and_then(clock):
    stream = io.StringIO()
    go(console.reporter("auto", stream), clock)
    lines = stream.getvalue().splitlines()
    assert "\r" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert lines == [
        "epoch 1/2  step 10  loss 0.5000  accuracy 50.00%  8 images/s  50 s left",
        "epoch 1/2  step 20  loss 0.5000  accuracy 50.00%  8 images/s  40 s left",
        "epoch 1/2  step 30  loss 0.5000  accuracy 50.00%  8 images/s  30 s left",
        "epoch 1/2  loss 0.5000  accuracy 75.00%  |  validation loss 0.2500  accuracy 87.50%  |  8 images/s  30 s",
    ]


def test_short_epochs_get_one_line_each(clock):
    lines = []
    go(console.reporter(lines.append), clock, seconds=0.1)
    assert len(lines) == 1


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar_and_lasting_lines(clock, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    go(console.reporter("auto", stream), clock)
    assert "8 images/s  30 s left" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()
    assert "validation loss 0.2500" in stream.getvalue()


def test_a_terminal_that_can_nothing_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(console.reporter("auto", Terminal()), console.PlainReporter)


def test_a_notebook_replaces_its_last_line(clock, monkeypatch):
    shown = []

    class Handle:
        def update(self, text):
            shown.append(repr(text))

    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: object()
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.display = lambda text, display_id: Handle()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython.display)
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    go(console.reporter("auto"), clock)
    assert shown[0].startswith("epoch 1/2  loss 0.5000")
    assert "\n" not in shown[29]
    assert shown[-1].startswith("epoch 1/2  loss 0.5000  accuracy 75.00%  |  validation")


def test_silence_and_nonsense(clock, capsys):
    go(console.reporter(None), clock)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    with pytest.raises(OptionError, match="log must be"):
        console.reporter("loud")


def test_counting(clock):
    lines = []
    count = console.reporter(lines.append).counter("features", 100)
    for _ in range(5):
        clock[0] += 5
        count(25)
    assert lines == [
        "features: 50 of 100  5 images/s  10 s left",
        "features: 100 of 100  5 images/s  0.0 s left",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (61, "1:01 min"), (3720, "1:02 h")],
)
def test_durations(seconds, text):
    assert console.duration(seconds) == text
