"""How an optimizer's loops go over all parameters of a group, several threads at once."""

from collections.abc import Callable

import numpy as np

from ...arrays import lie_alike
from ...types import Array
from .. import is_on
from ..sgd import packed
from .compiled import ready
from .lines import share_out


def applies(weights: list[Array], others: list[Array], name: str = "sgd") -> bool:
    """Whether the loops are there, and these are float32 without gaps, each of `others` laid out as its weight.

    Weights that are read-only are not for them. `name` is that of the switch."""
    if not is_on(name) or not ready() or any(a is None for a in others):
        return False
    if not all(isinstance(a, np.ndarray) and a.dtype == np.float32 for a in (*weights, *others)):
        return False
    alike = all(w.shape == a.shape and lie_alike(w, a) for w, a in zip(weights, others, strict=True))
    return alike and all(w.flags.writeable and (w.flags.c_contiguous or packed(w)) for w in weights)


def flat(array: Array) -> Array:
    """The memory of an array without gaps, as a vector."""
    if array.flags.c_contiguous:
        return array.reshape(-1)
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return array.transpose(order).reshape(-1)


def over_parameters(work: Callable[..., None], weights: list[Array], *others: list[Array]) -> None:
    """Call `work(w, *others)` with the vectors of every parameter, or with matching parts of them, as threads share
    them out. `others` are vectors already, empty where there is none."""
    parameters = list(zip(map(flat, weights), *others, strict=True))
    ends = np.cumsum([w.size for w in weights]).tolist()

    def part(begin: int, end: int) -> None:
        for vectors, last in zip(parameters, ends, strict=True):
            start = last - vectors[0].size
            if start < end and begin < last:
                some = slice(max(begin - start, 0), min(end, last) - start)
                work(*(v[some] for v in vectors))

    share_out(part, ends[-1], 4 * ends[-1] * (1 + len(others)))
