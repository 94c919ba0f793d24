"""torchvision's datasets and transforms, for comparison only."""

import importlib

from torchvision_oracle import torch, torchvision

importlib.import_module("torchvision.transforms.v2")

datasets, transforms, v2 = torchvision.datasets, torchvision.transforms, torchvision.transforms.v2

__all__ = ["datasets", "torch", "transforms", "v2"]
