"""The bank of mistakes: wrong-on-purpose outputs, gradients and update rules, each with the words that name it.

Every entry computes what a learner gets who makes that mistake, from the same probe. Two entries that agree on all
probes would be one mistake under two names; a test keeps them apart. The bank is also the mutation test of the
exercises: `mistake.functions()` gives the pair of functions with the mistake in it.
"""

from . import (
    activations,
    avgpool,
    batchnorm,
    conv2d,
    conv2d_gradients,
    elementwise,
    linear,
    loss,
    maxpool,
    rectifiers,
    sgd,
    unfold,
)
from .mistake import Mistake

_MODULES = (
    linear,
    elementwise,
    activations,
    rectifiers,
    conv2d,
    conv2d_gradients,
    maxpool,
    avgpool,
    batchnorm,
    loss,
    unfold,
    sgd,
)


def mistakes(op: str | None = None) -> list[Mistake]:
    """All mistakes of one op, or of all ops."""
    banks = [b for module in _MODULES for b in module.BANKS]
    return [m for b in banks if op in (None, b.op) for m in b.mistakes]
