"""Images in folders: one folder a class."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from ..folders import user_path
from ..printable import printable
from .dataset import Dataset, Subset, Transform
from .images import MAX_PIXELS, SUFFIXES, read_image
from .picture_files import PictureFiles, not_read

_PARTS = {"train", "training", "val", "valid", "validation", "test", "testing"}


class ImageFolder(Dataset):
    """Images from `root/class/*.jpg` and the like; the class folders' names, sorted, are the classes.

    Images may lie deeper inside a class folder. Hidden files and folders, runs of tinyvision's and files without the
    suffix of a picture are passed over; two spellings of one name in Unicode are one class. An image is
    read when it is asked for, by `read_image`: uint8 RGB (H, W, 3), with at most `max_pixels` pixels.

    samples       list of (path, label)
    labels        int64 (N,)
    class_to_idx  label by class name
    others        how many files of the class folders are no pictures that can be read, by suffix: {".heic": 12}

    `ignore` names folders that are passed over, too. Raises DataError if `root` is missing, is no folder, has no
    class folders, or a class folder has no images; and when a broken image is asked for, naming it."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Transform | None = None,
        max_pixels: int = MAX_PIXELS,
        ignore: Collection[Path] = (),
    ) -> None:
        self.root = user_path(root)
        self.transform, self.max_pixels = transform, max_pixels
        found: dict[str, list[PictureFiles]] = {}
        for folder in _class_folders(self.root):
            files = PictureFiles(self.root / folder, ignore)
            if files.paths or not files.runs:  # a folder of nothing but our runs is no class
                found.setdefault(unicodedata.normalize("NFC", folder), []).append(files)
        if not found:
            raise DataError(f"{printable(self.root)}: holds runs of tinyvision's and no images")
        self.classes = sorted(found)
        self.class_to_idx = {name: label for label, name in enumerate(self.classes)}
        self.others = sum((files.others for kind in found.values() for files in kind), Counter())
        if empty := [name for name in self.classes if not any(files.paths for files in found[name])]:
            names = printable(", ".join(ascii(name) for name in empty), 150)
            hint = f" ({told})" if (told := not_read(0, self.others)) else ""
            raise DataError(
                f"{printable(self.root)}: no images in the class folders {names}{hint}; remove or fill them"
            )
        self.samples = [
            (path, label)
            for label, name in enumerate(self.classes)
            for path in sorted(path for files in found[name] for path in files.paths)
        ]
        self.labels = np.array([label for _, label in self.samples], np.int64)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        path, label = self.samples[self._index(index)]
        image = read_image(path, self.max_pixels)
        return (image if self.transform is None else self.transform(image)), label

    def known_as(self, index: int) -> str:
        """What an item is called, with its label: below `root`, which may move."""
        path, label = self.samples[index]
        return f"{Path(path).as_posix().removeprefix(f'{self.root.as_posix()}/')} {label}"


def unreadable(dataset: Any, counted: Callable[[int], None], threads: int = 1) -> list[DataError]:
    """Why images of an ImageFolder, or of a Subset of one, cannot be read: an error that names the file for each.

    Every image is read once, without transforms; `counted` is called with the number of those read since its
    last call."""
    indices = np.arange(len(dataset))
    while isinstance(dataset, Subset):
        dataset, indices = dataset.dataset, np.asarray(dataset.indices, np.int64)[indices]
    errors: list[DataError] = []

    def problem(index: int) -> DataError | None:
        try:
            read_image(dataset.samples[index][0], dataset.max_pixels)
        except DataError as error:
            return error
        return None

    with ThreadPoolExecutor(threads, thread_name_prefix="tinyvision-data") as pool:
        few = 16 * threads  # at a time, so that Ctrl-C waits for these alone
        for start in range(0, len(indices), few):
            found = list(pool.map(problem, indices[start : start + few]))
            errors += [error for error in found if error is not None]
            counted(len(found))
    return errors


def _class_folders(root: Path) -> list[str]:
    name = printable(root)
    try:
        with os.scandir(root) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
            classes = sorted(entry.name for entry in visible if entry.is_dir())
    except FileNotFoundError as error:
        raise DataError(f"{name}: no such folder") from error
    except NotADirectoryError as error:
        raise DataError(f"{name}: is a file; a folder with one folder for each class is needed") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{name}: cannot be read: {printable(getattr(error, 'strerror', None) or error)}") from error
    if not classes:
        loose = sum(entry.name.lower().endswith(SUFFIXES) for entry in visible)
        found = f"it holds {loose} images directly" if loose else "it holds no images and no folders"
        raise DataError(f"{name}: {found}; put the images of each class into a folder of their own")
    for path in (root / entry for entry in classes):
        if path.is_symlink() and root.resolve().is_relative_to(path.resolve()):
            raise DataError(f"{printable(path)}: is a link to {name} itself or a folder above; remove it")
    parts = set(map(str.lower, classes)) <= _PARTS
    if parts and any(next(os.walk(root / part), ("", [], []))[1] for part in classes):
        raise DataError(f"{name}: holds {printable(', '.join(classes))} instead of classes; open one of these folders")
    return classes
