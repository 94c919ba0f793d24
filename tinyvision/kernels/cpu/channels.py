"""Sums over all pixels of a batch, one for every channel: a bias's gradient."""

import numpy as np

from ...types import Array
from .compiled import loop
from .lines import sums_in_parts


@loop("void(f4[:,::1], f8[:,::1], i8, i8, i8)", "sums")
def added_up(rows: Array, sums: Array, begin: int, end: int, piece: int) -> None:
    """sums[piece] (C,) = Σ over rows begin ... end of rows (M, C)."""
    C, own = rows.shape[1], sums[piece]
    for c in range(C):
        own[c] = 0
    whole = begin + (end - begin) // 4 * 4
    for m in range(begin, whole, 4):
        for c in range(C):
            p, q = np.float64(rows[m, c]), np.float64(rows[m + 1, c])
            r, s = np.float64(rows[m + 2, c]), np.float64(rows[m + 3, c])
            own[c] += (p + q) + (r + s)
    for m in range(whole, end):
        for c in range(C):
            own[c] += np.float64(rows[m, c])


def column_sums(rows: Array) -> Array:
    """As `ops.channels.column_sums`, added up in float64."""
    return sums_in_parts(added_up, len(rows), rows.nbytes, rows.shape[1:], rows).astype(np.float32)


DROP_INS = ()
