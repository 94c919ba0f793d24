"""Arrays, and a dataset, in one `.npz` file of NumPy's."""

from __future__ import annotations

import io
import os

import numpy as np

from ..errors import DataError
from ..formats import npz
from ..formats.refused import Refused
from ..formats.source import Source, read_bytes, refuse
from ..formats.zip import DEFLATED, STORED, ZipArchive
from ..printable import printable
from .dataset import ArrayDataset, Transform


def read_npz(source: Source) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` file by name. `source` is a path, or the file's bytes.

    Real numbers, booleans and strings of fixed length are read; Python objects never are. Raises
    DataError if the file is missing, empty, damaged, cut short, encrypted, no such archive, unpacks to
    more than 48 MiB and six times its size, or holds object or structured arrays, or two arrays of one
    name. Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"""
    data, name = read_bytes(source)
    if data[:4] not in (b"PK\x03\x04", b"PK\x05\x06"):
        refuse(name, f"is not an .npz archive: it begins with the bytes {data[:4].hex(' ')}")
    try:
        archive = ZipArchive(io.BytesIO(data), len(data), (STORED, DEFLATED))
        if not npz.is_npz(archive):
            other = next(record for record in archive.records if not record.endswith(".npy"))
            refuse(name, f"holds {printable(ascii(other), 60)}, which is no .npy array")
        return npz.read(archive, text=True)
    except Refused as reason:
        refuse(name, f"is not a readable .npz archive: {reason}", reason)
    except MemoryError as reason:
        refuse(name, "holds more than fits into this machine's memory", reason)


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
