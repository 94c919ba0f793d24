"""Memorised or not: how near is what was made to what was learned from, compared with pictures of the real world?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ROWS = 256  # pictures that are compared with all others at a time
_RARE = 0.05


@dataclass
class Memory:
    """Distances of pictures to the nearest of those that were learned from: the root of the mean squared difference of
    their pixels, of which the whole range is 1.

    made   of what a network made;  real   of real pictures that it did not learn from
    nearest   int64 (N, K), which training pictures are nearest to what was made, the nearest first"""

    made: np.ndarray
    real: np.ndarray
    nearest: np.ndarray

    @property
    def near(self) -> float:
        """The distance within which only one in twenty real pictures has a neighbour."""
        return float(np.quantile(self.real, _RARE))

    @property
    def share_near(self) -> float:
        """The share of what was made that has a neighbour within `near`: about 0.05 if nothing is memorised, 1 if all
        are copies."""
        return float((self.made <= self.near).mean())


def compared(made: np.ndarray, real: np.ndarray, learned: np.ndarray, count: int = 3) -> Memory:
    """What was made, and real pictures, each (N, C, H, W) from -1 to 1, beside those that were learned from."""
    distances, nearest = neighbours(made, learned, min(count, len(learned)))
    return Memory(distances[:, 0], neighbours(real, learned, 1)[0][:, 0], nearest)


def neighbours(x: np.ndarray, others: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(distances (N, count), places (N, count)) of the nearest of `others` to each of x, the nearest first."""
    x, others = (np.asarray(part, np.float64).reshape(len(part), -1) for part in (x, others))
    squares, found = (others**2).sum(1), []
    for begin in range(0, len(x), _ROWS):
        rows = x[begin : begin + _ROWS]
        apart = (rows**2).sum(1)[:, None] + squares - 2 * rows @ others.T
        found.append(np.argsort(apart, axis=1, kind="stable")[:, :count])
    places = np.concatenate(found)
    # From the pictures themselves, for of large numbers that cancel, a small distance keeps no digits.
    distances = np.sqrt(((x[:, None] - others[places]) ** 2).mean(-1)) / 2
    return distances, places
