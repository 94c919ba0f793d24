"""A course folder of its own for each test."""

import pytest

from tinyvision.learn import course
from tinyvision.learn.folder import create


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A fresh course folder, which is the current one."""
    folder, _, _ = create(tmp_path / "mine")
    monkeypatch.chdir(folder.path)
    monkeypatch.setenv("NO_COLOR", "1")
    return folder


@pytest.fixture
def solve(place):
    """solve(name, **replacements): write the solution, with parts of it replaced."""

    def write(name, *replacements):
        text = course.exercise(name).solution()
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        place.file(course.exercise(name)).write_text(text, encoding="utf-8")
        return place.file(course.exercise(name))

    return write
