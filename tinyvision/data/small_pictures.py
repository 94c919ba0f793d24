"""SVHN, STL-10, EMNIST and USPS under torchvision's names: small pictures that are arrays in few files."""

from __future__ import annotations

import bz2
import os
import string
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..errors import DataError, OptionError
from ..folders import user_path
from ..formats.idx import read_idx
from ..printable import printable
from .archives import verify_str_arg
from .published import Published, must_be_there, read_mat
from .transforms.functional import to_pil_image
from .vision_dataset import MNIST, VisionDataset, _Pictures

Place = str | os.PathLike[str]
_ALL = sorted(string.digits + string.ascii_letters)
_MERGED = [name for name in _ALL if name not in "cijklmopsuvwxyz"]  # of these, small and capital letters are one class


class _Planes(VisionDataset):
    """Pictures uint8 (N, C, H, W) in `data`, and as many labels in `labels`; both may be replaced."""

    data: np.ndarray
    labels: np.ndarray
    split: str

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        index = self._index(index)
        return self._transformed(to_pil_image(self.data[index].transpose(1, 2, 0)), int(self.labels[index]))

    def extra_repr(self) -> str:
        return f"Split: {self.split}"


class SVHN(_Planes):
    """House numbers from photographs of streets (Netzer et al., 2011): (Pillow image of mode RGB and 32 x 32, digit).

    split  "train" (73,257 pictures), "test" (26,032) or "extra" (531,131), in `root/train_32x32.mat` and so on, where
           `download=True` puts the file that is missing, checked against its SHA-256

    data is a uint8 array (N, 3, 32, 32), labels int64 (N,); the files call the digit 0 by 10. They are MATLAB's, which
    the package scipy reads. Raises OptionError, DataError, DownloadError."""

    files: ClassVar[dict[str, Published]] = {
        split: Published((f"http://ufldl.stanford.edu/housenumbers/{split}_32x32.mat",), sha256, size)
        for split, sha256, size in (
            ("train", "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8", 182040794),
            ("test", "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b", 64275384),
            ("extra", "a133a4beb38a00fcdda90c9489e0c04f900b660ce8a316a5e854838379a71eb3", 1329278602),
        )
    }

    def __init__(
        self,
        root: Place,
        split: str = "train",
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", self.files)
        published = self.files[split]
        if download:
            published.fetch(root)
        path = must_be_there(user_path(root) / published.name, self)
        images, labels = read_mat(path, "X", "y")
        labels = labels.reshape(-1).astype(np.int64)
        if images.dtype != np.uint8 or images.shape != (32, 32, 3, len(labels)) or not _within(labels, 10):
            raise DataError(f"{printable(path)}: X must be uint8 (32, 32, 3, N) and y N numbers from 1 to 10, found "
                            f"{images.dtype} {images.shape} and {len(labels)}")  # fmt: skip
        self.data, self.labels = images.transpose(3, 2, 0, 1), np.where(labels == 10, 0, labels)


class STL10(_Planes):
    """Photographs of ten classes (Coates, Ng and Lee, 2011): (Pillow image of mode RGB and 96 x 96, label).

    split  "train" (5,000 pictures), "test" (8,000), "unlabeled" (100,000 with the label -1) or "train+unlabeled"
    folds  0 to 9: a published thousand of the training pictures

    The files are in `root/stl10_binary`, where `download=True` unpacks the archive, checked against its SHA-256.
    data is a uint8 array (N, 3, 96, 96), labels an array (N,). Raises OptionError, DataError, DownloadError."""

    archive: ClassVar[Published] = Published(
        ("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",),
        "f31fd99273a1acb8609c8db427cebb1de3f71de77758cdc0e22956e1289b9866",
        2640397119,
    )
    splits: ClassVar[tuple[str, ...]] = ("train", "train+unlabeled", "unlabeled", "test")

    def __init__(
        self,
        root: Place,
        split: str = "train",
        folds: int | None = None,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split, self.folds = verify_str_arg(split, "split", self.splits), folds
        if folds is not None and (type(folds) is not int or folds not in range(10)):
            raise OptionError(f"STL10: folds must be None or a number from 0 to 9, got {folds!r}")
        self._folder = user_path(root) / "stl10_binary"
        if download and not self._folder.is_dir():
            self.archive.unpack(root)
        parts = [self._part(part) for part in split.split("+")]
        self.data, self.labels = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
        names = self._folder / "class_names.txt"
        if names.is_file():
            self.classes = names.read_text(encoding="utf-8").splitlines()

    def _part(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        path = must_be_there(self._folder / f"{part}_X.bin", self)
        numbers = np.fromfile(path, np.uint8)
        if numbers.size % (3 * 96 * 96):
            raise DataError(f"{printable(path)}: {numbers.size:,} bytes are no pictures of 3 x 96 x 96")
        images = numbers.reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2)  # the files go down the columns
        if part == "unlabeled":
            return images, np.full(len(images), -1)
        labels = np.fromfile(must_be_there(self._folder / f"{part}_y.bin", self), np.uint8)
        if len(labels) != len(images) or not _within(labels, 10):
            raise DataError(f"{printable(path)}: {len(images)} pictures need as many labels from 1 to 10 in "
                            f"{part}_y.bin, which has {len(labels)}")  # fmt: skip
        chosen = slice(None) if self.folds is None or part != "train" else self._fold(len(images))
        return images[chosen], labels[chosen] - np.uint8(1)

    def _fold(self, count: int) -> np.ndarray:
        path = must_be_there(self._folder / "fold_indices.txt", self)
        try:
            chosen = np.array(path.read_text(encoding="ascii").splitlines()[self.folds].split(), np.int64)  # type: ignore[index]
        except (ValueError, IndexError) as error:
            raise DataError(f"{printable(path)}: its line {self.folds} is no list of pictures") from error
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < count:
            raise DataError(f"{printable(path)}: its line {self.folds} names pictures that are not there")
        return chosen


class EMNIST(MNIST):
    """Handwritten letters and digits (Cohen et al., 2017): (Pillow image of mode L and 28 x 28, label).

    split  "byclass" (62 classes), "bymerge" and "balanced" (47), "letters" (labels 1 to 26), "digits" or "mnist" (10)

    The IDX files are in `root/EMNIST/raw`, where `download=True` unpacks the archive, checked against its SHA-256.
    They have the letters lie on their sides, as torchvision hands them out. All else as for MNIST."""

    archive: ClassVar[Published] = Published(
        (
            "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
            "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/gzip.zip",
        ),
        "fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
        561753746,
    )
    classes_split_dict: ClassVar[dict[str, list[str]]] = {
        "byclass": _ALL,
        "bymerge": _MERGED,
        "balanced": _MERGED,
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root: Place, split: str, **kwargs: Any) -> None:
        self.split = verify_str_arg(split, "split", self.classes_split_dict)
        self.classes = self.classes_split_dict[split]
        super().__init__(root, **kwargs)

    def _read(self, download: bool) -> tuple[np.ndarray, np.ndarray]:
        part = f"emnist-{self.split}-{'train' if self.train else 'test'}"
        names = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
        folders = [user_path(self.raw_folder), user_path(self.raw_folder) / "gzip"]  # the archive has a folder
        if download and not any((folder / f"{names[0]}{end}").exists() for folder in folders for end in ("", ".gz")):
            self.archive.unpack(folders[0])
        places = [[folder / f"{name}{end}" for folder in folders for end in ("", ".gz")] for name in names]
        found = [next((path for path in paths if path.exists()), paths[0]) for paths in places]
        images, labels = (read_idx(must_be_there(path, self)) for path in found)
        if images.ndim != 3 or images.dtype != np.uint8 or labels.shape != images.shape[:1]:
            raise DataError(f"{printable(found[0])}: uint8 (N, H, W) and N labels are needed, found "
                            f"{images.dtype} {images.shape} and {labels.shape}")  # fmt: skip
        return images, labels.astype(np.int64)


class USPS(_Pictures):
    """Handwritten digits from envelopes (Hull, 1994): (Pillow image of mode L and 16 x 16, label).

    The files are `root/usps.bz2` and, for train=False, `root/usps.t.bz2`; they are not downloaded, as no SHA-256 of
    them is known here. data is a uint8 array (N, 16, 16), targets a list of integers. Raises DataError."""

    url = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"

    def __init__(
        self,
        root: Place,
        train: bool = True,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        path = user_path(root) / ("usps.bz2" if train else "usps.t.bz2")
        if download and not path.exists():
            Published((f"{self.url}{path.name}",)).fetch(root)
        must_be_there(path, self, f"from {self.url}{path.name}")
        try:
            with bz2.open(path) as file:
                rows = [line.split() for line in file]
            values = np.array([[pair.rpartition(b":")[2] for pair in row[1:]] for row in rows], np.float32)
            # From -1 to 1; what is beyond would wrap around.
            self.data = ((values.reshape(-1, 16, 16) + 1) / 2 * 255).astype(np.uint8)
            self.targets = [int(row[0]) - 1 for row in rows]
        except (OSError, EOFError, ValueError) as error:
            raise DataError(f"{printable(path)}: cannot be read as lines of a label and 256 numbers: "
                            f"{printable(error)}") from error  # fmt: skip

    def extra_repr(self) -> str:
        return ""


def _within(labels: np.ndarray, largest: int) -> bool:
    return not labels.size or 1 <= labels.min() <= labels.max() <= largest
