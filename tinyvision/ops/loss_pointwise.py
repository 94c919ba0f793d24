"""Losses that compare numbers one by one: each gives the loss of every pair, and adding up or averaging comes after.

x and target have one shape; unlike NumPy, nothing broadcasts, because a (N, 1) against a (N,) is always a mistake.
σ(x) = 1 / (1 + exp(-x)) is the sigmoid.
"""

from typing import Any

import numpy as np

from ..errors import OptionError
from ..types import Array, Gradients, Needs
from .activation import logistic
from .checks import as_array, check_arrays, shape_error
from .unary import STEPS


def l1_forward(x: Array, target: Array) -> tuple[Array, Any]:
    """y = |x - target|.   x, target any one shape  ->  y the same shape, cache"""
    difference = _difference("l1", x, target)
    return as_array(np.abs(difference)), difference


def l1_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dx = dy · sign(x - target), 0 where they are equal; dtarget = -dx."""
    return _both(dy * STEPS["sign"](cache), needs)


def smooth_l1_forward(x: Array, target: Array, beta: float = 1.0) -> tuple[Array, Any]:
    """y = d² / (2·beta) where d = |x - target| < beta, else d - beta / 2 (Girshick, "Fast R-CNN", 2015).   ->  y, cache

    Raises OptionError for a negative beta; with beta 0 it is the l1 loss."""
    if not beta >= 0:
        raise OptionError(f"smooth_l1: beta must be 0 or more, got {beta!r}")
    difference = _difference("smooth_l1", x, target)
    d = np.abs(difference)
    return as_array(np.where(d < beta, d * d * (0.5 / (beta or 1)), d - 0.5 * beta)), (difference, beta)


def smooth_l1_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dx = dy · (x - target) / beta near, dy · sign(x - target) far; dtarget = -dx."""
    difference, beta = cache
    far = STEPS["sign"](difference)
    slope = np.where(np.abs(difference) >= beta, far, difference / beta) if beta else far  # nan is not far
    return _both(dy * slope, needs)


def huber_forward(x: Array, target: Array, delta: float = 1.0) -> tuple[Array, Any]:
    """y = d² / 2 where d = |x - target| < delta, else delta · (d - delta / 2) (Huber, 1964).   ->  y, cache

    Raises OptionError unless delta is positive."""
    if not delta > 0:
        raise OptionError(f"huber: delta must be positive, got {delta!r}")
    difference = _difference("huber", x, target)
    d = np.abs(difference)
    return as_array(np.where(d < delta, d * d * 0.5, delta * (d - 0.5 * delta))), (difference, delta)


def huber_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dx = dy · (x - target), its size cut at delta; dtarget = -dx."""
    difference, delta = cache
    return _both(dy * np.clip(difference, -delta, delta), needs)


# The logarithm of a probability 0 counts as -100, and its slope's denominator is no smaller than this, as in PyTorch.
LEAST_LOG, LEAST = -100.0, float(np.float32(1e-12))


def bce_forward(x: Array, target: Array) -> tuple[Array, Any]:
    """y = -target · log x - (1 - target) · log(1 - x), for probabilities x.   x, target any one shape  ->  y, cache

    Raises OptionError for an x outside of 0 to 1: a sigmoid has been forgotten."""
    _check_pair("bce", x, target)
    if not bool(((x >= 0) & (x <= 1)).all()):  # nan is no probability either
        raise OptionError(
            "bce: x must hold probabilities from 0 to 1; apply a sigmoid first, or take bce_with_logits for scores"
        )
    return as_array((target - 1) * _log_of_rest(x) - target * _log(x)), (x, target)


def bce_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dx = dy · (x - target) / (x · (1 - x)), dtarget = dy · (log(1 - x) - log x).

    As PyTorch has it, only the loss holds its logarithms above -100: dtarget is infinite where x is 0 or 1."""
    x, target = cache
    dx = as_array(dy * (x - target) / np.maximum(x * (1 - x), LEAST)) if needs[0] else None
    if not needs[1]:
        return dx, None
    with np.errstate(divide="ignore", invalid="ignore"):
        return dx, as_array(dy * (np.log1p(-x) - np.log(x)))


def bce_with_logits_forward(x: Array, target: Array, pos_weight: Array | None = None) -> tuple[Array, Any]:
    """y = -w · target · log σ(x) - (1 - target) · log(1 - σ(x)), from scores x, without overflow.   ->  y, cache

    With s = log(1 + exp(-x)) = -log σ(x), that is (1 - target) · x + (1 + (w - 1) · target) · s. The weight w of what
    is there, pos_weight, is 1, or broadcasts against x: (C,) for scores (N, C)."""
    _check_pair("bce_with_logits", x, target)
    check_arrays("bce_with_logits", x=x, pos_weight=pos_weight)
    if pos_weight is not None and not _broadcasts(pos_weight.shape, x.shape):
        shown = {"x": ("(...)", x), "pos_weight": ("(...)", pos_weight)}
        raise shape_error("bce_with_logits", "pos_weight does not broadcast against x", **shown)
    weight = 1 if pos_weight is None else 1 + (pos_weight - 1) * target
    return as_array((1 - target) * x + weight * _minus_log_sigmoid(x)), (x, target, pos_weight)


def bce_with_logits_backward(dy: Array, cache: Any, needs: Needs = (True, True, False)) -> Gradients:
    """dx = dy · ((1 - target) · σ(x) - w · target · σ(-x)), which is dy · (σ(x) - target) where w = 1, and is right to
    the last digits where that is small;
    dtarget = dy · ((w - 1) · s - x)."""
    x, target, pos_weight = cache
    dx = dtarget = None
    if needs[0]:
        there = target if pos_weight is None else pos_weight * target
        dx = as_array(dy * ((1 - target) * logistic(x) - there * logistic(-x)))
    if needs[1]:
        slope = -x if pos_weight is None else (pos_weight - 1) * _minus_log_sigmoid(x) - x
        dtarget = as_array(dy * slope)
    return dx, dtarget, None


def kl_div_forward(x: Array, target: Array, log_target: bool = False) -> tuple[Array, Any]:
    """y = target · (log target - x): a distribution's divergence from the one whose logarithm is x.   ->  y, cache

    With log_target, target is a logarithm as well. A probability of 0 adds nothing."""
    _check_pair("kl_div", x, target)
    if log_target:
        return as_array(np.exp(target) * (target - x)), (x, target, True)
    return as_array(_times_log(target) - target * x), (x, target, False)


def kl_div_backward(dy: Array, cache: Any, needs: Needs = (True, True)) -> Gradients:
    """dx = -dy · target; dtarget = dy · (log target + 1 - x)."""
    x, target, log_target = cache
    probability = np.exp(target) if log_target else target
    dx = as_array(-dy * probability) if needs[0] else None
    if not needs[1]:
        return dx, None
    if log_target:
        return dx, as_array(dy * probability * (target + 1 - x))
    with np.errstate(divide="ignore", invalid="ignore"):
        one = target / target  # but nan at 0 and ∞, where the slope is that of PyTorch's formula
        return dx, as_array(dy * (np.log(target) + one - x))


def focal_forward(x: Array, target: Array, gamma: float = 2.0, alpha: float = -1.0) -> tuple[Array, Any]:
    """y = a · q^gamma · bce_with_logits(x, target), where q is how far σ(x) is from the target (Lin et al., 2017).

    q = σ + target - 2·σ·target; a = alpha for target 1 and 1 - alpha for target 0, or 1 where alpha is negative.
    x, target any one shape  ->  y the same shape, cache. What is right already counts little, so that the many easy
    places of a picture do not drown the few that matter. Raises OptionError for a negative gamma."""
    _check_pair("focal", x, target)
    if not gamma >= 0:
        raise OptionError(f"focal: gamma must be 0 or more, got {gamma!r}")
    if not alpha <= 1:
        raise OptionError(f"focal: alpha must be a share up to 1, or negative for none, got {alpha!r}")
    cache = (x, target, gamma, alpha)
    loss, _, far, share = _focal_parts(*cache)
    return as_array(share * far**gamma * loss), cache


def focal_backward(dy: Array, cache: Any, needs: Needs = (True, False)) -> Gradients:
    """dx = dy · a · (q^gamma · (σ - target) + bce · gamma · q^(gamma - 1) · (1 - 2·target) · σ · (1 - σ))

    The product rule: bce' = σ - target, q' = (1 - 2·target) · σ'. The target is taken as given."""
    x, target, gamma, alpha = cache
    if not needs[0]:
        return None, None
    loss, p, far, share = _focal_parts(x, target, gamma, alpha)
    least = np.maximum(far, np.finfo(x.dtype).tiny)  # where q = 0, so is what q^(gamma - 1) is multiplied by
    slope = far**gamma * (p - target) + loss * gamma * least ** (gamma - 1) * (1 - 2 * target) * p * (1 - p)
    return as_array(dy * share * slope), None


def _focal_parts(x, target, gamma, alpha):
    p = logistic(x)
    loss = (1 - target) * x + _minus_log_sigmoid(x)
    share = 1 if alpha < 0 else alpha * target + (1 - alpha) * (1 - target)
    return loss, p, p + target - 2 * p * target, share


def _check_pair(op, x, target):
    check_arrays(op, x=x, target=target)
    if tuple(x.shape) != tuple(target.shape):
        raise shape_error(op, "x and target differ in shape", x=("(...)", x), target=("(...)", target))


def _broadcasts(shape, to):
    """Whether an array of `shape` can be repeated to the shape `to`."""
    ends = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(n in (1, m) for n, m in ends)


def _difference(op, x, target):
    _check_pair(op, x, target)
    return as_array(x - target)


def _both(dx, needs):
    return as_array(dx) if needs[0] else None, as_array(-dx) if needs[1] else None


def _log(p):
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(p), LEAST_LOG)


def _log_of_rest(p):
    with np.errstate(divide="ignore"):
        return np.maximum(np.log1p(-p), LEAST_LOG)


def _times_log(p):
    """p · log p, and 0 where p is 0 (nan where it is below)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p == 0, np.zeros_like(p), p * np.log(p))


def _minus_log_sigmoid(x):
    """log(1 + exp(-x)) = max(-x, 0) + log(1 + exp(-|x|))"""
    return np.maximum(-x, 0) + np.log1p(np.exp(-np.abs(x)))
