"""PyTorch's place for the sampler of which each of several processes takes a share."""

from ...data import DistributedSampler

__all__ = ["DistributedSampler"]
