"""Gradient clipping."""

import math

from ..errors import OptionError


def clip_grad_norm_(parameters, max_norm):
    """Scale all gradients together so that their Euclidean norm is at most max_norm; returns the norm before, a float.

    (Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks", 2013.) A norm that is not finite is
    returned and changes nothing, so that the caller can decide."""
    if not max_norm > 0:
        raise OptionError(f"clip_grad_norm_: max_norm must be positive, got {max_norm!r}")
    gradients = [p.grad for p in ([parameters] if hasattr(parameters, "grad") else parameters) if p.grad is not None]
    total = math.sqrt(sum(float((g.data.reshape(-1) @ g.data.reshape(-1)).item()) for g in gradients))
    if math.isfinite(total) and total > max_norm:
        for g in gradients:
            g.data *= max_norm / (total + 1e-6)
    return total


def clip_grad_value_(parameters, clip_value):
    """Cut every gradient to ± clip_value, in place."""
    if not clip_value > 0:
        raise OptionError(f"clip_grad_value_: clip_value must be positive, got {clip_value!r}")
    for p in [parameters] if hasattr(parameters, "grad") else parameters:
        if p.grad is not None:
            p.grad.data[...] = p.grad.data.clip(-clip_value, clip_value)
