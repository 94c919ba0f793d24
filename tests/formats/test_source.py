import os
import threading

import numpy as np
import pytest

from tinyvision.data import read_cifar, read_idx, read_image, read_npz
from tinyvision.errors import DataError
from tinyvision.formats.gzip import gunzip
from tinyvision.formats.source import fill, read_bytes
from tinyvision.printable import printable

READERS = [read_idx, read_npz, read_image, read_cifar]


@pytest.mark.parametrize("reader", READERS)
def test_paths_that_are_no_readable_file(reader, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    for path, reason in (
        (tmp_path / "missing", "no such file"),
        (tmp_path / "empty", "empty"),
        ("nul\0byte", "null"),
        (str(tmp_path / ("x" * 5000)), "cannot be read"),
    ):
        with pytest.raises(DataError, match=reason) as caught:
            reader(path)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("reader", READERS[:3])
def test_a_folder_is_not_a_file(reader, tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        reader(tmp_path)


@pytest.mark.parametrize("source", [None, 3, ["a"], object()])
@pytest.mark.parametrize("reader", READERS)
def test_things_that_are_no_source(reader, source):
    with pytest.raises(DataError, match="expected a path or bytes"):
        reader(source)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    errors = []

    def attempt():
        try:
            read_bytes(tmp_path / "pipe")
        except DataError as error:
            errors.append(str(error))

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(5)
    assert errors == [f"{tmp_path / 'pipe'}: is not a regular file"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        read_bytes(path)


def test_a_limit_on_size(tmp_path):
    path = tmp_path / "sparse"
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DataError, match="more than the"):
        read_bytes(path)


def test_names_are_shown_on_one_line():
    assert printable("a\nb\x1b[31m\u202e") == "a\\nb\\x1b[31m\\u202e"
    assert printable("größe.png") == "größe.png"
    assert len(printable("x" * 100_000)) <= 120
    with pytest.raises(DataError) as caught:
        read_idx("evil\n\x1b[2Jname")
    assert str(caught.value).isprintable()


def test_gzip_files_of_several_parts_and_padding():
    import gzip

    parts = gzip.compress(b"abc") + gzip.compress(b"") + gzip.compress(b"def" * 100_000)
    assert b"".join(gunzip(parts, "f")) == b"abc" + b"def" * 100_000
    assert b"".join(gunzip(parts + bytes(1000), "f")) == b"abc" + b"def" * 100_000
    for broken, reason in (
        (parts[:-1], "cut short"),
        (parts + b"x", "after the gzip data"),
        (parts[:-8] + b"\0" * 8, "damaged"),
    ):
        with pytest.raises(DataError, match=reason):
            b"".join(gunzip(broken, "f"))


def test_many_tiny_gzip_parts_take_linear_time():
    import gzip
    import time

    start = time.process_time()
    assert b"".join(gunzip(gzip.compress(b"") * 30_000, "f")) == b""
    assert time.process_time() - start < 5  # about 0.2 s; copying the rest for each part would take minutes


def test_a_promise_of_size_costs_no_memory():
    with pytest.raises(DataError, match="cut short"):
        fill(iter([b"x" * 100]), 1 << 20, "f")
    assert isinstance(fill(iter([b"ab", b"c"]), 3, "f"), np.ndarray)
    with pytest.raises(DataError, match="more than"):
        fill(iter([b"ab", b"cd"]), 3, "f")
