"""The names of the classes beside YOLO's labels: a name a line, or the entry `names` of the data.yaml of a tool."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

from ...errors import DataError
from ...formats.source import read_text
from ...printable import printable

LINES = ("classes.txt", "obj.names")
ENTRIES = ("data.yaml", "data.yml", "dataset.yaml")
_REMEDY = "write the names into classes.txt, one a line, the first for class 0"
_TEXT = r"""'((?:[^']|'')*)'|"([^"\\]*)"|([^'"\[\]{},#&*!|>%@`][^,\[\]{}#]*)"""  # 'a', "a" or a
_PAIR = re.compile(rf"\s*(?:(\d+)\s*:\s+)?(?:{_TEXT})\s*")


def class_names(*folders: Path) -> tuple[list[str], str]:
    """(the names from class 0 on, what the file is called) in the first of the folders that says them.

    Raises DataError naming file and line."""
    for folder in folders:
        for name in (*LINES, *ENTRIES):
            if (file := folder / name).is_file():
                names = (_by_line if name in LINES else _of_entry)(file)
                if not names or len(set(names)) < len(names):
                    raise DataError(f"{printable(file)}: needs names that differ, one a line, the first for class 0")
                return names, name
    raise DataError(f"{printable(folders[0])}: has no classes.txt; write the names of the classes, one a line")


def key_points(*folders: Path) -> int:
    """How many numbers of key points stand behind every box, as `kpt_shape: [points, 2 or 3]` says; 0 without it."""
    for folder in folders:
        for name in ENTRIES:
            if (file := folder / name).is_file():
                entry = re.search(r"^kpt_shape\s*:(.*)$", read_text(file)[0], re.MULTILINE)
                if entry is None:
                    return 0
                shape = re.fullmatch(r"\[\s*(\d{1,4})\s*,\s*([23])\s*\]", _uncommented(entry[1]))
                if shape is None:
                    raise DataError(f"{printable(file)}: kpt_shape is [points, 2 or 3], got {printable(entry[1], 40)}")
                return int(shape[1]) * int(shape[2])
    return 0


def _by_line(file: Path) -> list[str]:
    lines = [line.strip() for line in read_text(file)[0].rstrip().splitlines()]
    if "" in lines:
        raise DataError(
            f"{printable(file)}, line {lines.index('') + 1}: is empty, and the line of a name is its number; "
            f"write a name, or remove the line if no class has this number"
        )
    return lines


def _of_entry(file: Path) -> list[str]:
    """What `names:` says: [a, b], {0: a, 1: b}, or a line for each, `- a` or `0: a`."""
    lines = read_text(file)[0].splitlines()
    start = next((k for k, line in enumerate(lines) if re.match(r"names\s*:", line)), None)
    if start is None:
        raise DataError(f"{printable(file)}: has no entry `names`; {_REMEDY}")
    behind = _uncommented(lines[start].partition(":")[2])
    if behind:
        return _in_brackets(file, start, [behind, *map(_uncommented, lines[start + 1 :])])
    found: list[str] = []
    forms = set()
    for number, line in enumerate(lines[start + 1 :], start + 2):
        text = _uncommented(line)
        if not text:
            continue
        if not line.startswith((" ", "\t", "-")):
            break  # the next entry
        listed = text.startswith("- ")
        forms.add(listed)
        match = _PAIR.fullmatch(text[2:] if listed else text)
        if match is None or (match[1] is None) != listed or len(forms) > 1:
            _refuse(file, number)
        found.append(_name(file, number, match, len(found)))
    return found


def _in_brackets(file: Path, start: int, lines: list[str]) -> list[str]:
    """[a, b] or {0: a, 1: b}, over one line or several."""
    closing = {"[": "]", "{": "}"}.get(lines[0][0])
    last = next((k for k, line in enumerate(lines) if closing and line.endswith(closing)), None)
    if last is None:
        _refuse(file, start + 1)
    text, place, found = " ".join(lines[: last + 1])[1:-1].strip(), 0, list[str]()
    while place < len(text):
        match = _PAIR.match(text, place)
        if match is None or (match[1] is None) != (closing == "]"):
            _refuse(file, start + 1)
        found.append(_name(file, start + 1, match, len(found)))
        place = match.end()
        if place < len(text) and text[place] != ",":
            _refuse(file, start + 1)
        place += 1
    return found


def _name(file: Path, line: int, match: re.Match[str], number: int) -> str:
    if match[1] is not None and int(match[1]) != number:
        raise DataError(f"{printable(file)}, line {line}: class {match[1]}, where {number} comes next; number them so")
    quoted, double, bare = match.groups()[1:]
    if bare is not None and re.search(r":(\s|$)", bare):
        _refuse(file, line)
    name = quoted.replace("''", "'") if quoted is not None else double if double is not None else bare
    return name.strip()


def _uncommented(line: str) -> str:
    """Without a comment, unless there are quotes or brackets in it: what they belong to is not known here."""
    return re.sub(r"""(^|\s)#[^'"\]}]*$""", "", line).strip()


def _refuse(file: Path, line: int) -> NoReturn:
    raise DataError(f"{printable(file)}, line {line}: of YAML, only a plain list of names is known here; {_REMEDY}")
