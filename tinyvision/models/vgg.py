"""VGG: nothing but 3×3 convolutions and poolings, with and without batch-norm.

(Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", 2015.)
"""

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..tensors.tensor import Tensor
from .blocks import draw_weights, he_normal, small_normal
from .pretrained import pretrainable

__all__ = ["VGG", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]

# Channels of the convolutions, and "M" for a pooling by 2, for the columns A, B, D and E of the paper's first table.
cfgs: dict[str, list[int | str]] = {
    "A": [64, "M", 128, "M", *[256] * 2, "M", *[512] * 2, "M", *[512] * 2, "M"],
    "B": [*[64] * 2, "M", *[128] * 2, "M", *[256] * 2, "M", *[512] * 2, "M", *[512] * 2, "M"],
    "D": [*[64] * 2, "M", *[128] * 2, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3, "M"],
    "E": [*[64] * 2, "M", *[128] * 2, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"],
}


class VGG(nn.Module):
    """Features from 3×3 convolutions, three linear layers.   (N, 3, H, W) -> (N, num_classes), H and W at least 32"""

    def __init__(
        self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5
    ) -> None:
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            draw_weights(self, conv=he_normal, linear=small_normal)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def make_layers(cfg: Sequence[int | str], batch_norm: bool = False) -> nn.Sequential:
    """The convolutions, each with its ReLU, and the poolings, of one of `cfgs` or of another such list."""
    layers: list[nn.Module] = []
    in_channels = 3
    for channels in cfg:
        if isinstance(channels, str):
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        layers.append(nn.Conv2d(in_channels, channels, kernel_size=3, padding=1))
        layers += [nn.BatchNorm2d(channels)] if batch_norm else []
        layers.append(nn.ReLU(inplace=True))
        in_channels = channels
    return nn.Sequential(*layers)


def _vgg(cfg: str, batch_norm: bool, options: dict[str, Any]) -> VGG:
    return VGG(make_layers(cfgs[cfg], batch_norm), **options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg11(**options: Any) -> VGG:
    """VGG-11: 132.9 million parameters."""
    return _vgg("A", False, options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg11_bn(**options: Any) -> VGG:
    """VGG-11 with a batch-norm after every convolution."""
    return _vgg("A", True, options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg13(**options: Any) -> VGG:
    """VGG-13: 133.0 million parameters."""
    return _vgg("B", False, options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg13_bn(**options: Any) -> VGG:
    """VGG-13 with a batch-norm after every convolution."""
    return _vgg("B", True, options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg16(**options: Any) -> VGG:
    """VGG-16: 138.4 million parameters."""
    return _vgg("D", False, options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg16_bn(**options: Any) -> VGG:
    """VGG-16 with a batch-norm after every convolution."""
    return _vgg("D", True, options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg19(**options: Any) -> VGG:
    """VGG-19: 143.7 million parameters."""
    return _vgg("E", False, options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg19_bn(**options: Any) -> VGG:
    """VGG-19 with a batch-norm after every convolution."""
    return _vgg("E", True, options)
