"""torchvision's place for the datasets in `tinyvision.data` that it has as well."""

from ..data import CIFAR10, CIFAR100, MNIST, FashionMNIST, ImageFolder

__all__ = ["CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "ImageFolder"]
