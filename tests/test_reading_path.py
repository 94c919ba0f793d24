"""README's way through the source: a file on it needs none that comes later, and the lines are counted."""

import ast
import re
from pathlib import Path

import pytest

import tinyvision

PACKAGE = Path(tinyvision.__file__).parent
README = PACKAGE.parent / "README.md"
LINES_A_MINUTE = 25

pytestmark = pytest.mark.skipif(not README.is_file(), reason="only beside the repository's README")


def steps():
    """(number, files in reading order, lines as said, minutes as said) of each step of the way."""
    text = README.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*) \| ([\d,]+) \| (\d+) \|$", text, flags=re.M)
    for number, what, lines, minutes in rows:
        named = [PACKAGE / path for path in re.findall(r"\]\(tinyvision/([\w/.]+)\)", what)]
        files = [f for path in named for f in (sorted(path.glob("*.py")) if path.is_dir() else [path])]
        yield int(number), files, int(lines.replace(",", "")), int(minutes)


def needed(path):
    """The files of tinyvision that `path` imports when it is loaded. Packages that only hand names on do not count."""
    here = path.relative_to(PACKAGE.parent).parts[:-1]
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = PACKAGE.parent.joinpath(*here[: len(here) - node.level + 1], *(node.module or "").split("."))
            for alias in node.names:
                inner = base / f"{alias.name}.py"
                yield inner if inner.is_file() else base.with_suffix(".py")


def lines_of(files):
    return sum(len(f.read_text(encoding="utf-8").splitlines()) for f in files)


def test_every_file_comes_after_what_it_needs():
    met, too_late = set(), []
    for number, files, _, _ in steps():
        met |= set(files)
        for path in files:
            missing = [p for p in needed(path) if p.is_file() and p not in met]
            too_late += [f"step {number}: {path.relative_to(PACKAGE)} needs {p.relative_to(PACKAGE)}" for p in missing]
    assert too_late == []


def test_lines_and_minutes_are_what_a_reader_finds():
    found = list(steps())
    assert [number for number, *_ in found] == list(range(1, len(found) + 1))
    for number, files, lines, minutes in found:
        assert abs(lines_of(files) - lines) <= 0.1 * lines, f"step {number} has {lines_of(files)} lines"
        assert abs(minutes - lines / LINES_A_MINUTE) <= 5, f"step {number}: {lines} lines in {minutes} minutes"


def test_the_sums_in_words_are_right():
    found, text = list(steps()), README.read_text(encoding="utf-8")
    said = re.search(r"Steps 1 to (\d+) are an afternoon, (\d+) hours; all (\w+) a weekend, (\d+) hours", text)
    afternoon = sum(minutes for number, _, _, minutes in found if number <= int(said[1]))
    assert [round(afternoon / 60), round(sum(minutes for *_, minutes in found) / 60)] == [int(said[2]), int(said[4])]
