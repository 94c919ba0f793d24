"""Folders of images as data for training: which parts they bring, what was probably meant, which files are broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from .. import data, threads
from ..data.folder import unreadable
from ..data.picture_files import not_read
from ..errors import DataError
from ..printable import printable
from .console import Reporter

_READERS = 4  # threads; each may hold the pixels of a very large photograph

_PART_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


def folder_parts(
    root: Path, max_pixels: int = data.images.MAX_PIXELS, ignore: Collection[Path] = ()
) -> tuple[Any, Any, Any]:
    """(training, validation, test) ImageFolders of root/train, root/val and root/test, or (all of root, None,
    None), without the folders in `ignore`.

    Raises DataError if the parts have different classes, if there is only one class, or if the classes lie one level
    deeper; the message says which folder was probably meant."""

    def opened(folder: Path) -> Any:
        return data.ImageFolder(folder, max_pixels=max_pixels, ignore=ignore)

    names = {part: [root / n for n in also if (root / n).is_dir()] for part, also in _PART_NAMES.items()}
    if not names["train"]:
        found: dict[str, Any] = {"train": opened(root), "val": None, "test": None}
    else:
        found = {part: opened(paths[0]) if paths else None for part, paths in names.items()}
    train = found["train"]
    _check_level(train)
    for part in ("val", "test"):
        other = found[part]
        if other is not None and other.classes != train.classes:
            differing = printable(", ".join(map(ascii, sorted(set(other.classes) ^ set(train.classes))[:5])))
            raise DataError(f"{printable(root)}: train and {part} differ in the classes {differing}")
    return train, found["val"], found["test"]


def _check_level(folder: Any) -> None:
    """Refuse a root that lies one level too high: one class, or class folders with the same folders in each."""
    where = printable(folder.root)
    below: dict[str, set[str]] = {
        name: set() for name in folder.classes
    }  # folders in a class, "" for images beside them
    for path, label in folder.samples:
        inner = path.relative_to(folder.root).parts[1:-1]
        below[folder.classes[label]].add(inner[0] if inner else "")
    one, *others = below.values()
    if not others:
        name = folder.classes[0]
        if len(one - {""}) < 2:
            raise DataError(f"{where}: there is only the class {printable(ascii(name), 60)}; at least two are needed")
        inner = printable(", ".join(map(ascii, sorted(one - {""})[:5])), 100)
        meant = printable(folder.root / name)
        raise DataError(
            f"{where}: the only class is {printable(ascii(name), 60)}, with the folders {inner} in it; "
            f"if these are the classes, name the folder {meant}"
        )
    if "" not in one and len(one) > 1 and all(inner == one for inner in others):
        inner, outer = (printable(", ".join(map(ascii, sorted(n)[:5])), 100) for n in (one, below))
        meant = printable(folder.root / folder.classes[0])
        raise DataError(
            f"{where}: all its folders ({outer}) hold the same folders ({inner}), which are probably the "
            f"classes; name one of them, such as {meant}, or put the images of each class into one folder"
        )


def passed_over(parts: Sequence[Any]) -> str | None:
    """What to tell of files in the parts of an image folder that are not read, or None."""
    read, others = 0, Counter[str]()
    for folder in {id(folder): folder for folder in map(_folder_of, parts) if folder is not None}.values():
        read, others = read + len(folder), others + folder.others
    return not_read(read, others)


def _folder_of(part: Any) -> Any:
    """The ImageFolder that a part is, or is a Subset of."""
    while isinstance(part, data.Subset):
        part = part.dataset
    return part


def look_through(parts: Sequence[Any], console: Reporter, known: Callable[[Any], bool] = lambda part: False) -> None:
    """What comes before training: tell of files that are not read; then `check_images`, its arguments and errors."""
    if told := passed_over(parts):
        console.line(f"note: {told}")
    check_images(parts, console, known)


def check_images(parts: Sequence[Any], console: Reporter, known: Callable[[Any], bool] = lambda part: False) -> None:
    """Read all images of the parts of an image folder once, so that every broken one is named before training,
    and not one after the other by runs that die of them.

    parts    ImageFolders or Subsets of them; a None is passed over
    console  shows how far the reading has come
    known    tells of a part whether its images have been read before, and need no second reading

    Raises DataError naming every image that cannot be read."""
    present = [part for part in parts if part is not None]
    unread = [part for part in present if not known(part)]
    if not unread:
        return
    readers = min(threads.get_num_threads(), _READERS)
    counted = console.counter("checking the images", sum(map(len, unread)))
    try:
        errors = [error for part in unread for error in unreadable(part, counted, readers)]
    finally:
        console.end()
    if errors:
        named = "".join(f"\n    {text}" for text in sorted(map(str, errors)))
        raise DataError(f"{len(errors)} of {sum(map(len, present))} images cannot be used; mend or remove them:{named}")
