"""Data: reading files, datasets, transforms, batches, and looking at images.

from tinyvision.data import DataLoader, Digits, transforms
loader = DataLoader(Digits(train=True, transform=transforms.ToTensor()), batch_size=64, shuffle=True, seed=0)
"""

from ..formats.idx import read_idx
from . import transforms
from .cifar import CIFAR10, CIFAR100, read_cifar
from .collate import default_collate, default_convert
from .combined import ChainDataset, ConcatDataset, IterableDataset, StackDataset
from .dataset import ArrayDataset, Dataset, Subset, TensorDataset, random_split, split
from .digits import Digits
from .folder import ImageFolder
from .images import read_image
from .loader import DataLoader
from .mnist import KMNIST, MNIST, FashionMNIST
from .npz import NpzDataset, read_npz
from .photograph import photograph
from .samplers import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from .shapes import Shapes
from .show import ascii_preview, show, to_image
from .streets import Streets
from .workers import get_worker_info

collate = default_collate  # its older name here

__all__ = [
    "CIFAR10", "CIFAR100", "KMNIST", "MNIST", "ArrayDataset", "BatchSampler", "ChainDataset", "ConcatDataset",
    "DataLoader", "Dataset", "Digits", "DistributedSampler", "FashionMNIST", "ImageFolder", "IterableDataset",
    "NpzDataset", "RandomSampler", "Sampler", "SequentialSampler", "Shapes", "StackDataset", "Streets", "Subset",
    "SubsetRandomSampler", "TensorDataset", "WeightedRandomSampler", "ascii_preview", "collate", "default_collate",
    "default_convert", "get_worker_info", "photograph", "random_split", "read_cifar", "read_idx", "read_image",
    "read_npz", "show", "split", "to_image", "transforms",
]  # fmt: skip
