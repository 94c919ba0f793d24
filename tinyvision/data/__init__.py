"""Data: reading files, datasets, transforms, batches, and looking at images.

from tinyvision.data import DataLoader, Digits, transforms
loader = DataLoader(Digits(train=True), batch_size=64, shuffle=True, seed=0)
"""

from ..formats.idx import read_idx
from . import transforms
from .cifar import CIFAR10, CIFAR100, read_cifar
from .dataset import ArrayDataset, Dataset, Subset, TensorDataset, random_split, split
from .digits import Digits
from .folder import ImageFolder
from .images import read_image
from .loader import DataLoader, collate
from .mnist import MNIST, FashionMNIST
from .npz import NpzDataset, read_npz
from .shapes import Shapes
from .show import ascii_preview, show, to_image

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "MNIST",
    "ArrayDataset",
    "DataLoader",
    "Dataset",
    "Digits",
    "FashionMNIST",
    "ImageFolder",
    "NpzDataset",
    "Shapes",
    "Subset",
    "TensorDataset",
    "ascii_preview",
    "collate",
    "random_split",
    "read_cifar",
    "read_idx",
    "read_image",
    "read_npz",
    "show",
    "split",
    "to_image",
    "transforms",
]
