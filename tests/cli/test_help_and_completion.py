"""Every command explains itself with examples that are commands, and the shell can complete them."""

import argparse
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from tinyvision.cli import completion, main
from tinyvision.cli.parser import build_parser


def _commands():
    """{name: parser} of all commands."""
    (sub,) = [a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(sub.choices)


COMMANDS = _commands()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples(name):
    """A line of the text below the options is the command, and its options exist."""
    lines = (COMMANDS[name].epilog or "").splitlines()
    # What stands behind a wide gap says what the example does.
    call = f"tinyvision {name}"
    examples = [re.split(r" {3,}", line.partition(call)[2])[0].split() for line in lines if call in line]
    assert examples, f"tinyvision {name} --help shows no example"
    known = {o for parser in _parsers(COMMANDS[name]) for action in parser._actions for o in action.option_strings}
    assert {word.partition("=")[0] for words in examples for word in words if word.startswith("-")} <= known


def test_help_of_train_says_by_what_an_epoch_is_chosen():
    """Not by accuracy: most tasks have another metric."""
    assert "best epoch is chosen by its score (accuracy, or the task's own metric)" in COMMANDS["train"].epilog


def _parsers(parser):
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def _completed(line):
    """What argcomplete answers the shell, as bash asks it."""
    pytest.importorskip("argcomplete")
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n",
             "_ARGCOMPLETE_SHELL": "bash"}  # fmt: skip
    program = "import os, sys; os.dup2(1, 8); sys.argv = ['tinyvision']; from tinyvision.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **asked}, capture_output=True, timeout=600
    )
    return [word.strip() for word in done.stdout.decode().splitlines()]


def test_the_shell_completes_commands_and_options():
    assert {"train", "transfer"} <= set(_completed("tinyvision tr"))
    assert "--tensorboard" in _completed("tinyvision train --ten")
    assert _completed("tinyvision train --graph o") == ["on", "off"]


def test_the_shell_completes_names(tmp_path):
    np.savez(tmp_path / "two.npz", conv=np.ones((2, 2)), bias=np.ones(2))
    assert set(_completed("tinyvision train --model resnet1")) == {"resnet18", "resnet101", "resnet152"}
    assert "efficientnet_lite0" in _completed("tinyvision explain effic")
    (tmp_path / "resnet-photos").mkdir()
    assert f"{tmp_path}/resnet-photos/" in _completed(f"tinyvision evaluate {tmp_path}/res")  # or a file
    assert f"{tmp_path}/two.npz" in _completed(f"tinyvision transfer photos --model {tmp_path}/tw")
    assert _completed(f"tinyvision show {tmp_path}/two.npz b") == ["bias"]
    assert _completed(f"tinyvision show {tmp_path}/none.npz b") == []
    assert _completed("tinyvision train --task generation --data d") == ["digits"]
    assert _completed("tinyvision learn run conv_dx") == ["conv_dx"]


def test_what_is_completed_is_an_argument():
    """No command or argument of the table has gone, and every argument that takes a network's name is in it."""
    there = {(command, action.dest) for command, action in completion._arguments(build_parser())}
    assert set(completion._WORDS) - there == set()
    # A run or a checkpoint alone: what generates, and what finds faces, has no published name.
    assert {(c, dest) for c, dest in there if dest == "model"} - set(completion._WORDS) == {("generate", "model")}
    for words, _ in completion._WORDS.values():
        assert list(words(argparse.Namespace(task=None, file="none.npy")))[:1] != [""]


def test_the_shell_s_lines(capsys, monkeypatch):
    pytest.importorskip("argcomplete")
    for shell in ("bash", "zsh", "fish", "powershell"):
        assert main(["completion", shell]) == 0
        assert "tinyvision" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["completion", "tcl"])
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install 'tinyvision[completion]'" in capsys.readouterr().err
