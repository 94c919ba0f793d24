"""Dropout that draws its own mask: the generator is seeded before each call, and the mask read off the output.

The probes' zeros are filled, so where y is 0 the unit was dropped. Whether `p` is the share that is dropped or kept is
counted on a large input, and whether kept units are scaled is read off their quotients.
"""

import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from .. import runner
from ..ops import Spec
from ..place import fetched

SHARE, OTHER = 0.3, 0.6  # of the large input on which the kept units are counted


def _own_share(forward, x, share, scale):
    """The share that code drops which takes no p: as many are kept whatever is asked for."""
    call = runner.call(forward, (x, OTHER))
    if not call.ok or abs(float((np.asarray(fetched(call.value)) != 0).mean()) - share) > 0.05:
        return None
    return 1 - 1 / scale if scale is not None else round(1 - share, 2)


def _images(values):
    """Images (N, C, 2, 3) of a matrix (N, C)."""
    return values[..., None, None] * np.random.default_rng(5).uniform(0.5, 2.0, (2, 3))


@contextmanager
def seeded(x: np.ndarray) -> Iterator[None]:
    """NumPy's and Python's random numbers as a function of x, also for generators that are made without a seed."""
    seed, make = zlib.crc32(np.ascontiguousarray(x).tobytes()), np.random.default_rng
    state, other = np.random.get_state(), random.getstate()
    np.random.seed(seed)
    random.seed(seed)
    np.random.default_rng = lambda given=None: make(seed if given is None else given)  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        np.random.default_rng = make
        np.random.set_state(state)
        random.setstate(other)


def observed(known: Spec, forward: Any) -> tuple[Spec, bool, list[str]] | None:
    """(the op with the masks that `forward(x, p)` draws, p is the share kept?, what to say); None if it draws none."""
    x = np.random.default_rng(31).uniform(0.5, 2.0, (64, 64))
    call = runner.call(forward, (x, SHARE))
    if not call.ok:  # it may drop whole channels of images
        x = _images(x)
        call = runner.call(forward, (x, SHARE))
    y = fetched(call.value)
    if np.shape(y) != x.shape:
        return None
    kept = np.asarray(y) != 0
    share = float(kept.mean())
    keeps = abs(share - SHARE) < abs(share - (1 - SHARE))
    if not 0.02 < share < 0.98:
        return None
    scale = float(np.median(np.asarray(y)[kept] / x[kept]))
    plain = abs(scale - 1) < 1e-6
    own = _own_share(forward, x, share, None if plain else scale)

    def right(x, mask, p):
        return np.where(mask, x, 0.0) / (1.0 if plain else 1 - p)

    def right_backward(inputs, options, dy):
        return np.where(inputs[1], dy, 0.0) / (1.0 if plain else 1 - options["p"]), None

    def make(pairs):
        for name, (values, _), options in known.make(pairs):
            values = np.where(values == 0, 0.5, values)
            values = _images(values) if values.ndim < x.ndim else values
            call = runner.call(forward, (values, options["p"]))
            if call.ok:  # it may take matrices only
                yield name, (values, np.asarray(fetched(call.value)) != 0), options if own is None else {"p": own}

    says = ["a mask that it draws itself, read off its output"]
    if own is not None:
        keeps = False
        says.append(f"p of its own, {own:.4g}")
    if keeps:
        says.append("p as the share that is kept")
    if plain:
        says.append("no scaling in training")
    return replace(known, forward=right, backward=right_backward, make=make), keeps, says
