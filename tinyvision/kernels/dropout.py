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
from ..types import Array, Gradients, Needs, Shape
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
    if not random.is_philox(random.generator()):
        return ops.kept(x, p, shape)
    return _drawn(gpu.empty(x, shape, np.uint8), p, None, None)


def drawn(x: Array, p: float) -> tuple[Array, Array | None]:
    """As `ops.dropout.drawn`, in one launch."""
    if not random.is_philox(random.generator()):
        return ops.drawn(x, p)
    mask = gpu.empty(x, x.shape, np.uint8)
    if not x.flags.c_contiguous:  # the mask's numbers are drawn in another order than those of x lie in
        return _drawn(mask, p, None, None), None
    y = gpu.empty(x, x.shape)
    return _drawn(mask, p, gpu.aligned(x), y), y


def dropout_forward(x: Array, mask: Array, p: float = 0.5, y: Array | None = None) -> tuple[Array, Any]:
    """As `ops.dropout_forward`; the cache holds the mask, of a byte for each number."""
    return _applied(x, mask, p) if y is None else y, (mask, p)


def dropout_backward(dy: Array, cache: Any, needs: Needs = (True, False)) -> Gradients:
    """As `ops.dropout_backward`."""
    return _applied(dy, *cache), None


def _scale(p):
    return np.float32(1 / (1 - p) if p < 1 else 0)


def _applied(x, mask, p):
    x, mask, y = gpu.aligned(x), gpu.aligned(mask), gpu.empty(x, x.shape)
    gpu.launch(
        "dropout", "dropout_applied", gpu.blocks(x.size, 4 * gpu.THREADS), x, mask.view(np.uint8), y,
        np.int32(x.size), _scale(p),
    )  # fmt: skip
    return y


def _drawn(mask, p, x, y):
    """The mask filled with what the generator in force draws, as booleans; and y with what it makes of x."""
    generator, count = random.generator(), mask.size
    draws = getattr(_here, "draws", None)
    state, given, first = None, NONE, 0
    if draws is None:
        given = np.zeros_like(NONE)
        given["words"] = _state(generator)
        random.skip(generator, count)
    else:
        if draws.state is None:
            draws.state = gpu.empty(mask, (13,), np.int64)
        state, first = draws.state, draws.count
        draws.count += count
    numbers = given, np.int64(first), np.int64(count), np.float32(p), _scale(p)
    gpu.launch("dropout", "dropout_mask", gpu.blocks(count // 8 + 2), mask, state, x, y, *numbers)
    return mask.view(np.bool_)


def _state(generator: Any) -> Array:
    return random.state_of(generator).view(np.int64)


def _applies(x, p, shape=None):
    return 0 < (x.size if shape is None else math.prod(shape)) <= gpu.LARGEST


def _applies_with_mask(x, mask, p=0.5, y=None):
    """Whether numbers and mask lie in one order; and p is a probability (else the op says so)."""
    alike = mask.dtype == np.bool_ and tuple(mask.shape) == tuple(x.shape)
    return alike and _applies(x, p) and 0 <= p <= 1 and x.flags.c_contiguous and mask.flags.c_contiguous


DROP_INS = (
    DropIn("dropout", (ops.kept, None), kept, applies=_applies),
    DropIn("dropout", (ops.drawn, None), drawn, applies=_applies),
    DropIn(
        "dropout",
        (ops.dropout_forward, ops.dropout_backward),
        dropout_forward,
        dropout_backward,
        _applies_with_mask,
        integers=(1,),
    ),
)
