"""The losses: each gradient as in `ops.loss` and `ops.loss_pointwise`, written with tensors."""

from __future__ import annotations

import numpy as np

from ... import ops
from ...ops.loss_pointwise import LEAST
from .. import taped
from .calls import rule
from .elementwise import where


@rule(taped.mse)
def _mse(dy, call):
    x, target = call.inputs
    divisor = x.numel() if call.options.get("reduction", "mean") == "mean" else 1
    dx = (x - target) * (2 / divisor) * dy
    return call.each(lambda: dx, lambda: -dx)


@rule(taped.l1)
def _l1(dy, call):
    x, target = call.inputs
    dx = dy * (x - target).sign()
    return call.each(lambda: dx, lambda: -dx)


@rule(taped.smooth_l1)
def _smooth_l1(dy, call):
    difference, beta = call.input(0) - call.input(1), call.options.get("beta", 1.0)
    far = difference.sign()
    dx = dy * (where(abs(difference.array) >= beta, far, difference / beta) if beta else far)
    return call.each(lambda: dx, lambda: -dx)


@rule(taped.huber)
def _huber(dy, call):
    delta = call.options.get("delta", 1.0)
    dx = dy * (call.input(0) - call.input(1)).clamp(-delta, delta)
    return call.each(lambda: dx, lambda: -dx)


@rule(taped.bce)
def _bce(dy, call):
    x, target = call.inputs
    return call.each(lambda: dy * (x - target) / (x * (1 - x)).clamp(min=LEAST), lambda: dy * ((-x).log1p() - x.log()))


@rule(taped.bce_with_logits)
def _bce_with_logits(dy, call):
    x, target, weight = (*call.inputs, None)[:3]

    def of_scores():
        there = target if weight is None else weight * target
        return dy * ((1 - target) * x.sigmoid() - there * (-x).sigmoid())

    def of_target():
        return -dy * x if weight is None else dy * ((weight - 1) * taped.softplus(-x) - x)

    return call.each(of_scores, of_target)


@rule(taped.kl_div)
def _kl_div(dy, call):
    x, target = call.inputs
    if call.options.get("log_target", False):
        p = target.exp()
        return call.each(lambda: -dy * p, lambda: dy * p * (target + 1 - x))
    return call.each(lambda: -dy * target, lambda: dy * (target.log() + 1 - x))


@rule(taped.cross_entropy)
def _cross_entropy(dy, call):
    """dlogits = dy · (softmax(logits) · Σ target - target) / divisor, with the target of the op itself."""
    logits, labels = call.inputs
    weight = call.options.get("weight")
    _, (_, target, divisor, scale) = ops.cross_entropy_forward(logits.array, labels.array, **call.options)
    each = (dy.unsqueeze(1) if dy.ndim else dy) / float(divisor)
    target = dy.like(target)
    if labels.requires_grad:
        smoothing = call.options.get("label_smoothing", 0.0)
        target = labels * (1 - smoothing) + smoothing / logits.shape[1]
        if weight is not None:
            target = target * dy.like(weight.reshape(1, -1, *(1,) * (logits.ndim - 2)))

    def of_logits():
        return (logits.softmax(1) * target.sum(1, keepdim=True) - target) * each

    def of_labels():
        factor = dy.like(np.asarray(scale, logits.array.dtype, like=logits.array))
        return -each * factor * logits.log_softmax(1)

    return call.each(of_logits, of_labels)


@rule(taped.nll_loss)
def _nll_loss(dy, call):
    log_p, labels = call.inputs
    _, (target, divisor) = ops.nll_loss_forward(log_p.array, labels.array, **call.options)
    return [dy.like(target) * -((dy.unsqueeze(1) if dy.ndim else dy) / float(divisor))]
