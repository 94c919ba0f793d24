"""SqueezeNet: AlexNet's accuracy with fifty times fewer parameters; the last layer is a convolution.

(Iandola et al., "SqueezeNet", 2016.)
"""

from typing import Any

from .. import nn
from ..errors import OptionError
from ..nn import init
from ..tensors.arranging import cat
from ..tensors.tensor import Tensor
from .blocks import draw_weights, small_normal
from .pretrained import pretrainable

__all__ = ["SqueezeNet", "squeezenet1_0", "squeezenet1_1"]


class Fire(nn.Module):
    """1×1 to few channels, then 1×1 and 3×3 side by side.   (N, inplanes, H, W) -> (N, sum of the expanded, H, W)"""

    def __init__(self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int) -> None:
        self.squeeze, self.squeeze_activation = nn.Conv2d(inplanes, squeeze_planes, 1), nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Both expansions, one behind the other in the channels."""
        x = self.squeeze_activation(self.squeeze(x))
        return cat([self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))], 1)


def _pool() -> nn.Module:
    return nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)


class SqueezeNet(nn.Module):
    """Eight fire modules; version "1_0" or "1_1".   (N, 3, H, W) -> (N, num_classes), H and W at least 21 or 17"""

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        self.num_classes = num_classes
        if version == "1_0":
            self.features = nn.Sequential(
                nn.Conv2d(3, 96, kernel_size=7, stride=2),
                nn.ReLU(inplace=True),
                _pool(),
                Fire(96, 16, 64, 64),
                Fire(128, 16, 64, 64),
                Fire(128, 32, 128, 128),
                _pool(),
                Fire(256, 32, 128, 128),
                Fire(256, 48, 192, 192),
                Fire(384, 48, 192, 192),
                Fire(384, 64, 256, 256),
                _pool(),
                Fire(512, 64, 256, 256),
            )
        elif version == "1_1":
            self.features = nn.Sequential(
                nn.Conv2d(3, 64, kernel_size=3, stride=2),
                nn.ReLU(inplace=True),
                _pool(),
                Fire(64, 16, 64, 64),
                Fire(128, 16, 64, 64),
                _pool(),
                Fire(128, 32, 128, 128),
                Fire(256, 32, 128, 128),
                _pool(),
                Fire(256, 48, 192, 192),
                Fire(384, 48, 192, 192),
                Fire(384, 64, 256, 256),
                Fire(512, 64, 256, 256),
            )
        else:
            raise OptionError(f'SqueezeNet: version must be "1_0" or "1_1", got {version!r}')
        final_conv = nn.Conv2d(512, num_classes, kernel_size=1)
        # Flattened here and not only in `forward`, so that the classifier can learn on its own from features.
        self.classifier = nn.Sequential(
            nn.Dropout(dropout), final_conv, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()
        )
        draw_weights(self, conv=init.kaiming_uniform_)
        small_normal(final_conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self.classifier(self.features(x)).flatten(1)


@pretrainable(head="classifier.1", top="classifier", smallest=21)
def squeezenet1_0(**options: Any) -> SqueezeNet:
    """SqueezeNet 1.0: 1.25 million parameters, 0.82 billion multiply-adds for an image of 224×224."""
    return SqueezeNet("1_0", **options)


@pretrainable(head="classifier.1", top="classifier", smallest=17)
def squeezenet1_1(**options: Any) -> SqueezeNet:
    """SqueezeNet 1.1: the same with 2.4 times fewer multiply-adds."""
    return SqueezeNet("1_1", **options)
