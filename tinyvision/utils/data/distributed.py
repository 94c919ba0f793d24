"""PyTorch's place of `DistributedSampler`."""

from ...data import DistributedSampler

__all__ = ["DistributedSampler"]
