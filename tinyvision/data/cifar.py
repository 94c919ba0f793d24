"""CIFAR-10 and CIFAR-100: 32 x 32 colour images, in the four forms in which they are handed around.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009. The forms are described at
https://www.cs.toronto.edu/~kriz/cifar.html: a "binary version" of fixed records, and a "python version" of
pickles, each as a .tar.gz archive. Archives are read in memory without being extracted, pickles without
being run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from ..errors import OptionError
from ..folders import user_path
from ..formats.gzip import gunzip, is_gzip
from ..formats.refused import Refused
from ..formats.source import SPARE, Source, read_bytes, refuse, unpack_limit
from ..formats.tar import Pieces, is_tar, tar_members
from ..printable import printable
from .cifar_names import CIFAR10_CLASSES, CIFAR100_COARSE, CIFAR100_FINE
from .dataset import ArrayDataset, Transform

_PIXELS = 3 * 32 * 32
_LARGEST = 180_000_000  # bytes that neither archive exceeds, so that a wrong one cannot fill the disk
_PIECE = 1 << 20


@dataclass(frozen=True)
class _Layout:
    classes: int
    folder: str
    archive: str
    train: tuple[str, ...]
    test: tuple[str, ...]

    def files(self, train: bool) -> tuple[str, ...]:
        return self.train if train else self.test


_FIVE = tuple(f"data_batch_{i}" for i in range(1, 6))
_LAYOUTS = (
    _Layout(10, "cifar-10-batches-py", "cifar-10-python.tar.gz", _FIVE, ("test_batch",)),
    _Layout(
        10,
        "cifar-10-batches-bin",
        "cifar-10-binary.tar.gz",
        tuple(f"{f}.bin" for f in _FIVE),
        ("test_batch.bin",),
    ),
    _Layout(100, "cifar-100-python", "cifar-100-python.tar.gz", ("train",), ("test",)),
    _Layout(100, "cifar-100-binary", "cifar-100-binary.tar.gz", ("train.bin",), ("test.bin",)),
)


class _Batch(NamedTuple):
    images: np.ndarray  # uint8 (N, 32, 32, 3)
    labels: np.ndarray  # int64 (N,)
    classes: int  # 10 or 100, of which set the batch is


def read_cifar(
    source: Source, train: bool | None = None, classes: int | None = None, labels: str = "fine"
) -> tuple[np.ndarray, np.ndarray]:
    """(images uint8 (N, 32, 32, 3), labels int64 (N,)) of CIFAR-10 or CIFAR-100, binary or python version.

    source   a batch file, an archive (.tar.gz or .tar), a folder with the extracted files, or a folder with such a
             folder or archive in it; or the bytes of a file
    train    training or test images, of archives and folders (None: the training images); a single file is what it is,
             and train must be left out
    classes  10 or 100, to insist on one of the two
    labels   "fine", or "coarse" for CIFAR-100's 20 groups

    Nothing is extracted and no object is unpickled. Raises DataError if files are missing, damaged, cut
    short, of another kind, or hold impossible labels; an archive that unpacks to far more than photographs
    would (32 MiB and four times its own size) is refused as a bomb."""
    if labels not in ("fine", "coarse") or classes not in (None, 10, 100):
        raise OptionError(f"read_cifar: labels is 'fine' or 'coarse', classes 10 or 100; got {labels!r}, {classes!r}")
    if isinstance(source, (str, os.PathLike)) and os.path.isdir(source):
        found, name = _from_folder(Path(source), train, classes, labels)
    else:
        data, name = read_bytes(source)
        found = _from_file(data, name, train, classes, labels)
    if len({batch.classes for batch in found}) > 1:
        refuse(name, "mixes batches of CIFAR-10 and CIFAR-100")
    if len(found) == 1:
        return found[0].images, found[0].labels
    return np.concatenate([batch.images for batch in found]), np.concatenate([batch.labels for batch in found])


def _from_folder(folder: Path, train: bool | None, classes: int | None, labels: str) -> tuple[list[_Batch], str]:
    name, wanted = printable(folder, 150), train is None or train
    layouts = [layout for layout in _LAYOUTS if classes in (None, layout.classes)]
    present = [
        (layout, place)
        for layout in layouts
        for place in (folder, folder / layout.folder)
        if any((place / file).is_file() for file in layout.files(wanted))
    ]
    if len({layout.classes for layout, _ in present}) > 1:
        refuse(
            name,
            "holds both CIFAR-10 and CIFAR-100; name one of the folders in it, or pass classes=10 or 100",
        )
    if not present:
        for layout in layouts:
            if (folder / layout.archive).is_file():
                data, name = read_bytes(folder / layout.archive)
                return _from_file(data, name, wanted, classes, labels), name
        refuse(name, f"holds none of the files of CIFAR-10 or CIFAR-100, such as {layouts[0].files(wanted)[0]}")
    layout, place = present[0]
    found = []
    for file in layout.files(wanted):
        data, file_name = read_bytes(place / file)
        found.append(_batch(data, file_name, layout.classes, labels))
    return found, name


def _from_file(data: bytes, name: str, train: bool | None, classes: int | None, labels: str) -> list[_Batch]:
    """Batches of an archive, or the one batch that the file is."""
    budget = SPARE + 4 * len(data)
    if not is_gzip(data) and not is_tar(data):
        return [_single(data, name, train, classes, labels)]
    stream = Pieces(gunzip(data, name) if is_gzip(data) else _slices(data), unpack_limit(len(data)))
    try:
        if is_tar(stream.peek()):
            return _from_tar(stream, name, train is None or train, classes, labels, budget)
        unpacked = stream.read(budget + 1)
    except Refused as reason:
        refuse(name, f"is not a readable archive: {reason}", reason)
    if len(unpacked) > budget:
        refuse(name, f"unpacks to more than {budget:,} bytes: a decompression bomb")
    return [_single(unpacked, name, train, classes, labels)]


def _single(data: bytes, name: str, train: bool | None, classes: int | None, labels: str) -> _Batch:
    if train is not None:
        refuse(name, "is a single batch; train=... chooses among the files of an archive or a folder")
    return _batch(data, name, classes, labels)


def _slices(data: bytes) -> Iterator[bytes]:
    return (data[start : start + _PIECE] for start in range(0, len(data), _PIECE))


def _from_tar(stream: Pieces, name: str, train: bool, classes: int | None, labels: str, budget: int) -> list[_Batch]:
    owners = {file: layout for layout in _LAYOUTS for file in layout.files(train)}
    found: dict[str, _Batch] = {}
    for member in tar_members(stream):
        parts = member.name.split("/")
        layout = owners.get(parts[-1])
        if layout is None or (len(parts) > 1 and parts[-2] not in (layout.folder, ".")):
            continue
        if not member.is_plain or parts[-1] in found:
            what = "there twice" if member.is_plain else "not a plain file"
            refuse(name, f"its member {printable(member.name, 60)} is {what}")
        if (budget := budget - member.length) < 0:
            refuse(name, "unpacks to far more than photographs would: a decompression bomb")
        found[parts[-1]] = _batch(member.read(), f"{name}: {printable(member.name, 60)}", layout.classes, labels)
    layouts = {owners[file] for file in found}
    if classes is not None:
        layouts = {layout for layout in layouts if layout.classes == classes}
    if len(layouts) != 1:
        which = f"CIFAR-{classes}" if classes else "CIFAR-10 or CIFAR-100"
        refuse(
            name,
            f"is not an archive of {which}" if not layouts else "holds several sets; pass classes=10 or 100",
        )
    files = layouts.pop().files(train)
    missing = [file for file in files if file not in found]
    if missing:
        refuse(name, f"lacks {', '.join(missing)}")
    return [found[file] for file in files]


def _batch(data: bytes, name: str, classes: int | None, labels: str) -> _Batch:
    """One batch file. The first byte of a binary one is a label below 20, that of a pickle is 0x80."""
    if not data:
        refuse(name, "the file is empty")
    planes, groups, classes = (_pickled if data[0] == 0x80 else _binary)(data, name, classes)
    if labels == "coarse" and classes == 10:
        refuse(name, "is of CIFAR-10, which has no coarse labels")
    most = 20 if labels == "coarse" else classes
    chosen = groups[labels]
    if len(chosen) != len(planes) or not len(planes):
        refuse(name, f"holds {len(planes)} images but {len(chosen)} labels")
    bad = (chosen < 0) | (chosen >= most)
    if bad.any():
        index = int(np.flatnonzero(bad)[0])
        refuse(name, f"label {chosen[index]} at index {index}; labels go from 0 to {most - 1}")
    images = np.ascontiguousarray(planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return _Batch(images, chosen.astype(np.int64), classes)


def _binary(data: bytes, name: str, classes: int | None) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """Records of a label and 3,072 pixels (CIFAR-10), or a coarse label, a fine one and the pixels (CIFAR-100)."""
    fitting = [(c, n) for c, n in ((10, 1), (100, 2)) if len(data) % (n + _PIXELS) == 0 and classes in (None, c)]
    for count, label_bytes in fitting:
        records = np.frombuffer(data, np.uint8).reshape(-1, label_bytes + _PIXELS)
        if len(fitting) == 2 and count == 10 and records[:, 0].max() > 9:
            continue  # both sizes divide it, but these are not the labels of CIFAR-10
        groups = {"fine": records[:, label_bytes - 1], "coarse": records[:, 0]}
        if count == 100 and groups["coarse"].max() > 19:
            refuse(name, f"a coarse label of {groups['coarse'].max()}; they go from 0 to 19")
        return records[:, label_bytes:], groups, count
    which = f"CIFAR-{classes}" if classes else "CIFAR-10 or CIFAR-100"
    refuse(name, f"is cut short or no batch of {which}: {len(data):,} bytes are no whole number of records")


def _pickled(data: bytes, name: str, classes: int | None) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    from ..formats.cifar_batch import read_cifar_batch

    try:
        batch = read_cifar_batch(data)
    except Refused as error:
        refuse(name, f"is not a batch of CIFAR: {error}", error)
    planes, count = batch.get("data"), 10 if "labels" in batch else 100
    if not isinstance(planes, np.ndarray) or classes not in (None, count):
        refuse(name, f"is not a batch of CIFAR-{classes or count}")
    keys = {"fine": "labels"} if count == 10 else {"fine": "fine_labels", "coarse": "coarse_labels"}
    groups = {kind: _integers(batch.get(key), key, name) for kind, key in keys.items()}
    return planes, groups, count


def _integers(values: object, key: str, name: str) -> np.ndarray:
    if not isinstance(values, list) or not all(type(v) is int and 0 <= v < 256 for v in values):
        refuse(name, f"has no list {key!r} of labels from 0 to 255")
    return np.array(values, np.int64)


class CIFAR10(ArrayDataset):
    """CIFAR-10: uint8 (32, 32, 3), ten classes, 50,000 training and 10,000 test images.

    root      the archive, the folder with the extracted files, or a folder that holds one of them (default: the cache
              folder)
    train     the training images, or the test images
    download  fetch the archive into `root` if nothing is there, checked against its SHA-256 (170 MB)

    Raises DataError as `read_cifar` does, DownloadError if the archive cannot be fetched."""

    count: ClassVar[int] = 10
    url: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    sha256: ClassVar[str] = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        self._load(root, train, transform, download, "fine", CIFAR10_CLASSES)

    def _load(
        self,
        root: str | os.PathLike[str] | None,
        train: bool,
        transform: Transform | None,
        download: bool,
        labels: str,
        names: tuple[str, ...],
    ) -> None:
        path = self._place(root)
        if download and not self._is_there(path):
            from ..formats.download import download as fetch

            path = Path(fetch(self.url, path / self.url.rpartition("/")[2], sha256=self.sha256, at_most=_LARGEST))
        elif not path.exists():
            hint = f"download=True, or put {self.url.rpartition('/')[2]} there"
            refuse(printable(path, 150), f"no such file or folder; pass {hint}")
        images, numbers = read_cifar(path, bool(train), self.count, labels)
        super().__init__(images, numbers, names, transform, name=printable(path))

    @classmethod
    def _place(cls, root: str | os.PathLike[str] | None) -> Path:
        if root is not None:
            return user_path(root)
        from ..folders import cache_dir

        return Path(cache_dir()) / cls.__name__

    @classmethod
    def _is_there(cls, path: Path) -> bool:
        layouts = [layout for layout in _LAYOUTS if layout.classes == cls.count]
        names = [name for l in layouts for name in (l.archive, l.folder, *l.train, *l.test)]
        return path.is_file() or any((path / name).exists() for name in names)


class CIFAR100(CIFAR10):
    """CIFAR-100: uint8 (32, 32, 3), 100 classes in 20 groups, 50,000 training and 10,000 test images.

    coarse=True labels the images with their groups. Other arguments and errors as for CIFAR10."""

    count = 100
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    sha256 = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Transform | None = None,
        download: bool = False,
        coarse: bool = False,
    ) -> None:
        kind, names = ("coarse", CIFAR100_COARSE) if coarse else ("fine", CIFAR100_FINE)
        self._load(root, train, transform, download, kind, names)
