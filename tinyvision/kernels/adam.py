"""One launch of Adam or AdamW for all parameters of a group (adam.cu). To read, there is `optim.Adam.update`."""

from typing import Any

import numpy as np

from ..types import Array
from . import launch as gpu
from .sgd import MOST, structure, table

NAMES = ("sign", "shrink", "decay", "beta1", "rest1", "beta2", "rest2", "scale", "root", "eps")
RULE = np.dtype([(name, np.float32) for name in NAMES])
PARAMETERS = structure(("weight", "gradient", "first", "second"), RULE)


def step(
    weights: list[Array],
    gradients: list[Array],
    firsts: list[Array],
    seconds: list[Array],
    rule: Any,
    live: Array | None = None,
) -> None:
    """Update every array of `weights` in place, and the running means of its gradients and their squares.

    live: where the rule lies, (10,) on the GPU, if it is to be read from there. Lists of arrays laid out alike."""
    for start in range(0, len(weights), MOST):
        some = slice(start, start + MOST)
        named = {
            "weight": weights[some], "gradient": gradients[some], "first": firsts[some], "second": seconds[some],
        }  # fmt: skip
        p, blocks = table(PARAMETERS, named, rule, live)
        gpu.launch_on(gpu.place(weights[0]), "adam", "adam_step", (blocks, 1, 1), p)


def rule(group: dict[str, Any], count: int, decoupled: bool) -> Any:
    """The structure `AdamRule` of adam.cu for step number `count`, from 1, and the options of an Adam group."""
    (beta1, beta2), lr, decay = group["betas"], group["lr"], group["weight_decay"]
    numbers = {
        "sign": -1 if group["maximize"] else 1,
        "shrink": 1 - lr * decay if decoupled else 1,
        "decay": 0 if decoupled else decay,
        "beta1": beta1,
        "rest1": 1 - beta1,
        "beta2": beta2,
        "rest2": 1 - beta2,
        "scale": lr / (1 - beta1**count),
        "root": 1 / (1 - beta2**count) ** 0.5,
        "eps": group["eps"],
    }
    return np.array(tuple(numbers[name] for name in NAMES), RULE)
