"""Dropout's masks drawn on the GPU (dropout.cu): the very numbers that NumPy would draw, and none of them is copied.

A step that is recorded as a CUDA graph draws new numbers in every replay: the kernels find the generator's state in
the GPU's memory, where `Draws.renew` puts it before a replay, and know how many numbers were drawn before theirs."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import random
from ..device import to_device
from ..ops import dropout as ops
from ..types import Array, Shape
from . import DropIn
from . import launch as gpu

_here = threading.local()  # `draws` is set while a step is recorded
NONE = np.zeros((), dtype=[("words", np.int64, 13)])


class Draws:
    """What the kernels of a recorded step draw: after `renew`, a replay draws what the generator in force would."""

    def __init__(self) -> None:
        self.state: Array | None = None  # in the graph's own memory, from the first kernel on
        self.count = 0  # of numbers, by all kernels together

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Inside this block, kernels draw from here."""
        _here.draws = self
        try:
            yield
        finally:
            _here.draws = None

    def renew(self) -> None:
        """Tell the kernels where the generator in force stands, and have it go on as if it had drawn their numbers."""
        if self.state is not None:
            self.state[...] = to_device(_state(random.generator()), gpu.device_of(self.state))
            random.skip(random.generator(), self.count)


def kept(x: Array, p: float, shape: Shape) -> Array:
    """As `ops.dropout.kept`."""
    generator = random.generator()
    if not random.is_philox(generator):
        return ops.kept(x, p, shape)
    mask, count = gpu.empty(x, shape, np.uint8), math.prod(shape)
    draws = getattr(_here, "draws", None)
    state, given, first = None, NONE, 0
    if draws is None:
        given = np.zeros_like(NONE)
        given["words"] = _state(generator)
        random.skip(generator, count)
    else:
        if draws.state is None:
            draws.state = gpu.empty(x, (13,), np.int64)
        state, first = draws.state, draws.count
        draws.count += count
    numbers = given, np.int64(first), np.int64(count), np.float32(p)
    gpu.launch("dropout", "dropout_mask", gpu.blocks(count // 8 + 2), mask, state, *numbers)
    return mask.view(np.bool_)


def _state(generator: Any) -> Array:
    return random.state_of(generator).view(np.int64)


def _applies(x, p, shape):
    return 0 < math.prod(shape) <= gpu.LARGEST


DROP_INS = (DropIn("dropout", (ops.kept, None), kept, applies=_applies),)
