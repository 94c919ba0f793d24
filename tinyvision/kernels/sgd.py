"""Stage 1: one launch of SGD for all parameters of a group (sgd.cu). The readable step is `optim.SGD.update`."""

from typing import Any

import numpy as np

from ..arrays import lie_alike
from ..types import Array
from . import is_on, on_gpu_in_float32
from . import launch as gpu

MOST, PER_BLOCK = 96, 2048  # as in sgd.cu

RULE = np.dtype([(n, np.float32) for n in ("lr", "momentum", "decay", "undamped", "sign", "first", "nesterov")])
PARAMETERS = np.dtype(
    [(name, np.uint64, (MOST,)) for name in ("weight", "gradient", "velocity")]
    + [(name, np.int32, (MOST,)) for name in ("size", "first_block")]
    + [("live", np.uint64), ("count", np.int32), ("rule", RULE)],
    align=True,
)


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
        p, count = np.zeros((), PARAMETERS), len(weights[some])
        sizes = np.array([weight.size for weight in weights[some]])
        ends = np.cumsum(-(-sizes // PER_BLOCK))
        p["weight"][:count] = [gpu.address(weight) for weight in weights[some]]
        p["gradient"][:count] = [gpu.address(gradient) for gradient in gradients[some]]
        p["velocity"][:count] = [0 if v is None else gpu.address(v) for v in velocities[some]]
        p["size"][:count], p["first_block"][1:count] = sizes, ends[:-1]
        p["count"], p["rule"], p["live"] = count, rule(group, first), 0 if live is None else gpu.address(live)
        gpu.launch_on(gpu.place(weights[0]), "sgd", "sgd_step", (int(ends[-1]), 1, 1), p)


def rule(group: dict[str, Any], first: bool) -> Any:
    """The structure `Rule` of sgd.cu, from the options of an SGD group."""
    sign, undamped = -1 if group["maximize"] else 1, 1 - group["dampening"]
    numbers = group["lr"], group["momentum"], group["weight_decay"], undamped, sign
    return np.array((*numbers, first, group["nesterov"]), RULE)


def applies(weights: list[Array], gradients: list[Array]) -> bool:
    """Whether one launch can do it: float32 on one GPU, and every gradient laid out in memory as its weight, without
    gaps."""
    if (
        not is_on("sgd")
        or not weights
        or any(g is None for g in gradients)
        or not on_gpu_in_float32((*weights, *gradients))
    ):
        return False
    alike = all(w.shape == g.shape and lie_alike(w, g) for w, g in zip(weights, gradients, strict=True))
    return alike and all(w.size and gpu.fits((w.size,)) and packed(w) for w in weights)


def packed(array: Array) -> Any:
    """Whether an array fills its memory without gaps, in whatever order of its axes."""
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return bool(array.transpose(order).flags.c_contiguous)
