"""Orders of axes: how the same numbers lie in other people's arrays.

A `Layout` turns an array in this library's order into theirs and back. `back` needs the right shape where theirs has
lost it. Channels first, batches of images, weights (O, I) and (O, C, KH, KW) are this library's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Layout:
    """`there(array)` gives their array, `back(theirs, shape)` ours; `says` names the order, "" for the usual one."""

    name: str
    says: str
    there: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray, tuple], np.ndarray]
    single: bool = False  # one sample at a time: the call is made once for each
    needs: tuple = ()  # demands that the layout cannot meet, such as several channels
    flat: bool = False  # every pixel is a sample of its own: what code does with rows and columns does not show


def _axes(name, says, order, extra=()):
    """A layout that is a transposition, with axes of length 1 put in at `extra`."""
    inverse = tuple(np.argsort(order))

    def there(array):
        return np.expand_dims(array.transpose(order), extra) if extra else array.transpose(order)

    def back(theirs, shape):
        theirs = np.squeeze(theirs, axis=extra) if extra else theirs
        return theirs.transpose(inverse)

    return Layout(name, says, there, back)


def _sample(name, says, order, squeeze=()):
    """One image at a time: the batch axis has length 1 and is dropped; `squeeze` drops an axis of one channel too."""
    inverse = tuple(np.argsort(order))

    def there(array):
        out = array[0].transpose(order)
        return np.squeeze(out, axis=squeeze) if squeeze else out

    def back(theirs, shape):
        theirs = np.expand_dims(theirs, squeeze) if squeeze else theirs
        return theirs.transpose(inverse)[None]

    return Layout(name, says, there, back, single=True, needs=("channels",) if squeeze else ())


def reshaped(name: str, says: str, shape: Callable[[tuple], tuple], order: Sequence[int] | None = None) -> Layout:
    """A layout that is a transposition followed by a reshape."""

    def there(array):
        array = array.transpose(order) if order else array
        return array.reshape(shape(array.shape))

    def back(theirs, target):
        moved = tuple(target[a] for a in order) if order else tuple(target)
        out = np.reshape(theirs, moved)
        return out.transpose(np.argsort(order)) if order else out

    return Layout(name, says, there, back)


USUAL = Layout("usual", "", lambda a: a, lambda a, shape: a)

IMAGES = (
    USUAL,
    _axes("NHWC", "channels last, (N, H, W, C)", (0, 2, 3, 1)),
    _sample("CHW", "one image (C, H, W) at a time", (0, 1, 2)),
    _sample("HWC", "one image (H, W, C) at a time", (1, 2, 0)),
    _axes("HWCN", "(H, W, C, N)", (2, 3, 1, 0)),
    _axes("CHWN", "(C, H, W, N)", (1, 2, 3, 0)),
    _axes("CNHW", "(C, N, H, W)", (1, 0, 2, 3)),
    _sample("HW", "one image (H, W) of one channel at a time", (0, 1, 2), squeeze=(0,)),
    Layout("NHW", "images (N, H, W) of one channel", lambda a: a[:, 0], lambda a, s: a[:, None], needs=("channels",)),
)
ROWS = (
    USUAL,
    _axes("columns", "one sample a column, (D, N)", (1, 0)),
    _sample("vector", "one sample (D,) at a time", (0,)),
    Layout("row", "one sample (1, D) at a time", lambda a: a, lambda a, s: a, single=True),
    Layout("column", "one sample (D, 1) at a time", lambda a: a.T, lambda a, s: a.T, single=True),
)
KERNELS = (
    USUAL,
    _axes("HWCO", "weights (KH, KW, C, O)", (2, 3, 1, 0)),
    _axes("OHWC", "weights (O, KH, KW, C)", (0, 2, 3, 1)),
    _axes("COHW", "weights (C, O, KH, KW)", (1, 0, 2, 3)),
    _axes("CHWO", "weights (C, KH, KW, O)", (1, 2, 3, 0)),
    _axes("HWOC", "weights (KH, KW, O, C)", (2, 3, 0, 1)),
    reshaped("O(CHW)", "weights (O, C·KH·KW)", lambda s: (s[0], -1)),
    reshaped("(CHW)O", "weights (C·KH·KW, O)", lambda s: (-1, s[-1]), (1, 2, 3, 0)),
    reshaped("O(HWC)", "weights (O, KH·KW·C)", lambda s: (s[0], -1), (0, 2, 3, 1)),
    reshaped("(HWC)O", "weights (KH·KW·C, O)", lambda s: (-1, s[-1]), (2, 3, 1, 0)),
    reshaped("OHW", "weights (O, KH, KW) for one channel", lambda s: (s[0], *s[2:])),
    reshaped("HWO", "weights (KH, KW, O) for one channel", lambda s: s[1:], (1, 2, 3, 0)),
)
MATRICES = (USUAL, _axes("IO", "weights (I, O)", (1, 0)))
VECTORS = (
    USUAL,
    reshaped("1O", "(1, O)", lambda s: (1, -1)),
    reshaped("O1", "(O, 1)", lambda s: (-1, 1)),
    reshaped("111O", "(1, 1, 1, O)", lambda s: (1, 1, 1, -1)),
    reshaped("1O11", "(1, O, 1, 1)", lambda s: (1, -1, 1, 1)),
    reshaped("O11", "(O, 1, 1)", lambda s: (-1, 1, 1)),
    reshaped("O111", "(O, 1, 1, 1)", lambda s: (-1, 1, 1, 1)),
)


def _pixels_back(theirs, shape):
    n, c, h, w = shape
    return np.reshape(theirs, (n, h, w, c)).transpose(0, 3, 1, 2)


PIXELS = Layout(
    "ND", "matrices (N, D)", lambda a: a.transpose(0, 2, 3, 1).reshape(-1, a.shape[1]), _pixels_back, flat=True
)  # every pixel a row, every channel a feature: batch-norm cannot tell the difference
PIXELS_COLUMNS = Layout(
    "DN",
    "matrices (D, N)",
    lambda a: PIXELS.there(a).T,
    lambda theirs, shape: _pixels_back(theirs.T, shape),
    flat=True,
)
ALONE = Layout(
    "NC11",
    "images of one pixel",
    lambda a: PIXELS.there(a)[:, :, None, None],
    lambda theirs, shape: _pixels_back(np.asarray(theirs)[:, :, 0, 0], shape),
    flat=True,
)  # for batch-norm that has a mean for every pixel
NORMALISED = (USUAL, PIXELS, PIXELS_COLUMNS, *IMAGES[1:2], *IMAGES[4:7], ALONE)


def one_hot(classes: int, columns: bool = False, kind: Any = np.float64) -> Layout:
    """Labels as rows, or columns, with a single 1; there is no way back, and labels have no gradient."""

    def there(labels):
        out = np.zeros((len(labels), classes), kind)
        out[np.arange(len(labels)), labels] = 1
        return out.T if columns else out

    says = "labels one-hot, one a column" if columns else "labels one-hot"
    return Layout("columns" if columns else "one-hot", says, there, lambda theirs, shape: theirs)
