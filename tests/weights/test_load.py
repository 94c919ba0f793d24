"""The door: paths that lead to no weights, and messages that fit on one line."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tinyvision.errors import OptionError, WeightsError
from tinyvision.weights import load, save


def test_paths_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    cases = {
        tmp_path / "missing.pth": "no such file",
        tmp_path: "a folder",
        tmp_path / "pipe": "not a regular file",  # and it does not wait for a writer
        "/dev/zero": "not a regular file",  # and it does not read for ever
        tmp_path / "loop": "symbolic links",
        "a\0b": "null",
        "x" * 5000: "name too long",
        "": "no such file",
    }
    for path, message in cases.items():
        with pytest.raises(WeightsError, match=f"(?i){message}") as error:
            load(path)
        assert len(str(error.value)) <= 300
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", [None, 3.5, ["a.pth"], {}])
def test_what_is_no_path(path):
    with pytest.raises(OptionError, match="path is a"):
        load(path)


def test_a_file_object_is_no_path(tmp_path):
    with open(tmp_path / "a", "wb") as file, pytest.raises(OptionError, match="path is a BufferedWriter"):
        load(file)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="everything is readable for this user")
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "a.npz"
    save({"w": np.ones(2)}, path)
    path.chmod(0)
    with pytest.raises(WeightsError, match="Permission denied"):
        load(path)


@pytest.mark.parametrize("name", ["a\nb.pth", "ü\x1b[2J.pth", "x" * 200 + ".pth", "quote'\"\\.pth"])
def test_names_in_messages_are_harmless(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError) as error:
        load(path)
    message = str(error.value)
    assert message.isascii()
    assert message.isprintable()
    assert len(message) <= 300
    assert ".pth" in message


def test_links_are_followed(tmp_path):
    save({"w": np.ones(2)}, tmp_path / "a.npz")
    (tmp_path / "link").symlink_to(tmp_path / "a.npz")
    assert load(tmp_path / "link")["w"].tolist() == [1, 1]


def test_reading_needs_neither_torch_nor_safetensors():
    program = (
        "import sys, tinyvision.weights; print([m for m in ('torch', 'safetensors', 'zipfile') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    assert done.stdout.split() == ["[]"], done.stderr
