"""The digits that come with the package: small, real, and there without a download."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from .dataset import ArrayDataset, Transform, split
from .npz import read_npz


class Digits(ArrayDataset):
    """1,797 handwritten digits of 13 people (the test part of the collection): uint8 (8, 8, 1), ten classes.

    train=True gives 1,438 of them, train=False the other 359, about 36 of each class; always the same ones.
    The originals' 17 grey levels are spread over 0 to 255 (16 becomes 255).

    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
    1998, CC BY 4.0; see files/digits.txt beside this module."""

    def __init__(self, train: bool = True, transform: Transform | None = None) -> None:
        arrays = read_npz((files(__package__) / "files" / "digits.npz").read_bytes())
        levels, labels = arrays["images"].astype(np.int64), arrays["labels"].astype(np.int64)
        everything = ArrayDataset(((levels * 255 + 8) // 16).astype(np.uint8), labels)
        part = split(everything, 0.2, seed=0)[0 if train else 1]
        names = [str(digit) for digit in range(10)]
        super().__init__(everything.images[part.indices], labels[part.indices], names, transform)
