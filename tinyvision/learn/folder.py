"""The learner's own folder: the files to edit, and a small state file beside them.

The course's updates never touch a learner's file. State is written atomically; one that cannot be read is set aside.
"""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..atomic import atomic_write
from ..errors import DataError, FileError, OptionError
from . import course
from .course import Exercise

STATE = ".tinyvision-learn.json"
DEFAULT = "tinyvision-exercises"
BACKUPS = "backups"
TRIES_BEFORE_SOLUTION = 3

_README = """\
These are the exercises of tinyvision. Begin with {first}.py. `tinyvision learn` (run here) watches the files, checks
one when you save it, and says what is wrong and where.

    tinyvision learn              watch: n next  h hint  d diagnose  l list  v picture  x reset  s solution  q quit
    tinyvision learn list         all exercises, in order
    tinyvision learn run NAME     check one
    tinyvision learn hint NAME    three hints: a question, where to look, almost the code

The lines to write are marked with `...`. All files are yours; updates of tinyvision do not change them.
"""


class Folder:
    """One learner's folder and what is remembered about it."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.state, self.warning = _read_state(self.path)
        made_with = self.state.get("course", 0)
        if made_with > course.version():
            raise OptionError(
                f"learn: {self.path} belongs to a newer course ({made_with}) than this tinyvision has "
                f"({course.version()}); update tinyvision"
            )
        if made_with < course.version() and self.warning is None:
            self.warning = (
                "this folder was made by an older version of the course; "
                f"`tinyvision learn init {shown(self.path)}` adds the new exercises and changes no file"
            )

    def file(self, one: Exercise) -> Any:
        """Where the learner's file of an exercise is."""
        return self.path / one.file

    def text(self, one: Exercise) -> Any:
        """The learner's file. Raises DataError with the remedy if it is gone."""
        path = self.file(one)
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise DataError(f"learn: {shown(path)} is gone; `tinyvision learn reset {one.name}` puts it back") from None
        except UnicodeDecodeError:
            raise DataError(f"learn: {shown(path)} is not text in UTF-8; save it as UTF-8") from None
        except OSError as error:
            raise DataError(f"learn: cannot read {shown(path)}: {error.strerror or error}") from None

    def entry(self, one: Exercise) -> Any:
        """What is remembered about an exercise: tries, hints, passed (a time or None)."""
        entry = self.state["exercises"].get(one.name)
        if not isinstance(entry, dict):
            entry = {}
        for key, kind, empty in (("tries", int, 0), ("hints", int, 0), ("passed", str, None), ("last", str, None)):
            if not isinstance(entry.get(key), kind):
                entry[key] = empty
        self.state["exercises"][one.name] = entry
        return entry

    def untouched(self, one: Exercise) -> bool:
        """True while the learner's file is the skeleton as shipped."""
        return self.text(one) == one.skeleton()

    def attempted(self, one: Exercise, passed: bool) -> Any:
        """Remember one attempt. The same text twice, and the skeleton as shipped, are no new try."""
        entry, now = self.entry(one), course.fingerprint(self.text(one))
        if passed:
            entry["passed"] = entry["passed"] or time.strftime("%Y-%m-%dT%H:%M:%S")
        elif now not in (entry["last"], one.digest()):
            entry["tries"] += 1
        if now != one.digest():
            entry["last"] = now
        self.save()

    def passed(self, one: Exercise) -> bool:
        """True if the exercise has been solved at some time."""
        return self.entry(one)["passed"] is not None

    def next(self) -> Any:
        """The first exercise that is not solved yet, or None."""
        return next((e for e in course.exercises() if not self.passed(e)), None)

    def after(self, one: Exercise) -> Any:
        """The next unsolved exercise after this one, else the first unsolved one, else None."""
        rest = course.exercises()[one.number :]
        return next((e for e in rest if not self.passed(e)), None) or self.next()

    def solution_refused(self, one: Exercise) -> Any:
        """Why the solution may not be shown yet, or None."""
        entry = self.entry(one)
        if entry["passed"] or entry["tries"] >= TRIES_BEFORE_SOLUTION:
            return None
        return (
            f"the solution of {one.name} shows after a pass, or after {TRIES_BEFORE_SOLUTION} tries of your own "
            f"(so far {entry['tries']}); `hint` helps sooner"
        )

    def hint(self, one: Exercise, level: int | None = None) -> Any:
        """(number of the hint, its text): the next unseen one, or the one of a level 1 to 3."""
        entry = self.entry(one)
        number = level or min(entry["hints"] + 1, len(one.hints))
        entry["hints"] = max(entry["hints"], number)
        self.save()
        return number, one.hints[number - 1]

    def reset(self, one: Exercise) -> Any:
        """Put the skeleton back. Returns the path of the backup, or None if there was nothing to keep."""
        path, backup = self.file(one), None
        if path.exists() and path.read_bytes() != one.skeleton().encode():
            (self.path / BACKUPS).mkdir(exist_ok=True)
            stem = self.path / BACKUPS / f"{one.name}-{time.strftime('%Y%m%d-%H%M%S')}"
            backup = next(p for k in range(10_000) if not (p := Path(f"{stem}{'-' + str(k) if k else ''}.py")).exists())
            os.replace(path, backup)
        _write(path, one.skeleton())
        self.state["exercises"].pop(one.name, None)
        self.save()
        return backup

    def save(self) -> None:
        """Write the state. Raises FileError if the folder cannot be written."""
        _write(self.path / STATE, json.dumps(self.state, indent=1, sort_keys=True) + "\n")


def _write(path, text):
    with atomic_write(path, "w") as file:
        file.write(text)


def _read_state(path):
    """(state, warning): a state that cannot be read is renamed, and said so."""
    empty = {"course": course.version(), "exercises": {}}
    file = path / STATE
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(state, dict) and isinstance(state.get("exercises"), dict) and isinstance(state["course"], int):
            return state, None
    except (ValueError, KeyError, RecursionError):
        pass  # not JSON, not UTF-8, or without its number
    except OSError as error:
        raise DataError(f"learn: cannot read {file}: {error.strerror or error}") from None
    aside = file.with_name(f"{STATE}.broken-{time.strftime('%Y%m%d-%H%M%S')}")
    with suppress(OSError):
        os.replace(file, aside)
    _write(file, json.dumps(empty) + "\n")
    return empty, f"the record of your progress could not be read; it was kept as {aside.name}, and a new one begins"


def shown(path: Any) -> Any:
    """A path as short as it can be typed from here."""
    try:
        relative = os.path.relpath(path)
    except ValueError:
        return str(path)
    return str(path) if relative.startswith("..") else relative


def find(given: Any = None) -> Folder:
    """The learner's folder: the one given, or the current one, one above it, or the default name below it.

    Raises OptionError with the remedy if there is none."""
    if given is not None:
        if (Path(given) / STATE).is_file():
            return Folder(given)
        raise OptionError(f"learn: {given} is no course folder; `tinyvision learn init {given}` makes one")
    here = Path.cwd()
    for place in (here, *here.parents, here / DEFAULT):
        if (place / STATE).is_file():
            return Folder(place)
    raise OptionError(
        "learn: this is not a course folder. `tinyvision learn init` makes one here "
        f"({DEFAULT}); if you have one, cd to it"
    )


def create(given: Any = None) -> tuple[Folder, list[str], bool]:
    """Make a course folder, or add what is missing to one. Returns (Folder, names of files added, whether it was new).

    Never overwrites a file. Raises OptionError for a folder with other things in it, FileError if it cannot be made."""
    path = Path(given if given is not None else DEFAULT)
    if given is None and (Path.cwd() / STATE).is_file():
        path = Path.cwd()
    known = (path / STATE).is_file()
    if path.exists() and not path.is_dir():
        raise OptionError(f"learn: {path} is a file; name a folder that is new or empty")
    if not known and path.is_dir() and any(path.iterdir()):
        raise OptionError(f"learn: {path} is not empty; name a folder that is new or empty")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"learn: cannot make the folder {path}: {error.strerror or error}") from None
    added = []
    for one in course.exercises():
        if not (path / one.file).exists():
            _write(path / one.file, one.skeleton())
            added.append(one.name)
    if not (path / "README.txt").exists():
        _write(path / "README.txt", _README.format(first=course.names()[0]))
    if not known:
        _write(path / STATE, json.dumps({"course": course.version(), "exercises": {}}) + "\n")
    folder = Folder(path)
    if folder.state["course"] != course.version():
        folder.state["course"], folder.warning = course.version(), None
        folder.save()
    return folder, added, not known


def warn(folder: Folder) -> None:
    """Say on standard error what is odd about the folder, once."""
    if folder.warning:
        print(f"tinyvision learn: {folder.warning}", file=sys.stderr)
        folder.warning = None
