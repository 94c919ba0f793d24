"""torchvision's enumerations of published weights: `ResNet18_Weights.DEFAULT`, with preprocessing and class names."""

from __future__ import annotations

from enum import Enum
from typing import Any, ClassVar

import numpy as np

from ..data import transforms
from ..errors import OptionError
from ..tensors.arranging import stack
from ..tensors.tensor import Tensor
from ..weights import load_arrays
from ..weights.hub import ORIGIN, find_weights
from ..weights.published import PUBLISHED, Published, default_name
from .imagenet import imagenet_classes

__all__ = [
    "AlexNet_Weights", "ConvNeXt_Base_Weights", "ConvNeXt_Large_Weights", "ConvNeXt_Small_Weights",
    "ConvNeXt_Tiny_Weights", "DenseNet121_Weights", "DenseNet161_Weights", "DenseNet169_Weights",
    "DenseNet201_Weights", "EfficientNet_B0_Weights", "EfficientNet_B1_Weights", "EfficientNet_B2_Weights",
    "EfficientNet_B3_Weights", "EfficientNet_B4_Weights", "EfficientNet_B5_Weights", "EfficientNet_B6_Weights",
    "EfficientNet_B7_Weights", "EfficientNet_Lite0_Weights", "EfficientNet_V2_L_Weights",
    "EfficientNet_V2_M_Weights", "EfficientNet_V2_S_Weights", "GoogLeNet_Weights", "Inception_V3_Weights",
    "MobileNet_V2_Weights", "MobileNet_V3_Large_Weights", "MobileNet_V3_Small_Weights", "ResNeXt50_32X4D_Weights",
    "ResNeXt101_32X8D_Weights", "ResNeXt101_64X4D_Weights", "ResNet18_Weights", "ResNet34_Weights",
    "ResNet50_Weights", "ResNet101_Weights", "ResNet152_Weights", "ShuffleNet_V2_X0_5_Weights",
    "ShuffleNet_V2_X1_0_Weights", "ShuffleNet_V2_X1_5_Weights", "ShuffleNet_V2_X2_0_Weights",
    "SqueezeNet1_0_Weights", "SqueezeNet1_1_Weights", "VGG11_BN_Weights", "VGG11_Weights", "VGG13_BN_Weights",
    "VGG13_Weights", "VGG16_BN_Weights", "VGG16_Weights", "VGG19_BN_Weights", "VGG19_Weights", "Weights",
    "WeightsEnum", "Wide_ResNet50_2_Weights", "Wide_ResNet101_2_Weights", "get_weight",
]  # fmt: skip

Weights = Published


class Preprocessing(transforms.Compose):
    """What makes a network's input: `preprocess_for` for Pillow images and arrays, which also takes Tensors.

    Tensors are (C, H, W) or (N, C, H, W), uint8 or numbers from 0 to 1."""

    def __call__(self, image: Any, rng: Any = None) -> Tensor:
        """The input, (C, H, W) or (N, C, H, W)."""
        if not isinstance(image, Tensor):
            return super().__call__(image, rng)
        if image.ndim == 4:
            return stack([self(one, rng) for one in image])
        resize, crop, _, normalize = self.transforms
        image = crop(resize(image))
        return normalize(image.float() / 255 if image.dtype == np.uint8 else image)


class WeightsEnum(Enum):
    """The weights that are published for one network; each member's value is a `weights.published.Published`."""

    # For type checkers: the members that most networks have. Annotations alone make no member.
    DEFAULT: ClassVar[Any]
    IMAGENET1K_V1: ClassVar[Any]
    IMAGENET1K_V2: ClassVar[Any]

    @property
    def model(self) -> str:
        """The function that builds the network: "resnet18"."""
        return type(self).__name__.removesuffix("_Weights").lower()

    @property
    def url(self) -> str | None:
        """Where the file is published; None where a package brings it."""
        return None if self.value.package else f"{ORIGIN}/{self.value.file}"

    @property
    def meta(self) -> dict[str, Any]:
        """{"categories": the 1,000 names, "num_params": ..., "_metrics": the publisher's accuracy in per cent}"""
        accuracy = {} if self.value.accuracy is None else {"acc@1": self.value.accuracy}
        return {
            "categories": list(imagenet_classes()),
            "num_params": self.value.parameters,
            "_metrics": {"ImageNet-1K": accuracy},
        }

    def transforms(self) -> Preprocessing:
        """What makes the network's input of a picture, or of several."""
        return Preprocessing(transforms.preprocess_for(self.model, self.name).transforms)

    def get_state_dict(self, progress: bool = True, check_hash: bool = True) -> dict[str, Any]:
        """The file's arrays by name, fetched if it is nowhere yet; its hash is checked in any case.

        Raises DownloadError, WeightsError."""
        return load_arrays(find_weights(self.model, self.name, progress=progress))

    @classmethod
    def verify(cls, weights: Any) -> WeightsEnum | None:
        """The member that is meant by one of its names or by itself. Raises OptionError for anything else."""
        if weights is None or isinstance(weights, cls):
            return weights
        name = weights.removeprefix(f"{cls.__name__}.") if isinstance(weights, str) else None
        if name is not None and name in cls.__members__:
            return cls[name]
        known = ", ".join(cls.__members__)
        raise OptionError(f"{cls.__name__} has no weights {weights!r}; it has {known}")

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    __repr__ = __str__


_ENUMERATIONS: dict[str, type[WeightsEnum]] = {}


def _declared(network: str) -> type[WeightsEnum]:
    """The enumeration of a row in `weights.published`."""
    rows = PUBLISHED[network]
    members = {**rows, "DEFAULT": rows[default_name(network.lower())]}
    make: Any = WeightsEnum  # of members that type checkers cannot know
    _ENUMERATIONS[network.lower()] = make(f"{network}_Weights", members, module=__name__)
    return _ENUMERATIONS[network.lower()]


def enumeration(model: str) -> type[WeightsEnum]:
    """The enumeration of a network's published weights: enumeration("resnet18"). Raises OptionError."""
    if model not in _ENUMERATIONS:
        raise OptionError(f"no published weights are known for {model!r}")
    return _ENUMERATIONS[model]


AlexNet_Weights = _declared("AlexNet")
VGG11_Weights = _declared("VGG11")
VGG11_BN_Weights = _declared("VGG11_BN")
VGG13_Weights = _declared("VGG13")
VGG13_BN_Weights = _declared("VGG13_BN")
VGG16_Weights = _declared("VGG16")
VGG16_BN_Weights = _declared("VGG16_BN")
VGG19_Weights = _declared("VGG19")
VGG19_BN_Weights = _declared("VGG19_BN")
ResNet18_Weights = _declared("ResNet18")
ResNet34_Weights = _declared("ResNet34")
ResNet50_Weights = _declared("ResNet50")
ResNet101_Weights = _declared("ResNet101")
ResNet152_Weights = _declared("ResNet152")
ResNeXt50_32X4D_Weights = _declared("ResNeXt50_32X4D")
ResNeXt101_32X8D_Weights = _declared("ResNeXt101_32X8D")
ResNeXt101_64X4D_Weights = _declared("ResNeXt101_64X4D")
Wide_ResNet50_2_Weights = _declared("Wide_ResNet50_2")
Wide_ResNet101_2_Weights = _declared("Wide_ResNet101_2")
SqueezeNet1_0_Weights = _declared("SqueezeNet1_0")
SqueezeNet1_1_Weights = _declared("SqueezeNet1_1")
DenseNet121_Weights = _declared("DenseNet121")
DenseNet161_Weights = _declared("DenseNet161")
DenseNet169_Weights = _declared("DenseNet169")
DenseNet201_Weights = _declared("DenseNet201")
GoogLeNet_Weights = _declared("GoogLeNet")
Inception_V3_Weights = _declared("Inception_V3")
MobileNet_V2_Weights = _declared("MobileNet_V2")
MobileNet_V3_Small_Weights = _declared("MobileNet_V3_Small")
MobileNet_V3_Large_Weights = _declared("MobileNet_V3_Large")
ShuffleNet_V2_X0_5_Weights = _declared("ShuffleNet_V2_X0_5")
ShuffleNet_V2_X1_0_Weights = _declared("ShuffleNet_V2_X1_0")
ShuffleNet_V2_X1_5_Weights = _declared("ShuffleNet_V2_X1_5")
ShuffleNet_V2_X2_0_Weights = _declared("ShuffleNet_V2_X2_0")
EfficientNet_B0_Weights = _declared("EfficientNet_B0")
EfficientNet_B1_Weights = _declared("EfficientNet_B1")
EfficientNet_B2_Weights = _declared("EfficientNet_B2")
EfficientNet_B3_Weights = _declared("EfficientNet_B3")
EfficientNet_B4_Weights = _declared("EfficientNet_B4")
EfficientNet_B5_Weights = _declared("EfficientNet_B5")
EfficientNet_B6_Weights = _declared("EfficientNet_B6")
EfficientNet_B7_Weights = _declared("EfficientNet_B7")
EfficientNet_V2_S_Weights = _declared("EfficientNet_V2_S")
EfficientNet_V2_M_Weights = _declared("EfficientNet_V2_M")
EfficientNet_V2_L_Weights = _declared("EfficientNet_V2_L")
ConvNeXt_Tiny_Weights = _declared("ConvNeXt_Tiny")
ConvNeXt_Small_Weights = _declared("ConvNeXt_Small")
ConvNeXt_Base_Weights = _declared("ConvNeXt_Base")
ConvNeXt_Large_Weights = _declared("ConvNeXt_Large")
EfficientNet_Lite0_Weights = _declared("EfficientNet_Lite0")


def get_weight(name: str) -> WeightsEnum:
    """The weights of a full name: get_weight("ResNet50_Weights.IMAGENET1K_V2"). Raises OptionError for another."""
    network, _, member = name.partition(".") if isinstance(name, str) else ("", "", "")
    found = _ENUMERATIONS.get(network.removesuffix("_Weights").lower())
    if found is None or found.__name__ != network or member not in found.__members__:
        raise OptionError(f"get_weight: there are no weights {name!r}; an example is 'ResNet50_Weights.IMAGENET1K_V2'")
    return found[member]
