"""One launch of SGD for all parameters of a group (sgd.cu). The readable step is `optim.SGD.update`."""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..arrays import lie_alike
from ..types import Array
from . import is_on, on_gpu_in_float32
from . import launch as gpu

MOST, PER_BLOCK = 96, 2048  # as in sgd.cu

RULE = np.dtype([(n, np.float32) for n in ("lr", "momentum", "decay", "undamped", "sign", "first", "nesterov")])


def structure(arrays: Sequence[str], rule: np.dtype | None = None) -> np.dtype:
    """What a kernel over many parameters is given, as its text declares it: where the `arrays` of each lie, its size
    and first block, and how many parameters there are; with a rule, where a captured step finds it, and the rule."""
    each = [(name, np.uint64, (MOST,)) for name in arrays]
    each += [(name, np.int32, (MOST,)) for name in ("size", "first_block")]
    count = ("count", np.int32)
    return np.dtype([*each, count] if rule is None else [*each, ("live", np.uint64), count, ("rule", rule)], align=True)


PARAMETERS = structure(("weight", "gradient", "velocity"), RULE)


def step(
    weights: list[Array],
    gradients: list[Array],
    velocities: list[Any],
    group: dict[str, Any],
    first: bool,
    live: Array | None = None,
) -> None:
    """Update every array of `weights` in place, and its velocity (None without momentum), with the options of an SGD
    group.

    first: the velocities are uninitialised, and become the gradients. live: where the rule lies, (7,) on the GPU, if
    it is to be read from there, and not from `group`. Lists of arrays laid out alike, any length."""
    for start in range(0, len(weights), MOST):
        some = slice(start, start + MOST)
        named = {"weight": weights[some], "gradient": gradients[some], "velocity": velocities[some]}
        p, blocks = table(PARAMETERS, named, rule(group, first), live)
        gpu.launch_on(gpu.place(weights[0]), "sgd", "sgd_step", (blocks, 1, 1), p)


def table(
    kind: Any, named: Mapping[str, Sequence[Any]], rule: Any = None, live: Array | None = None
) -> tuple[Any, int]:
    """(a structure of this kind, the blocks that it needs): what a kernel for many parameters is told of MOST or fewer.

    named: the arrays of every parameter by their names, of the first of which none is None; live: where the rule lies
    on the GPU, or None."""
    p, sizes = np.zeros((), kind), tuple([array.size for array in next(iter(named.values()))])
    count, (numbers, first_blocks, blocks) = len(sizes), _shares(sizes)
    for name, arrays in named.items():
        p[name][:count] = gpu.addresses(arrays)
    p["size"][:count], p["first_block"][:count], p["count"] = numbers, first_blocks, count
    if rule is not None:
        p["rule"], p["live"] = rule, 0 if live is None else gpu.address(live)
    return p, blocks


@lru_cache(4096)
def _shares(sizes):
    """(the sizes, the first block of each parameter, how many blocks there are)"""
    ends = np.cumsum([math.ceil(size / PER_BLOCK) for size in sizes])
    return np.array(sizes), np.array([0, *ends[:-1]]), int(ends[-1])


def rule(group: dict[str, Any], first: bool) -> Any:
    """The structure `Rule` of sgd.cu, from the options of an SGD group."""
    sign, undamped = -1 if group["maximize"] else 1, 1 - group["dampening"]
    numbers = group["lr"], group["momentum"], group["weight_decay"], undamped, sign
    return np.array((*numbers, first, group["nesterov"]), RULE)


def applies(weights: list[Array], gradients: list[Array], name: str = "sgd") -> bool:
    """Whether one launch can do it: float32 on one GPU, and every gradient laid out in memory as its weight, without
    gaps. `name` is that of the switch."""
    if (
        not is_on(name)
        or not weights
        or [g for g in gradients if g is None]
        or not on_gpu_in_float32((*weights, *gradients))
    ):
        return False
    for w, g in zip(weights, gradients, strict=True):
        shape, strides = w.shape, w.strides
        if shape != g.shape or not (strides == g.strides or lie_alike(w, g)):
            return False
        if not (_packed(shape, strides, 4) and 0 < math.prod(shape) <= gpu.LARGEST):
            return False
    return True


def packed(array: Array) -> bool:
    """Whether an array fills its memory without gaps, in whatever order of its axes."""
    return _packed(array.shape, array.strides, array.itemsize)


@lru_cache(4096)
def _packed(shape, strides, itemsize):
    step = itemsize  # from one number to the next, along the axes of more than one number, the closest first
    for stride, length in sorted((s, n) for s, n in zip(strides, shape, strict=True) if n != 1):
        if stride != step:
            return 0 in shape  # what has no numbers has no gaps
        step *= length
    return True
