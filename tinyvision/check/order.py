"""Gradients that are all right, but returned in another order than the inputs: asked before any cause is looked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .examine import Examination
from .verdict import compare


def other_order(exam: Examination, seen: Sequence[tuple]) -> set[str]:
    """The names of the gradients that changed places, with a finding; empty if that does not explain what was seen.

    `seen` holds (gradients, right gradients) for each probe. A swap explains only if it is mutual: a dweight that is
    dbias, beside a dbias that is right, is no swap."""
    names = exam.names
    wanted = [k for k, n in enumerate(names) if n is not None]
    if len(wanted) < 2 or not seen:
        return set()
    order = {k: [j for j in wanted if all(_same(g[k], t[j]) for g, t in seen)] for k in wanted}
    if any(not fits for fits in order.values()):
        return set()
    chosen: dict[int, int] = {}
    for k in sorted(wanted, key=lambda k: len(order[k])):
        free = [j for j in order[k] if j not in chosen.values()]
        if not free:
            return set()
        chosen[k] = k if k in free else free[0]
    moved = [k for k in wanted if chosen[k] != k]
    if not moved or all(_same(g[k], t[k]) for g, t in seen for k in moved):
        return set()
    found = ", ".join(str(names[chosen[k]]) for k in wanted)
    right = ", ".join(str(names[k]) for k in wanted)
    exam.find(
        "order",
        "backward",
        f"The gradients are right, but in the order ({found}); return them in the order of the inputs, ({right}).",
        exam.backward_function,
        mistake="gradient_order",
        certainty="exact",
    )
    return {str(names[k]) for k in moved}


def _same(yours: Any, right: Any) -> bool:
    if yours is None or right is None or np.shape(yours) != np.shape(right):
        return False
    judged = ~np.isnan(np.asarray(right, dtype=np.float64))
    level = compare(yours, np.asarray(right, dtype=np.float64), noise=1e-6 * float(np.nanmax(np.abs(right), initial=0)))
    return bool(judged.any()) and level.level != "different"
