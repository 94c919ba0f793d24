"""Stage 1: one launch of SGD for all parameters of a group (sgd.cu). The readable step is `optim.SGD.update`."""

from typing import Any

import numpy as np

from ..types import Array
from . import is_on, on_gpu_in_float32
from . import launch as gpu

MOST, PER_BLOCK = 96, 2048  # as in sgd.cu

RULE = np.dtype(
    [(name, np.float32) for name in ("lr", "momentum", "decay", "undamped", "sign")]
    + [(name, np.int32) for name in ("first", "nesterov")]
)
PARAMETERS = np.dtype(
    [(name, np.uint64, (MOST,)) for name in ("weight", "gradient", "velocity")]
    + [(name, np.int32, (MOST,)) for name in ("size", "first_block")]
    + [("count", np.int32), ("rule", RULE)]
)


def step(
    weights: list[Array], gradients: list[Array], velocities: list[Any], group: dict[str, Any], first: bool
) -> None:
    """Update every array of `weights` in place, and its velocity (None without momentum), with the options of an SGD
    group.

    first: the velocities are uninitialised, and become the gradients. Lists of arrays laid out alike, any length."""
    for start in range(0, len(weights), MOST):
        some = slice(start, start + MOST)
        p, blocks = np.zeros((), PARAMETERS), 0
        for i, weight in enumerate(weights[some]):
            p["weight"][i], p["gradient"][i] = gpu.address(weight), gpu.address(gradients[some][i])
            p["velocity"][i] = gpu.address(velocities[some][i]) if velocities[some][i] is not None else 0
            p["size"][i], p["first_block"][i] = weight.size, blocks
            blocks += -(-weight.size // PER_BLOCK)
        p["count"], p["rule"] = len(weights[some]), rule(group, first)
        gpu.launch_on(gpu.place(weights[0]), "sgd", "sgd_step", (blocks, 1, 1), p)


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
    alike = all(w.strides == g.strides and w.shape == g.shape for w, g in zip(weights, gradients, strict=True))
    return alike and all(w.size and gpu.fits((w.size,)) and packed(w) for w in weights)


def packed(array: Array) -> Any:
    """Whether an array fills its memory without gaps, in whatever order of its axes."""
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    return bool(array.transpose(order).flags.c_contiguous)
