"""torchvision's datasets and transforms, for comparison only."""

from torchvision_oracle import torch, torchvision

datasets, transforms = torchvision.datasets, torchvision.transforms

__all__ = ["datasets", "torch", "transforms"]
