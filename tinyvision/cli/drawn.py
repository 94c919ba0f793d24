"""`tinyvision predict` with a network that finds places: drawn pictures, a table, or JSON."""

from __future__ import annotations

import argparse
import csv
import io
from pathlib import Path
from typing import Any

from ..errors import DataError, FileError, OptionError
from ..folders import user_path
from .inputs import read_each
from .terminal import answer, answer_json, note


def run_drawn(predictor: Any, args: argparse.Namespace) -> int:
    """Look at all inputs with a `tasks.Predictor`."""
    from ..atomic import atomic_write

    for option in ("top", "invert"):
        if getattr(args, option):
            raise OptionError(f"--{option} is for networks that name classes; {predictor.origin} finds places")
    check_table(args.csv, args.overwrite)
    folder = None if args.save is None else folder_for(args.save)
    results: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    failed, taken = 0, set[str]()
    # What an earlier call has drawn into that folder is not drawn upon again.
    ignored = [] if folder is None else [folder]
    for name, path, image in read_each(args.inputs, lambda path: predictor.read(path, args.max_pixels), ignored):
        if isinstance(image, DataError):
            failed += 1
            note(f"tinyvision: {image}")
            results.append({"file": name, "error": str(image)})
            continue
        found = predictor.predict(image)
        result = {"file": name, **found.as_json()}
        rows += [{"file": name, **row} for row in found.rows()]
        if folder is not None:
            result["drawn"] = str(save_drawn(found.drawn(image), folder, path, taken, args.overwrite))
        results.append(result)
        if not args.json:
            answer(f"{name}  {found.line()}" + (f"  -> {result['drawn']}" if folder is not None else ""))
    if args.csv is not None:
        with atomic_write(args.csv, "w") as file:
            file.write(_table(rows, predictor.columns))
    if args.json:
        answer_json(results)
    if failed and len(results) > 1:
        note(f"tinyvision: {failed} of {len(results)} inputs could not be used")
    return 1 if failed else 0


def check_table(path: str | None, overwrite: bool) -> None:
    """Raise OptionError now, and not after an hour, if --csv cannot be written, or names a file that is there: where
    its own name was forgotten, that is the picture after it."""
    if path is None:
        return
    target = user_path(path)
    if target.is_dir() or not target.absolute().parent.is_dir():
        raise OptionError(f"--csv {path}: {'is a folder' if target.is_dir() else 'its folder does not exist'}")
    if target.exists() and not overwrite:
        raise OptionError(f"--csv {path}: exists already; --overwrite replaces it")
    if target.exists() and target.suffix.lower() != ".csv":  # a picture, say, whose table was to be beside it
        raise OptionError(f"--csv {path}: exists already and is no .csv; --overwrite replaces tables only")


def folder_for(text: str) -> Path:
    """The folder that --save names, which can be made if need be. Raises FileError."""
    from ..train.runs import made_folder

    folder = user_path(text)
    if folder.exists() and not folder.is_dir():
        raise FileError(f"{text} is a file; --save needs a folder")
    with made_folder(folder):  # what cannot be made is said before the work
        return folder


def save_drawn(pixels: Any, folder: Path, source: Path, taken: set[str], overwrite: bool) -> Path:
    """Write a drawn picture under its source's name, with a number where that name was given in this run, or, unless
    `overwrite`, is that of a file from before. Raises FileError if it would lie among the sources."""
    from PIL import Image

    from ..atomic import atomic_write
    from ..train.runs import made_folder

    stem, number, path = source.stem, 1, folder / f"{source.stem}.png"
    while stem in taken or (path.exists() and not overwrite and not path.parent.samefile(source.parent)):
        number += 1
        stem = f"{source.stem}-{number}"
        path = folder / f"{stem}.png"
    taken.add(stem)
    if path.exists() and path.samefile(source):
        raise FileError(f"{path} is the picture itself; --save needs another folder")
    if path.exists() and path.parent.samefile(source.parent):
        raise FileError(f"{path} lies beside {source.name}, and may be another picture; --save needs another folder")
    with made_folder(folder), atomic_write(path) as file:
        Image.fromarray(pixels).save(file, format="PNG")
    return path


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    """Comma-separated values, with a line of names even where nothing was found."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["file", *columns], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
