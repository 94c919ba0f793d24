"""The pictures that a command's arguments mean: files, folders and patterns."""

from __future__ import annotations

import glob
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..folders import user_path
from ..printable import printable
from .terminal import note


def read_each(
    inputs: list[str], read: Callable[[Path], Any], ignore: Collection[Path] = ()
) -> Iterator[tuple[str, Any, Any]]:
    """(name, path, what `read(path)` gives) of every picture that the inputs mean; a DataError in place of the last for
    one that cannot be read, and of both for an input that means none.

    ignore   folders that are passed over where one above them is searched through"""
    for name, path in _expanded(inputs, ignore):
        try:
            found = path if isinstance(path, DataError) else read(path)
        except DataError as error:
            found = error
        yield name, path, found


def _expanded(inputs: list[str], ignore: Collection[Path]) -> Iterator[tuple[str, Path | DataError]]:
    from ..data.picture_files import PictureFiles, not_read

    for text in inputs:
        path, problem = user_path(text), "no images in this folder"
        if path.is_dir():
            files = PictureFiles(path, [folder for folder in ignore if not (folder.exists() and path.samefile(folder))])
            found = files.paths
            if told := not_read(len(found), files.others):
                note(f"note: {printable(text)}: {told}")
        elif not path.exists() and glob.has_magic(text):
            found, problem = sorted(map(Path, glob.glob(str(path), recursive=True))), "nothing matches this pattern"
        else:
            found = [path]
        yield from ((str(p), p) for p in found)
        if not found:
            yield text, DataError(f"{printable(text)}: {problem}")
