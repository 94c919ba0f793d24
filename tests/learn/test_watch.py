"""Watch mode in a pseudo-terminal: what a learner types and sees, from the first failure to the next exercise."""

import fcntl
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

import tinyvision
from tinyvision.learn import course, watch
from tinyvision.learn.folder import Folder

ROOT = Path(tinyvision.__file__).parents[1]
PATIENCE = 120.0  # seconds; the machine may be busy, and waiting costs nothing


class Terminal:
    """A session of `tinyvision learn`, with keys to press and text to wait for."""

    def __init__(self, folder, *words, **env):
        self.text, (self.controller, worker) = "", pty.openpty()
        kept = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tinyvision", "learn", *words], stdin=worker, stdout=worker, stderr=worker,
            cwd=folder, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "TERM": "xterm", **env},
        )  # fmt: skip
        os.close(worker)

    def wait_for(self, pattern, seconds=PATIENCE):
        """Everything printed up to and with the pattern, which must come soon; it is taken away."""
        until = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            left = until - time.monotonic()
            ready = left > 0 and select.select([self.controller], [], [], left)[0]
            try:
                data = os.read(self.controller, 65536) if ready else b""
            except OSError:
                data = b""
            assert data, f"{pattern!r} did not come; there is:\n{self.text}"
            self.text += data.decode("utf-8", "replace").replace("\r\n", "\n")
        seen, self.text = self.text[: found.end()], self.text[found.end() :]
        return seen

    def press(self, key):
        os.write(self.controller, key.encode())

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.controller)


@pytest.fixture
def terminal(place):
    sessions = []

    def begin(*words, **env):
        sessions.append(Terminal(place.path, *words, **env))
        return sessions[-1]

    yield begin
    for session in sessions:
        session.end()


PROMPT = "q quit\n"


def test_a_session_fail_hint_diagnose_fix_pass_next(place, solve, terminal):
    for one in course.exercises()[:20]:
        place.attempted(one, True)
    session = terminal(NO_COLOR="1")
    seen = session.wait_for(PROMPT)
    assert "conv_dx  convolution backward: the image" in seen
    assert "This is supposed to fail now" in seen
    assert "Edit conv_dx.py and save it." in seen

    solve("conv_dx", ("PH : PH + H, PW : PW + W", ":H, :W"))
    seen = session.wait_for(PROMPT)
    assert "dx WRONG" in seen
    assert "This looks like the right dx moved by the padding" in seen
    assert "You cropped" not in seen
    assert "\x1b" not in seen
    assert max(len(line) for line in seen.split("\n") if "file://" not in line) <= 80

    session.press("h")
    assert "product of dy and weight has the shape" in " ".join(session.wait_for("hint 1 of 3[^?]*\\?").split())
    session.press("d")
    assert "You cropped the padded gradient at [:H, :W]" in session.wait_for("cropped_at_zero\\)\\.\n")
    session.press("v")
    session.wait_for("open it in a\n? *browser")
    assert "<html" in (place.path / "pictures" / "conv_dx.html").read_text(encoding="utf-8")

    solve("conv_dx")
    seen = session.wait_for(PROMPT)
    assert "conv_dx is right" in seen
    assert "Answer: A quarter" in " ".join(seen.split())
    assert "n goes on with maxpool_backward" in seen
    session.press("n")
    assert "maxpool_backward  max pooling backward" in session.wait_for(PROMPT)
    session.press("l")
    assert " x 21 conv_dx" in session.wait_for("next: maxpool_backward")
    session.press("s")
    session.wait_for("after 3 tries")
    session.press("q")
    session.wait_for(f"21 of {len(course.names())} exercises")
    assert session.process.wait(PATIENCE) == 0
    assert Folder(place.path).passed(course.exercise("conv_dx"))


def test_saving_by_rename_and_vanishing(place, solve, terminal):
    one = course.exercise("sgd")
    session = terminal("watch", "sgd")
    session.wait_for(PROMPT)
    text, path = one.solution(), place.file(one)
    new = path.with_name("sgd.py~new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, path)  # as vim and many others save
    assert "sgd is right" in session.wait_for(PROMPT)
    path.unlink()
    time.sleep(0.4)
    path.write_text(text.replace("weight - lr", "weight + lr"), encoding="utf-8")
    assert "uphill" in session.wait_for(PROMPT)
    path.unlink()
    session.wait_for("sgd.py is gone")
    session.press("x")
    session.wait_for("y/n")
    session.press("y")
    assert "This is supposed to fail now" in session.wait_for(PROMPT)
    assert place.untouched(one)


def children(process):
    """The processes that this one has started, and that have not ended."""
    lists = Path(f"/proc/{process.pid}/task").glob("*/children")
    return {int(number) for one in lists for number in one.read_text().split()}


@pytest.mark.skipif(not list(Path("/proc/self/task").glob("*/children")), reason="the kernel does not list children")
def test_a_save_is_answered_by_the_worker_that_is_warm_already(place, solve, terminal):
    """So the learner does not wait for Python and NumPy to start. Each worker answers once."""
    session = terminal("watch", "conv_dx")
    session.wait_for(PROMPT)
    answered = set()
    for k in range(3):
        until = time.monotonic() + PATIENCE
        while not (waiting := children(session.process) - answered) and time.monotonic() < until:
            time.sleep(0.05)  # the next worker starts behind the prompt
        solve("conv_dx", ("rows @ weight", f"(print('I am', __import__('os').getpid()), {k + 2} * rows @ weight)[1]"))
        worker = int(re.search(r"I am (\d+)", session.wait_for(PROMPT))[1])
        assert worker in waiting
        answered.add(worker)


@pytest.mark.parametrize("how", ["q", "\x03", "SIGTERM"])
def test_the_terminal_is_left_as_it_was(place, terminal, how):
    session = terminal("watch", "sgd")
    session.wait_for(PROMPT)
    during = termios.tcgetattr(session.controller)[3]
    assert not during & termios.ICANON
    if how == "SIGTERM":
        session.process.terminate()
    else:
        session.press(how)
    code = session.process.wait(PATIENCE)
    assert code == {"q": 0, "\x03": 130, "SIGTERM": 143}[how]
    after = termios.tcgetattr(session.controller)[3]
    assert after & termios.ICANON
    assert after & termios.ECHO


def test_without_a_terminal_keys_come_from_lines(place):
    result = subprocess.run(
        [sys.executable, "-m", "tinyvision", "learn", "watch", "sgd"], input="h\nl\n", capture_output=True, text=True,
        cwd=place.path, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "hint 1 of 3" in result.stdout
    assert "\x1b" not in result.stdout


def test_a_file_in_the_middle_of_being_written_is_not_yet_saved(place, solve):
    one = course.exercise("conv_dx")
    solve("conv_dx", ("PH : PH + H, PW : PW + W", ":H, :W"))
    session = watch._Session(Folder(place.path), one, limit=10.0)
    text, path = one.solution(), place.file(one)
    path.write_text("", encoding="utf-8")  # as open(path, "w") leaves it for a moment
    assert session.saved() is None
    path.write_text(text, encoding="utf-8")
    assert session.saved() is None, "it has only just changed"
    assert session.saved() is one
    assert session.saved() is None, "one save is one check"
