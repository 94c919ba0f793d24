"""Which files of a folder are pictures that can be read, which are ours, and which are passed over."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from ..errors import DataError
from ..folders import cache_dir_if_known
from ..printable import printable
from .images import SUFFIXES, needs

# A folder with one of these is a run of ours, whatever it is called; its curves are no picture to learn from.
RUN_FILES = ("last.safetensors", "best.safetensors", "transfer.json", "evaluation.json")


class PictureFiles:
    """The pictures below a folder, in the order of their paths.

    paths   the files that `read_image` reads, by their suffix
    others  how many files have another suffix, by suffix: {".heic": 12}
    runs    whether a run of ours, or the cache, was passed over

    Hidden files and folders, runs of ours, the cache folder and the folders in `ignore` are passed over; links to
    folders below are not followed. Raises DataError for a folder that cannot be listed."""

    def __init__(self, folder: str | os.PathLike[str], ignore: Collection[Path] = ()) -> None:
        self.paths: list[Path] = []
        self.others: Counter[str] = Counter()
        self.runs = False
        ours = {_identity(path) for path in (*ignore, cache_dir_if_known()) if path} - {None}
        for place, folders, names in os.walk(folder, onerror=_cannot_list):
            if any(name in RUN_FILES for name in names) or (ours and _identity(place) in ours):
                self.runs, folders[:] = True, []
                continue
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in names:
                suffix = os.path.splitext(name)[1].lower()
                if name.startswith("."):
                    continue
                if suffix in SUFFIXES and needs(suffix) is None:
                    self.paths.append(Path(place, name))
                else:
                    self.others[suffix] += 1
        self.paths.sort()


def not_read(read: int, others: Counter[str]) -> str | None:
    """What to tell of files that were passed over, or None: "12 of 340 files were not read: 12 .heic (...)"."""
    if not others:
        return None
    kinds = [
        f"{count} {printable(suffix, 20) or 'without a suffix'}" + (f" ({needs(suffix)})" if needs(suffix) else "")
        for suffix, count in others.most_common(6)
    ]
    more = ", ..." if len(others) > 6 else ""
    return f"{others.total():,} of {read + others.total():,} files were not read: {', '.join(kinds)}{more}"


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _cannot_list(error: OSError) -> None:
    raise DataError(f"{printable(error.filename)}: cannot be read: {error.strerror}") from error
