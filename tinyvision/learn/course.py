"""The course: its exercises in order, and the skeleton and the solution that each source file holds.

An exercise is one Python file. Its upper part is the solution, with the lines that a learner has to find between
markers; below a line of its own (`BOUNDARY`) comes the course's part, which no learner gets: numbers, hints, the check.

    # solution:
    y = x * 2
    # skeleton:
    # y = ...
    # end
"""

import ast
import difflib
import hashlib
import re
import textwrap
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import DataError, OptionError

BOUNDARY = "# " + "-" * 74 + " course"
_FIELDS = ("TITLE", "LEVEL", "MINUTES", "PAGE", "NEEDS", "MISSING", "HINTS", "PREDICT", "ANSWER")


@dataclass(frozen=True)
class Exercise:
    """One exercise: what a learner is told (`title`, `level` 1 to 4, `minutes`, `page`, three `hints`, a question to
    `predict` and its `answer`), the names the file must define (`needs`) and what it is `missing` as shipped."""

    name: str
    number: int
    path: Path
    title: str
    level: int
    minutes: int
    page: str
    needs: tuple
    missing: str
    hints: tuple
    predict: str
    answer: str

    @property
    def file(self) -> str:
        """The name of the learner's file."""
        return f"{self.name}.py"

    def skeleton(self) -> str:
        """The file that a learner starts from."""
        return self._header() + _choose(self._body(), "skeleton")

    def solution(self) -> str:
        """The same file with the missing lines in it."""
        return self._header() + _choose(self._body(), "solution")

    def digest(self) -> str:
        """A short fingerprint of the skeleton, to recognise a file that nobody has touched."""
        return fingerprint(self.skeleton())

    def page_file(self) -> Path | None:
        """The tutorial page, where the tutorials are beside this installation; None where they are not, or for none."""
        found = sorted(pages().glob(f"{int(self.page):02}-*.md")) if self.page else []
        return found[0] if found else None

    def _text(self):
        return self.path.read_text(encoding="utf-8").partition(BOUNDARY)[0]

    def _header(self):
        doc = ast.get_docstring(ast.parse(self._text()))
        page = f"; tutorial page {self.page}" if self.page else ""
        told = f"{self.title}   (difficulty {self.level} of 4, about {self.minutes} minutes{page})"
        question = textwrap.fill("Predict, before you run it: " + self.predict, 110)
        return f'"""{self.name}: {told}\n\n{doc}\n\n{question}\n"""\n'

    def _body(self):
        text = self._text()
        end = ast.parse(text).body[0].end_lineno
        return "\n".join(text.split("\n")[end:]).rstrip() + "\n"


def fingerprint(text: str) -> str:
    """The first 16 hexadecimal digits of the text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _choose(text, wanted):
    """The text with only one side of every marked part; the skeleton's lines are comments in the source."""
    out, side = [], None
    for line in text.split("\n"):
        mark = line.strip()
        if mark in ("# solution:", "# skeleton:"):
            side = mark[2:-1]
        elif mark == "# end":
            side = None
        elif side is None:
            out.append(line)
        elif side == wanted:
            out.append(line if side == "solution" else re.sub(r"^(\s*)# ?", r"\1", line).rstrip())
    return "\n".join(out)


def folder() -> Any:
    """Where the exercises' sources are: inside the installed package, or in the tutorials of a source tree."""
    here = Path(__file__).parent
    for place in (here / "exercises", here.parents[1] / "tutorials" / "exercises"):
        if (place / "__init__.py").is_file():
            return place
    raise DataError("learn: the exercises are missing from this installation; install tinyvision again")


def pages() -> Path:
    """The folder of the tutorial pages; an installation without its source tree has none."""
    return Path(__file__).parents[2] / "tutorials"


def _constants(path):
    """The names at the top level of a file whose values are literals."""
    values = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.Assign):
            continue
        with suppress(ValueError):  # not a literal
            value, target = ast.literal_eval(node.value), node.targets[0]
            if isinstance(target, ast.Tuple):
                values.update(zip([name.id for name in target.elts], value, strict=True))
            else:
                values[target.id] = value
    return values


@cache
def _contents():
    return _constants(folder() / "__init__.py")


def version() -> Any:
    """The number of this course; a learner's folder remembers with which one it was made."""
    return _contents()["COURSE"]


@cache
def names() -> Any:
    """The exercises' names in the order of the course."""
    return tuple(_contents()["ORDER"])


@cache
def exercise(name: str) -> Exercise:
    """The exercise of that name. Raises OptionError with the nearest one."""
    name = name.removesuffix(".py")
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=1, cutoff=0.4)
        near = f"; did you mean {close[0]}?" if close else ""
        raise OptionError(f"learn: there is no exercise {name!r}{near} (tinyvision learn list shows all)")
    path = folder() / f"{name}.py"
    values = _constants(path)
    fields = {f.lower(): values[f] for f in _FIELDS}
    return Exercise(name, names().index(name) + 1, path, **{**fields, "page": str(fields["page"])})


def exercises() -> list[Exercise]:
    """All exercises in order."""
    return [exercise(name) for name in names()]
