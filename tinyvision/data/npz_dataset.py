"""A dataset in one `.npz` file."""

from __future__ import annotations

import os

from ..errors import DataError
from ..formats.source import printable
from .dataset import ArrayDataset, Transform
from .npz import read_npz


class NpzDataset(ArrayDataset):
    """Images and labels from two arrays of an `.npz` file, by default those called "images" and "labels".

    Keras' files call them "x_train" and "y_train", others "train_images" and "train_labels". Shapes as for
    ArrayDataset. An array of strings named "classes" gives the classes their names. Raises DataError if the
    file cannot be read, lacks an array (the message lists those it has), or they disagree."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        images: str = "images",
        labels: str = "labels",
        transform: Transform | None = None,
    ) -> None:
        arrays, name = read_npz(path), printable(path)
        for key in (images, labels):
            if key not in arrays:
                has = printable(", ".join(map(ascii, arrays)) or "none", 120)
                raise DataError(f"{name}: has no array {key!r}; it has {has}. Name the arrays with images=, labels=")
        classes = arrays.get("classes")
        if classes is not None and (classes.ndim != 1 or classes.dtype.kind != "U"):
            raise DataError(f"{name}: classes must be strings (K,), found {classes.dtype} {classes.shape}")
        names = None if classes is None else [str(c) for c in classes]
        super().__init__(arrays[images], arrays[labels], names, transform, name=name)
