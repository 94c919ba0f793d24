"""Sums over all pixels of a batch, one for every channel: a bias's gradient."""

import numpy as np

from ...types import Array
from .compiled import loop
from .lines import share_out


@loop("void(f4[:,::1], f8[::1], i8, i8)", "sums")
def added_up(rows: Array, sums: Array, begin: int, end: int) -> None:
    """sums (C,) = Σ over rows begin ... end of rows (M, C)."""
    C = rows.shape[1]
    for c in range(C):
        sums[c] = 0
    whole = begin + (end - begin) // 4 * 4
    for m in range(begin, whole, 4):
        for c in range(C):
            p, q = np.float64(rows[m, c]), np.float64(rows[m + 1, c])
            r, s = np.float64(rows[m + 2, c]), np.float64(rows[m + 3, c])
            sums[c] += (p + q) + (r + s)
    for m in range(whole, end):
        for c in range(C):
            sums[c] += np.float64(rows[m, c])


def column_sums(rows: Array) -> Array:
    """As `ops.channels.column_sums`, added up in float64."""

    def work(begin, end):
        sums = np.empty(rows.shape[1])
        added_up(rows, sums, begin, end)
        return sums

    return sum(share_out(work, len(rows), rows.nbytes)).astype(np.float32)


DROP_INS = ()
