"""PyTorch's names for what is in `tinyvision.data`: `from tinyvision.utils.data import DataLoader, TensorDataset`."""

from typing import TYPE_CHECKING

from ...data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    get_worker_info,
    random_split,
)
from ...missing import missing
from ...places import stand_for
from . import distributed

__all__ = [
    "BatchSampler", "ChainDataset", "ConcatDataset", "DataLoader", "Dataset", "DistributedSampler",
    "IterableDataset", "RandomSampler", "Sampler", "SequentialSampler", "StackDataset", "Subset",
    "SubsetRandomSampler", "TensorDataset", "WeightedRandomSampler", "default_collate", "default_convert",
    "distributed", "get_worker_info", "random_split",
]  # fmt: skip

stand_for(__name__, "_utils", "_utils.collate", "_utils.worker", "dataloader", "dataset", "sampler")

if not TYPE_CHECKING:
    __getattr__ = missing("torch.utils.data", __all__)
