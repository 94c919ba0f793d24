"""Run folders: where a training run keeps its checkpoints, its history and its plot.

runs/digits-1/
    last.safetensors   everything needed to go on: weights, optimizer, progress, settings
    best.safetensors   the weights of the best epoch, with the same notes
    history.csv        a line an epoch
    history.png        the same as curves, drawn when training ends
    report.html        what the network can do and where it fails, of the runs that the command line began
    tensorboard/       the history for TensorBoard, if it was asked for

A transfer has its settings in transfer.json besides, and its last layer's training in head/. All but the checkpoints
and the settings are derived: going on with a run writes them anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..atomic import remove_leftovers
from ..errors import CheckpointError, FileError
from ..folders import user_path
from ..printable import printable

LAST, BEST, CSV, PLOT = "last.safetensors", "best.safetensors", "history.csv", "history.png"
TENSORBOARD = "tensorboard"  # a folder
TRANSFER, EVALUATION, REPORT = "transfer.json", "evaluation.json", "report.html"
# The network from which a transfer began, where it came in a file: without it nobody could build the network again.
BODIES = ("body.onnx", "body.tflite", "body.keras", "body.h5", "body.hdf5")
_FILES = (*BODIES, LAST, BEST, CSV, PLOT, TRANSFER, REPORT)


def new_run_folder(parent: str | os.PathLike[str], name: str) -> Path:
    """Make `parent/name-1`, or the next number that is free, and return it. Raises FileError if that is impossible."""
    parent = user_path(parent)
    make_folder(parent)
    taken = [p.name.removeprefix(f"{name}-") for p in parent.iterdir() if p.name.startswith(f"{name}-")]
    number = max((int(t) for t in taken if t.isascii() and t.isdigit()), default=0) + 1
    while True:
        try:
            folder = parent / f"{name}-{number}"
            folder.mkdir()
            return folder
        except FileExistsError:  # another process was faster
            number += 1
        except OSError as error:
            raise FileError(f"cannot make the folder {printable(folder)}: {error.strerror}") from None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, if need be. Raises FileError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"cannot make the folder {printable(folder)}: {error.strerror}; name another one") from None


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder and those above it, if need be; what was made goes again where the block leaves it empty, as when
    the disk is full. Raises FileError."""
    places = [folder, *folder.parents]
    made = places[: next((n for n, place in enumerate(places) if place.exists()), len(places))]
    make_folder(folder)
    try:
        yield
    finally:
        with suppress(OSError):  # not empty, or taken away by someone else
            for place in made:
                place.rmdir()


def discard_if_empty(folder: Path) -> None:
    """Take back a `new_run_folder` into which nothing was written, with the folder above if that is empty too."""
    with suppress(OSError):  # not empty, or taken away by someone else
        folder.rmdir()
        folder.parent.rmdir()


def newest_runs(parent: str | os.PathLike[str], file: str) -> list[Path]:
    """The folders in `parent` that hold `file`, which is LAST, BEST or TRANSFER; the one whose file is the
    newest comes first."""
    found = sorted(user_path(parent).glob(f"*/{file}"), key=lambda path: path.stat().st_mtime)
    return [path.parent for path in reversed(found)]


def best_of(path: Path) -> Path:
    """The best weights of a run, if `path` is its folder, else `path`. Raises CheckpointError for other folders."""
    if not path.is_dir():
        return path
    try:
        (path / BEST).stat()
    except FileNotFoundError:
        raise CheckpointError(f"{printable(path)}: this folder holds no run (there is no {BEST})") from None
    except OSError:
        pass  # whoever reads it says why not
    return path / BEST


def open_run(folder: str | os.PathLike[str], resume: bool | str, overwrite: bool) -> Path:
    """The run's folder, which need not be there yet.

    Raises CheckpointError if there is nothing to resume, or if something is there and neither resume nor
    overwrite was asked for."""
    path = user_path(folder)
    check_is_free(path, (LAST, BEST, CSV), bool(resume or overwrite))
    if resume is True and not (path / LAST).is_file():
        raise CheckpointError(f"nothing to resume: there is no {printable(path / LAST)}")
    return path


def check_is_free(folder: Path, files: Iterable[str], shared: bool) -> None:
    """Raise CheckpointError if a run's folder is a file, or, unless it may be `shared`, has one of these files."""
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{printable(folder)} is a file; a run needs a folder")
    if not shared and any((folder / name).exists() for name in files):
        raise CheckpointError(
            f"{printable(folder)} already holds a run; go on with it (--resume, in Python resume=True), replace it "
            f"(--overwrite, overwrite=True), or choose another folder"
        )


def clear_run(folder: Path, but: str = "") -> None:
    """Delete the run in a folder, under its FolderLock, but for one file of it; others stay. Raises FileError."""
    for name in _FILES:
        if name == but:
            continue
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"cannot delete {printable(folder / name)}: {error.strerror}") from None
    clear_events(folder)


def clear_events(folder: Path) -> None:
    """Delete the run's files for TensorBoard, and no others. Raises FileError."""
    for path in sorted((folder / TENSORBOARD).glob("events.out.tfevents.*")):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise FileError(f"cannot delete {printable(path)}: {error.strerror}") from None


@contextmanager
def taken_folder(folder: Path) -> Iterator[None]:
    """Make a run's folder, keep other runs out of it for the length of the block, and delete the half-written files of
    a process that was killed. Raises CheckpointError if another process trains there, and FileError."""
    with made_folder(folder), FolderLock(folder):
        remove_leftovers(folder, _FILES)
        yield


class FolderLock:
    """`with FolderLock(folder):` — no other process trains into the folder meanwhile.

    The lock belongs to the process and ends with it, however it ends. Systems without `flock` go without."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.descriptor = folder, -1

    def __enter__(self) -> None:
        try:
            import fcntl
        except ImportError:
            return
        self.descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.__exit__()
            raise CheckpointError(
                f"another process is training in {printable(self.folder)}; wait, or choose another folder"
            ) from None
        except OSError:  # a network disk without locks
            self.__exit__()

    def __exit__(self, *error: object) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
