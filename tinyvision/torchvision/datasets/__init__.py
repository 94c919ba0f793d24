"""torchvision's place for the datasets of `tinyvision.data` that behave as torchvision's: see `data.vision_dataset`."""

from typing import TYPE_CHECKING

from ...data.listed_pictures import (
    GTSRB,
    Caltech101,
    CelebA,
    EuroSAT,
    OxfordIIITPet,
    VOCDetection,
    VOCSegmentation,
)
from ...data.small_pictures import EMNIST, STL10, SVHN, USPS
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
    "CIFAR10", "CIFAR100", "EMNIST", "GTSRB", "IMG_EXTENSIONS", "KMNIST", "MNIST", "STL10", "SVHN", "USPS",
    "Caltech101", "CelebA", "DatasetFolder", "EuroSAT", "FakeData", "FashionMNIST", "ImageFolder", "OxfordIIITPet",
    "StandardTransform", "VOCDetection", "VOCSegmentation", "VisionDataset", "default_loader", "find_classes",
    "has_file_allowed_extension", "is_image_file", "make_dataset", "utils",
]  # fmt: skip

_FILES = "its files are not read here; unpack them into class folders for ImageFolder"
_TASK = "its targets are not labels of whole pictures; write a Dataset of your own"

stand_for(__name__, "cifar", "fakedata", "folder", "mnist", "vision")
stand_for(__name__, "caltech", "celeba", "eurosat", "gtsrb", "oxford_iiit_pet", "stl10", "svhn", "usps", "voc")

if not TYPE_CHECKING:
    __getattr__ = missing(
        "torchvision.datasets",
        __all__,
        {
            **dict.fromkeys(("samplers", "video_utils"), "it is for videos, and tinyvision is for images"),
            "ImageNet": "its archives are not unpacked here; ImageFolder reads the folders train and val",
            **dict.fromkeys(("QMNIST", "Caltech256", "SEMEION", "Places365", "Imagenette"), _FILES),
            **dict.fromkeys(
                ("Flowers102", "Food101", "StanfordCars", "DTD", "INaturalist", "SUN397", "LFWPeople"), _FILES
            ),
            **dict.fromkeys(("Country211", "FGVCAircraft", "RenderedSST2", "PCAM", "CLEVRClassification"), _FILES),
            **dict.fromkeys(("CocoDetection", "CocoCaptions", "Flickr8k", "Flickr30k", "PhotoTour"), _TASK),
            **dict.fromkeys(("Cityscapes", "SBDataset", "WIDERFace", "Kitti", "Omniglot", "LSUN"), _TASK),
        },
    )
