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

# Channels of the convolutions, one list for each stage; a pooling by 2 follows each.
_STAGES = {
    11: [[64], [128], [256] * 2, [512] * 2, [512] * 2],
    13: [[64] * 2, [128] * 2, [256] * 2, [512] * 2, [512] * 2],
    16: [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3],
    19: [[64] * 2, [128] * 2, [256] * 4, [512] * 4, [512] * 4],
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


def make_layers(stages: Sequence[Sequence[int]], batch_norm: bool) -> nn.Sequential:
    """The convolutions of all stages, each with its ReLU, and the poolings."""
    layers: list[nn.Module] = []
    in_channels = 3
    for stage in stages:
        for channels in stage:
            layers.append(nn.Conv2d(in_channels, channels, kernel_size=3, padding=1))
            layers += [nn.BatchNorm2d(channels)] if batch_norm else []
            layers.append(nn.ReLU(inplace=True))
            in_channels = channels
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


def _vgg(depth: int, batch_norm: bool, options: dict[str, Any]) -> VGG:
    return VGG(make_layers(_STAGES[depth], batch_norm), **options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg11(**options: Any) -> VGG:
    """VGG-11: 132.9 million parameters."""
    return _vgg(11, False, options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg11_bn(**options: Any) -> VGG:
    """VGG-11 with a batch-norm after every convolution."""
    return _vgg(11, True, options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg13(**options: Any) -> VGG:
    """VGG-13: 133.0 million parameters."""
    return _vgg(13, False, options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg13_bn(**options: Any) -> VGG:
    """VGG-13 with a batch-norm after every convolution."""
    return _vgg(13, True, options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg16(**options: Any) -> VGG:
    """VGG-16: 138.4 million parameters."""
    return _vgg(16, False, options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg16_bn(**options: Any) -> VGG:
    """VGG-16 with a batch-norm after every convolution."""
    return _vgg(16, True, options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg19(**options: Any) -> VGG:
    """VGG-19: 143.7 million parameters."""
    return _vgg(19, False, options)


@pretrainable(head="classifier.6", smallest=32, with_weights={"init_weights": False})
def vgg19_bn(**options: Any) -> VGG:
    """VGG-19 with a batch-norm after every convolution."""
    return _vgg(19, True, options)
