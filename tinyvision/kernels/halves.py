"""What `precision("bf16")` and `precision("fp16")` mean: the factors of every product are rounded, by whichever body
computes it.

A product of two such numbers has 16 or 22 bits, so float32 holds it whole: a float32 product of rounded arrays, the
sums in float32, is what tensor cores compute of arrays of 16 bits. TF32 holds both kinds of number as well. So every
body of an op will do, and kernels that round for themselves, in fewer bytes, say so in `rounds`.
"""

import functools
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..device import CPU, device_of, precision, precision_of
from ..ops.conv import conv2d_forward
from ..ops.conv_inference import conv2d_inference
from ..ops.conv_transpose import conv_transpose2d_forward
from ..ops.linear import linear_forward, matmul_forward
from ..ops.rounding import rounded
from ..types import Array

# The ops that multiply and add up: of each, the first two arguments are the factors.
PRODUCTS = {conv2d_forward, conv2d_inference, conv_transpose2d_forward, linear_forward, matmul_forward}


def rounding(op: Callable[..., Any], forward: Callable[..., Any], backward: Any, mode: str) -> tuple[Callable, Any]:
    """The pair (forward, backward), which was chosen to compute `op`, with its factors rounded if op is a product."""
    if op not in PRODUCTS or mode in getattr(forward, "rounds", ()):
        return forward, backward
    return _rounding(forward, backward, mode)


@functools.lru_cache(256)
def _rounding(forward, backward, mode):
    @functools.wraps(forward)
    def of_rounded(one, other, *rest, **options):
        return forward(_rounded(one, mode), _rounded(other, mode), *rest, **options)

    if backward is None:
        return of_rounded, None

    @functools.wraps(backward)
    def back(dy, cache, needs=(True, True, True), *onto):
        """The gradient is a factor of both products; a bias's is a sum, of what has not been rounded."""
        factors, others = needs[:2], needs[2:]
        with in_force(mode, dy):
            found = backward(_rounded(dy, mode), cache, (*factors, *[False] * len(others)), *onto)
            if any(others):
                found = (*found[:2], *backward(dy, cache, (False, False, *others))[2:])
        return found

    return of_rounded, back


def _rounded(array, mode):
    return rounded(array, mode) if getattr(array, "dtype", None) == np.float32 else array


def in_force(mode: str, array: Array) -> Any:
    """A block in which a mode is in force where an array lives: a backward may run after the forward's block."""
    where = "cpu" if device_of(array) == CPU else "cuda"
    return nullcontext() if getattr(precision_of, where) == mode else precision(mode, where)
