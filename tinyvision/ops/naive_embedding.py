"""The losses of embeddings as loops: one picture, one pair, one number at a time."""

import math
from typing import Any

import numpy as np

from ..types import Array, Gradients, Needs


def arcface_forward(x: Array, labels: Array, margin: float = 0.5, scale: float = 30.0) -> tuple[Array, Any]:
    """y = scale · cos(arccos(x) + margin) at the label, scale · x elsewhere"""
    y = np.empty_like(x)
    for n, k in np.ndindex(x.shape):
        y[n, k] = scale * (_turned(x[n, k], margin) if k == labels[n] else x[n, k])
    return y, (x, labels, margin, scale)


def arcface_backward(dy: Array, cache: Any, needs: Needs = (True, False)) -> Gradients:
    """dx: at the label dy · scale · sin(θ + margin) / sin(θ), for dθ / dx = -1 / sin(θ)"""
    x, labels, margin, scale = cache
    dx = np.empty_like(x)
    for n, k in np.ndindex(x.shape):
        angle = math.acos(x[n, k])
        turns = k == labels[n] and angle + margin < math.pi
        dx[n, k] = dy[n, k] * scale * (math.sin(angle + margin) / math.sin(angle) if turns else 1)
    return dx if needs[0] else None, None


def _turned(cosine, margin):
    angle = math.acos(cosine)
    return math.cos(angle + margin) if angle + margin < math.pi else cosine - margin * math.sin(margin)


def triplet_forward(x: Array, labels: Array, margin: float = 0.2) -> tuple[Array, Any]:
    """y = mean over anchors of max(0, margin + the largest distance within the class - the smallest to another)"""
    triplets = []
    for i in range(len(x)):
        same = [j for j in range(len(x)) if labels[j] == labels[i] and j != i]
        other = [j for j in range(len(x)) if labels[j] != labels[i]]
        if same and other:
            far = max(same, key=lambda j: _distance(x[i], x[j]))
            near = min(other, key=lambda j: _distance(x[i], x[j]))
            triplets.append((i, far, near))
    losses = [max(0.0, margin + _distance(x[i], x[f]) - _distance(x[i], x[n])) for i, f, n in triplets]
    return np.array(sum(losses) / max(len(losses), 1), x.dtype), (x, triplets, losses)


def triplet_backward(dy: Array, cache: Any, needs: Needs = (True, False)) -> Gradients:
    """dx: the anchor is drawn to its furthest and pushed from its nearest, and they the other way"""
    x, triplets, losses = cache
    dx = np.zeros_like(x)
    for (i, far, near), loss in zip(triplets, losses, strict=True):
        if loss > 0:
            for j, sign in ((far, 1), (near, -1)):
                for e in range(x.shape[1]):
                    slope = sign * dy / len(triplets) * (x[i, e] - x[j, e]) / _distance(x[i], x[j])
                    dx[i, e] += slope
                    dx[j, e] -= slope
    return dx if needs[0] else None, None


def _distance(a, b):
    return math.sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)))
