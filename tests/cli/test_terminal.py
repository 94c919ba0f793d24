"""What reaches a terminal, whatever the names in files, the encoding, and the state of the streams are."""

import errno
import io
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinyvision
from tinyvision import weights
from tinyvision.cli import main
from tinyvision.cli.parser import build_parser
from tinyvision.printable import printable, printable_message
from tinyvision.train import load_checkpoint

ROOT = str(Path(tinyvision.__file__).parents[1])
EVIL = "ESC\x1b[2J BEL\a line\nforged \u202e turned \ud800 lone"
ESCAPED = "ESC\\x1b[2J BEL\\x07 line\\nforged \\u202e turned \\ud800 lone"


def run(*arguments, cwd=None, **environment):
    command = [sys.executable, "-m", "tinyvision", *arguments]
    environment = {**os.environ, "PYTHONPATH": ROOT, **environment}
    return subprocess.run(command, capture_output=True, cwd=cwd, env=environment, timeout=600)


def test_one_line_that_a_terminal_does_not_obey():
    assert printable(EVIL) == ESCAPED
    assert printable("größe.png 写真") == "größe.png 写真"
    assert len(printable("x" * 1000)) <= 120
    assert printable("x" * 1000, None) == "x" * 1000
    assert printable_message("ours:\n    second\nforged") == "ours:\n    second\\nforged"


@pytest.fixture(scope="module")
def evil_run(tmp_path_factory):
    """A run on a folder of two classes, one of which bears an evil name, and a picture of another evil name."""
    if os.name == "nt":
        pytest.skip("such names cannot be given to files here")
    folder = tmp_path_factory.mktemp("evil")
    rng = np.random.default_rng(0)
    for name in ("cat\x1b]0;title\a\nfine: 100%", b"dog\xff\xfe".decode("utf-8", "surrogateescape")):
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 100, (12, 12, 3)) + 100 * name.startswith("cat")
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "photos" / name / f"{i}.png")
    done = run(
        *("train", "--data", "folder", "--root", "photos", "--epochs", "1", "--image-size", "8", "--batch-size", "4"),
        *("--run", "a\x1b[31m\nrun"),
        cwd=folder,
        PYTHONIOENCODING="ascii",
    )
    assert done.returncode == 0, done.stderr
    harmless(done.stdout + done.stderr)
    return folder


def harmless(output):
    text = output.decode("ascii")
    assert all(c == "\n" or c.isprintable() for c in text), text
    assert "Traceback" not in text


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_names_from_files_are_shown_and_not_obeyed(evil_run, encoding, monkeypatch):
    monkeypatch.chdir(evil_run)
    folder = evil_run / "a\x1b[31m\nrun"
    state = {EVIL.replace("\ud800", "é"): np.zeros(3)}
    weights.save(state, evil_run / "evil.safetensors")
    for arguments, code in (
        (["info", str(folder)], 0),
        (["info", "evil.safetensors"], 0),
        (["predict", "photos", "--model", str(folder)], 0),
        (["predict", "photos", "--model", str(folder), "--json"], 0),
        (["predict", "no\x1b[2J\nsuch.png", "--model", str(folder)], 1),
        (["info", "no\x1b[2J\nsuch"], 2),
        (["train", "--resume", "no\x1b[2J\nsuch"], 2),
        (["train", "--run", str(folder)], 2),
        (["train", "--data", "folder", "--root", "no\x1b[2J\nsuch"], 2),
        (["transfer", "no\x1b[2J\nsuch"], 2),
        (["transfer", "--resume", "no\x1b[2J\nsuch"], 2),
        (["train", "--epochs\x1b[2J"], 2),
        (["\x1b[2J"], 2),
    ):
        out = io.TextIOWrapper(io.BytesIO(), encoding)
        monkeypatch.setattr("sys.stdout", out)
        monkeypatch.setattr("sys.stderr", out)
        try:
            returned = main(arguments)
        except SystemExit as stop:
            returned = stop.code
        out.flush()
        text = out.buffer.getvalue().decode(encoding)
        assert returned == code, (arguments, text)
        assert all(c == "\n" or c.isprintable() for c in text), (arguments, text)
        assert "Traceback" not in text
        assert not any(line.startswith(("fine:", "such", "forged")) for line in text.splitlines())


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-", ">/dev/full", "| head -1"])
@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_streams_that_are_not_there(closed, tmp_path):
    script = f"{sys.executable} -m tinyvision %s {closed}"
    commands = ["info simple-cnn", "--help"]
    if closed.startswith((">&-", "<&-")):
        commands.append("train --epochs 1 --batch-size 600 --run run")
    for command in commands:
        environment = {**os.environ, "PYTHONPATH": ROOT, "TINYVISION_HOME": str(tmp_path)}
        done = subprocess.run(
            ["sh", "-c", script % command], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=600
        )
        assert "Traceback" not in done.stderr, (command, done.stderr)
        assert "Exception ignored" not in done.stderr, (command, done.stderr)
        full = closed == ">/dev/full"
        assert done.returncode == (2 if full else 0), (command, done)
        if full:
            assert "No space left on device" in done.stderr
    if len(commands) > 2:
        weights.load(tmp_path / "run" / "last.safetensors")  # what was printed did not get into it


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1", "TERM": "xterm"}], ids=str)
def test_plain_terminals(environment, tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tinyvision", "train", "--epochs", "1", "--batch-size", "300"]
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ROOT, **environment},
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while piece := os.read(ours, 65536):
                seen += piece
        except OSError:  # how Linux says that the other end is closed
            pass
        assert process.wait(600) == 0
    os.close(ours)
    assert b"test accuracy" in seen
    if environment["TERM"] == "dumb":
        assert b"\x1b" not in seen
    # no colours: of the sequences that set how letters look, only "normal", bold and their ends
    assert all(
        set(found.split(b";")) <= {b"", b"0", b"1", b"2", b"22"} for found in re.findall(rb"\x1b\[([\d;]*)m", seen)
    )


def test_ctrl_c_before_anything_is_imported(tmp_path):
    """From the moment that the command is called, Ctrl-C ends it without a traceback."""
    command = [
        sys.executable,
        "-c",
        "import tinyvision_command; print(flush=True); tinyvision_command.main()",
        "doctor",
    ]
    for delay in (0.0, 0.03, 0.1, 0.2):
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": ROOT},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process:
            process.stdout.readline()
            time.sleep(0.01 + delay)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=600)
        assert "Traceback" not in err
        assert process.returncode in (-signal.SIGINT, 130, 0)


def test_training_saves_when_its_terminal_is_closed(tmp_path):
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    ours, theirs = pty.openpty()

    def take_the_terminal():
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    command = [sys.executable, "-m", "tinyvision", "train", "--epochs", "500", "--save-every", "0.1", "--run", "run"]
    with subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ROOT},
        preexec_fn=take_the_terminal,
    ) as process:
        try:
            os.close(theirs)
            last = tmp_path / "run" / "last.safetensors"
            deadline = time.monotonic() + 600
            while not (last.exists() and load_checkpoint(last).progress.total > 30):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            os.close(ours)
            assert process.wait(600) == 129
        finally:
            process.kill()  # a failure must not leave it running, and the tests waiting for it
    assert sorted(path.name for path in (tmp_path / "run").glob(".*")) == []
    assert load_checkpoint(last).progress.total > 30


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1"])
def test_signals_outside_of_training_say_so(name, monkeypatch, capsys):
    if not hasattr(signal, name):
        pytest.skip(f"no {name} here")
    number = getattr(signal, name)
    monkeypatch.setattr("tinyvision.cli.datasets._look", lambda data: os.kill(os.getpid(), number))
    before = signal.getsignal(number)
    assert main(["datasets"]) == 128 + number
    assert f"stopped by {name}; nothing was being trained" in capsys.readouterr().err
    assert signal.getsignal(number) == before
    monkeypatch.setitem(sys.modules, "tinyvision.train", None)  # a signal in the middle of its import
    for rank, told in enumerate(["tinyvision: stopped before anything was begun\n", ""]):
        monkeypatch.setattr("tinyvision.cli.launched_as", lambda rank=rank: ("mpiexec", rank, 2))
        assert main(["datasets"]) == 128 + number
        assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "cannot write the output: No space left on device"),
        (OSError(errno.EMFILE, "Too many open files"), "[Errno 24] Too many open files"),
        (OSError("no libsomething.so"), "no libsomething.so"),
        (PermissionError(errno.EACCES, "Permission denied", "a/b"), "a/b: Permission denied"),
    ],
)
def test_what_the_system_refuses_is_told_as_what_it_is(error, words, monkeypatch, capfd):
    def refused(data):
        raise error

    monkeypatch.setattr("tinyvision.cli.datasets._look", refused)
    monkeypatch.setattr("tinyvision.cli.silence", lambda: None)
    assert main(["datasets"]) == 2
    assert f"tinyvision: {words}\n" in capfd.readouterr().err


# Every command, with what must happen in {run}, a folder with a run and pictures of names that no code page has all of.
COMMANDS = {
    "train": ("train --data folder --root photos --epochs 1 --image-size 8 --batch-size 4 --run again --overwrite", 0),
    "train in boxes": ("train --task detection --data yolo --root photos", 2),
    "predict": ("predict photos --model {run} --top 2", 0),
    "predict --json": ("predict photos --model {run} --json", 0),
    "explain": ("explain {run} photos/größe/0.png --overwrite", 0),
    "evaluate": ("evaluate {run} photos --quiet", 0),
    "evaluate --report": ("evaluate {run} photos --quiet --report", 0),
    "compare": ("compare photos/größe/0.png photos/写真/0.png --model {run}", 0),
    "search": ("search photos photos/写真/0.png --model {run} --top 2", 0),
    "faces": ("faces nobody.png --weights none.onnx", 2),
    "generate": ("generate --model {run}", 2),
    "transfer": ("transfer nowhere", 2),
    "compare-runs": ("compare-runs {run} {run} -o both.html --overwrite", 0),
    "export": ("export {run} out.onnx --overwrite", 0),
    "show": ("show photos/größe/0.png", 0),
    "info": ("info {run}", 0),
    "datasets": ("datasets", 0),
    "doctor": ("doctor", None),
    "completion": ("completion bash", 0),
    "learn": ("learn list", None),
    "learn report": ("learn report nowhere", None),
    "gradcheck": ("gradcheck nothing_here", None),
    "a slip": ("predikt", 2),
}


@pytest.fixture(scope="module")
def foreign_run(tmp_path_factory):
    """A run on classes in several scripts, named so as well."""
    folder = tmp_path_factory.mktemp("foreign")
    rng = np.random.default_rng(0)
    for name in ("größe", "写真"):
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 100, (12, 12, 3)) + 100 * (name == "größe")
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "photos" / name / f"{i}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        options = "--epochs 1 --image-size 8 --batch-size 3 --run läufe/写 --quiet"
        assert main(f"train --data folder --root photos {options}".split()) == 0
    return folder


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("way", ["ascii, TERM=dumb", "cp1252, NO_COLOR", "closed"])
def test_every_command_on_every_terminal(foreign_run, command, way, monkeypatch):
    monkeypatch.chdir(foreign_run)
    monkeypatch.setenv("TINYVISION_HOME", str(foreign_run / "home"))
    encoding, _, variable = way.partition(", ")
    if variable:
        monkeypatch.setenv(*(variable.split("=") if "=" in variable else (variable, "1")))
    streams = [None if way == "closed" else io.TextIOWrapper(io.BytesIO(), encoding) for _ in range(2)]
    monkeypatch.setattr("sys.stdout", streams[0])
    monkeypatch.setattr("sys.stderr", streams[1])
    arguments, expected = COMMANDS[command]
    try:
        code = main([part.format(run="läufe/写") for part in arguments.split()])
    except SystemExit as stop:
        code = stop.code
    said = ""
    for stream in filter(None, streams):
        stream.flush()
        said += stream.buffer.getvalue().decode(encoding)
    assert code == expected or (expected is None and code in (0, 1, 2)), said
    assert "Traceback" not in said
    assert all(c == "\n" or c.isprintable() for c in said), said
    assert said or way == "closed"


def test_no_command_is_left_out():
    actions = build_parser()._subparsers._group_actions
    assert set(actions[0].choices) == {text.split()[0] for text, _ in COMMANDS.values()} - {"predikt"}


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's setpriv")
def test_a_folder_that_may_not_be_written_to(foreign_run, tmp_path):
    """Root writes everywhere; without the capabilities for that, it is a user like others."""
    begin = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not installed")
        begin = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"]
    folder, run_folder = tmp_path / "locked", foreign_run / "läufe" / "写"
    folder.mkdir()
    folder.chmod(0o555)
    for arguments in (
        ["train", "--epochs", "1", "--quiet"],
        ["explain", run_folder, foreign_run / "photos" / "größe" / "0.png"],
        ["export", run_folder, "out.onnx"],
        ["learn", "init"],
    ):
        command = [*begin, sys.executable, "-m", "tinyvision", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": ROOT, "TINYVISION_HOME": str(tmp_path)}
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=600)
        assert done.returncode == 2, (arguments, done.stderr)
        assert re.search("not writable for you|Permission denied", done.stderr.splitlines()[-1]), done.stderr
        assert "Traceback" not in done.stderr
    assert not list(folder.iterdir())
