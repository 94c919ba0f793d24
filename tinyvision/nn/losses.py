"""Losses as modules."""

import numpy as np

from ..device import to_device
from . import functional
from .module import Buffer, Module


class CrossEntropyLoss(Module):
    """Softmax and negative log-likelihood in one: takes scores (N, K) and class numbers (N,) or probabilities (N, K)."""

    def __init__(self, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        self.weight = None if weight is None else Buffer(np.asarray(weight) if isinstance(weight, (list, tuple)) else weight)
        self.ignore_index, self.reduction, self.label_smoothing = ignore_index, reduction, label_smoothing

    def forward(self, input, target):
        """The loss of scores `input` for `target`."""
        weight = None if self.weight is None else to_device(self.weight.data.astype(input.dtype), input.device)
        return functional.cross_entropy(input, target, weight, self.ignore_index, self.reduction, self.label_smoothing)


class MSELoss(Module):
    """The mean of (input - target)²."""

    def __init__(self, reduction="mean"):
        self.reduction = reduction

    def forward(self, input, target):
        """The loss."""
        return functional.mse_loss(input, target, self.reduction)
