"""PyTorch's names for what is in `tinyvision.data`: `from tinyvision.utils.data import DataLoader, TensorDataset`."""

from ..data import DataLoader, Dataset, Subset, TensorDataset, random_split
from ..data import collate as default_collate

__all__ = ["DataLoader", "Dataset", "Subset", "TensorDataset", "default_collate", "random_split"]
