"""Which rows of a batch are whose: how it is cut, and the rank that gets none because there are too few.

Such a rank takes part all the same, since the others wait for it in every exchange, and layers and losses want at least
one row. It gets the batch's first row as a *stand-in*: computed, and counted zero times.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import random

_stand_in = False  # whether the batch that this process's loader handed out last is one


def share_of(rows: int, rank: int, world: int) -> slice:
    """The rows of a batch that are this rank's: neighbours, and no rank has more than one row more than another."""
    each, rest = divmod(rows, world)
    start = rank * each + min(rank, rest)
    return slice(start, start + each + (rank < rest))


def hand_out(stand_in: bool) -> None:
    """Note whether the batch that is in use from now on is a stand-in; a loader that cuts batches calls it."""
    global _stand_in
    _stand_in = stand_in


def is_stand_in() -> bool:
    """Whether the batch in use is a stand-in."""
    return _stand_in


class _RowsOfAll(np.random.Generator):
    """Draws for the rows of all ranks and gives this rank its own, so that a row's numbers do not depend on its rank.

    Drawing what is thrown away costs a little, and leaves all ranks at one place in the stream. What is drawn for rows
    has two axes or more, the first a multiple of the rank's rows; anything else is one thing for all ranks."""

    def __init__(self, generator: np.random.Generator, start: int, rows: int, total: int) -> None:
        super().__init__(generator.bit_generator)
        self._start, self._rows, self._total = start, rows, total

    def _own(self, draw: Any, size: Any, *arguments: Any, **options: Any) -> Any:
        if not isinstance(size, (tuple, list)) or len(size) < 2 or size[0] % self._rows:
            return draw(*arguments, size=size, **options)
        each = size[0] // self._rows  # a layer may have made several rows of one
        drawn = draw(*arguments, size=(self._total * each, *size[1:]), **options)
        return drawn[self._start * each : (self._start + self._rows) * each]

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:  # type: ignore[override]
        """Uniform numbers of 0 to 1."""
        return self._own(super().random, size, dtype=dtype)

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:  # type: ignore[override]
        """Normal numbers."""
        return self._own(super().standard_normal, size, dtype=dtype)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:  # type: ignore[override]
        """Normal numbers around `loc`."""
        return self._own(super().normal, size, loc, scale)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:  # type: ignore[override]
        """Uniform numbers of `low` to `high`."""
        return self._own(super().uniform, size, low, high)

    def integers(
        self, low: Any, high: Any = None, size: Any = None, dtype: Any = np.int64, endpoint: bool = False
    ) -> Any:  # type: ignore[override]
        """Whole numbers from `low` to below `high`."""
        return self._own(super().integers, size, low, high, dtype=dtype, endpoint=endpoint)

    def gumbel(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:  # type: ignore[override]
        """Numbers of Gumbel's distribution."""
        return self._own(super().gumbel, size, loc, scale)

    def exponential(self, scale: Any = 1.0, size: Any = None) -> Any:  # type: ignore[override]
        """Exponentially distributed numbers."""
        return self._own(super().exponential, size, scale)


@contextmanager
def rows_of_all(start: int, rows: int, total: int) -> Iterator[None]:
    """A `with` block in which random numbers for rows are those that one process would draw for them.

    The rows of this rank are `rows` from number `start` of `total`."""
    generator = random.generator()
    if rows == 0 or rows == total:
        yield
        return
    with random.use(_RowsOfAll(generator, start, rows, total)):
        yield
