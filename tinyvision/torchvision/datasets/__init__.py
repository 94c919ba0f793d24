"""torchvision's place for the datasets of `tinyvision.data` that behave as torchvision's: see `data.vision_dataset`."""

from typing import TYPE_CHECKING

from ...data.vision_dataset import (
    CIFAR10,
    CIFAR100,
    IMG_EXTENSIONS,
    KMNIST,
    MNIST,
    DatasetFolder,
    FakeData,
    FashionMNIST,
    ImageFolder,
    StandardTransform,
    VisionDataset,
    default_loader,
    find_classes,
    has_file_allowed_extension,
    is_image_file,
    make_dataset,
)
from ...missing import missing
from ...places import stand_for
from . import utils

__all__ = [
    "CIFAR10", "CIFAR100", "IMG_EXTENSIONS", "KMNIST", "MNIST", "DatasetFolder", "FakeData", "FashionMNIST",
    "ImageFolder", "StandardTransform", "VisionDataset", "default_loader", "find_classes",
    "has_file_allowed_extension", "is_image_file", "make_dataset", "utils",
]  # fmt: skip

_FILES = "its files are not read here; unpack them into class folders for ImageFolder"
_TASK = "its targets are not labels of whole pictures; write a Dataset of your own"

stand_for(__name__, "cifar", "fakedata", "folder", "mnist", "vision")

if not TYPE_CHECKING:
    __getattr__ = missing(
        "torchvision.datasets",
        __all__,
        {
            **dict.fromkeys(("samplers", "video_utils"), "it is for videos, and tinyvision is for images"),
            "SVHN": "its files are MATLAB's, which are not read here; unpack them into class folders for ImageFolder",
            "ImageNet": "its archives are not unpacked here; ImageFolder reads the folders train and val",
            **dict.fromkeys(("EMNIST", "QMNIST", "USPS", "STL10", "Caltech101", "Caltech256", "SEMEION"), _FILES),
            **dict.fromkeys(("Flowers102", "Food101", "OxfordIIITPet", "StanfordCars", "GTSRB", "DTD"), _FILES),
            **dict.fromkeys(("Country211", "EuroSAT", "FGVCAircraft", "RenderedSST2", "PCAM", "LFWPeople"), _FILES),
            **dict.fromkeys(("CelebA", "CocoDetection", "CocoCaptions", "VOCDetection", "VOCSegmentation"), _TASK),
            **dict.fromkeys(("Cityscapes", "SBDataset", "WIDERFace", "Kitti", "Omniglot", "LSUN"), _TASK),
        },
    )
