"""Judging a network on a folder of labelled pictures, however many: what is done is kept, and gone on with.

runs/evaluate-1/
    evaluation.json           which network, which pictures, in which order
    scores-00001.safetensors  the scores of some hundred pictures each, their places in that order, hashes of files
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from .. import random
from ..atomic import atomic_write, remove_leftovers
from ..data import Dataset, Subset
from ..data.images import MAX_PIXELS
from ..data.labelled import LabelledPictures
from ..device import to_numpy
from ..errors import CheckpointError, DataError, OptionError
from ..folders import user_path
from ..printable import printable
from ..weights import load_with_metadata, save
from .checkpoint import weights_digest
from .class_labels import class_indices
from .console import reporter
from .evaluate import Evaluation, evaluate
from .interrupt import Interrupted, StopRequest
from .recipes import Network
from .runs import BEST, EVALUATION, LAST, FolderLock, check_is_free, made_folder

_KEEP_EVERY = 10.0  # seconds of work that a power cut may cost
_PART, _PART_NAME = "scores-{:05}.safetensors", re.compile(r"scores-(\d{5,})\.safetensors")


@dataclass(frozen=True)
class EvaluationSettings:
    """Which pictures are judged, and how they are read.

    model, weights, pixels   how the network was asked for, so that the run alone tells with what to go on; they change
                nothing
    folder, labels, as_stored  see `data.labelled.LabelledPictures`
    limit       how many pictures, drawn at random by `seed`; None for all
    max_pixels  the most that a picture may have"""

    folder: str
    labels: str | None = None
    model: str | None = None
    weights: str | None = None
    limit: int | None = None
    seed: int = 0
    as_stored: bool = False
    max_pixels: int = MAX_PIXELS
    pixels: str | None = None


@dataclass
class FolderEvaluation:
    """What `evaluate_folder` returns.

    evaluation  scores and labels of the pictures that could be read, in order
    pictures    the same pictures: item i is (uint8 (H, W, 3), place), name(i) the path of each
    unreadable  why the others could not be read, a line each
    named_by    what the folder's names were taken for: "name", "WordNet id" or "number"
    computed    for how many pictures the network ran in this sitting, and seconds it took
    notes       what else was passed over"""

    evaluation: Evaluation
    pictures: Any
    unreadable: list[str]
    named_by: str
    computed: int
    seconds: float
    notes: list[str]

    def name(self, index: int) -> str:
        """The path, below the folder, of the picture of row `index`."""
        return self.pictures.dataset.name(int(self.pictures.indices[index]))


def evaluate_folder(
    network: Network,
    settings: EvaluationSettings,
    run: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    batch_size: int = 32,
    workers: int = 1,
    log: Any = "auto",
) -> FolderEvaluation:
    """Scores of a network for every labelled picture of a folder.

    run      a folder that keeps the scores, or None;  resume  go on with what it holds
    workers  threads that read pictures ahead

    A picture that cannot be read is left out and named; when the run is resumed, it is tried again, and so is one whose
    file holds something else by then. Ctrl-C keeps what is done and raises Interrupted.

    Raises DataError for a folder without pictures or whose classes are not the network's, CheckpointError for a run
    that cannot be continued, OptionError."""
    if batch_size < 1:
        raise OptionError(f"evaluate_folder: batch_size must be at least 1, got {batch_size}")
    path = None if run is None else user_path(run)
    pictures = _opened(settings, path)
    chosen = _drawn(len(pictures), settings)
    classes = _classes_of(network)
    labels, named_by = _labels(network, pictures, classes)
    identity = _identity(network, settings, pictures, chosen, labels) | {"classes": classes}
    console = reporter(log)
    for note in pictures.notes:
        console.line(f"note: {note}")
    if path is not None:
        _check_run(path, identity, resume)
    with ExitStack() as held:
        if path is not None:
            held.enter_context(made_folder(path))
            held.enter_context(FolderLock(path))
        stop = held.enter_context(StopRequest())
        kept = _Kept(path, identity, pictures, chosen)
        todo = np.flatnonzero(~kept.done)
        reading = _Reading(pictures, network, chosen[todo])
        started = time.monotonic()
        try:
            _run(network, reading, todo, kept, stop, console, batch_size, workers)
        finally:
            console.end()
        seconds = time.monotonic() - started
    places = np.flatnonzero(kept.done)
    if not len(places):
        first = f": {next(iter(reading.errors.values()))}" if reading.errors else ""
        raise DataError(f"{printable(settings.folder)}: none of the {len(chosen):,} pictures can be read{first}")
    return FolderEvaluation(
        Evaluation(kept.scores[places], labels[chosen[places]]),
        Subset(pictures, chosen[places]),
        sorted(reading.errors.values()),
        named_by,
        len(todo) - len(reading.errors),
        seconds,
        pictures.notes,
    )


def _opened(settings: EvaluationSettings, run: Path | None) -> LabelledPictures:
    ignore = [] if run is None else [run]
    return LabelledPictures(settings.folder, settings.labels, settings.max_pixels, settings.as_stored, ignore)


def _drawn(count: int, settings: EvaluationSettings) -> np.ndarray:
    """The indices of the pictures that are judged, in their order."""
    if settings.limit is None or settings.limit >= count:
        return np.arange(count)
    if settings.limit < 1:
        raise OptionError(f"limit must be at least 1, got {settings.limit}")
    return np.sort(random.stream(settings.seed, "limit").permutation(count)[: settings.limit])


def _labels(network: Network, pictures: LabelledPictures, count: int) -> tuple[np.ndarray, str]:
    try:
        known, named_by = class_indices(pictures.texts, network.classes, count)
    except DataError as error:
        raise DataError(f"{printable(pictures.root)}: {error}") from None
    return np.array([known[text] for text in pictures.texts], np.int64), named_by


def _classes_of(network: Network) -> int:
    """How many classes the network tells apart: it is shown one grey picture, for not all last layers are alike."""
    grey = np.full((*network.preprocessing.size, network.preprocessing.channels), 128, np.uint8)
    return network.probabilities([grey]).shape[1]


def _identity(
    network: Network, settings: EvaluationSettings, pictures: LabelledPictures, chosen: np.ndarray, labels: np.ndarray
) -> dict[str, Any]:
    """What has to be the same for scores to be gone on with: weights, preprocessing, pictures in their order."""
    digest = hashlib.sha256()
    for index in chosen:
        digest.update(f"{pictures.name(index)}\0{labels[index]}\n".encode("utf-8", "surrogateescape"))
    return {
        "weights": weights_digest(network.model),
        "preprocessing": network.preprocessing.as_dict(),
        "pictures": {"count": len(chosen), "sha256": digest.hexdigest(), **asdict(settings)},
    }


def _content(path: Path) -> np.ndarray:
    """What is in a file, (32,) uint8; of one that cannot be read, zeros. Names, sizes and times can be another's."""
    try:
        return np.frombuffer(hashlib.sha256(path.read_bytes()).digest(), np.uint8)
    except OSError:  # reading it will say so
        return np.zeros(32, np.uint8)


class _Kept:
    """Scores (N, K) of the pictures, which of them are there (done), and the folder that keeps them."""

    def __init__(
        self, folder: Path | None, identity: dict[str, Any], pictures: LabelledPictures, chosen: np.ndarray
    ) -> None:
        self.folder, self.parts = folder, 0
        self.files = [pictures.samples[index][0] for index in chosen]
        count = identity["pictures"]["count"]
        self.scores = np.zeros((count, identity["classes"]), np.float32)
        self.done = np.zeros(count, bool)
        self.contents = np.zeros((count, 32), np.uint8)
        if folder is not None:
            self._read(folder)
            with atomic_write(folder / EVALUATION, "w") as file:
                json.dump(identity, file, indent=1)
        self.saved = self.done.copy()

    def put(self, places: np.ndarray, scores: np.ndarray, contents: np.ndarray) -> None:
        """Take in the scores of some pictures, and what was in their files."""
        self.scores[places], self.contents[places], self.done[places] = scores, contents, True

    def keep(self) -> None:
        """Write what is not yet written."""
        new = np.flatnonzero(self.done & ~self.saved)
        if self.folder is None or not len(new):
            return
        self.parts += 1
        arrays = {"places": new, "scores": self.scores[new], "contents": self.contents[new]}
        save(arrays, self.folder / _PART.format(self.parts))
        self.saved[new] = True

    def _read(self, folder: Path) -> None:
        for path in sorted(folder.iterdir()):
            if not (found := _PART_NAME.fullmatch(path.name)):
                continue
            arrays, _ = load_with_metadata(path)
            places, scores, contents = (arrays.get(name) for name in ("places", "scores", "contents"))
            if not (
                places is not None
                and scores is not None
                and contents is not None
                and (places.dtype, places.ndim) == (np.int64, 1)
                and (contents.dtype, contents.shape) == (np.uint8, (len(places), 32))
                and scores.shape == (*places.shape, self.scores.shape[1])
                and (not places.size or (places.min() >= 0 and places.max() < len(self.done)))
            ):
                raise CheckpointError(f"{printable(path)}: is damaged; delete it, and its pictures are done again")
            self.put(places, scores, contents)
            self.parts = max(self.parts, int(found[1]))
        for place in np.flatnonzero(self.done):
            self.done[place] = (self.contents[place] == _content(self.files[place])).all()
        remove_leftovers(folder, [EVALUATION, _PART.format(self.parts + 1)])


def saved_evaluation(run: Path) -> EvaluationSettings:
    """The settings of an evaluation that was begun in `run`. Raises CheckpointError if there is none."""
    names = {field.name for field in fields(EvaluationSettings)}
    pictures = _note(run)["pictures"]
    try:
        return EvaluationSettings(**{name: value for name, value in pictures.items() if name in names})
    except TypeError as error:
        raise CheckpointError(f"{printable(run / EVALUATION)}: is damaged ({error})") from None


def _note(run: Path) -> dict[str, Any]:
    """What evaluation.json says, as far as others rely on it."""
    path = run / EVALUATION
    try:
        found = json.loads(path.read_text("utf-8"))
        if not isinstance(found["pictures"]["folder"], str):
            raise TypeError("no folder")
        return found
    except FileNotFoundError:
        raise CheckpointError(f"nothing to resume: there is no {printable(path)}") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{printable(path)}: is damaged ({str(error)[:100]})") from None


def _check_run(run: Path, identity: dict[str, Any], resume: bool) -> None:
    """Raise CheckpointError unless `run` is free for a new evaluation, or holds the same one if that is resumed."""
    if not resume:
        check_is_free(run, (), shared=True)
        if (run / EVALUATION).exists():
            raise CheckpointError(
                f"{printable(run)} already holds an evaluation; go on with it (--resume, in Python resume=True), or "
                f"choose another folder"
            )
        if any((run / name).exists() for name in (LAST, BEST)):  # whose report.html this one's would replace
            raise CheckpointError(f"{printable(run)} holds a run of training; choose another folder")
        return
    before = _note(run)
    changed = [name for name in identity if name != "pictures" and before.get(name) != identity[name]]
    changed += [
        name
        for name, value in identity["pictures"].items()
        if name not in ("model", "weights") and before["pictures"].get(name) != value
    ]
    if changed:
        words = {"sha256": "the pictures (names or classes)", "weights": "the network's weights"}
        told = ", ".join(words.get(name, name) for name in changed)
        raise CheckpointError(f"{printable(run)} cannot be continued, for what it was begun with has changed: {told}")


class _Reading(Dataset):
    """The pictures that are still to be done, as the network takes them; one that cannot be read is blank, and its
    error is noted under its number. What is in the files is noted, too."""

    def __init__(self, pictures: LabelledPictures, network: Network, indices: np.ndarray) -> None:
        self.pictures, self.indices = pictures, indices
        self.prepare = network.preprocessing.transform()
        preprocessing = network.preprocessing
        self.blank = np.zeros((preprocessing.channels, *preprocessing.size), np.float32)
        self.errors: dict[int, str] = {}
        self.contents = np.zeros((len(indices), 32), np.uint8)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        self.contents[index] = _content(self.pictures.samples[int(self.indices[index])][0])
        try:
            picture, _ = self.pictures[int(self.indices[index])]
        except DataError as error:
            self.errors[index] = str(error)
            return self.blank, index
        return self.prepare(picture), index


def _run(
    network: Network,
    reading: _Reading,
    todo: np.ndarray,
    kept: _Kept,
    stop: StopRequest,
    console: Any,
    batch_size: int,
    workers: int,
) -> None:
    """The pictures that are still to be done, batch by batch."""
    if not len(todo):
        return
    counted = console.counter("judging", len(todo))
    batch: list[np.ndarray] = []
    done, kept_at = 0, time.monotonic()

    def forward(x: Any) -> Any:
        scores = network.model(x)
        batch.append(to_numpy(scores))
        return scores

    def each_batch() -> None:
        nonlocal done, kept_at
        scores = batch.pop()
        numbers = np.arange(done, done + len(scores))
        read = np.array([number not in reading.errors for number in numbers])
        kept.put(todo[numbers[read]], scores[read], reading.contents[numbers[read]])
        done += len(scores)
        counted(len(scores))
        if stop.requested is not None or time.monotonic() - kept_at > _KEEP_EVERY:
            kept.keep()
            kept_at = time.monotonic()
        if stop.requested is not None:
            so_far = f"stopped after {int(kept.done.sum()):,} of {len(kept.done):,} pictures"
            raise Interrupted(so_far, stop.requested, kept.folder)

    evaluate(network.model, reading, batch_size=batch_size, workers=workers, forward=forward, each_batch=each_batch)
    kept.keep()
