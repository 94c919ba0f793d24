"""Datasets that behave as torchvision's: an item is a Pillow image and a label, until transforms change them.

They read their files with the datasets of this package, which hand out arrays. Here the constructors, the attributes
(`root`, `data`, `targets`, `classes`, `class_to_idx`, `samples`) and the folders on disk are torchvision's, so that a
script finds what it expects. A DataLoader over a dataset whose transforms take whole batches (`ToTensor`, `Normalize`)
makes a batch at once, without a Pillow image for each item."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .. import random
from ..device import to_numpy
from ..errors import DataError, OptionError
from ..printable import printable
from ..tensors.tensor import Tensor
from . import cifar, mnist
from .dataset import Dataset
from .images import FORMATS
from .transforms.functional import to_pil_image

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


class StandardTransform:
    """A transform of the image and one of the target, as one callable of both."""

    def __init__(self, transform: Callable | None = None, target_transform: Callable | None = None) -> None:
        self.transform, self.target_transform = transform, target_transform

    def __call__(self, image: Any, target: Any) -> tuple[Any, Any]:
        image = image if self.transform is None else self.transform(image)
        return image, (target if self.target_transform is None else self.target_transform(target))

    def __repr__(self) -> str:
        named = (("Transform", self.transform), ("Target transform", self.target_transform))
        return "\n".join(["StandardTransform", *(f"{name}: {one!r}" for name, one in named if one is not None)])


class VisionDataset(Dataset):
    """Base of datasets of pictures: define `__len__` and `__getitem__`, as for Dataset.

    root                         the folder of the files, with ~ for the home folder
    transforms                   called with (image, target), or
    transform, target_transform  called with one of the two; raises OptionError if both ways are used"""

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        transforms: Callable | None = None,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
    ) -> None:
        if transforms is not None and (transform is not None or target_transform is not None):
            raise OptionError(f"{type(self).__name__}: give transforms, or transform and target_transform, not both")
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        self.transform, self.target_transform = transform, target_transform
        if transform is not None or target_transform is not None:
            transforms = StandardTransform(transform, target_transform)
        self.transforms = transforms

    def extra_repr(self) -> str:
        """More lines for `repr`; for subclasses."""
        return ""

    def __repr__(self) -> str:
        lines = [f"Number of datapoints: {len(self)}"]
        lines += [f"Root location: {self.root}"] if self.root is not None else []
        lines += self.extra_repr().splitlines()
        lines += repr(self.transforms).splitlines() if self.transforms is not None else []
        return "\n    ".join([f"Dataset {type(self).__name__}", *lines])

    def _transformed(self, image: Any, target: Any) -> tuple[Any, Any]:
        # The attributes as they are now: scripts set them after the dataset was made.
        return StandardTransform(self.transform, self.target_transform)(image, target)


class _Pictures(VisionDataset):
    """Pictures uint8 (N, H, W) or (N, H, W, C) in `data`, and as many labels in `targets`; both may be replaced."""

    data: Any
    targets: Any
    train: bool

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        index = self._index(index)
        return self._transformed(to_pil_image(to_numpy(self.data[index])), int(self.targets[index]))

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Label by class name."""
        return {name: label for label, name in enumerate(self.classes)}

    @property
    def can_batch(self) -> bool:
        """Whether `batch` gives what items one by one would: if the transform takes whole batches, and no subclass has
        its own idea of an item."""
        whole = getattr(self.transform, "elementwise", False) and self.target_transform is None
        return whole and type(self).__getitem__ is _Pictures.__getitem__

    def batch(self, indices: Any) -> tuple[Any, np.ndarray]:
        """(images, labels) of all `indices` (B,) at once."""
        images = to_numpy(self.data)[indices]
        images = images if images.ndim == 4 else images[..., None]
        return self.transform(images), np.asarray(to_numpy(self.targets))[indices]  # type: ignore[misc]

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class MNIST(_Pictures):
    """Handwritten digits: (Pillow image of mode L and 28 x 28, label).

    The IDX files, gzipped or not, are in `root/MNIST/raw`, where `download=True` puts those that are missing, each
    checked against its SHA-256. data is a uint8 Tensor (N, 28, 28), targets an int64 Tensor (N,).

    Raises DataError and DownloadError as `tinyvision.data.MNIST` does."""

    arrays: ClassVar[type[mnist.MNIST]] = mnist.MNIST
    classes: Sequence[str] = (
        *("0 - zero", "1 - one", "2 - two", "3 - three", "4 - four"),
        *("5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine"),
    )

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train, self.classes = train, list(self.classes)
        images, labels = self._read(download)
        self.data, self.targets = Tensor.of(images), Tensor.of(labels)

    def _read(self, download: bool) -> tuple[np.ndarray, np.ndarray]:
        """(images uint8 (N, H, W), labels int64 (N,)) of `raw_folder`."""
        read = self.arrays(self.raw_folder, self.train, download=download)
        return read.images[..., 0], read.labels

    @property
    def train_data(self) -> Tensor:
        """The old name for data."""
        return self.data

    @property
    def train_labels(self) -> Tensor:
        """The old name for targets."""
        return self.targets

    test_data, test_labels = train_data, train_labels

    @property
    def raw_folder(self) -> str:
        """Where the IDX files are."""
        return os.path.join(str(self.root), type(self).__name__, "raw")


class FashionMNIST(MNIST):
    """Pictures of clothes; all else as for MNIST, in `root/FashionMNIST/raw`."""

    arrays = mnist.FashionMNIST
    classes = mnist.FashionMNIST.names


class KMNIST(MNIST):
    """Handwritten hiragana; all else as for MNIST, in `root/KMNIST/raw`. They are not downloaded: the files are
    published without https and no SHA-256 of them is known here."""

    arrays = mnist.KMNIST
    classes = mnist.KMNIST.names


class CIFAR10(_Pictures):
    """Small photographs of ten classes: (Pillow image of mode RGB and 32 x 32, label).

    The files are in `root/cifar-10-batches-py`, or still in the archive `root/cifar-10-python.tar.gz`, which
    `download=True` fetches and checks against its SHA-256; it is read without being extracted.
    data is a uint8 array (N, 32, 32, 3), targets a list of integers.

    Raises DataError and DownloadError as `tinyvision.data.CIFAR10` does."""

    arrays: ClassVar[type[cifar.CIFAR10]] = cifar.CIFAR10

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        read = self.arrays(root, train, download=download)
        self.data, self.targets, self.classes = read.images, read.labels.tolist(), list(read.classes)


class CIFAR100(CIFAR10):
    """Small photographs of 100 classes; all else as for CIFAR10."""

    arrays = cifar.CIFAR100


class DatasetFolder(VisionDataset):
    """What lies in `root/class/...`: (what `loader` makes of a path, label).

    loader         called with the path of a file
    extensions     suffixes of the files that count, whatever their case, or
    is_valid_file  called with a path: whether it counts; raises OptionError unless one of the two is given
    allow_empty    whether a class may have no files

    classes are the folders' names, sorted; class_to_idx gives their labels; samples lists (path, label), targets the
    labels. Links to folders are followed. Raises DataError if there is no folder, no class, or an empty one."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        loader: Callable[[str], Any],
        extensions: str | tuple[str, ...] | None = None,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        if (extensions is None) == (is_valid_file is None):
            raise OptionError(f"{type(self).__name__}: give either extensions or is_valid_file")
        self.loader, self.extensions = loader, extensions
        self.classes, self.class_to_idx = self.find_classes(self.root)  # type: ignore[arg-type]
        self.samples = self.make_dataset(self.root, self.class_to_idx, extensions, is_valid_file, allow_empty)  # type: ignore[arg-type]
        self.targets = [label for _, label in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, label = self.samples[self._index(index)]
        return self._transformed(self.loader(path), label)

    def find_classes(self, directory: str | os.PathLike[str]) -> tuple[list[str], dict[str, int]]:
        """(names of the class folders, label by name); subclasses may choose others."""
        return find_classes(directory)

    @staticmethod
    def make_dataset(
        directory: str | os.PathLike[str],
        class_to_idx: dict[str, int],
        extensions: str | tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """[(path, label)] of the files that count, class by class and sorted."""
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)


class ImageFolder(DatasetFolder):
    """Pictures in `root/class/...`: (Pillow image of mode RGB, label). `imgs` is another name of `samples`.

    Arguments as for DatasetFolder; without `is_valid_file` the files with one of IMG_EXTENSIONS count. Where
    `tinyvision.data.ImageFolder` turns photographs upright, scales 16 bits and puts what is transparent on white, this
    one decodes as torchvision does."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        loader: Callable[[str], Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        loader = loader or default_loader
        super().__init__(root, loader, extensions, transform, target_transform, is_valid_file, allow_empty)
        self.imgs = self.samples


class FakeData(VisionDataset):
    """`size` pictures of noise with random labels, for trying things out: (Pillow image, label).

    image_size is (C, H, W). Item i depends on i + random_offset alone; the numbers have torchvision's distributions
    but come from our own streams."""

    def __init__(
        self,
        size: int = 1000,
        image_size: Sequence[int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size, self.image_size, self.num_classes, self.random_offset = size, image_size, num_classes, random_offset

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        rng = random.stream(self._index(index) + self.random_offset, "FakeData")
        noise = rng.standard_normal(tuple(self.image_size), np.float32)
        levels = (noise * 255).astype(np.int64).astype(np.uint8)  # what is beyond 0 to 255 wraps around
        return self._transformed(to_pil_image(levels.transpose(1, 2, 0)), int(rng.integers(self.num_classes)))


def find_classes(directory: str | os.PathLike[str]) -> tuple[list[str], dict[str, int]]:
    """(the names of a folder's folders, sorted; label by name). Raises DataError if there are none."""
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError as error:
        raise DataError(f"{printable(directory)}: {printable(error.strerror or error)}") from error
    if not names:
        raise DataError(f"{printable(directory)}: no class folders; put the files of each class in one of its own")
    return names, {name: label for label, name in enumerate(names)}


def make_dataset(
    directory: str | os.PathLike[str],
    class_to_idx: dict[str, int] | None = None,
    extensions: str | tuple[str, ...] | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
    allow_empty: bool = False,
) -> list[tuple[str, int]]:
    """[(path, label)] of the files in `directory/class/...` that count, class by class and sorted.

    Arguments as for DatasetFolder; without class_to_idx the classes are those of `find_classes`.

    Raises DataError, OptionError."""
    if (extensions is None) == (is_valid_file is None):
        raise OptionError("make_dataset: give either extensions or is_valid_file")
    suffixes = (extensions,) if isinstance(extensions, str) else extensions
    counts = is_valid_file or (lambda path: has_file_allowed_extension(path, suffixes))  # type: ignore[arg-type]
    samples: list[tuple[str, int]] = []
    empty = []
    for name, label in sorted((find_classes(directory)[1] if class_to_idx is None else class_to_idx).items()):
        before = len(samples)
        for folder, _, files in sorted(os.walk(os.path.join(directory, name), followlinks=True)):
            paths = (os.path.join(folder, file) for file in sorted(files))
            samples += [(path, label) for path in paths if counts(path)]
        empty += [name] if len(samples) == before else []
    if empty and not allow_empty:
        wanted = f" with the suffixes {', '.join(suffixes)}" if suffixes else ""
        raise DataError(f"{printable(directory)}: no files{wanted} in {printable(', '.join(empty), 150)}")
    return samples


def has_file_allowed_extension(filename: str, extensions: str | tuple[str, ...]) -> bool:
    """Whether a file's name ends with one of the suffixes, whatever its case."""
    return filename.lower().endswith(extensions)


def is_image_file(filename: str) -> bool:
    """Whether a file's name ends as a picture's does, with one of IMG_EXTENSIONS."""
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def default_loader(path: str | os.PathLike[str]) -> Any:
    """The picture in a file as a Pillow image of mode RGB. Raises DataError, which names the file."""
    return open_picture(path, "RGB")


def open_picture(path: str | os.PathLike[str], mode: str | None = None) -> Any:
    """The picture in a file as a Pillow image, converted to a mode or as it is. Raises DataError."""
    from PIL import Image

    Image.init()  # or only the kinds are known that the first picture needed
    try:
        with Path(path).open("rb") as file:
            image = Image.open(file, formats=[f for f in FORMATS if f in Image.OPEN] or None)
            image.load()
            return image if mode is None else image.convert(mode)
    except Exception as error:  # Pillow's plug-ins raise almost any type when a file is damaged
        raise DataError(f"{printable(path)}: cannot be read as a picture: {type(error).__name__}") from error
