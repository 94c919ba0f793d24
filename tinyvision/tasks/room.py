"""What the command line knows of a task: its data by name, its network, and what becomes of its results."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..data import Subset, random_split
from ..errors import DataError, OptionError
from ..folders import user_path
from ..nn.module import Module
from ..train.checkpoint import Checkpoint
from ..train.preprocessing import Preprocessing
from ..train.recipes import Parts, built, rebuilt
from ..train.settings import nearest
from ..train.task import Task


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line; None where nothing was."""

    data: str | None = None
    root: str | None = None
    model: str | None = None
    backbone: str | None = None
    image_size: int | None = None
    val: float | None = None
    augment: str | None = None
    instances: bool | None = None


@dataclass(frozen=True)
class Opening:
    """How the files of a data set are to be opened.

    root       where they are;  download   whether missing ones are fetched;  max_pixels  the most a picture may have
    seed       of the split;  console  shows what was found"""

    root: str | None
    seed: int
    download: bool
    max_pixels: int
    console: Any


class Prediction(ABC):
    """What a network says of one picture."""

    @abstractmethod
    def line(self) -> str:
        """In a line."""

    @abstractmethod
    def as_json(self) -> Any:
        """For JSON."""

    @abstractmethod
    def drawn(self, image: np.ndarray) -> np.ndarray:
        """Drawn on the picture, uint8 (H, W, 3)."""

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """As rows of a table."""


@dataclass
class Predictor(ABC):
    """A trained network ready for use.

    model    in evaluation mode;  preprocessing  how pictures become its input;  classes  names;  origin  in words
    columns  of the table of a prediction's rows"""

    columns: ClassVar[tuple[str, ...]]
    model: Module
    preprocessing: Preprocessing
    classes: list[str]
    origin: str

    @abstractmethod
    def read(self, path: Path, max_pixels: int) -> np.ndarray:
        """The picture in a file, uint8 (H, W, 3)."""

    @abstractmethod
    def predict(self, image: np.ndarray) -> Prediction:
        """What is on a picture, uint8 (H, W, 3)."""


class Room(ABC):
    """A task from data to picture. One object each, in `tasks.ROOMS`.

    name      of the task;  data   what `--data` may be, with a line about each, the default first
    settings  for `fit`, by data
    network   the name of the only one, where there is only one
    own       data that are files of the user's own: `--root` says where they are;  known  data that are looked for
              where they usually are, without it. All others come with tinyvision"""

    name: str
    data: ClassVar[dict[str, str]]
    settings: ClassVar[dict[str, dict[str, Any]]]
    network: str | None = None
    own: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()  # options without meaning here
    model: ClassVar[Any]  # the network's class, called with the options of a description
    ready: ClassVar[Any]  # what makes a Predictor, or what the task has in its place, out of what `rebuilt` gives
    use = "tinyvision predict IMAGE --model"  # how a trained network is used, before its run's folder

    @abstractmethod
    def plan(self, options: Options) -> tuple[dict[str, Any], dict[str, Any]]:
        """(a checkpoint's description of data, input and model; the settings that suit them). Raises OptionError."""

    @abstractmethod
    def open(self, description: dict[str, Any], opening: Opening) -> Parts:
        """The data; completes the description by the number of classes. Raises DataError."""

    def build(self, description: dict[str, Any]) -> Module:
        """The network of a description, with random weights. Raises CheckpointError for a damaged one."""
        return built(self.model, description["model"].get("options"))

    def begin(self, description: dict[str, Any], parts: Parts) -> Module:
        """The same for a new run on the data that `open` gave: its backbone, where it has one, as published."""
        options = description["model"].get("options", {})
        return self.model(**options, weights="DEFAULT") if options.get("backbone") else self.build(description)

    @abstractmethod
    def task(self, description: dict[str, Any]) -> Task:
        """What `fit` is given."""

    @abstractmethod
    def result(self, row: dict[str, Any], parts: Parts, test: Any) -> tuple[dict[str, Any], list[str]]:
        """What the best epoch's row and the evaluation of the test part (or None) amount to: for JSON, and in lines."""

    def load(self, checkpoint: Checkpoint, path: Path) -> Any:
        """The network of a checkpoint of this task, ready for use. Raises CheckpointError."""
        return self.ready(*rebuilt(checkpoint, path, self.build))

    def report(
        self, model: Module, description: dict[str, Any], parts: Parts, test: Any
    ) -> tuple[list[str], dict[str, Any], list[str]]:
        """Sections of HTML for report.html (none, and there is no report), and what more than `result` has been found
        out on the way: for JSON, and in lines."""
        return [], {}, []

    def chosen(self, options: Options) -> str:
        """The name of the data, after the options have been found to have a meaning. Raises OptionError."""
        for name in self.refused:
            if getattr(options, name) is not None:
                raise OptionError(f"--{name.replace('_', '-')} has no meaning for {self.name}; leave it out")
        data = options.data or next(iter(self.data))
        if data not in self.data:
            raise OptionError(
                f"data {data!r} is unknown for {self.name} (known: {', '.join(self.data)}){nearest(data, self.data)}"
            )
        if self.network and options.model not in (None, self.network):
            raise OptionError(f"model {options.model!r} is unknown for {self.name} (known: {self.network})")
        if options.root is None and data in self.own:
            raise OptionError(f"data {data!r} needs --root FOLDER: {self.data[data].partition(': ')[2]}")
        if options.root is not None and data not in (*self.own, *self.known):
            raise OptionError(f"data {data!r} comes with tinyvision and takes no root")
        return data

    def check_opening(self, opening: Opening) -> None:
        """Raise OptionError if data are to be downloaded where none are."""
        if opening.download:
            raise OptionError(
                f"--download: nothing of {self.name} is downloaded; `tinyvision datasets` says how to get it"
            )


def data_notes(data: str, options: Options) -> dict[str, Any]:
    """The part of a description that says what the data are."""
    val = 0.1 if options.val is None else options.val
    if not 0 <= val < 1:
        raise OptionError(f"val must be a share from 0 to below 1, got {val!r}")
    root = None if options.root is None else str(user_path(options.root).absolute())
    return {"name": data, "root": root, "val": val, "augment": options.augment or "on"}


def held_back(dataset: Any, val: float, seed: int) -> tuple[Any, Any]:
    """(training, validation or None): a share of the items at random, at least one where the share is not 0."""
    count = len(dataset)
    held = min(max(round(val * count), 1), count - 1) if val > 0 else 0
    if held < 1:
        return dataset, None
    train, validation = random_split(dataset, [count - held, held], seed=seed)
    return train, validation


def agreed(train: Any, val: Any, test: Any, share: float, seed: int) -> tuple[Any, Any, list[str]]:
    """(training, validation or None, the classes) of parts that have the same ones; where there is no val, a share of
    the training items is held back. Raises DataError."""
    classes = list(train.classes)
    for part, name in ((val, "val"), (test, "test")):
        if part is not None and list(part.classes) != classes:
            raise DataError(f"the classes of train and {name} differ: {classes} and {list(part.classes)}")
    return (*(held_back(train, share, seed) if val is None else (train, val)), classes)


def each_part(root: str | os.PathLike[str], make: Callable[[Path, Any], Any]) -> tuple[Any, Any, Any]:
    """make(folder, what it made of train/) of train/, val/ (or valid/) and test/ below root; None where one is not."""
    made: list[Any] = []
    for part in ("train", "val", "test"):
        folder = part_of(root, part)
        made.append(None if folder is None else make(folder, made[0] if made else None))
    return made[0], made[1], made[2]


def part_of(root: str | os.PathLike[str], part: str) -> Path | None:
    """root/train, root/val (or root/valid) or root/test, where it is; of training without it, root itself."""
    folder = user_path(root)
    found = [folder / name for name in (("val", "valid") if part == "val" else (part,)) if (folder / name).is_dir()]
    if len(found) > 1:
        raise DataError(f"{folder}: has {found[0].name}/ and {found[1].name}/; keep one for validation")
    return found[0] if found else folder if part == "train" else None


def checked(kinds: tuple[type, ...], *parts: Any) -> None:
    """Read every item of the parts once that are datasets of these kinds, or subsets of them, so that all broken ones
    are named before training. Raises DataError."""
    errors = []
    for part in parts:
        dataset = part.dataset if isinstance(part, Subset) else part
        if not isinstance(dataset, kinds):
            continue
        for index in range(len(part)):
            try:
                part[index]
            except DataError as error:
                errors.append(str(error))
    if errors:
        more = f"\n    and {len(errors) - 10} more" if len(errors) > 10 else ""
        raise DataError(
            f"{len(errors)} items cannot be used; mend or remove them:"
            + "".join(f"\n    {text}" for text in errors[:10])
            + more
        )


def counted(number: int, what: str = "image") -> str:
    """ "1 image", "1,200 images"."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in HTML, its first column names."""
    from ..train.report import escape

    def line(cells: Sequence[object], tag: str) -> str:
        kinds = ['class="name"', *([""] * (len(cells) - 1))]
        return "<tr>" + "".join(f"<{tag} {k}>{escape(c)}</{tag}>" for c, k in zip(cells, kinds, strict=True)) + "</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"
