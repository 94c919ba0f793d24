"""Pictures with the names of their classes, as folders for evaluation bring them: class folders, or one folder with a
file of labels."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, OptionError
from ..folders import user_path
from ..formats.source import read_text
from ..printable import printable
from .dataset import Dataset
from .folder import ImageFolder
from .images import MAX_PIXELS, read_image
from .picture_files import PictureFiles, not_read
from .vision_dataset import default_loader

_LARGEST_FILE = 1 << 28  # bytes of a file of labels; ImageNet's largest has 1.4 million lines
_COLUMNS = (
    ("file", "filename", "image", "imageid", "path", "picture"),
    ("label", "class", "category", "predictionstring", "wnid", "synset", "target"),
)
_WORDNET_AND_BOXES = re.compile(r"(n\d{8})(\s+\d+){4,}")


class LabelledPictures(Dataset):
    """Pictures uint8 RGB (H, W, 3) and what they are said to show: item i is (picture, i).

    root       a folder with one folder for each class; or, with `labels`, any folder of pictures
    labels     a file with a line for each picture: its name and its class, with a comma, a tab or blanks between them,
               with or without a heading. The name may lack its suffix. A file of classes alone, as many as there are
               pictures, is taken in the order of the pictures' names, unless the classes are bare numbers, which are
               counted in more than one order. Of a class followed by boxes (n03995372 85 1 499 272) the class is taken
    as_stored  decode as torchvision's loader does: not turned by the camera's note, transparency dropped

    samples    list of (path, index);  texts  the name of the class of each, as the folder or the file has it
    notes      what was passed over, in words

    Raises DataError for a folder without pictures, a file that cannot be understood, with its line, two classes for
    one picture; and when a broken picture is asked for."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        labels: str | os.PathLike[str] | None = None,
        max_pixels: int = MAX_PIXELS,
        as_stored: bool = False,
        ignore: Any = (),
    ) -> None:
        self.root, self.max_pixels, self.as_stored = user_path(root), max_pixels, as_stored
        if as_stored and max_pixels != MAX_PIXELS:
            raise OptionError("as_stored decodes as torchvision does, without a limit to set: leave max_pixels out")
        self.notes: list[str] = []
        if labels is None:
            found = self._in_class_folders(ignore)
        else:
            found = self._with_labels(user_path(labels), ignore)
        self.samples = [(path, index) for index, (path, _) in enumerate(found)]
        self.texts = [text for _, text in found]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        path, number = self.samples[self._index(index)]
        if self.as_stored:
            return np.array(default_loader(path)), number
        return read_image(path, self.max_pixels), number

    def name(self, index: int) -> str:
        """The picture's path below the folder."""
        return self.samples[index][0].relative_to(self.root).as_posix()

    def _in_class_folders(self, ignore: Any) -> list[tuple[Path, str]]:
        try:
            folder = ImageFolder(self.root, ignore=ignore)
        except DataError as error:
            loose = "images directly" in str(error)
            hint = ", or name the file that says what they show (labels, --labels FILE)" if loose else ""
            raise DataError(f"{error}{hint}") from None
        if told := not_read(len(folder), folder.others):
            self.notes.append(told)
        return [(path, folder.classes[label]) for path, label in folder.samples]

    def _with_labels(self, file: Path, ignore: Any) -> list[tuple[Path, str]]:
        if not self.root.is_dir():
            raise DataError(f"{printable(self.root)}: no such folder")
        files = PictureFiles(self.root, ignore)
        if told := not_read(len(files.paths), files.others):
            self.notes.append(told)
        if not files.paths:
            raise DataError(f"{printable(self.root)}: holds no pictures{f' ({told})' if told else ''}")
        rows, where = _rows(file), printable(file)
        known = _by_name(self.root, files.paths)
        if all(len(row) == 1 and _divided(row[0], known) is None for _, row in rows):
            return _in_order(rows, files.paths, where)
        found: dict[Path, tuple[str, int]] = {}
        absent = 0
        for line, row in rows:
            path, text = _matched(row, known, line, where)
            if path is None:
                absent += 1
                continue
            before = found.setdefault(path, (text, line))
            if before[0] != text:
                raise DataError(
                    f"{where}, line {line}: {printable(row[0], 60)} is {printable(text, 40)} here, and "
                    f"{printable(before[0], 40)} in line {before[1]}"
                )
        if not found:
            example = printable(rows[0][1][0], 60)
            raise DataError(f"{where}: names none of the {len(files.paths):,} pictures below {printable(self.root)}; "
                            f"its first line is of {example}")  # fmt: skip
        if absent:
            self.notes.append(f"{absent:,} of {len(rows):,} lines of {where} are of pictures that are not here")
        if unlabelled := len(files.paths) - len(found):
            self.notes.append(f"{unlabelled:,} of {len(files.paths):,} pictures have no line in {where}: left out")
        return [(path, found[path][0]) for path in files.paths if path in found]


def _rows(file: Path) -> list[tuple[int, list[str]]]:
    """(number of the line, its one or two columns) of a file of labels, without its heading."""
    text, name = read_text(file, _LARGEST_FILE)
    if "\0" in text:
        raise DataError(f"{name}: is no text; a file of labels has a line for each picture")
    rows = [(number, columns) for number, columns in _columns(text, name) if any(columns)]
    if not rows:
        raise DataError(f"{name}: has no lines")
    heading = [column.strip().casefold() for column in rows[0][1]]
    wanted = [next((i for i, word in enumerate(heading) if word in words), None) for words in _COLUMNS]
    if wanted[1] is not None and (wanted[0] is not None or len(heading) == 1):
        rows = [(number, [_at(row, i, number, name) for i in wanted if i is not None]) for number, row in rows[1:]]
        if not rows:
            raise DataError(f"{name}: has a heading and no lines below it")
    for number, row in rows:
        if len(row) > 2:
            raise DataError(
                f"{name}, line {number}: has {len(row)} columns; two are needed, the picture and its class, or a "
                f"heading that names them file and label"
            )
    return rows


def _columns(text: str, name: str) -> Iterator[tuple[int, list[str]]]:
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    mark = next((mark for mark in "\t," if mark in first), None)
    if mark is None:
        # The columns of what blanks divide are found when the pictures' names are known: both may hold blanks.
        yield from ((number, [line.strip()]) for number, line in enumerate(lines, 1))
        return
    reader = csv.reader(lines, delimiter=mark, strict=True, skipinitialspace=True)
    try:
        for row in reader:
            yield reader.line_num, [column.strip() for column in row]
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num}: {error}") from None


def _at(row: list[str], column: int, number: int, name: str) -> str:
    if column >= len(row):
        raise DataError(f"{name}, line {number}: has only {len(row)} columns")
    return row[column]


def _by_name(root: Path, paths: list[Path]) -> dict[str, Path | None]:
    """Each picture by its path below the folder, its own name, and both without the suffix; None for a name of two."""
    known: dict[str, Path | None] = {}
    for path in paths:
        below = path.relative_to(root)
        for name in {below.as_posix(), below.with_suffix("").as_posix(), below.name, below.stem}:
            known[name] = None if name in known else path
    return known


def _matched(row: list[str], known: dict[str, Path | None], line: int, where: str) -> tuple[Path | None, str]:
    """(the picture that a line is of, or None if it is not here; its class)"""
    if len(row) == 1:
        row = _divided(row[0], known) or row[0].rsplit(None, 1)
        if len(row) == 1:
            raise DataError(f"{where}, line {line}: {printable(row[0], 60)} is alone; write the picture and its class")
    name, text = row[0].removeprefix("./"), row[1]
    if not text:
        raise DataError(f"{where}, line {line}: {printable(name, 60)} has no class")
    if name in known and known[name] is None:
        raise DataError(f"{where}, line {line}: several pictures are called {printable(name, 60)}; give their folders")
    boxes = _WORDNET_AND_BOXES.match(text)
    return known.get(name), boxes[1] if boxes else text


def _divided(line: str, known: dict[str, Path | None]) -> list[str] | None:
    """The picture's name and its class in a line with blanks, of which both may have some; None if none is meant."""
    for pair in (line.rsplit(None, 1), line.split(None, 1)):
        if len(pair) == 2 and pair[0].removeprefix("./") in known:
            return pair
    return None


def _in_order(rows: list[tuple[int, list[str]]], paths: list[Path], where: str) -> list[tuple[Path, str]]:
    """Pictures in the order of their names, with the lines of a file of classes alone."""
    texts = [row[0] for _, row in rows]
    if all(";" in text for text in texts):
        raise DataError(f"{where}: has a semicolon in each line; put a comma between the picture's name and its class")
    if len(texts) != len(paths):
        raise DataError(
            f"{where}: {len(texts):,} lines of classes alone for {len(paths):,} pictures; "
            f"write the picture's name before its class"
        )
    if all(text.lstrip("-").isdigit() for text in texts):
        raise DataError(
            f"{where}: holds numbers alone, and ImageNet's classes are numbered in two orders (its own, from 1, and "
            f"that of the scores, from 0); write WordNet ids, or the picture's name before each number"
        )
    return list(zip(paths, texts, strict=True))
