"""How an optimizer's loops go over all parameters of a group, several threads at once."""

from collections.abc import Sequence

import numpy as np

from ...arrays import lie_alike
from ...types import Array
from .. import is_on
from ..sgd import packed
from .compiled import Loop, ready
from .lines import done_in_parts, flat


def applies(weights: list[Array], others: list[Array], name: str = "sgd") -> bool:
    """Whether the loops are there, and these are float32 without gaps, each of `others` laid out as its weight.

    Weights that are read-only are not for them. `name` is that of the switch."""
    if not is_on(name) or not ready() or any(a is None for a in others):
        return False
    if not all(isinstance(a, np.ndarray) and a.dtype == np.float32 for a in (*weights, *others)):
        return False
    alike = all(w.shape == a.shape and lie_alike(w, a) for w, a in zip(weights, others, strict=True))
    return alike and all(w.flags.writeable and (w.flags.c_contiguous or packed(w)) for w in weights)


def over_parameters(work: Loop, weights: list[Array], *others: Sequence[Array], rule: Array) -> None:
    """work(w, *others, rule, begin, end) with the memory of every parameter, and of what belongs to it, as vectors;
    empty ones are those of a thing that there is not."""
    for vectors in zip(map(flat, weights), *others, strict=True):
        done_in_parts(work, vectors[0].size, vectors[0].nbytes, *vectors, rule)
