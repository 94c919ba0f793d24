"""Datasets: anything with a length whose items are (image, label).

Before any transform an image is a uint8 array (H, W, C), C being 1 or 3; a label is an integer. Datasets that hold all
their images in one array also hand out whole batches at once, which spares a Python call per image."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .. import random
from ..arrays import check_is_array, plain, refuse_masked
from ..errors import DataError, OptionError
from ..ops.checks import is_integer, is_number
from ..tape import Variable
from ..tensors.tensor import Tensor
from .samplers import numpy_generator

Transform = Callable[[Any], Any]


class OutOfRange(DataError, IndexError):
    """An index beyond the end of a dataset; also an IndexError, which is how Python ends a loop over items."""


class NoLength(OptionError, TypeError):
    """A dataset whose number of items is not known; also a TypeError, which `list` takes for just that."""


class Dataset:
    """Base of the datasets here, and of yours: define `__len__` and `__getitem__(index) -> (image, label)`.

    classes     names by label, or an empty list where labels have no names
    transform   called with every image before it is handed out, or None"""

    classes: Sequence[str] = ()
    transform: Transform | None = None

    def __len__(self) -> int:
        raise NoLength(f"{type(self).__name__} must define __len__, the number of its items")

    def __getitem__(self, index: int) -> Any:
        raise OptionError(f"{type(self).__name__} must define __getitem__(index), which returns (image, label)")

    def __class_getitem__(cls, kind: Any) -> type:
        return cls  # Dataset[Any], as type hints write it

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __add__(self, other: Any) -> Any:
        """The items of this dataset, and then those of another (see ConcatDataset)."""
        from .combined import ConcatDataset  # which is made of datasets: loaded when two are added

        return ConcatDataset([self, other])

    def __repr__(self) -> str:
        classes = f", {len(self.classes)} classes" if len(self.classes) else ""
        transform = f", transform={self.transform!r}" if self.transform is not None else ""
        return f"{type(self).__name__}({len(self):,} images{classes}{transform})"

    def _index(self, index: Any) -> int:
        """`index` as an integer from 0, counting from the end if it is negative."""
        try:
            number = operator.index(index)
        except TypeError as error:
            raise DataError(f"{type(self).__name__}: an index must be an integer, got {index!r}") from error
        if not -len(self) <= number < len(self):
            raise OutOfRange(f"{type(self).__name__}: index {number} is outside of its {len(self)} items")
        return number % len(self)


class ArrayDataset(Dataset):
    """Images and labels from arrays.

    images  uint8 (N, H, W) or (N, H, W, C) with C = 1, 3 or 4, pixels of 0 to 255; or floating-point numbers
            (N, C, H, W), or of any other shape (N, ...), which are handed out as they are
    labels  integers (N,) or (N, 1), from 0; below len(classes) if there are names

    The arrays are not copied: changing them changes the dataset. Raises DataError if the arrays are empty,
    of another kind, or disagree, naming index and value of a bad label."""

    def __init__(
        self,
        images: Any,
        labels: Any,
        classes: Sequence[str] | None = None,
        transform: Transform | None = None,
        name: str | None = None,
    ) -> None:
        name = name or type(self).__name__
        self.images = _checked_images(as_plain(name, "images", images), name)
        self.labels = checked_labels(labels, len(self.images), None if classes is None else len(classes), name)
        self.classes = list(classes) if classes is not None else [str(i) for i in range(self.labels.max() + 1)]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        index = self._index(index)
        image = self.images[index]
        return (image if self.transform is None else self.transform(image)), int(self.labels[index])

    @property
    def can_batch(self) -> bool:
        """Whether `batch` gives what items one by one would: if no transform looks at single images, and no
        subclass has its own idea of an item."""
        return type(self).__getitem__ is ArrayDataset.__getitem__ and _whole_batches(self.transform)

    def batch(self, indices: Any) -> tuple[Any, np.ndarray]:
        """(images, labels) of all `indices` (B,) at once: arrays (B, ...) and (B,)."""
        images = self.images[indices]
        return (images if self.transform is None else self.transform(images)), self.labels[indices]


class TensorDataset(Dataset):
    """Tensors side by side, as PyTorch has it: item i is the tuple of the i-th of each.

    tensors  one or more, (N, ...) with one N; a NumPy array becomes a tensor on the same memory

    DataLoader makes batches of them with no change of dtype, layout or scale, where ArrayDataset knows about
    images. Raises DataError if there is no tensor, one has no axis, or they differ in length, DtypeError for what
    is no tensor."""

    def __init__(self, *tensors: Any) -> None:
        if not tensors:
            raise DataError("TensorDataset: there is no tensor; give one or more of the same length")
        for i, tensor in enumerate(tensors):
            if not isinstance(tensor, Variable):
                check_is_array("TensorDataset", f"tensors[{i}]", tensor)
        self.tensors = tuple(t if isinstance(t, Tensor) else Tensor.of(t) for t in tensors)
        if len({t.shape[:1] for t in self.tensors} | {()}) != 2:
            shapes = ", ".join(str(t.shape) for t in self.tensors)
            raise DataError(f"TensorDataset: all tensors must have one length along their first axis, got {shapes}")

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, index: int | slice) -> tuple[Tensor, ...]:
        return self.batch(index if isinstance(index, slice) else self._index(index))

    def __repr__(self) -> str:
        return f"TensorDataset({', '.join(str(tuple(t.shape)) for t in self.tensors)})"

    @property
    def can_batch(self) -> bool:
        """Whether `batch` gives what items one by one would: if no subclass has its own idea of an item."""
        return type(self).__getitem__ is TensorDataset.__getitem__

    def batch(self, indices: Any) -> tuple[Tensor, ...]:
        """The parts of all `indices` (B,) at once, each (B, ...)."""
        return tuple(t[indices] for t in self.tensors)


class Subset(Dataset):
    """The items of `dataset` at `indices`, in that order; what is given as indices, list or array, is kept as it is.

    `transform`, if given, is called after the dataset's own, so that the parts of a split can differ in
    theirs. Raises DataError for indices outside of the dataset."""

    def __init__(self, dataset: Any, indices: Any, transform: Transform | None = None) -> None:
        array = np.asarray(indices)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise DataError(f"Subset: indices must be integers (K,), got {array.dtype} {array.shape}")
        bad = (array < -len(dataset)) | (array >= len(dataset))
        if bad.any():
            raise DataError(f"Subset: index {array[bad][0]} is outside of the dataset's {len(dataset)} items")
        self.dataset, self.indices = dataset, indices
        self.classes = getattr(dataset, "classes", [])
        self.transform = transform

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self._transformed(self.dataset[int(self.indices[self._index(index)])])

    @property
    def labels(self) -> np.ndarray:
        """Labels (K,) of the items, in order."""
        return labels_of(self.dataset)[np.asarray(self.indices, np.int64)]

    @property
    def can_batch(self) -> bool:
        """Whether `batch` gives what items one by one would."""
        plain = type(self).__getitem__ is Subset.__getitem__ and _whole_batches(self.transform)
        return plain and getattr(self.dataset, "can_batch", False)

    def batch(self, indices: Any) -> Any:
        """What the dataset's own `batch` gives for all `indices` (B,) at once."""
        rows = np.array([self.indices[i] for i in np.asarray(indices).tolist()], np.int64)  # of a list, as it may be
        return self._transformed(self.dataset.batch(rows))

    def _transformed(self, item):
        if self.transform is None:
            return item
        image, *others = item
        return self.transform(image), *others


def _whole_batches(transform: Transform | None) -> bool:
    """Whether a transform, or none at all, may be given a batch in place of an image."""
    return transform is None or getattr(transform, "elementwise", False)


def split(dataset: Any, fraction: float = 0.2, seed: int = 0) -> tuple[Subset, Subset]:
    """Two subsets that share nothing, the second with `fraction` of every class: `train, held_out =
    split(data, 0.2)`.

    Every class with two items or more appears in both. The same seed gives the same parts. A dataset
    without a `labels` array is read through once to learn them. Raises OptionError if `fraction` is not
    between 0 and 1, DataError if a part would be empty."""
    if not is_number(fraction) or not 0 < fraction < 1:
        raise OptionError(f"split: fraction must lie between 0 and 1, got {fraction!r}")
    labels = labels_of(dataset)
    order = random.stream(seed, "split").permutation(len(labels))
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        share = round(len(members) * fraction)
        held_out[members[: min(max(share, 1), len(members) - 1)]] = True
    if not held_out.any() or held_out.all():
        raise DataError(
            f"split: {len(labels)} items of {len(np.unique(labels))} classes cannot be divided: a part is taken of "
            f"classes with two items or more"
        )
    return Subset(dataset, np.flatnonzero(~held_out)), Subset(dataset, np.flatnonzero(held_out))


def random_split(
    dataset: Any, lengths: Sequence[float], generator: Any = None, *, seed: int | None = None
) -> list[Subset]:
    """Subsets of these lengths, drawn at random, which together are the dataset.

    Lengths may also be shares that add up to 1. The order is drawn from `generator` (a tinyvision or NumPy Generator,
    by default the one in force), or follows from `seed`.
    Unlike `split`, classes are not balanced. Raises OptionError if the lengths do not add up."""
    count = len(dataset)
    sizes: list[Any] = list(lengths)
    if sizes and all(isinstance(n, float) for n in sizes) and abs(sum(sizes) - 1) < 1e-6:
        sizes = [int(share * count) for share in sizes]
        for i in range(count - sum(sizes)):
            sizes[i % len(sizes)] += 1
    if not all(is_integer(n) and n >= 0 for n in sizes) or sum(sizes) != count:
        wanted = f"lengths must add up to {count}, or be shares that add up to 1"
        raise OptionError(f"random_split: {wanted}; got {lengths!r}")
    rng = numpy_generator(generator) if seed is None else random.stream(seed, "split")
    order, ends = rng.permutation(count), np.cumsum([0, *sizes])
    return [Subset(dataset, order[a:b].tolist()) for a, b in pairwise(ends)]  # lists, which scripts add to each other


def labels_of(dataset: Any) -> np.ndarray:
    """Labels (N,) of a dataset: its `labels` or `targets`, else those of its items, read one by one."""
    for attribute in ("labels", "targets"):
        if (labels := getattr(dataset, attribute, None)) is not None:
            return checked_labels(labels, len(dataset), None, type(dataset).__name__)
    labels = [dataset[index][1] for index in range(len(dataset))]
    return checked_labels(labels, len(dataset), None, type(dataset).__name__)


def checked_labels(labels: Any, images: int, classes: int | None, name: str) -> np.ndarray:
    """`labels` as int64 (N,). Raises DataError unless they are integers, one an image, from 0 to classes - 1."""
    array = as_plain(name, "labels", labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise DataError(f"{name}: labels must be integers (N,), got {array.dtype} {array.shape}")
    if len(array) != images:
        raise DataError(f"{name}: {images} images but {len(array)} labels")
    if images == 0:
        raise DataError(f"{name}: there are no images")
    bad = (array < 0) | (array >= (1 << 31 if classes is None else classes))
    if bad.any():
        index = int(np.flatnonzero(bad)[0])
        allowed = "from 0" if classes is None else f"from 0 to {classes - 1}"
        raise DataError(f"{name}: label {array[index]} at index {index}; labels go {allowed}")
    return array.astype(np.int64)


def as_plain(what: str, name: str, numbers: Any) -> np.ndarray:
    """Arrays, tensors or lists of numbers as NumPy's array. Raises DtypeError for masked arrays."""
    refuse_masked(what, numbers)
    array = np.asanyarray(numbers)
    return plain(what, name, array)


def _checked_images(images: np.ndarray, name: str) -> np.ndarray:
    if images.ndim < 1 or images.dtype.kind not in "uf" or (images.dtype.kind == "u" and images.dtype != np.uint8):
        raise DataError(
            f"{name}: images must be uint8 (N, H, W, C), or floating-point numbers (N, C, H, W); "
            f"got {images.dtype} {images.shape}"
        )
    if images.dtype == np.uint8:
        if images.ndim == 3:
            images = images[..., None]
        if images.ndim != 4 or images.shape[3] not in (1, 3, 4):
            first = "; move the channels to the end" if images.ndim == 4 and images.shape[1] in (1, 3) else ""
            raise DataError(f"{name}: uint8 images must be (N, H, W) or (N, H, W, C), got {images.shape}{first}")
    if 0 in images.shape:
        raise DataError(f"{name}: there are no images in an array of shape {images.shape}")
    return images
