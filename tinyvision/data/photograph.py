"""The photograph that comes with the package, to try things on without a download."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from .images import read_image


def photograph() -> np.ndarray:
    """The head of a cat, in colour: uint8 (72, 96, 3), a new array each time.

    By Stefan van der Walt, CC0; see files/cat.txt beside this module."""
    return read_image((files(__package__) / "files" / "cat.png").read_bytes())
